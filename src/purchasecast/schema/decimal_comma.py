"""Numbers written with a comma as the decimal sign: ``12,50``, ``1.234,50``, ``1 234,50``."""

from __future__ import annotations

import re

__all__ = ["DECIMAL_COMMA", "THOUSANDS", "with_point"]

#: A number that is one only if its comma is the decimal sign; Java, RE2 and Python read the pattern alike.
DECIMAL_COMMA = r"^[+-]?([0-9]{1,3}([. ][0-9]{3})+|[0-9]+),[0-9]+$"
#: What parts thousands in such a number.
THOUSANDS = ". "

_DECIMAL_COMMA = re.compile(DECIMAL_COMMA)
_POINTS = str.maketrans({",": ".", **dict.fromkeys(THOUSANDS, "")})


def with_point(text: str) -> str:
    """Write a number with a decimal comma as one with a point; leave any other text as it is.

    Parameters
    ----------
    text : str
        What is written.

    Returns
    -------
    str
        The number as every parser reads it.

    Examples
    --------
    >>> with_point("1.234,50"), with_point("7"), with_point("n, m")
    ('1234.50', '7', 'n, m')
    """
    return text.translate(_POINTS) if _DECIMAL_COMMA.match(text) else text
