"""Columns that follow from the date of the sale: weekdays and months that come back, weeks and years that pass."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.drafting.dependencies import agreement

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from purchasecast.drafting.survey import Survey

__all__ = ["CalendarColumn", "calendar_column"]

_MOSTLY = 0.99
_GROWS = 0.995  # correlation of the ranks of dates and numbers


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
    if rows.sum() < 20 or len(np.unique(codes[rows])) < 2 or len(np.unique(days[rows])) < 3:
        return None
    return _part_of(days[rows], codes[rows]) or _passing(days[rows], survey.numbers(name)[rows])


def _part_of(days: NDArray[np.float64], codes: NDArray[np.int32]) -> CalendarColumn | None:
    """Return the part of the date that stands one to one for the column's values."""
    known, place = np.unique(days.astype(np.int64), return_inverse=True)
    dates = [date.fromordinal(int(day)) for day in known]
    for part, read in _PARTS.items():
        values = np.array([read(day) for day in dates])[place]
        if len(np.unique(values)) > 1 and min(agreement(codes, values), agreement(values, codes)) >= _MOSTLY:
            return part
    return None


def _passing(days: NDArray[np.float64], numbers: NDArray[np.float64]) -> CalendarColumn | None:
    """Tell numbers that grow with the date; a week may begin at another hour than a day does, so nearly is enough."""
    if not np.isfinite(numbers).all() or len(np.unique(numbers)) < 3:
        return None
    one, other = (np.unique(values, return_inverse=True)[1].astype(float) for values in (days, numbers))
    return CalendarColumn.PASSING if np.corrcoef(one, other)[0, 1] > _GROWS else None
