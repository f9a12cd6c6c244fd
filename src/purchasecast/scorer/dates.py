"""Dates without Spark: from text to a day, from a day to text, and its calendar parts.

A timestamp counts as the day that it names. One with an offset counts as its day in UTC, as in a Spark session in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from purchasecast.schema.date_format import MONTHS, date_regex, pattern_runs
from purchasecast.schema.values import ISO_DAY, NOT_A_DATE, TIME, ZONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from purchasecast.schema import Column

__all__ = ["calendar_part", "date_parser", "date_text"]

_ISO = re.compile(f"{ISO_DAY}(?:[ T]{TIME}({ZONE})?)?")


def date_parser(column: Column) -> Callable[[Any], date | None]:
    """Return the function that reads the values of a date column.

    Parameters
    ----------
    column : Column
        A column of the kind ``date``.

    Returns
    -------
    callable
        Turns text without white space around it, an integer such as 20241231, a `date` or a `datetime` into a day,
        and nothing into None; raises ValueError for anything else.
    """
    pattern = re.compile(date_regex(column.format, named=True)) if column.format is not None else None
    counts_in_utc = column.type == "timestamp"

    def read(value: Any) -> date | None:
        if value is None or value == "":
            return None
        if isinstance(value, datetime):
            if value != value:  # noqa: PLR0124  NaT of pandas
                return None
            return (value.astimezone(UTC) if value.tzinfo else value).date()
        if isinstance(value, date):
            return value
        if isinstance(value, int) and not isinstance(value, bool):  # 20241231 by yyyyMMdd
            value = str(value)
        if not isinstance(value, str):
            raise ValueError(NOT_A_DATE)  # noqa: TRY004  one error for everything that is no date
        return _by_pattern(pattern, value) if pattern is not None else _iso_day(value, in_utc=counts_in_utc)

    return read


def date_text(column: Column, day: date) -> str:
    """Return a day as the column writes it.

    Examples
    --------
    >>> from purchasecast.schema import Column
    >>> date_text(Column("Day", "date", format="M/d/yyyy"), date(2024, 2, 9))
    '2/9/2024'
    """
    if column.format is None:
        return day.isoformat()
    fields = {"y": day.year, "M": day.month, "d": day.day, "H": 0, "h": 12, "m": 0, "s": 0, "S": 0}
    text = ""
    for run, literal in pattern_runs(column.format):
        if not run:
            text += literal
        elif run == "a":
            text += "AM"
        elif run in {"MMM", "MMMM"}:
            name = MONTHS[day.month - 1]
            text += name if run == "MMMM" else name[:3]
        else:
            number = fields[run[0]] % 100 if run == "yy" else fields[run[0]]
            text += f"{number:0{len(run)}d}"
    return text


def calendar_part(day: date, part: str) -> float:
    """Return a calendar part of a day, as Spark's function of the same name does.

    Parameters
    ----------
    day : date
        The day.
    part : str
        One of `purchasecast.schema.CALENDAR_PARTS`.

    Returns
    -------
    float
        The part. Weeks are those of ISO 8601; on Sunday, ``dayofweek`` is 1.

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


def _by_pattern(pattern: re.Pattern[str], text: str) -> date:
    match = pattern.fullmatch(text)
    if match is None:
        raise ValueError(NOT_A_DATE)
    fields = match.groupdict()
    # As in Spark: years of two digits are from 2000 on, and a month or day that is not written is the first.
    year = int(fields["year"]) if fields.get("year") else 2000 + int(fields["short"])
    name = fields.get("name")
    month = 1 + [month[:3] for month in MONTHS].index(name[:3]) if name else int(fields.get("month") or 1)
    return date(year, month, int(fields.get("day") or 1))


def _iso_day(text: str, *, in_utc: bool) -> date:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(NOT_A_DATE)
    year, month, day, hour, minute, zone, offset_hours, offset_minutes = match.groups()
    local = date(int(year), int(month), int(day))
    if not (in_utc and zone and offset_hours):
        return local
    offset = timedelta(hours=int(offset_hours), minutes=int(offset_hours[0] + (offset_minutes or "0")))
    return (datetime(local.year, local.month, local.day, int(hour), int(minute)) - offset).date()  # noqa: DTZ001
