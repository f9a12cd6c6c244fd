"""How values are written and which rules they can break: one vocabulary for Spark's rules, the scorer and the API.

The expressions use only what the regular expressions of Java and of Python have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

__all__ = [
    "ABOVE_MAXIMUM",
    "BLANKS",
    "ISO_DAY",
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
    "TIME",
    "WHOLE",
    "ZONE",
    "too_low",
]

MISSING = "missing"  # the row does not have the column
NULL = "null"
NOT_TEXT = "not text"
NOT_AN_INTEGER = "not an integer"
NOT_A_NUMBER = "not a number"
NOT_FINITE = "not finite"
NOT_A_DATE = "not a date"
NO_MATCH = "does not match the pattern"
NOT_IN_DOMAIN = "not in domain"
ABOVE_MAXIMUM = "above maximum"

#: What is taken off both ends of a text.
BLANKS = " \t\r\n\N{NO-BREAK SPACE}"

WHOLE = r"[+-]?[0-9]+(?:[.]0*)?"  # pandas writes integers as 7.0 where the column has nulls
# Spark's own cast to double also takes "7d" and "0x1p3", and Python's float "1_000".
NUMBER = r"(?i)[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:e[+-]?[0-9]+)?|nan|inf|infinity)"
# Spark's own cast to a date also takes a year alone, and any text behind the day.
ISO_DAY = r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
TIME = r"([01]?[0-9]|2[0-3]):([0-5]?[0-9])(?::[0-5]?[0-9](?:[.][0-9]+)?)?"
ZONE = r" ?(?:Z|UTC|([+-][0-9]{2}):?([0-9]{2})?)"


def too_low(minimum: float | date) -> str:
    """Return the name of the rule that a value below the minimum breaks.

    Examples
    --------
    >>> too_low(0), too_low(1)
    ('negative', 'below minimum')
    """
    return "negative" if minimum == 0 else "below minimum"
