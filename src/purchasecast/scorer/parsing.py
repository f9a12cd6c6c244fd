"""Parse and check one value of a schema column, as `purchasecast.validation.validate` does on Spark.

One function a column serves the single row and the table alike: a table calls it once for every distinct value.
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import TYPE_CHECKING, Any

from purchasecast.scorer.dates import date_parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from purchasecast.schema import Column

__all__ = ["MISSING", "BadValueError", "Value", "value_parser"]

MISSING = "missing"
Value = str | float | date | None

_WHOLE = re.compile(r"[+-]?[0-9]+(?:[.]0*)?")
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:e[+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE)
_SMALLEST_LONG, _LARGEST_LONG = -(2**63), 2**63 - 1
_BLANK = " "  # Spark trims this one only


class BadValueError(ValueError):
    """A value breaks a rule of its column; the message is the rule's name, as validation reports it."""


def value_parser(column: Column) -> Callable[[Any], Value]:
    """Return the function that makes a raw value canonical.

    Parameters
    ----------
    column : Column
        The column's description.

    Returns
    -------
    callable
        From a raw value to canonical text (nominal, ordinal), a float (numeric), a day (date) or None; it raises
        `BadValueError` for a value that breaks a rule.

    Examples
    --------
    >>> from purchasecast.schema.table import Column
    >>> parse = value_parser(Column("Age", "ordinal", order=("0-17", "18+")))
    >>> parse(" 18+ ")
    '18+'
    """
    if column.kind == "date":
        return _date(column)
    if column.kind == "numeric":
        return _quantity(column)
    return _level(column)


def _level(column: Column) -> Callable[[Any], str | None]:
    """Return the parser of names: fast where the raw value is one that the schema lists."""
    whole = column.type == "integer"
    canonical: Callable[[Any], str | None] = _whole_text if whole else _text
    known: dict[Any, str] = {level: level for level in column.levels}
    known |= {int(level): level for level in column.levels if whole}
    closed, nullable = bool(known), column.null != "forbidden"
    pattern = re.compile(column.pattern) if column.pattern is not None else None
    low, high = column.minimum, column.maximum

    def parse(value: Any) -> str | None:
        if value.__class__ is int or value.__class__ is str:  # not a bool, which equals a number
            found = known.get(value)
            if found is not None:
                return found
        text = canonical(value)
        if text is None:
            if nullable:
                return None
            raise BadValueError("null")
        if pattern is not None and not pattern.fullmatch(text):
            raise BadValueError("does not match the pattern")
        if closed and text not in known:
            raise BadValueError("not in domain")
        if low is not None or high is not None:
            _check_bounds(int(text), low, high)
        return text

    return parse


def _quantity(column: Column) -> Callable[[Any], float | None]:
    whole, nullable = column.type == "integer", column.null != "forbidden"
    low, high = column.minimum, column.maximum

    def parse(value: Any) -> float | None:
        number = _whole_number(value) if whole else _number(value, nullable=nullable)
        if number is None:
            if nullable:
                return None
            raise BadValueError("null")
        if not math.isfinite(number):
            raise BadValueError("not finite")
        _check_bounds(number, low, high)
        return float(number)

    return parse


def _date(column: Column) -> Callable[[Any], date | None]:
    read, nullable = date_parser(column), column.null != "forbidden"
    low, high = column.minimum, column.maximum

    def parse(value: Any) -> date | None:
        try:
            day = read(_text(value) if isinstance(value, str) else value)
        except ValueError:
            raise BadValueError("not a date") from None
        if day is None:
            if nullable:
                return None
            raise BadValueError("null")
        _check_bounds(date(day.year, day.month, day.day), low, high)
        return day

    return parse


def _check_bounds(value: Any, low: Any, high: Any) -> None:
    if low is not None and value < low:
        raise BadValueError("negative" if low == 0 else "below minimum")
    if high is not None and value > high:
        raise BadValueError("above maximum")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value  # noqa: PLR0124  the definition of NaN


def _text(value: Any) -> str | None:
    if value is None or _is_nan(value):
        return None
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise BadValueError("not text")
    text = str(value).strip(_BLANK)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadValueError("not text") from None
    return text or None


def _whole_text(value: Any) -> str | None:
    number = _whole_number(value)
    return None if number is None else str(number)


def _whole_number(value: Any) -> int | None:
    """Return a 64-bit integer; pandas writes integers as floats where the column has nulls."""
    if value is None or _is_nan(value):
        return None
    if value.__class__ is int:
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str):
        text = value.strip(_BLANK)
        if not text:
            return None
        if len(text) > 64 or not _WHOLE.fullmatch(text):
            raise BadValueError("not an integer")
        number = int(text.partition(".")[0])
    else:
        raise BadValueError("not an integer")
    if not _SMALLEST_LONG <= number <= _LARGEST_LONG:
        raise BadValueError("not an integer")
    return int(number)


def _number(value: Any, *, nullable: bool) -> float | None:
    if value is None:
        return None
    if isinstance(value, float):
        return None if nullable and _is_nan(value) else value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise BadValueError("not finite") from None
    if not isinstance(value, str):
        raise BadValueError("not a number")
    text = value.strip(_BLANK)
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise BadValueError("not a number")
    return float(text)
