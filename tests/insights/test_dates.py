"""Findings on time: against slow pandas, with planted growth, planted leavers, and with none."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from purchasecast.insights.dates.leaving import Band, Leaving
from purchasecast.insights.dates.trend import Growth, Period, Segment, Trend
from purchasecast.insights.dates.visits import Day
from purchasecast.insights.phrases import Phrases
from purchasecast.insights.significance import judge
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST = date(2025, 1, 6)  # a Monday
SCHEMA = Schema.from_dict(
    {
        "name": "corner shop",
        "money": "EUR",
        "columns": {
            "who": {"kind": "nominal", "role": "customer"},
            "town": {"kind": "nominal", "of": "customer"},
            "what": {"kind": "nominal", "role": "product"},
            "aisle": {"kind": "nominal", "of": "product"},
            "on": {"kind": "date", "role": "time"},
            "spend": {"kind": "numeric", "role": "target"},
        },
    }
)
PHRASES = Phrases(SCHEMA)
DAYS = 280  # ten periods of four weeks; periods of ten weeks are compared, and of five for customers who leave


def shop(seed: int, *, leavers: int = 0, tea: float = 1.0) -> pd.DataFrame:
    """Draw visits every four days or so; leavers stop on one of the days 150 to 270; tea sells `tea` times as much."""
    draw = np.random.default_rng(seed)
    rows = []
    for c in range(800):
        gap, stop = draw.uniform(3.0, 6.0), draw.integers(150, 270) if c < leavers else DAYS
        day = draw.uniform(0, gap)
        while day < stop:
            spend = draw.lognormal(3.0, 0.5)
            aisle = "tea" if draw.random() < 0.4 else "jam"
            if aisle == "tea" and day >= DAYS - 70:
                spend *= tea
            rows.append((f"c{c:03}", "AB"[c % 2], f"{aisle}{draw.integers(5)}", aisle, int(day), spend))
            day += draw.gamma(4.0, gap / 4)
    table = pd.DataFrame(rows, columns=["who", "town", "what", "aisle", "day", "spend"])
    return table.assign(on=[FIRST + timedelta(days=int(d)) for d in table["day"]])


def bands(shares: tuple[float, ...], usual: float = 1_000.0, customers: int = 50) -> tuple[Band, ...]:
    return tuple(Band(customers, usual, usual * share, 1e-4) for share in shares)


def leaving(**changes: Any) -> Leaving:
    values: dict[str, Any] = {
        "period": 35,
        "now": bands((1.0, 0.9, 0.8, 0.3, 0.1, 0.0)),
        "learned": bands((1.0, 0.9, 0.8, 0.3, 0.1, 0.0)),
        "earlier": bands((1.0, 1.0, 0.8, 0.4, 0.2, 0.0)),
        "response": 0.1,
    }
    return Leaving(**{**values, **changes})


def test_a_band_is_leaving_if_it_kept_less_than_half_of_what_customers_on_time_did() -> None:
    assert leaving().bands == (3, 4)  # the last band is gone for good
    value, deviation = leaving().loss
    assert value == pytest.approx(1_000 * (0.95 - 0.3) + 1_000 * (0.95 - 0.1))
    assert deviation == pytest.approx((2 * 1_000**2 * 1e-4 + 2_000**2 * 0.5 * 1e-4) ** 0.5)
    assert leaving(learned=bands((1.0,) * 6)).bands == ()
    assert leaving(learned=bands((1.0, 0.9, 0.8, 0.3, 0.1, 0.0), customers=29)).bands == ()


def test_the_gain_is_the_assumed_share_of_the_loss_and_the_check_is_of_an_earlier_period() -> None:
    (finding,) = leaving().findings(np.empty(0), 0.1, PHRASES)
    assert finding.is_decision
    assert finding.value == pytest.approx(1_500)
    assert finding.money == pytest.approx(150)
    assert finding.money_interval == pytest.approx([end / 10 for end in finding.interval or ()])
    # Of 2,000 usual, 600 were expected by the earlier shares, and 400 came.
    assert "selected 100 customers, who usually brought 2,000 EUR, and expected 600 EUR; they brought 400 EUR" in (
        finding.checked
    )
    assert leaving(now=bands((1.0,) * 6, customers=0)).findings(np.empty(0), 0.1, PHRASES) == []


def test_a_weekday_that_sells_twice_as_much_is_the_season() -> None:
    days = tuple(
        Day(FIRST + timedelta(days=d), 200.0 if (FIRST + timedelta(days=d)).weekday() == 5 else 100.0, 10)
        for d in range(101)
    )
    trend = Trend(Period(1_000.0, 10, 5), Period(1_100.0, 11, 5), 2_500.0, 28, FIRST, days)
    found = {finding.id: finding for finding in trend.findings(np.empty(0), 0.1, PHRASES)}
    assert found["season:weekday"].value == pytest.approx(200 / (800 / 7))
    assert found["season:weekday"].claim.startswith("Saturday brings 175%")
    revenue = found["trend:revenue"]
    assert "+10.0% against the 4 weeks before (90% interval +1.8% to +18.2%)" in revenue.claim
    assert revenue.interval == pytest.approx((100 - 1.6449 * 50, 100 + 1.6449 * 50), abs=0.1)
    assert revenue.chart is not None
    assert [row[0] for row in revenue.chart.rows] == [float(week) for week in range(1, 15)]
    assert all(row[1] == 800.0 for row in revenue.chart.rows)


def test_months_count_over_whole_years_only() -> None:
    first = date(2023, 1, 1)
    every = [first + timedelta(days=d) for d in range(2 * 364)]
    days = tuple(Day(d, 300.0 if d.month == 12 else 100.0, 1) for d in every)
    trend = Trend(Period(1.0, 1, 1), Period(1.0, 1, 1), 0.0, 364, first, days)
    season = next(one for one in trend.findings(np.empty(0), 0.1, PHRASES) if one.kind == "season")
    assert season.claim.startswith("December brings")
    assert season.value == pytest.approx(300 / np.mean([day.revenue for day in days]), rel=1e-6)


def test_a_segment_that_grows_with_the_shop_is_no_finding() -> None:
    fast = Segment("aisle", "tea", 1_000.0, 1_500.0, 80, 100, 400.0, 100.0**2)
    same = Segment("aisle", "jam", 1_000.0, 1_110.0, 80, 100, 10.0, 100.0**2)
    growth = Growth((fast, same), 1.1, 28)
    found = growth.findings(judge([growth], 0.1)[0], 0.1, PHRASES)
    assert [finding.id for finding in found] == ["growth:aisle=tea"]
    assert "revenue +50.0% in the last 4 weeks, where the shop had +10.0%" in found[0].claim
    assert not found[0].is_decision


def slow_bands(table: pd.DataFrame, day: int, period: int) -> list[tuple[int, float, float]]:
    """Return customers, usual and actual revenue by band, one customer after the other."""
    sums = [[0, 0.0, 0.0] for _ in range(6)]
    for _, own in table.groupby("who"):
        seen = own[own["day"] < day]
        days = sorted(seen["day"].unique())
        if len(days) < 4:
            continue
        late = (day - 1 - days[-1]) / ((days[-1] - days[0]) / (len(days) - 1))
        band = sum(late >= edge for edge in (0.5, 1, 2, 3, 5))
        sums[band][0] += 1
        sums[band][1] += period * seen["spend"].sum() / (day - days[0])
        sums[band][2] += own.loc[(own["day"] >= day) & (own["day"] < day + period), "spend"].sum()
    return [(int(a), b, c) for a, b, c in sums]


@pytest.mark.spark
def test_spark_measures_what_slow_code_does_and_finds_what_was_planted(spark: SparkSession) -> None:
    from purchasecast.insights.dates.leaving import leaving_list, measure_leaving
    from purchasecast.insights.dates.trend import measure_growth, measure_trend
    from purchasecast.insights.dates.visits import read_visits
    from purchasecast.insights.sales import read_sales

    table = shop(1, leavers=500, tea=1.5)
    sales = read_sales(spark.createDataFrame(table.drop(columns="day")).repartition(3), SCHEMA)
    visits = read_visits(sales)
    assert visits is not None
    assert (visits.first, visits.length, visits.period) == (FIRST, table["day"].max() + 1, 70)

    start = visits.length - 70
    before = table[(table["day"] >= start - 70) & (table["day"] < start)]
    last = table[table["day"] >= start]
    trend = measure_trend(visits)
    assert trend is not None
    assert trend.last.revenue == pytest.approx(last["spend"].sum())
    assert (trend.before.rows, trend.last.customers) == (len(before), last["who"].nunique())
    paid = pd.DataFrame({"b": before.groupby("who")["spend"].sum(), "l": last.groupby("who")["spend"].sum()}).fillna(0)
    difference = paid["l"] - paid["b"]
    assert trend.variance == pytest.approx(difference.var() * (len(difference) - 1))

    growth = measure_growth(sales, visits, trend)
    assert growth is not None
    tea = next(one for one in growth.segments if one.level == "tea")
    assert tea.last == pytest.approx(last.loc[last["aisle"] == "tea", "spend"].sum())
    q = judge([growth], 0.1)[0]
    assert {f.id for f in growth.findings(q, 0.1, PHRASES)} == {"growth:aisle=tea", "growth:aisle=jam"}

    lost = measure_leaving(visits, 0.05)
    assert lost is not None
    for ago, measured in enumerate((lost.now, lost.learned, lost.earlier)):
        slow = slow_bands(table, visits.length - ago * lost.period, lost.period)
        assert [band.customers for band in measured] == [one[0] for one in slow]
        for band, (_, usual, actual) in zip(measured, slow, strict=True):
            assert (band.usual, band.actual) == pytest.approx((usual, actual))
    lines = leaving_list(visits, lost, 1_000).toPandas()
    assert len(lines) == sum(lost.now[band].customers for band in lost.bands)
    assert lines["expected_loss"].sum() == pytest.approx(lost.loss[0])
    assert lines["expected_loss"].is_monotonic_decreasing
    planted = {f"c{c:03}" for c in range(500)}
    assert len(lines) > 30
    assert np.mean([name in planted for name in lines["customer"]]) > 0.8
    sales.close()


@pytest.mark.spark
def test_where_nobody_leaves_and_nothing_grows_nothing_is_reported(spark: SparkSession) -> None:
    from purchasecast.insights.dates.leaving import measure_leaving
    from purchasecast.insights.dates.trend import measure_growth, measure_trend
    from purchasecast.insights.dates.visits import read_visits
    from purchasecast.insights.sales import read_sales

    sales = read_sales(spark.createDataFrame(shop(2).drop(columns="day")), SCHEMA)
    visits = read_visits(sales)
    assert visits is not None
    trend = measure_trend(visits)
    assert trend is not None
    growth = measure_growth(sales, visits, trend)
    lost = measure_leaving(visits, 0.05)
    assert growth is not None
    assert lost is not None
    assert growth.findings(judge([growth], 0.1)[0], 0.1, PHRASES) == []
    assert lost.findings(np.empty(0), 0.1, PHRASES) == []
    sales.close()
