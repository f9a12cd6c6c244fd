"""Parse and check single values of a column, by the same rules as `purchasecast.validation.validate` on Spark.

One function for each column serves rows and tables: for a table it is called once for every distinct value.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.schema.values import (
    ABOVE_MAXIMUM,
    BLANKS,
    MAX_NUMBER,
    MAX_TEXT,
    MISSING,
    NO_MATCH,
    NOT_A_DATE,
    NOT_A_NUMBER,
    NOT_AN_INTEGER,
    NOT_FINITE,
    NOT_IN_DOMAIN,
    NOT_TEXT,
    NULL,
    NUMBER,
    TOO_LONG,
    UNREADABLE,
    WHOLE,
    too_low,
)
from purchasecast.scorer.dates import date_parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from purchasecast.schema import Column

__all__ = ["MISSING", "BadValueError", "Value", "value_parser"]

Value = str | float | date | None

_WHOLE, _NUMBER = re.compile(WHOLE), re.compile(NUMBER)
_MIN_LONG, _MAX_LONG = -(2**63), 2**63 - 1
_MAX_DIGITS = 19  # of a 64-bit integer


class BadValueError(ValueError):
    """A value breaks a rule of its column. The message is the name of the rule, as validation reports it."""


def value_parser(column: Column) -> Callable[[Any], Value]:
    """Return the function that parses and checks the values of a column.

    Parameters
    ----------
    column : Column
        The column.

    Returns
    -------
    callable
        Turns a raw value into text (nominal, ordinal), a float (numeric), a day (date) or None; raises
        `BadValueError` if the value breaks a rule.

    Examples
    --------
    >>> from purchasecast.schema.table import Column
    >>> parse = value_parser(Column("Age", "ordinal", order=("0-17", "18+")))
    >>> parse(" 18+ ")
    '18+'
    """
    if column.kind == "date":
        return _date_parser(column)
    if column.kind == "numeric":
        return _number_parser(column)
    return _level_parser(column)


def _level_parser(column: Column) -> Callable[[Any], str | None]:
    is_whole = column.type == "integer"
    to_text: Callable[[Any], str | None] = _whole_text if is_whole else _text
    check = _check_of_level(column)
    known: dict[Any, str] = {}
    for level in column.levels:
        with suppress(BadValueError):  # another rule may forbid a level of the schema
            known[int(level) if is_whole else level] = known[level] = check(level)

    def parse(value: Any) -> str | None:
        # The fast way for a level of the schema; not for a bool, which equals a number.
        if value.__class__ is int or value.__class__ is str:
            level = known.get(value)
            if level is not None:
                return level
        text = to_text(value)
        if text is None:
            _check_null(column)
            return None
        return check(text)

    return parse


def _check_of_level(column: Column) -> Callable[[str], str]:
    levels = frozenset(column.levels)
    # In Java, \d and \w match ASCII only, unless a flag is set.
    pattern = re.compile(column.pattern, re.ASCII) if column.pattern is not None else None
    low, high = column.minimum, column.maximum
    is_open = not levels and column.type != "integer"

    def check(text: str) -> str:
        if is_open:
            _check_text(text)
        if pattern is not None and not pattern.fullmatch(text):
            raise BadValueError(NO_MATCH)
        if levels and text not in levels:
            raise BadValueError(NOT_IN_DOMAIN)
        if low is not None or high is not None:
            _check_bounds(int(text), low, high)
        return text

    return check


def _check_text(text: str) -> None:
    if any(sign in text for sign in UNREADABLE):
        raise BadValueError(NOT_TEXT)
    if len(text) > MAX_TEXT:
        raise BadValueError(TOO_LONG)


def _number_parser(column: Column) -> Callable[[Any], float | None]:
    is_whole, nullable = column.type == "integer", column.null != "forbidden"
    low, high = column.minimum, column.maximum

    def parse(value: Any) -> float | None:
        number = _whole_number(value) if is_whole else _number(value, nullable=nullable)
        if number is None:
            _check_null(column)
            return None
        if not abs(number) <= MAX_NUMBER:  # NaN is not
            raise BadValueError(NOT_FINITE)
        _check_bounds(number, low, high)
        return float(number)

    return parse


def _date_parser(column: Column) -> Callable[[Any], date | None]:
    read = date_parser(column)
    low, high = column.minimum, column.maximum

    def parse(value: Any) -> date | None:
        try:
            day = read(_text(value) if isinstance(value, str) else value)
        except ValueError:
            raise BadValueError(NOT_A_DATE) from None
        if day is None:
            _check_null(column)
            return None
        _check_bounds(date(day.year, day.month, day.day), low, high)
        return day

    return parse


def _check_null(column: Column) -> None:
    if column.null == "forbidden":
        raise BadValueError(NULL)


def _check_bounds(value: Any, low: Any, high: Any) -> None:
    if low is not None and value < low:
        raise BadValueError(too_low(low))
    if high is not None and value > high:
        raise BadValueError(ABOVE_MAXIMUM)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value  # noqa: PLR0124  the definition of NaN


def _text(value: Any) -> str | None:
    if value is None or _is_nan(value):
        return None
    text = (value if isinstance(value, str) else _spark_text(value)).strip(BLANKS)
    if not text.isascii():
        try:
            text.encode()  # fails for a lone surrogate, which JSON can write
        except UnicodeEncodeError:
            raise BadValueError(NOT_TEXT) from None
    return text or None


def _spark_text(value: Any) -> str:
    """Return a value as Spark writes it as text, because a model trained on typed columns knows such levels."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _java_text(value)
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, np.generic):
        return _spark_text(value.item())
    raise BadValueError(NOT_TEXT)


def _java_text(number: float) -> str:
    """Return a number as Java's ``Double.toString`` does.

    Examples
    --------
    >>> _java_text(12.0), _java_text(1e7), _java_text(0.00025)
    ('12.0', '1.0E7', '2.5E-4')
    """
    if not math.isfinite(number) or number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number).replace("inf", "Infinity")
    digits, _, exponent = f"{Decimal(repr(number)).normalize():E}".partition("E")
    return f"{digits}{'' if '.' in digits else '.0'}E{int(exponent)}"


def _whole_text(value: Any) -> str | None:
    number = _whole_number(value)
    return None if number is None else str(number)


def _whole_number(value: Any) -> int | None:
    """Return a 64-bit integer, also from a float: pandas turns integers with nulls into floats."""
    if value is None or _is_nan(value):
        return None
    if value.__class__ is int:
        number = value
    elif isinstance(value, str):
        text = value.strip(BLANKS)
        if not text:
            return None
        if not _WHOLE.fullmatch(text):
            raise BadValueError(NOT_AN_INTEGER)
        digits = text.partition(".")[0].lstrip("+-0")  # int() refuses texts of more than 4,300 digits, zeros included
        if len(digits) > _MAX_DIGITS:
            raise BadValueError(NOT_AN_INTEGER)
        number = int(digits or "0") * (-1 if text.startswith("-") else 1)
    elif isinstance(value, np.integer) or (isinstance(value, float | Decimal) and _is_whole(value)):
        number = int(value)
    else:
        raise BadValueError(NOT_AN_INTEGER)
    if not _MIN_LONG <= number <= _MAX_LONG:
        raise BadValueError(NOT_AN_INTEGER)
    return int(number)


def _is_whole(number: float | Decimal) -> bool:
    return math.isfinite(number) and number == int(number)


def _number(value: Any, *, nullable: bool) -> float | None:
    if value is None:
        return None
    if isinstance(value, float):
        return None if nullable and _is_nan(value) else value
    if isinstance(value, str):
        text = value.strip(BLANKS)
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise BadValueError(NOT_A_NUMBER)
        return float(text)
    if isinstance(value, bool):
        raise BadValueError(NOT_A_NUMBER)
    if isinstance(value, int | Decimal):
        try:
            return float(value)
        except OverflowError:
            raise BadValueError(NOT_FINITE) from None
    if isinstance(value, np.generic):
        return _number(value.item(), nullable=nullable)
    raise BadValueError(NOT_A_NUMBER)
