r"""Customers who are leaving: late by their own habit, and with less revenue to expect for that reason.

At a day :math:`t`, a customer with at least four days of purchases is late by :math:`l_c = (t - \text{last}_c) / g_c`
usual gaps, where :math:`g_c` is the mean gap between the customer's purchases. What the customer usually brings in a
period of :math:`h` days is :math:`u_c = h \cdot \text{spend}_c / (t - \text{first}_c)`. On past days, where the period
after :math:`t` is known, every band of lateness has the share :math:`\rho_b = \sum_c y_c / \sum_c u_c` of the usual
revenue that its customers brought. A band is leaving if its share is less than half of that of customers who are not
late, :math:`\rho_0`; a customer in it is expected to bring :math:`(\rho_0 - \rho_b)\, u_c` less than if on time.

The shares are learned from the last period, and checked by the period before: those of the period before that predict
what the customers who were late then brought.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.formatting import counted, percent
from purchasecast.insights.significance import Evidence, normal_interval
from purchasecast.results import Chart, Finding, Support
from purchasecast.spark.columns import number_literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.dates.visits import Visits
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["LIST_NAME", "Band", "Leaving", "leaving_list", "measure_leaving"]

#: Name of the target list, without suffix.
LIST_NAME = "customers-leaving"
_EDGES = (0.5, 1.0, 2.0, 3.0, 5.0)  # lateness in usual gaps; customers beyond the last one count as gone
_ON_TIME = (0, 1)  # bands of customers who are not late
_MIN_DAYS_BOUGHT = 4  # of a customer with a usual gap
_MIN_CUSTOMERS = 30  # of a band with a share of its own
_MIN_SPAN = 112  # days: four periods of four weeks
_MAX_WEEKS = 13


@dataclass(frozen=True, slots=True)
class Band:
    """Customers of one band of lateness on one day, with the period after it."""

    customers: int
    usual: float  # what they usually bring in a period
    actual: float  # what they brought
    variance: float  # of the share of the usual revenue

    @property
    def share(self) -> float:
        """Share of the usual revenue that they brought."""
        return self.actual / self.usual if self.usual > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Leaving(Evidence):
    """Customers who are late by their own habit."""

    period: int  # days
    now: tuple[Band, ...]  # customers of today by band; what they will bring is not known
    learned: tuple[Band, ...]  # one period ago
    earlier: tuple[Band, ...]  # two periods ago
    response: float  # share of the loss that a contact is assumed to prevent

    @property
    def bands(self) -> tuple[int, ...]:
        """Bands of customers who are leaving."""
        return _leaving(self.learned)

    @property
    def loss(self) -> tuple[float, float]:
        """Revenue of the next period that is expected to be missing, and its standard deviation."""
        usual = [self.now[band].usual for band in self.bands]
        kept, variance = _on_time(self.learned)
        value = sum(u * (kept - self.learned[b].share) for u, b in zip(usual, self.bands, strict=True))
        shares = sum(u**2 * self.learned[b].variance for u, b in zip(usual, self.bands, strict=True))
        return value, math.sqrt(shares + sum(usual) ** 2 * variance)

    def lost_share(self, band: int) -> float:
        """Return which share of the usual revenue is expected to be missing; 0 for a band that is not leaving."""
        return _on_time(self.learned)[0] - self.learned[band].share if band in self.bands else 0.0

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  not tested
        """Return one finding on all customers who are leaving."""
        customers = sum(self.now[band].customers for band in self.bands)
        if not customers:
            return []
        value, deviation = self.loss
        interval = normal_interval(value, deviation, phrases.level, minimum=0.0)
        usual = sum(self.now[band].usual for band in self.bands)
        weeks = f"{self.period // 7} weeks"
        return [
            Finding(
                id="leaving:late",
                kind="leaving",
                claim=(
                    f"{counted(customers, 'customer')} have not bought for {_EDGES[min(self.bands) - 1]:g} to "
                    f"{_EDGES[-1]:g} times their usual gap. They usually bring {phrases.money(usual)} in {weeks}; "
                    f"{phrases.money(value)} of it is expected to be missing ({phrases.interval(*interval)})."
                ),
                value=value,
                unit=phrases.money_unit,
                interval=interval,
                support=Support(sum(band.customers for band in self.learned), customers),
                method=(
                    f"Customers with at least {_MIN_DAYS_BOUGHT} days of purchases, in bands of lateness: days since "
                    f"the last purchase, divided by the customer's mean gap. The share of the usual revenue that a "
                    f"band keeps is that of the last {weeks}."
                ),
                action=(
                    f"Draw half of the list {LIST_NAME} at random, and send these customers a reason to come back; "
                    "leave the other half alone for comparison."
                ),
                money=self.response * value,
                caveat="Some of them buy elsewhere by now, or need nothing more; the data do not say.",
                chart=Chart.bars(
                    "usual gaps since the last purchase",
                    "share of usual revenue",
                    [(_name(band), one.share) for band, one in enumerate(self.learned) if one.customers],
                    f"What customers brought in the last {weeks}, by how late they were before",
                    None,
                ),
                stake=(
                    f"if the contact prevents {percent(self.response)} of the loss in {weeks}, which is an assumption "
                    "until a test has measured it"
                ),
                money_interval=(self.response * interval[0], self.response * interval[1]),
                who="Marketing",
                when="within two weeks",
                checked=self._checked(phrases, weeks),
                wrong_if="The customers who were contacted buy no more afterwards than the half that was left alone.",
            )
        ]

    def _checked(self, phrases: Phrases, weeks: str) -> str:
        """Say what shares of an earlier period told about the last one."""
        bands = _leaving(self.earlier)
        customers = sum(self.learned[band].customers for band in bands)
        if not customers:
            return ""
        told = sum(self.learned[band].usual * self.earlier[band].share for band in bands)
        brought = sum(self.learned[band].actual for band in bands)
        usual = sum(self.learned[band].usual for band in bands)
        return (
            f"{weeks} ago, the same method selected {counted(customers, 'customer')}, who usually brought "
            f"{phrases.money(usual)}, and expected {phrases.money(told)}; they brought {phrases.money(brought)}."
        )


def _on_time(bands: tuple[Band, ...]) -> tuple[float, float]:
    """Return the share of the usual revenue that customers who are not late brought, and its variance."""
    usual = sum(bands[k].usual for k in _ON_TIME)
    if usual <= 0:
        return 0.0, 0.0
    weights = [bands[k].usual / usual for k in _ON_TIME]
    return (
        sum(bands[k].actual for k in _ON_TIME) / usual,
        sum(w**2 * bands[k].variance for w, k in zip(weights, _ON_TIME, strict=True)),
    )


def _leaving(bands: tuple[Band, ...]) -> tuple[int, ...]:
    """Return late bands that kept less than half of what customers on time did; those beyond the last edge are gone."""
    kept, _ = _on_time(bands)
    late = range(len(_ON_TIME), len(_EDGES))
    return tuple(b for b in late if bands[b].customers >= _MIN_CUSTOMERS and bands[b].share < kept / 2)


def _name(band: int) -> str:
    if band == len(_EDGES):
        return f"over {_EDGES[-1]:g}"
    return f"{_EDGES[band - 1] if band else 0:g} to {_EDGES[band]:g}"


def measure_leaving(visits: Visits, response: float) -> Leaving | None:
    """Measure the bands of lateness today and at the ends of the two periods before; None for a short time. One job."""
    if visits.length < _MIN_SPAN:
        return None
    period = 7 * min(_MAX_WEEKS, visits.length // 56)
    days = [visits.length - k * period for k in range(3)]
    tables = [_bands_at(visits.frame, day, period).withColumn("ago", sf.lit(k)) for k, day in enumerate(days)]
    rows = tables[0].unionByName(tables[1]).unionByName(tables[2]).collect()  # at most 18
    now, learned, earlier = (tuple(_band(rows, k, band) for band in range(len(_EDGES) + 1)) for k in range(3))
    return Leaving(period, now, learned, earlier, response)


def leaving_list(visits: Visits, leaving: Leaving, cap: int) -> DataFrame:
    """Return the customers who are leaving, largest expected loss first, at most `cap`."""
    shares = ", ".join(number_literal(leaving.lost_share(band)) for band in range(len(_EDGES) + 1))
    lost = _customers_at(visits.frame, visits.length, leaving.period).selectExpr(
        "cast(customer as string) as customer",
        f"cast(date_add(date'{visits.first.isoformat()}', last) as string) as last_purchase",
        "bought as days_bought",
        f"{visits.length - 1} - last as days_since",
        "gap as usual_gap_days",
        "usual as usual_revenue",
        f"usual * element_at(array({shares}), band + 1) as expected_loss",
    )
    return lost.where("expected_loss > 0").orderBy(sf.desc("expected_loss"), "customer").limit(cap)


def _customers_at(frame: DataFrame, day: int, period: int) -> DataFrame:
    """Return customers with a usual gap as seen on the morning of a day, and what they bring in the period after it."""
    seen = frame.groupBy("customer").agg(
        sf.expr(f"count_if(day < {day}) as bought"),
        sf.expr(f"min(day) filter (where day < {day}) as first"),
        sf.expr(f"max(day) filter (where day < {day}) as last"),
        sf.expr(f"coalesce(sum(spend) filter (where day < {day}), 0D) as spent"),
        sf.expr(f"coalesce(sum(spend) filter (where day >= {day} and day < {day + period}), 0D) as actual"),
    )
    known = seen.where(f"bought >= {_MIN_DAYS_BOUGHT}").selectExpr(
        "*", "(last - first) / (bought - 1) as gap", f"{period} * spent / ({day} - first) as usual"
    )
    late = known.withColumn("late", sf.expr(f"({day - 1} - last) / gap"))
    band = " + ".join(f"int(late >= {number_literal(edge)})" for edge in _EDGES)
    return late.withColumn("band", sf.expr(band))


def _bands_at(frame: DataFrame, day: int, period: int) -> DataFrame:
    terms = ("count(1) as customers", "sum(usual) as usual", "sum(actual) as actual")
    squares = ("sum(usual * usual) as uu", "sum(usual * actual) as uy", "sum(actual * actual) as yy")
    return _customers_at(frame, day, period).groupBy("band").agg(*map(sf.expr, (*terms, *squares)))


def _band(rows: list[Any], ago: int, band: int) -> Band:
    row = next((row for row in rows if row["ago"] == ago and row["band"] == band), None)
    if row is None or row["usual"] <= 0:
        return Band(0, 0.0, 0.0, 0.0)
    share = row["actual"] / row["usual"]
    squares = max(row["yy"] - 2 * share * row["uy"] + share**2 * row["uu"], 0.0)
    return Band(int(row["customers"]), row["usual"], row["actual"], squares / row["usual"] ** 2)
