r"""How revenue develops: the last period against the one before, by segment, and over the year or the week.

Customers are the units of chance: with :math:`d_c` what customer :math:`c` spent in the last period minus what the
customer spent in the one before, the variance of :math:`\sum_c d_c` is estimated by :math:`\sum_c d_c^2 - (\sum_c
d_c)^2 / n`. A segment grows differently from the shop if :math:`\sum_c (y_{c2} - g\, y_{c1})` over its purchases
differs from 0, where :math:`g` is the growth of the shop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as sf
from scipy import stats

from purchasecast.formatting import percent
from purchasecast.insights.significance import MAX_COLLECTED, Evidence, Trials, normal_interval
from purchasecast.results import Chart, Finding, Support
from purchasecast.spark.columns import number_literal

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

    from purchasecast.insights.dates.visits import Day, Visits
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.sales import Sales
    from purchasecast.insights.significance import Floats

__all__ = ["Growth", "Period", "Segment", "Trend", "measure_growth", "measure_trend"]

_MIN_CUSTOMERS = 50  # of a segment that is compared with the shop
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True, slots=True)
class Period:
    """Sums of one period."""

    revenue: float
    rows: int
    customers: int


@dataclass(frozen=True, slots=True)
class Trend(Evidence):
    """The last period and the one before, and the revenue of every day."""

    before: Period
    last: Period
    variance: float  # of the difference of the revenues
    length: int  # days of a period
    start: date  # first day of the last period
    days: tuple[Day, ...]

    @property
    def growth(self) -> float:
        """Revenue of the last period, divided by that of the one before."""
        return self.last.revenue / self.before.revenue

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  one comparison
        """Return the trend, and the season where there is enough time for one."""
        if self.before.revenue <= 0:
            return []
        season = self._season()
        return [self._trend(phrases), *([season] if season else [])]

    def _trend(self, phrases: Phrases) -> Finding:
        before, last = self.before, self.last
        change = last.revenue - before.revenue
        interval = normal_interval(change, math.sqrt(self.variance), phrases.level)
        ends = " to ".join(_signed(end / before.revenue) for end in interval)
        weeks = f"{self.length // 7} weeks"
        parts = [
            f"{_signed(last.customers / before.customers - 1)} customers",
            f"{_signed(last.rows / last.customers / (before.rows / before.customers) - 1)} purchases per customer",
            f"{_signed(last.revenue / last.rows / (before.revenue / before.rows) - 1)} revenue per purchase",
        ]
        rows = tuple((week, revenue) for week, revenue in self._weeks())
        return Finding(
            id="trend:revenue",
            kind="trend",
            claim=(
                f"Revenue of the last {weeks} was {phrases.money(last.revenue)}, {_signed(change / before.revenue)} "
                f"against the {weeks} before ({phrases.level:.0%} interval {ends}): {', '.join(parts)}."
            ),
            value=change,
            unit=phrases.money_unit,
            interval=interval,
            support=Support(before.rows + last.rows, max(before.customers, last.customers)),
            method=(
                f"Sums of two periods of {weeks}; the interval treats customers as a random sample."
                + (" Both periods have the same season." if self.length >= 364 else " Seasons are not removed.")
            ),
            action="",
            money=None,
            caveat="It describes the past, and is no forecast.",
            chart=Chart("line", ("week", "revenue"), rows, "Revenue by week", "week", "revenue", phrases.money_unit),
        )

    def _weeks(self) -> list[tuple[float, float]]:
        """Return the revenue of every whole week, numbered from the first."""
        count = ((self.days[-1].day - self.days[0].day).days + 1) // 7
        # Weeks end with the last day, so that the last one is whole.
        sums = np.zeros(count)
        for day in self.days:
            week = count - 1 - (self.days[-1].day - day.day).days // 7
            if week >= 0:
                sums[week] += day.revenue
        return [(float(number + 1), float(revenue)) for number, revenue in enumerate(sums)]

    def _season(self) -> Finding | None:
        """Return months or weekdays with much and little revenue."""
        yearly = self.length >= 364
        names = _MONTHS if yearly else _WEEKDAYS
        kind = "month" if yearly else "weekday"
        # Whole years, or whole weeks, up to the last day; days without purchases count as well.
        span = (364 if yearly else 7) * (((self.days[-1].day - self.days[0].day).days + 1) // (364 if yearly else 7))
        revenue, count = np.zeros(len(names)), np.zeros(len(names))
        ordinals = [self.days[-1].day.toordinal() - back for back in range(span)]
        place_of = {o: _place(type(self.days[0].day).fromordinal(o), yearly=yearly) for o in ordinals}
        for ordinal in ordinals:
            count[place_of[ordinal]] += 1
        for day in self.days:
            place = place_of.get(day.day.toordinal())
            if place is not None:
                revenue[place] += day.revenue
        if not count.all() or not revenue.sum():
            return None
        index = revenue / count / (revenue.sum() / count.sum())
        high, low = int(index.argmax()), int(index.argmin())
        return Finding(
            id=f"season:{kind}",
            kind="season",
            claim=(
                f"{names[high]} brings {percent(index[high])} of the revenue of an average day, and {names[low]} "
                f"{percent(index[low])}."
            ),
            value=float(index[high]),
            unit="share",
            interval=None,
            support=Support(sum(day.rows for day in self.days)),
            method=(
                f"Mean revenue per day by {kind}, divided by that of all days, over whole "
                f"{'years' if yearly else 'weeks'}."
            ),
            action="",
            money=None,
            caveat="One large order can make a day; a season repeats only if its cause does.",
            chart=Chart.bars(
                kind,
                "share of an average day",
                [(name, float(value)) for name, value in zip(names, index, strict=True)],
                f"Revenue per day by {kind}",
                None,
            ),
        )


def _place(day: date, *, yearly: bool) -> int:
    return day.month - 1 if yearly else day.weekday()


def _signed(change: float) -> str:
    return f"{'+' if change >= 0 else '-'}{percent(abs(change))}"


def measure_trend(visits: Visits) -> Trend | None:
    """Compare the last period with the one before; None if one of them has no purchase. One job."""
    length, end = visits.period, visits.length
    by_customer = _two_periods(visits).groupBy("customer").agg(*_sums())
    row = by_customer.selectExpr(
        "sum(y1)",
        "sum(y2)",
        "sum(n1)",
        "sum(n2)",
        "count_if(n1 > 0)",
        "count_if(n2 > 0)",
        "sum(pow(y2 - y1, 2)) - pow(sum(y2 - y1), 2) / count(1)",
    ).collect()[0]
    if not row[4] or not row[5]:
        return None
    before, last = (Period(float(row[k]), int(row[2 + k]), int(row[4 + k])) for k in (0, 1))
    return Trend(before, last, max(float(row[6]), 0.0), length, visits.date_of(end - length), visits.days)


def _two_periods(visits: Visits) -> DataFrame:
    start = visits.length - 2 * visits.period
    return visits.frame.where(f"day >= {start}").withColumn("later", sf.expr(f"day >= {start + visits.period}"))


def _sums() -> list[Any]:
    terms = [f"sum(if({'' if k == 2 else 'not '}later, {c}, 0)) as {n}{k}" for k in (1, 2) for c, n in _COLUMNS]
    return [sf.expr(term) for term in terms]


_COLUMNS = (("spend", "y"), ("rows", "n"))


@dataclass(frozen=True, slots=True)
class Segment:
    """Revenue of one level in the two periods, and the part of its growth that the shop does not have."""

    column: str
    level: str
    before: float
    last: float
    customers: int
    rows: int
    excess: float  # revenue of the last period beyond that of the period before times the shop's growth
    variance: float  # of `excess`


@dataclass(frozen=True, slots=True)
class Growth(Evidence):
    """Segments of customers and categories; one test per segment."""

    segments: tuple[Segment, ...]
    shop: float  # revenue of the last period of the shop, divided by that of the one before
    length: int

    @property
    def trials(self) -> tuple[Trials, ...]:
        """Two-sided tests: growing faster or slower than the shop."""
        p = [2 * float(stats.norm.sf(abs(s.excess) / max(math.sqrt(s.variance), 1e-12))) for s in self.segments]
        return (Trials(np.array(p), len(p)),)

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return one finding per segment that is kept."""
        kept = [(segment, float(value)) for segment, value in zip(self.segments, q, strict=True) if value <= rate]
        return [self._finding(segment, value, phrases) for segment, value in kept]

    def _finding(self, segment: Segment, q: float, phrases: Phrases) -> Finding:
        own = [one for one in self.segments if one.column == segment.column and one.before > 0]
        label, weeks = phrases.label(segment.column), f"{self.length // 7} weeks"
        change = _signed(segment.last / segment.before - 1) if segment.before > 0 else "new"
        return Finding(
            id=f"growth:{segment.column}={segment.level}",
            kind="growth",
            claim=(
                f"{phrases.named(segment.column, segment.level)}: revenue {change} in the last {weeks}, where the shop "
                f"had {_signed(self.shop - 1)}. That is {phrases.more_or_less(segment.excess)} than with the growth of "
                "the shop."
            ),
            value=segment.excess,
            unit=phrases.money_unit,
            interval=normal_interval(segment.excess, math.sqrt(segment.variance), phrases.level),
            support=Support(segment.rows, segment.customers),
            method=f"Revenue in two periods of {weeks}; customers are treated as a random sample.",
            action="",
            money=None,
            caveat="Prices, promotions and the assortment may have changed; the data do not say why it grew or shrank.",
            chart=Chart.bars(
                label,
                "share of growth",
                [(one.level, one.last / one.before - 1) for one in own],
                f"Growth of revenue by {label}",
                None,
            )
            if own
            else None,
            q_value=q,
        )


def measure_growth(sales: Sales, visits: Visits, trend: Trend) -> Growth | None:
    """Compare the growth of every category and segment with that of the shop; None where there is none.

    Levels with fewer than 50 customers are left out. One job; the driver receives one row per level.
    """
    columns = {name: f"a_{j}" for j, name in enumerate(sales.attributes)}
    if sales.category:
        columns[sales.category] = "category"
    names = list(columns)
    if not names:
        return None
    pairs = ", ".join(f"named_struct('place', {j}, 'level', {columns[name]})" for j, name in enumerate(names))
    start = [f"date'{visits.date_of(visits.length - k * visits.period).isoformat()}'" for k in (2, 1)]
    rows_of_two = sales.frame.where(f"customer is not null and date >= {start[0]}")
    exploded = rows_of_two.selectExpr("customer", "spend", f"date >= {start[1]} as later", f"inline(array({pairs}))")
    by_customer = exploded.groupBy("place", "level", "customer").agg(
        sf.expr("sum(if(later, 0D, spend)) as y1"), sf.expr("sum(if(later, spend, 0D)) as y2"), sf.expr("count(1) as n")
    )
    excess = by_customer.withColumn("e", sf.expr(f"y2 - {number_literal(trend.growth)} * y1"))
    rows = (
        excess.groupBy("place", "level")
        .agg(
            *[sf.expr(f"sum({name}) as {name}") for name in ("y1", "y2", "n", "e")],
            sf.expr("sum(e * e) - pow(sum(e), 2) / count(1) as variance"),
            sf.expr("count(1) as customers"),
        )
        .where(f"customers >= {_MIN_CUSTOMERS}")
        .orderBy("place", "level")
        .limit(MAX_COLLECTED)
        .collect()
    )
    segments = tuple(
        Segment(
            names[row["place"]],
            row["level"],
            float(row["y1"]),
            float(row["y2"]),
            int(row["customers"]),
            int(row["n"]),
            float(row["e"]),
            max(float(row["variance"]), 0.0),
        )
        for row in rows
    )
    return Growth(segments, trend.growth, trend.length)
