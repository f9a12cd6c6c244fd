"""Dates without Spark: Spark's pattern letters, ISO text, and the calendar parts that features are derived from.

A timestamp counts as the day that it names; one with an offset counts in UTC, as in a Spark session of that zone.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from purchasecast.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from purchasecast.schema import Column

__all__ = ["calendar_part", "date_parser", "date_text"]

_ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[ T](.*))?", re.DOTALL)
_RUNS = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']")  # a quoted text, a run of one letter, or anything else
_LETTERS = {  # Spark's letter and its count; a single one takes any number of digits that the field can have
    "yyyy": "(?P<year>[0-9]{4})",
    "y": "(?P<year>[0-9]{4})",
    "yy": "(?P<short>[0-9]{2})",
    "MM": "(?P<month>[0-9]{2})",
    "M": "(?P<month>[0-9]{1,2})",
    "dd": "(?P<day>[0-9]{2})",
    "d": "(?P<day>[0-9]{1,2})",
    "HH": "[0-9]{2}",
    "H": "[0-9]{1,2}",
    "mm": "[0-9]{2}",
    "m": "[0-9]{1,2}",
    "ss": "[0-9]{2}",
    "s": "[0-9]{1,2}",
}


def date_parser(column: Column) -> Callable[[Any], date | None]:
    """Return the function that reads a date column's values.

    Parameters
    ----------
    column : Column
        A column of the kind ``date``.

    Returns
    -------
    callable
        From text, a `date` or a `datetime` to a day, or None for nothing; it raises ValueError for what is no date.

    Raises
    ------
    SchemaError
        If the column's format uses pattern letters that are not read here.
    """
    pattern = _compiled(column) if column.format is not None else None

    def read(value: Any) -> date | None:
        if value is None or value == "":
            return None
        if isinstance(value, datetime):
            if value != value:  # noqa: PLR0124  pandas' NaT
                return None
            return (value.astimezone(UTC) if value.tzinfo else value).date()
        if isinstance(value, date):
            return value
        if not isinstance(value, str):
            raise ValueError("not a date")  # noqa: TRY004  one error for all that is no date
        return _iso_day(value) if pattern is None else _by_pattern(pattern, value)

    return read


def date_text(column: Column, day: date) -> str:
    """Return a day as the column writes it.

    Examples
    --------
    >>> from purchasecast.schema.table import Column
    >>> date_text(Column("Day", "date", format="M/d/yyyy"), date(2024, 2, 9))
    '2/9/2024'
    """
    if column.format is None:
        return f"{day.year:04d}-{day.month:02d}-{day.day:02d}"
    fields = {"y": day.year, "M": day.month, "d": day.day, "H": 0, "m": 0, "s": 0}

    def written(run: re.Match[str]) -> str:
        letter, text = run.group(2), run.group(0)
        if letter is None:
            return run.group(1) if text.startswith("'") else text
        number = fields[letter] % 100 if text == "yy" else fields[letter]
        return f"{number:0{len(text)}d}"

    return _RUNS.sub(written, column.format)


def calendar_part(day: date, part: str) -> float:
    """Return a part of a day as Spark's function of the same name does.

    Parameters
    ----------
    day : date
        The day.
    part : str
        One of `purchasecast.schema.table.CALENDAR_PARTS`.

    Returns
    -------
    float
        The number; Sunday is day 1 of a week, and weeks are those of ISO 8601.

    Examples
    --------
    >>> calendar_part(date(2024, 12, 29), "dayofweek"), calendar_part(date(2024, 12, 30), "week")
    (1.0, 1.0)
    """
    if part == "quarter":
        return float((day.month + 2) // 3)
    if part == "week":
        return float(day.isocalendar().week)
    if part == "dayofweek":
        return float(day.isoweekday() % 7 + 1)
    if part == "dayofyear":
        return float(day.timetuple().tm_yday)
    return float({"year": day.year, "month": day.month, "dayofmonth": day.day}[part])


def _compiled(column: Column) -> re.Pattern[str]:
    pieces = []
    for run in _RUNS.finditer(column.format or ""):
        text = run.group(0)
        if text in _LETTERS:
            pieces.append(_LETTERS[text])
        elif run.group(2):
            raise SchemaError(
                f"{column.name}: expected a date format of {', '.join(_LETTERS)} for scoring without Spark, "
                f"found {column.format}; write the dates as 2024-12-31"
            )
        else:
            pieces.append(re.escape(run.group(1) if text.startswith("'") else text))
    return re.compile("".join(pieces))


def _by_pattern(pattern: re.Pattern[str], text: str) -> date:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError("not a date")
    fields = found.groupdict()
    year = int(fields["year"]) if fields.get("year") else 2000 + int(fields.get("short") or -2000 + 1970)
    return date(year, int(fields.get("month") or 1), int(fields.get("day") or 1))


def _iso_day(text: str) -> date:
    found = _ISO_DAY.fullmatch(text)
    if found is None:
        raise ValueError("not a date")
    time = found.group(4)
    if time and re.search(r"(?:Z|[+-][0-9]{2}:?[0-9]{2})$", time):
        return datetime.fromisoformat(text).astimezone(UTC).date()
    return date(int(found.group(1)), int(found.group(2)), int(found.group(3)))
