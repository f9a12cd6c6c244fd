"""How values are written and which rules they can break: one vocabulary for Spark's rules, the scorer and the API.

The expressions use only what the regular expressions of Java and of Python have in common.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

__all__ = [
    "ABOVE_MAXIMUM",
    "BLANKS",
    "ISO_DAY",
    "MAX_NUMBER",
    "MAX_TEXT",
    "MISSING",
    "NOT_AN_INTEGER",
    "NOT_A_DATE",
    "NOT_A_NUMBER",
    "NOT_FINITE",
    "NOT_IN_DOMAIN",
    "NOT_TEXT",
    "NO_MATCH",
    "NULL",
    "NUMBER",
    "NUMBER_LOSES",
    "TIME",
    "TOO_LONG",
    "UNREADABLE",
    "WHOLE",
    "WRITTEN_NUMBER",
    "ZONE",
    "delimiter_of",
    "plain_number",
    "too_low",
]

MISSING = "missing"  # the row does not have the column
NULL = "null"
NOT_TEXT = "not text"
NOT_AN_INTEGER = "not an integer"
NOT_A_NUMBER = "not a number"
NOT_FINITE = "not finite or too large"
TOO_LONG = "too long"
NOT_A_DATE = "not a date"
NO_MATCH = "does not match the pattern"
NOT_IN_DOMAIN = "not in domain"
ABOVE_MAXIMUM = "above maximum"

#: Largest number: its fourth power, summed over a table, is still a double.
MAX_NUMBER = 1e75
#: Most characters of a text: far beyond any id, far below what a line of a file may hold.
MAX_TEXT = 65_536
#: Signs that stand for others that were lost: of bytes that are no text in the file's encoding, and of no text at all.
UNREADABLE = ("\N{REPLACEMENT CHARACTER}", "\0")

#: What is taken off both ends of a text.
BLANKS = " \t\r\n\N{NO-BREAK SPACE}"

WHOLE = r"[+-]?[0-9]+(?:[.]0*)?"  # pandas writes integers as 7.0 where the column has nulls
# Spark's own cast to double also takes "7d" and "0x1p3", and Python's float "1_000".
NUMBER = r"(?i)[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:e[+-]?[0-9]+)?|nan|inf|infinity)"
_MONEY = "$\u20ac\u00a3\u00a5"
_BLANK = "[ \u00a0]?"


def _written(thousands: str, point: str) -> str:
    whole = f"(?:[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}})+|[0-9]+)"
    return f"[+-]?[{_MONEY}]?{_BLANK}[+-]?{whole}(?:{point}[0-9]+)?{_BLANK}[{_MONEY}]?"


#: By decimal sign: a number as people write it, with signs between thousands and a currency, such as $1,234.50.
WRITTEN_NUMBER = {",": _written("[. \u00a0\u202f]", ","), ".": _written(",", "[.]")}
#: By decimal sign: what such a number loses on its way to one that a parser reads; a comma left over is the point.
NUMBER_LOSES = {",": ". \u00a0\u202f" + _MONEY, ".": ", \u00a0" + _MONEY}
# Spark's own cast to a date also takes a year alone, and any text behind the day.
ISO_DAY = r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
TIME = r"([01]?[0-9]|2[0-3]):([0-5]?[0-9])(?::[0-5]?[0-9](?:[.][0-9]+)?)?"
ZONE = r" ?(?:Z|UTC|([+-][0-9]{2}):?([0-9]{2})?)"


def delimiter_of(header: str) -> str:
    """Return the sign between the fields of a CSV file, by its header: a comma, else a semicolon, else a tab.

    Examples
    --------
    >>> delimiter_of("a,b"), delimiter_of("a;b"), delimiter_of("a")
    (',', ';', ',')
    """
    return next((sign for sign in ",;\t" if sign in header), ",")


def too_low(minimum: float | date) -> str:
    """Return the name of the rule that a value below the minimum breaks.

    Examples
    --------
    >>> too_low(0), too_low(1)
    ('negative', 'below minimum')
    """
    return "negative" if minimum == 0 else "below minimum"


def plain_number(text: str, decimal: str) -> str:
    """Write a number as every parser reads it; leave any other text as it is.

    Parameters
    ----------
    text : str
        A number as people write it.
    decimal : {".", ","}
        Its decimal sign.

    Returns
    -------
    str
        The same number without a currency and without signs between thousands, with a decimal point.

    Examples
    --------
    >>> plain_number("1.234,50 \u20ac", ","), plain_number("$1,234.50", "."), plain_number("n, m", ",")
    ('1234.50', '1234.50', 'n, m')
    """
    if not re.fullmatch(WRITTEN_NUMBER[decimal], text):
        return text
    return text.translate(dict.fromkeys(map(ord, NUMBER_LOSES[decimal]))).replace(",", ".")
