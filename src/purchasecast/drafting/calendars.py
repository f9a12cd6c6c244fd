"""Columns that follow from the date of the sale: weekdays and months that come back, weeks and years that pass."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.drafting.dependencies import agreement

if TYPE_CHECKING:
    from collections.abc import Callable

    from purchasecast.drafting.survey import Survey

__all__ = ["CalendarColumn", "calendar_column"]

_MOSTLY = 0.99


class CalendarColumn(Enum):
    """What a column says of the date."""

    PASSING = "passing"
    WEEKDAY = "dayofweek"
    MONTH = "month"
    QUARTER = "quarter"
    DAY = "dayofmonth"


_PARTS: dict[CalendarColumn, Callable[[date], int]] = {
    CalendarColumn.WEEKDAY: date.isoweekday,
    CalendarColumn.MONTH: lambda day: day.month,
    CalendarColumn.QUARTER: lambda day: (day.month + 2) // 3,
    CalendarColumn.DAY: lambda day: day.day,
}


def calendar_column(name: str, time: str, survey: Survey) -> CalendarColumn | None:
    """Tell which part of the date a column is.

    Parameters
    ----------
    name : str
        The column.
    time : str
        The date of the sale.
    survey : Survey
        The table.

    Returns
    -------
    CalendarColumn or None
        A part that comes back every week or year; ``PASSING`` for one that grows with the date, such as a week's
        number; None if the column is something else.
    """
    days, codes = survey.days(time), survey.sample.codes[name]
    rows = np.isfinite(days) & (codes >= 0)
    days, codes = days[rows].astype(np.int64), codes[rows]
    if len(days) < 20 or len(np.unique(codes)) < 2:
        return None
    known, place = np.unique(days, return_inverse=True)
    place = place.astype(np.int64)
    if len(known) < 3 or agreement(place, codes) < _MOSTLY:
        return None  # it does not follow from the day
    dates = [date.fromordinal(int(day)) for day in known]
    for part, read in _PARTS.items():
        values = np.array([read(day) for day in dates])
        if len(np.unique(values)) < 2:
            continue
        if agreement(codes, values[place]) >= _MOSTLY and agreement(values[place], codes) >= _MOSTLY:
            return part
    by_day = np.full(len(known), np.nan)
    by_day[place] = survey.numbers(name)[rows]
    if np.isfinite(by_day).all() and len(np.unique(by_day)) >= 3 and (np.diff(by_day) >= 0).mean() >= _MOSTLY:
        return CalendarColumn.PASSING
    return None
