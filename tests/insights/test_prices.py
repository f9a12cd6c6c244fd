"""Price bands, products outside them, expensive products with few buyers, and concentration of revenue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from purchasecast.insights.concentration import lorenz, measure_concentration, revenue_tables
from purchasecast.insights.phrases import Phrases
from purchasecast.insights.prices.findings import Band, OffBand, PricedProduct, Reach
from purchasecast.insights.significance import judge
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = Schema.from_dict(
    {
        "name": "corner shop",
        "money": "EUR",
        "key": ["who", "what"],
        "columns": {
            "who": {"kind": "nominal", "role": "customer"},
            "what": {"kind": "nominal", "role": "product"},
            "aisle": {"kind": "nominal", "of": "product"},
            "spend": {"kind": "numeric", "role": "target"},
        },
    }
)
PHRASES = Phrases(SCHEMA)
PRODUCTS, CUSTOMERS = 60, 400


def prices(seed: int, *, product_sd: float = 0.0) -> pd.DataFrame:
    """Draw purchases of distinct pairs; products differ in popularity, and by `product_sd` in price."""
    random = np.random.default_rng(seed)
    popularity = random.uniform(0.05, 0.5, PRODUCTS)
    bought = random.random((CUSTOMERS, PRODUCTS)) < popularity
    who, what = np.nonzero(bought)
    price = np.where(np.arange(PRODUCTS) % 2, 200.0, 400.0) + random.normal(0, product_sd, PRODUCTS)
    return pd.DataFrame(
        {
            "who": [f"c{i}" for i in who],
            "what": [f"p{j}" for j in what],
            "aisle": np.where(what % 2, "odd", "even"),
            "spend": np.maximum(price[what] + random.normal(0, 30, len(what)), 1.0),
        }
    )


def slow_pricing(table: pd.DataFrame) -> tuple[OffBand, Reach]:
    by_product = table.groupby(["aisle", "what"])["spend"].agg(["size", "mean", "std", "sum"]).reset_index()
    bands = {}
    for aisle, own in by_product.groupby("aisle"):
        low, lower, middle, upper, high = np.percentile(own["mean"], [10, 25, 50, 75, 90])
        few, typical = np.percentile(own["size"], [25, 50])
        spread = np.sqrt((own["std"] ** 2 * (own["size"] - 1)).sum() / (own["size"] - 1).sum())
        sums = (len(own), int(own["size"].sum()), float(own["sum"].sum()))
        bands[str(aisle)] = Band(str(aisle), *sums, low, lower, middle, upper, high, typical, few, spread)
    tested = tuple(
        PricedProduct(r["what"], r["aisle"], r["size"], r["size"], r["mean"], r["std"] / np.sqrt(r["size"]))
        for _, r in by_product.iterrows()
    )
    little = tuple(
        replace(p, error=max(p.error, bands[p.category].spread / np.sqrt(p.rows)))
        for p in tested
        if p.rows <= bands[p.category].few_buyers
    )
    return (
        OffBand(tested, bands, len(tested), "aisle"),
        Reach(little, bands, len(little), table["who"].nunique()),
    )


def plant(table: pd.DataFrame) -> pd.DataFrame:
    """Make one product far too expensive for its aisle, and one expensive with few buyers."""
    changed = table.copy()
    changed.loc[changed["what"] == "p10", "spend"] += 150.0
    changed.loc[changed["what"] == "p11", "spend"] += 60.0
    return changed[(changed["what"] != "p11") | changed["who"].isin([f"c{i}" for i in range(60)])]


def test_a_planted_price_is_found_and_its_money_counted() -> None:
    off, _ = slow_pricing(plant(prices(1, product_sd=10.0)))
    q = judge([off], 0.1)[0]
    (finding,) = off.findings(q, 0.1, PHRASES)
    assert "p10, with" in finding.claim
    assert "EUR" in finding.claim
    p10 = next(p for p in off.products if p.product == "p10")
    beyond = p10.mean - off.bands["even"].fences[1]
    assert finding.money is None  # it describes the shop: nobody knows what another price would bring
    assert 0 < beyond * p10.rows <= finding.value
    assert finding.interval is not None
    assert finding.interval[0] < finding.value < finding.interval[1]


def test_an_expensive_product_with_few_buyers_is_found() -> None:
    _, reach = slow_pricing(plant(prices(2, product_sd=10.0)))
    q = judge([reach], 0.1)[0]
    kept = reach.kept(q, 0.1)
    assert "p11" in [product.product for product, _ in kept]
    (finding,) = reach.findings(q, 0.1, PHRASES)
    assert finding.value == pytest.approx(sum(gain for _, gain in kept))


def test_without_effects_prices_are_rarely_reported() -> None:
    claims = 0
    for seed in range(100):
        evidence = slow_pricing(prices(100 + seed))
        q = judge(evidence, 0.1)
        claims += any(e.findings(own, 0.1, PHRASES) for e, own in zip(evidence, q, strict=True))
    assert claims <= 18  # 100 shops at 0.1: 10 expected, and two and a half standard errors


def test_products_with_few_small_purchases_are_not_called_expensive() -> None:
    """Most purchases are large: by chance a few buyers made no small one, and look expensive and without spread."""
    claims = 0
    for seed in range(60):
        table = prices(300 + seed)
        below = np.random.default_rng(seed).lognormal(3.0, 1.0, len(table))
        odd = table["aisle"] == "odd"
        _, reach = slow_pricing(table.assign(spend=np.maximum(np.where(odd, 2_000.0, 4_000.0) - below, 1.0)))
        claims += bool((judge([reach], 0.1)[0] <= 0.1).any())
    assert claims <= 11  # 60 shops at 0.1: 6 expected at most, and two standard errors


def slow_gini(values: np.ndarray) -> float:
    """Return half the mean absolute difference of all pairs, as a share of the mean."""
    return float(np.abs(values[:, None] - values[None, :]).mean() / 2 / values.mean())


@pytest.mark.parametrize("count", [1, 3, 19, 500])
def test_the_curve_is_that_of_all_pairs(count: int) -> None:
    values = np.sort(np.random.default_rng(count).lognormal(size=count))[::-1]
    bins = []
    for place, value in enumerate(values):
        low, top = int(20 * place / count), 5 * (place + 1) <= count or place == 0
        bins.append({"n": count, "bin": low, "top": top, "members": 1, "rows": 2, "total": value})
        bins[-1]["moment"] = (place + 1) * value
    curve = lorenz("customer", bins)
    assert curve.gini == pytest.approx(slow_gini(values), abs=1e-12)
    assert curve.top_count == max(count // 5, 1)
    assert curve.top_share == pytest.approx(values[: curve.top_count].sum() / values.sum())
    assert curve.points[-1] == pytest.approx((1.0, 1.0))
    assert curve.rows == 2 * count


@pytest.mark.spark
def test_spark_counts_what_pandas_counts(spark: SparkSession) -> None:
    from purchasecast.insights.prices.measure import measure_prices
    from purchasecast.insights.sales import read_sales

    table = plant(prices(3, product_sd=10.0))
    sales = read_sales(spark.createDataFrame(table).repartition(3), SCHEMA)
    off, reach = slow_pricing(table)
    found = measure_prices(sales, CUSTOMERS, 0.1)
    assert found is not None
    assert found.reach is not None
    for fast, slow in ((found.off_band, off), (found.reach, reach)):
        assert fast.tried == slow.tried
        keys = [[p.product for p in evidence.products] for evidence in (fast, slow)]
        q = [dict(zip(k, judge([e], 0.1)[0], strict=True)) for k, e in zip(keys, (fast, slow), strict=True)]
        kept = {name: value for name, value in q[1].items() if value <= 0.1}
        assert kept
        assert {name: value for name, value in q[0].items() if value <= 0.1} == pytest.approx(kept)
    for aisle, band in off.bands.items():
        fast_band = next(b for b in found.bands.bands if b.category == aisle)
        assert fast_band.fences == pytest.approx(band.fences)
        assert (fast_band.typical_buyers, fast_band.few_buyers) == pytest.approx((band.typical_buyers, band.few_buyers))

    curves = {c.entity: c for c in measure_concentration(revenue_tables(sales), CUSTOMERS).curves}
    for entity, column in (("customer", "who"), ("product", "what"), ("category", "aisle")):
        totals = table.groupby(column)["spend"].sum().to_numpy()
        assert curves[entity].gini == pytest.approx(slow_gini(totals))
        assert curves[entity].total == pytest.approx(table["spend"].sum())
        top = np.sort(totals)[::-1][: -(-len(totals) // 5)]
        assert curves[entity].top_share == pytest.approx(top.sum() / totals.sum())
    sales.close()
