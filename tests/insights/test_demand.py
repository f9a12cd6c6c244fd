"""Sums of forecasts: their intervals cover what comes, where intervals that forget shared errors would not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from purchasecast.config import InsightSettings
from purchasecast.errors import SettingsError
from purchasecast.insights.demand.findings import Demand
from purchasecast.insights.demand.measure import (
    Cell,
    Noise,
    default_pair,
    demand_frame,
    expected_by,
    noise_of,
    uncertain_products,
)
from purchasecast.insights.demand.orders import orders_frame, sum_orders
from purchasecast.insights.phrases import Phrases
from purchasecast.results import Evaluation, Slice
from purchasecast.schema import Schema, load_schema
from purchasecast.schema.reserved_columns import CUSTOMER_ROWS, PREDICTION, PRODUCT_ROWS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = Schema.from_dict(
    {
        "name": "corner shop",
        "money": "EUR",
        "columns": {
            "who": {"kind": "nominal", "role": "customer"},
            "town": {"kind": "nominal", "of": "customer"},
            "what": {"kind": "nominal", "role": "product"},
            "aisle": {"kind": "nominal", "of": "product"},
            "pieces": {"kind": "numeric", "unit": "pieces"},
            "spend": {"kind": "numeric", "role": "target"},
        },
    }
)
RESIDUAL, CUSTOMER, PRODUCT = 50.0**2, 30.0**2, 60.0**2


def forecast(seed: int, *, towns: int = 40) -> pd.DataFrame:
    """Draw forecasts and what came of them: errors of rows, of customers and of products, as large as is known."""
    random = np.random.default_rng(seed)
    customers, products, rows = 20 * towns, 60, 300 * towns
    who, what = random.integers(0, customers, rows), random.integers(0, products, rows)
    seen_who, seen_what = random.integers(0, 40, customers), random.integers(0, 200, products)
    unknown_who = random.normal(0, np.sqrt(1 / (seen_who / RESIDUAL + 1 / CUSTOMER)))
    unknown_what = random.normal(0, np.sqrt(1 / (seen_what / RESIDUAL + 1 / PRODUCT)))
    expected = random.uniform(300, 900, rows)
    return pd.DataFrame(
        {
            "who": [f"c{i}" for i in who],
            "town": [f"t{i % towns}" for i in who],
            "what": [f"p{j}" for j in what],
            "aisle": [f"a{j % 2}" for j in what],
            "pieces": random.integers(1, 4, rows).astype(float),
            PREDICTION: expected,
            CUSTOMER_ROWS: seen_who[who].astype(float),
            PRODUCT_ROWS: seen_what[what].astype(float),
            "came": expected + unknown_who[who] + unknown_what[what] + random.normal(0, np.sqrt(RESIDUAL), rows),
        }
    )


def evaluation(**changes: float) -> Evaluation:
    def part(by: str, level: str, rows: int, rmse: float, bias: float) -> Slice:
        return Slice(by, level, rows, rmse, rmse, None, bias, {})

    bias = changes.get("bias", 0.0)
    slices = (part("aisle", "a0", 1_000, 50.0, bias), part("aisle", "a1", 3_000, 80.0, bias))
    return Evaluation(part("all", "all", 4_000, 70.0, 0.0), slices, "")


def model() -> Any:
    components = (SimpleNamespace(residual=RESIDUAL, groups=(CUSTOMER, PRODUCT)),)
    return SimpleNamespace(
        stages=[SimpleNamespace(), SimpleNamespace(components=components, getInputCols=lambda: ["who", "what"])]
    )


def test_noise_is_that_of_the_holdout_and_of_the_variance_components() -> None:
    noise = noise_of(evaluation(), model(), SCHEMA)
    assert (noise.residual, noise.customer, noise.product) == (RESIDUAL, CUSTOMER, PRODUCT)
    assert noise.of_category["a0"] == pytest.approx((1_000 * 2_500 + 30 * 4_900) / 1_030)
    assert noise.bias == 0.0  # errors of means are within what their rows explain
    assert noise_of(evaluation(bias=20.0), model(), SCHEMA).bias == pytest.approx(400, rel=0.02)
    without = noise_of(None, model(), SCHEMA)
    assert (without.of_any, dict(without.of_category)) == (RESIDUAL, {})
    assert "not evaluated" in without.source


def test_the_pair_is_a_category_and_a_place() -> None:
    assert default_pair(SCHEMA) == ("aisle", "town")
    assert default_pair(load_schema("black_friday")) == ("Product_Category_1", "City_Category")
    lone = Schema.from_dict(
        {"name": "n", "columns": {"x": {"kind": "nominal"}, "y": {"kind": "numeric", "role": "target"}}}
    )
    assert default_pair(lone) is None


def test_demand_is_reported_with_the_interval_of_the_sum() -> None:
    cells = (Cell("a1", "t1", 6, 2, 9.0, 600.0, 30.0), Cell("a0", "t1", 4, 2, 5.0, 400.0, 20.0))
    demand = Demand(
        (("aisle", "town"),), (cells,), Cell("all", "all", 10, 3, 14.0, 1_000.0, 40.0), (), "somewhere", "it"
    )
    (finding,) = demand.findings(np.empty(0), 0.1, Phrases(SCHEMA, 0.9))
    assert finding.interval == pytest.approx((1_000 - 1.645 * 40, 1_000 + 1.645 * 40), rel=1e-3)
    assert finding.money is None  # a forecast is no gain
    assert "14 units in 10 purchases" in finding.claim
    columns, lines = demand.listing(0, Phrases(SCHEMA))
    assert columns[:2] == ("aisle", "town")
    assert [line[0] for line in lines] == ["a1", "a0"]


@pytest.mark.spark
def test_intervals_of_sums_cover_what_comes(spark: SparkSession) -> None:
    table = forecast(1)
    # A row's own error on the holdout holds its customer's and product's share, as in an evaluation.
    shared = sum(
        (1 / (table[rows] / RESIDUAL + 1 / variance)).mean()
        for rows, variance in ((CUSTOMER_ROWS, CUSTOMER), (PRODUCT_ROWS, PRODUCT))
    )
    noise = Noise({}, RESIDUAL + shared, 0.0, RESIDUAL, CUSTOMER, PRODUCT, "")
    frame = spark.createDataFrame(table.drop(columns="came")).repartition(3)
    demand = demand_frame(frame, SCHEMA, noise, [("aisle", "town"), ("what", "aisle")]).cache()
    cells = {(c.first, c.second): c for c in expected_by(demand, 0, noise)}
    sums = table.groupby(["aisle", "town"])
    came = sums["came"].sum()
    assert set(cells) == set(came.index)
    for key, cell in cells.items():
        assert cell.expected == pytest.approx(sums[PREDICTION].sum()[key])
        assert cell.units == sums["pieces"].sum()[key]
        assert cell.customers == sums["who"].nunique()[key]
    covered = np.mean([c.interval(0.9)[0] <= came[key] <= c.interval(0.9)[1] for key, c in cells.items()])
    assert covered >= 0.8  # 80 cells that share customers and products
    rows = sums.size()
    alone = [abs(came[k] - c.expected) <= 1.645 * np.sqrt(rows[k] * noise.of_any) for k, c in cells.items()]
    assert np.mean(alone) < covered  # what forgets the shared errors covers less

    by_product = table.groupby("what")
    off = (by_product["came"].sum() - by_product[PREDICTION].sum()).abs()
    products = uncertain_products(demand, noise, 60)
    inside = np.mean([off[p.product] <= 1.645 * p.deviation for p in products])
    assert inside >= 0.75
    assert [p.deviation for p in products] == sorted((p.deviation for p in products), reverse=True)
    whole = expected_by(demand, None, noise)[0]
    assert whole.deviation < sum(c.deviation for c in cells.values())
    assert whole.interval(0.99)[0] <= table["came"].sum() <= whole.interval(0.99)[1]
    with pytest.raises(SettingsError, match="pieces"):
        demand_frame(frame, SCHEMA, noise, [("aisle", "pieces")])
    demand.unpersist()


def test_the_service_level_is_that_of_the_newsvendor() -> None:
    assert InsightSettings().service == 0.95
    assert InsightSettings(margin=0.3, service_level=0.8).service == 0.8
    # 5 lost by a sale that is missed, 15 by a unit that is left over: a quarter of the time is enough.
    assert InsightSettings(margin=0.25).service == pytest.approx(5 / 20)
    assert InsightSettings(margin=0.25, leftover_loss=0.2).service == pytest.approx(5 / (5 + 3))
    with pytest.raises(SettingsError, match="leftover_loss"):
        InsightSettings(leftover_loss=0.0)


def test_the_errors_of_the_product_means_are_those_of_the_holdout() -> None:
    parts = [
        Slice(by, level, rows, 50.0, 50.0, None, 0.0, {"product_mean": baseline})
        for by, level, rows, baseline in (("all", "all", 4_000, 90.0), ("aisle", "a0", 1_000, 100.0))
    ]
    noise = noise_of(Evaluation(parts[0], (parts[1],), ""), model(), SCHEMA)
    assert noise.by_mean_of_any == 90.0**2
    assert noise.by_mean_of_category == {"a0": pytest.approx((1_000 * 100.0**2 + 30 * 90.0**2) / 1_030)}
    assert noise_of(None, model(), SCHEMA).by_mean_of_any is None


@pytest.mark.spark
def test_orders_are_enough_as_often_as_asked(spark: SparkSession) -> None:
    table = forecast(2, towns=6)
    noise = Noise({}, 100.0, 0.0, RESIDUAL, 0.0, 0.0, "", {}, 225.0)
    frame = spark.createDataFrame(table.drop(columns="came"))
    demand = demand_frame(frame, SCHEMA, noise, [("what", "town")]).cache()
    orders = orders_frame(demand, 0, noise, 0.95, 0.9)
    found = orders.toPandas().set_index(["a", "b"]).sort_index()
    cells = table.groupby(["what", "town"])
    assert len(found) == len(cells)
    units = cells["pieces"].sum().rename_axis(["a", "b"])
    assert found["units"].to_numpy() == pytest.approx(units.reindex(found.index).to_numpy())
    # As many periods: each cell has a Poisson number of purchases around what is expected, with the same pieces.
    random = np.random.default_rng(1)
    enough = []
    for key, pieces in cells["pieces"]:
        counts = random.poisson(1.0, (400, len(pieces))) @ pieces.to_numpy()
        enough.append((counts <= found.loc[key, "order"]).mean())
    assert 0.94 <= np.mean(enough) <= 0.985  # whole units: never less than asked, on average
    assert found["safety_stock"].to_numpy() == pytest.approx((found["order"] - found["units"]).to_numpy())
    assert (found["units_low"] <= found["units"]).all()
    assert (found["units"] <= found["units_high"]).all()
    summed = sum_orders(orders, "town", 0.95, "orders.parquet")
    assert summed.reserve == pytest.approx(1.6449 * 10 * np.sqrt(cells.size()).sum(), rel=1e-3)
    assert summed.reserve_by_mean == pytest.approx(1.5 * summed.reserve)
    (finding,) = summed.findings(np.empty(0), 0.1, Phrases(SCHEMA, 0.9))
    assert "33.3% of which the model saves" in finding.claim
    demand.unpersist()


@pytest.mark.spark
@pytest.mark.parametrize("service", [0.5, 0.9, 0.99])
def test_an_order_of_single_units_is_the_quantile_of_poisson(spark: SparkSession, service: float) -> None:
    from purchasecast.insights.demand.orders import order_quantity

    means = np.array([0.2, 0.5, 1.0, 2.0, 5.0, 12.0, 40.0, 300.0])
    frame = spark.createDataFrame([(float(m),) for m in means], ["m"])
    found = [row[0] for row in frame.selectExpr(order_quantity("m", "m", "m", service)).collect()]
    assert np.abs(np.array(found) - stats.poisson.ppf(service, means)).max() <= 1
