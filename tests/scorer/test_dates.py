"""Days as columns write and read them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest

from purchasecast.schema import Column
from purchasecast.scorer.dates import date_parser, date_text

DAY = date(2024, 2, 9)
WRITTEN = {
    None: "2024-02-09",
    "M/d/yyyy": "2/9/2024",
    "yyyyMMdd": "20240209",
    "dd.MM.yy": "09.02.24",
    "d MMM yyyy": "9 Feb 2024",
    "d MMMM yyyy": "9 February 2024",
    "yyyy-MM-dd HH:mm:ss": "2024-02-09 00:00:00",
    "M/d/yyyy h:mm a": "2/9/2024 12:00 AM",
}


@pytest.mark.parametrize(("form", "text"), list(WRITTEN.items()))
def test_a_day_is_read_as_it_was_written(form: str | None, text: str) -> None:
    column = Column("Day", "date", format=form)
    assert date_text(column, DAY) == text
    assert date_parser(column)(text) == DAY


def test_values_that_are_no_text_are_days_too() -> None:
    read = date_parser(Column("Day", "date", format="yyyyMMdd"))
    assert read(20240209) == read(DAY) == read(datetime(2024, 2, 9, 23, 59)) == DAY  # noqa: DTZ001  without a zone
    late = datetime(2024, 2, 9, 23, 30, tzinfo=timezone(timedelta(hours=-3)))
    assert read(late) == date(2024, 2, 10) == late.astimezone(UTC).date()
    assert read(None) is read("") is read(pd.NaT) is None
    for wrong in (True, 1.5, "9 Feb", [2024]):
        with pytest.raises(ValueError, match="not a date"):
            read(wrong)
