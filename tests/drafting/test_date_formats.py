"""Formats of dates, in Spark's letters."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from purchasecast.drafting.date_formats import find_date_format

DAYS = [datetime(2023, 11, 25, 8, 5) + timedelta(days=9 * i, minutes=77 * i) for i in range(60)]  # noqa: DTZ001


@pytest.mark.parametrize(
    ("written", "pattern", "has_time"),
    [
        ("%Y-%m-%d", None, False),
        ("%Y-%m-%d %H:%M:%S", None, True),
        ("%Y-%m-%dT%H:%M:%SZ", None, True),
        ("%Y/%m/%d", "yyyy/M/d", False),
        ("%d.%m.%Y", "d.M.yyyy", False),
        ("%d.%m.%y", "d.M.yy", False),
        ("%m/%d/%Y", "M/d/yyyy", False),
        ("%-m/%-d/%Y", "M/d/yyyy", False),
        ("%d/%m/%Y", "d/M/yyyy", False),
        ("%d-%m-%Y %H:%M", "d-M-yyyy H:mm", True),
        ("%m/%d/%Y %I:%M %p", "M/d/yyyy h:mm a", True),
        ("%d/%m/%Y 00:00", "d/M/yyyy H:mm", False),
        ("%d-%b-%Y", "d-MMM-yyyy", False),
        ("%Y%m%d", "yyyyMMdd", False),
    ],
)
def test_formats(written: str, pattern: str | None, has_time: bool) -> None:
    levels = {day.strftime(written): 3 for day in DAYS}
    result = find_date_format(levels)
    assert result is not None
    assert (result.pattern, result.has_time, result.other) == (pattern, has_time, None)
    assert set(result.days.values()) == {day.date() for day in DAYS}


def test_months_alone() -> None:
    result = find_date_format({f"{year}{month:02d}": 5 for year in (2023, 2024) for month in range(1, 13)})
    assert result is not None
    assert (result.pattern, result.days["202403"]) == ("yyyyMM", date(2024, 3, 1))


def test_day_and_month_that_could_change_places() -> None:
    result = find_date_format({f"{month}/{day}/2024": 1 for month in (1, 2) for day in range(1, 13)})
    assert result is not None
    assert (result.pattern, result.other) == ("M/d/yyyy", "d/M/yyyy")
    german = find_date_format({"1.2.2024": 1, "3.2.2024": 2})
    assert german is not None
    assert german.pattern == "d.M.yyyy"


def test_a_few_values_may_be_no_dates() -> None:
    levels = {day.strftime("%m/%d/%Y"): 20 for day in DAYS}
    assert find_date_format({**levels, "n.a.": 2}) is not None
    assert find_date_format({**levels, "n.a.": 200}) is None


@pytest.mark.parametrize(
    "values",
    [
        ["12", "13"],
        ["100101", "100108", "139999"],  # six digits, but not months of a few years
        ["99999999", "12345678"],
        ["13/13/2024", "1/1/2024"],
        ["1/1/2024", "2024-01-01"],  # written in two ways
        ["10:30"],
        [],
    ],
)
def test_what_is_no_date(values: list[str]) -> None:
    assert find_date_format(dict.fromkeys(values, 1)) is None
