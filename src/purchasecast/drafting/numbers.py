"""How numbers are written: the patterns that Spark counts by, and the same in Python."""

from __future__ import annotations

import math
import re

from purchasecast.schema.values import plain_number

__all__ = ["EMPTY_WORDS", "NUMBER", "PADDED", "WHOLE", "parse_number"]

# Java and Python read these alike; they are those of validation, so that what is a number here is one there.
WHOLE = r"^[+-]?[0-9]{1,18}([.]0*)?$"
PADDED = r"^0[0-9]+$"
NUMBER = r"(?i)^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]+)?$"
EMPTY_WORDS = ("null", "na", "n/a", "nan", "none", "nil", "-", "--", "?", "\\n", "#n/a", "(null)", "<null>")

_NUMBER = re.compile(NUMBER)


def parse_number(text: str, decimal: str | None = None) -> float:
    """Read a number.

    Parameters
    ----------
    text : str
        What is written.
    decimal : {".", ","}, optional
        The decimal sign of numbers that people write, with signs between thousands and a currency; by default numbers
        are plain.

    Returns
    -------
    float
        The number; NaN where the text is none.

    Examples
    --------
    >>> parse_number("12.5"), parse_number("1.234,5", ","), parse_number("12 pcs")
    (12.5, 1234.5, nan)
    """
    if decimal is not None:
        text = plain_number(text, decimal)
    if not _NUMBER.match(text):
        return math.nan
    number = float(text)
    return number if math.isfinite(number) else math.nan
