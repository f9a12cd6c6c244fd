"""Purchases by customer and day, and the days that they span."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.sales import Sales

__all__ = ["MIN_DAYS", "Day", "Visits", "read_visits"]

#: Days below which nothing can be said about time: two periods of two weeks, with as many days before them.
MIN_DAYS = 56
_YEARS = 730  # days from which whole years are compared, so that seasons do not count as growth


@dataclass(frozen=True, slots=True)
class Day:
    """Revenue and purchases of one day."""

    day: date
    revenue: float
    rows: int


@dataclass(frozen=True, slots=True)
class Visits:
    """Purchases by customer and day."""

    frame: DataFrame  # one row per customer and day: ``customer``, ``day`` (days since `first`), ``spend``, ``rows``
    days: tuple[Day, ...]  # days with purchases, in order

    @property
    def first(self) -> date:
        """First day with purchases."""
        return self.days[0].day

    @property
    def last(self) -> date:
        """Last day with purchases."""
        return self.days[-1].day

    @property
    def length(self) -> int:
        """Days from the first to the last, both included."""
        return (self.last - self.first).days + 1

    @property
    def period(self) -> int:
        """Days of the periods that are compared: 52 weeks, or whole weeks that make up about a quarter of the span."""
        return 364 if self.length >= _YEARS else 7 * (self.length // 28)

    def date_of(self, day: int) -> date:
        """Return the date of a number of days since `first`."""
        return self.first + timedelta(days=day)


def read_visits(sales: Sales) -> Visits | None:
    """Sum purchases by customer and day; None without dates or customers, or for less than `MIN_DAYS`.

    The driver receives one row per day. The table by customer and day is cached until `Sales.close`.
    """
    if not sales.schema.time or not sales.schema.customer:
        return None
    known = sales.frame.where("customer is not null and date is not null")
    sums = (sf.expr("sum(spend) as spend"), sf.expr("count(1) as rows"))
    by_customer = sales.keep(known.groupBy("customer", "date").agg(*sums))
    by_day = by_customer.groupBy("date").agg(sf.expr("sum(spend)"), sf.expr("sum(rows)")).orderBy("date").collect()
    days = tuple(Day(row[0], float(row[1]), int(row[2])) for row in by_day)
    if not days or (days[-1].day - days[0].day).days + 1 < MIN_DAYS:
        return None
    since = f"datediff(date, date'{days[0].day.isoformat()}') as day"
    return Visits(by_customer.selectExpr("customer", since, "spend", "rows"), days)
