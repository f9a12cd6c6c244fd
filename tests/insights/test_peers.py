"""Customers alike and segments: against slow regressions, with planted truth, and with none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from purchasecast.insights.peers.regression import Level, Peers, _solve_within
from purchasecast.insights.peers.segments import contrast_segments
from purchasecast.insights.peers.shortfalls import HiddenHalf, Shortfalls, measure_shortfalls
from purchasecast.insights.peers.tasks import (
    Layout,
    customer_scores,
    customer_sums,
    pack_items,
    sum_moments,
    within_moments,
)
from purchasecast.insights.phrases import Phrases
from purchasecast.insights.significance import judge
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from pyspark.sql import SparkSession

SAME = "the same products"
SCHEMA = Schema.from_dict(
    {
        "name": "corner shop",
        "money": "EUR",
        "key": ["who", "what"],
        "columns": {
            "who": {"kind": "nominal", "role": "customer"},
            "town": {"kind": "nominal", "of": "customer"},
            "age": {"kind": "ordinal", "order": ["young", "old"], "of": "customer"},
            "what": {"kind": "nominal", "role": "product"},
            "aisle": {"kind": "nominal", "of": "product"},
            "spend": {"kind": "numeric", "role": "target"},
        },
    }
)
HASHED = {"item": "what", "customer": "who"}
TOWNS = np.array(["Ayr", "Bath", "Cork"])


@dataclass(frozen=True)
class Planted:
    """Rows, and what a town adds to a purchase for the same products."""

    rows: pd.DataFrame
    town: dict[str, float]

    def adjusted(self, town: str) -> float:
        """Return the true difference of a town to the others, weighted by their rows."""
        sizes = self.rows["town"].value_counts()
        others = [name for name in TOWNS if name != town]
        return self.town[town] - float(np.average([self.town[o] for o in others], weights=[sizes[o] for o in others]))


def shop(
    *,
    seed: int,
    town: tuple[float, float, float] = (0.0, 0.0, 0.0),
    product_sd: float = 0.0,
    customer_sd: float = 0.0,
    taste: float = 0.0,
    customers: int = 240,
    products: int = 40,
    rows: int = 3_000,
) -> Planted:
    """Draw purchases; with `taste` customers of the last town buy the dearer products more often."""
    random = np.random.default_rng(seed)
    place, old = random.integers(0, 3, customers), random.random(customers) < 0.4
    price, own = random.normal(0, product_sd, products), random.normal(0, customer_sd, customers)
    buyer = random.integers(0, customers, rows)
    appeal = np.exp(taste * (place[buyer] == 2)[:, None] * np.argsort(np.argsort(price))[None, :] / products)
    edges = np.cumsum(appeal, axis=1)
    product = (edges < random.random(rows)[:, None] * edges[:, -1:]).sum(axis=1)
    spend = 500 + price[product] + own[buyer] + np.array(town)[place[buyer]] + random.normal(0, 60, rows)
    table = pd.DataFrame(
        {
            "who": [f"c{i}" for i in buyer],
            "town": TOWNS[place[buyer]],
            "age": np.where(old[buyer], "old", "young"),
            "what": [f"p{j}" for j in product],
            "aisle": [f"a{j % 3}" for j in product],
            "spend": spend,
        }
    )
    return Planted(table, dict(zip(TOWNS, town, strict=True)))


def slow_peers(table: pd.DataFrame) -> tuple[Peers, pd.DataFrame]:
    """Fit the regression the slow, obvious way: demean everything by product, least squares, sum by customer."""
    names = ("town", "age")
    levels = []
    for j, name in enumerate(names):
        order = list(SCHEMA.column(name).levels) or sorted(table[name].unique())
        for level in order:
            own = table[table[name] == level]
            levels.append(Level(j, level, own["who"].nunique(), len(own), own["spend"].sum()))
    first = {max((k for k in levels if k.attribute == j), key=lambda k: k.rows) for j in range(2)}
    columns = tuple(i for i, level in enumerate(levels) if level not in first)
    x = np.column_stack([(table[names[levels[c].attribute]] == levels[c].name).astype(float) for c in columns])
    frame = pd.DataFrame(x).assign(y=table["spend"])
    within = (frame - frame.groupby(table["what"]).transform("mean")).to_numpy()
    z, y = within[:, :-1], within[:, -1]
    inverse = np.linalg.inv(z.T @ z)
    beta = inverse @ z.T @ y
    residual = y - z @ beta
    scores = []
    for level in levels:
        name = names[level.attribute]
        scores.append(np.where(table[name] == level.name, table["spend"] - level.total / level.rows, 0.0))
    scores += list((z * residual[:, None]).T)
    by_customer = pd.DataFrame(np.column_stack(scores)).groupby(table["who"]).sum().to_numpy()
    usual = table.groupby("what")["spend"].transform("var", ddof=0)
    sums = pd.DataFrame(
        {"level": table["who"], "total": table["spend"], "r": residual, "rr": residual**2, "usual_rr": usual}
    )
    residuals = sums.groupby("level").agg("sum")
    residuals.insert(0, "rows", sums.groupby("level").size())
    fitted = Peers(
        tuple(levels),
        columns,
        beta,
        inverse,
        by_customer.T @ by_customer,
        rows=len(table),
        items=table["what"].nunique(),
        customers=table["who"].nunique(),
        residuals=cast("Any", None),
        spread=cast("Any", None),
    )
    return fitted, residuals.reset_index()


def slow_shortfalls(residuals: pd.DataFrame) -> Shortfalls:
    known = residuals[residuals["rows"] >= 10]
    mean = known["r"] / known["rows"]
    own = (known["rr"] - known["r"] ** 2 / known["rows"]) / (known["rows"] - 1)
    usual = known["usual_rr"] / known["rows"]
    within = (own * (known["rows"] - 1)).sum() / (usual * (known["rows"] - 1)).sum()
    variance = max(mean.var() - (own / known["rows"]).mean(), 0.0)
    numbers: list[NDArray[np.float64]] = [
        c.to_numpy(float) for c in (known["rows"], known["total"], mean, own**0.5, (within * usual) ** 0.5)
    ]
    nobody = HiddenHalf(0, 0.0, 0.0, 0.0)
    return Shortfalls(
        tuple(known["level"]),
        *numbers,
        tried=len(known),
        variance=variance,
        same=SAME,
        hidden=nobody,
        response=0.05,
    )


def slow_hidden_half(known: pd.DataFrame, variance: float) -> tuple[float, ...]:
    """Select on the shown half, one customer after the other, and add up what the hidden half holds."""
    own = (known["rr"] - known["r"] ** 2 / known["rows"]).sum()
    within = own / (known["usual_rr"] / known["rows"] * (known["rows"] - 1)).sum()
    count, expected, actual, noise_of_sum = 0, 0.0, 0.0, 0.0
    for one in known.itertuples():
        shown = one.rows - one.hidden_rows
        if not shown or not one.hidden_rows:
            continue
        mean, noise = (one.r - one.hidden_r) / shown, within * (one.usual_rr - one.hidden_usual_rr) / shown**2
        if mean < -2.3263478740408408 * noise**0.5:  # p below 1 %
            count += 1
            expected -= mean * one.hidden_rows * variance / (variance + noise)
            actual -= one.hidden_r
            noise_of_sum += within * one.hidden_usual_rr
    return count, expected, actual, noise_of_sum


def contrast(planted: Planted, level: str) -> Any:
    found = contrast_segments(slow_peers(planted.rows)[0], ("town", "age"), SAME)
    return next(c for c in found.contrasts if c.level == level)


def test_a_planted_town_is_found_with_its_sign_and_its_mix_told_apart() -> None:
    planted = shop(seed=1, town=(0.0, 0.0, -40.0), product_sd=150.0, customer_sd=20.0, taste=3.0)
    found = contrast_segments(slow_peers(planted.rows)[0], ("town", "age"), SAME)
    q = judge([found], 0.1)[0]
    findings = {f.id: f for f in found.findings(q, 0.1, Phrases(SCHEMA))}
    cork = findings["segment:town=Cork"]
    assert cork.value < 0
    assert cork.interval is not None
    assert cork.interval[0] < planted.adjusted("Cork") < cork.interval[1]
    assert "EUR less per purchase than other customers" in cork.claim
    mix = findings["segment-mix:town=Cork"]  # dear products hide that they pay less for each
    assert mix.value > 0
    assert "what they buy reverses the difference" in mix.claim
    assert cork.money is None
    assert not any(name.startswith("segment:age") for name in findings)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    inside = []
    for seed in range(80):
        planted = shop(seed=seed, town=(30.0, 0.0, -20.0), product_sd=100.0, customer_sd=40.0, taste=2.0, rows=1_500)
        found = contrast_segments(slow_peers(planted.rows)[0], ("town", "age"), SAME)
        for c in found.contrasts:
            if c.column == "town":
                low, high = c.adjusted.interval(0.9)
                inside.append(low <= planted.adjusted(c.level) <= high)
    assert 0.84 <= np.mean(inside) <= 0.96  # 240 intervals in 80 shops: two standard errors are about 0.05


def test_the_smaller_of_two_sides_is_told_and_small_groups_are_not() -> None:
    fitted, _ = slow_peers(shop(seed=3).rows)
    found = contrast_segments(fitted, ("town", "age"), SAME)
    assert [c.level for c in found.contrasts if c.column == "age"] == ["old"]
    few = tuple(replace(k, customers=49) if k.name == "Ayr" else k for k in fitted.levels)
    assert "Ayr" not in [
        c.level for c in contrast_segments(replace(fitted, levels=few), ("town", "age"), SAME).contrasts
    ]


def test_without_effects_findings_are_as_rare_as_stated() -> None:
    rate, shops_with_a_claim, tested = 0.1, 0, 0
    for seed in range(60):
        fitted, residuals = slow_peers(shop(seed=1_000 + seed, customers=200).rows)
        evidence = [contrast_segments(fitted, ("town", "age"), SAME), slow_shortfalls(residuals)]
        claims = [e.findings(q, rate, Phrases(SCHEMA)) for e, q in zip(evidence, judge(evidence, rate), strict=True)]
        shops_with_a_claim += any(claims)
        tested += all(family.tried for one in evidence for family in one.trials)
    assert shops_with_a_claim <= 11  # 60 shops at 0.1: 6 expected, and two standard errors
    assert tested == 60


def test_skewed_purchases_make_nobody_fall_below_their_like() -> None:
    """Most purchases are small and a few large: by her own spread alone every ninth customer would be called low."""
    claims = 0
    for seed in range(40):
        planted = shop(seed=2_000 + seed, customers=150, products=20, rows=2_500)
        table = planted.rows.assign(spend=np.exp(np.random.default_rng(seed).normal(4, 1, len(planted.rows))))
        found = slow_shortfalls(slow_peers(table)[1])
        claims += bool((judge([found], 0.1)[0] <= 0.1).any())
    assert claims <= 8  # 40 shops at 0.1: 4 expected at most, and two standard errors


def test_customers_below_their_like_are_found_and_the_sum_is_not_inflated() -> None:
    planted = shop(seed=5, product_sd=100.0, customers=150)
    table, low = planted.rows.copy(), [f"c{i}" for i in range(15)]
    table.loc[table["who"].isin(low), "spend"] -= 100.0
    truth = 100.0 * table["who"].isin(low).sum()
    found = slow_shortfalls(slow_peers(table)[1])
    q = judge([found], 0.1)[0]
    names = [name for name, value in zip(found.customers, q, strict=True) if value <= 0.1]
    assert len(set(low) - set(names)) <= 1
    assert len(set(names) - set(low)) <= 2
    finding = found.findings(q, 0.1, Phrases(SCHEMA))[0]
    assert 0.7 * truth < finding.value < 1.05 * truth
    assert finding.money == pytest.approx(0.05 * finding.value)
    half = replace(found, hidden=HiddenHalf(15, 400.0, 200.0, 100.0)).findings(q, 0.1, Phrases(SCHEMA))[0]
    assert half.value == pytest.approx(finding.value / 2)  # half of what was predicted lasted
    assert "15 customers selected on half of their purchases fell short by 200 EUR" in half.checked
    columns, lines = found.listing(q, 0.1)
    assert [line[0] for line in lines] == sorted(names, key=lambda n: -lines[[x[0] for x in lines].index(n)][3])
    assert columns[3] == "shortfall"


def test_what_the_lowest_of_many_customers_pay_less_is_not_exaggerated() -> None:
    """Without the shrinkage the sum of the lowest tenth would be twice the truth."""
    draw = np.random.default_rng(8)
    customers, rows, effect_sd, noise_sd = 4_000, 12, 5.0, 30.0
    effects = draw.normal(0.0, effect_sd, customers)
    means = effects + draw.normal(0.0, noise_sd / np.sqrt(rows), customers)
    lowest = np.argsort(means)[: customers // 10]
    constant = np.ones(len(lowest))
    found = Shortfalls(
        tuple(map(str, lowest)),
        *(rows * constant, constant, means[lowest], noise_sd * constant, noise_sd * constant),
        tried=customers,
        variance=effect_sd**2,
        same="the same products",
        hidden=HiddenHalf(0, 0.0, 0.0, 0.0),
        response=0.05,
    )
    sums, errors = found.shrunken()
    truth = -rows * effects[lowest].sum()
    assert abs(sums.sum() - truth) < 3 * np.sqrt((errors**2).sum())
    assert -rows * means[lowest].sum() > 2 * truth
    finding = found.findings(np.zeros(len(lowest)), 0.1, Phrases(SCHEMA))[0]
    assert finding.value == pytest.approx(sums.sum())


def batches_of(table: pd.DataFrame, parts: int) -> list[pa.RecordBatch]:
    """Return the rows as the executors read them."""
    hashed = {name: pd.util.hash_array(table[column].to_numpy()).view("int64") for name, column in HASHED.items()}
    read = pd.DataFrame(
        {"spend": table["spend"], **hashed, "category": table["aisle"], "a_0": table["town"], "a_1": table["age"]}
    )
    whole = pa.Table.from_pandas(read, preserve_index=False).combine_chunks()
    step = -(-len(table) // parts)
    return [batch for k in range(parts) for batch in whole.slice(k * step, step).to_batches()]


def gathered(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(list(batches))


def test_executors_fit_what_the_slow_regression_fits() -> None:
    """Every stage on parts of the rows, put together as Spark does."""
    table = shop(seed=7, town=(0.0, 0.0, -40.0), product_sd=150.0, customer_sd=40.0, taste=2.0).rows
    slow, slow_residuals = slow_peers(table)
    places: tuple[dict[str, int], ...] = ({}, {})
    for place, level in enumerate(slow.levels):
        places[level.attribute][level.name] = place
    layout = Layout(places, slow.columns, tuple(k.total / k.rows for k in slow.levels), 3)
    packed = gathered(batch for part in batches_of(table, 3) for batch in pack_items([part], layout))
    by_item = packed.sort_by("bucket").to_batches()
    moments = next(sum_moments(within_moments(by_item, layout)))["moments"][0].as_py()
    rows, items, coefficients, inverse = _solve_within(np.frombuffer(moments), slow.levels, slow.columns)
    assert (rows, items) == (slow.rows, slow.items)
    assert np.allclose(coefficients, slow.coefficients)
    assert np.allclose(inverse, slow.inverse)

    sums = gathered(customer_sums(by_item, layout, coefficients))
    is_packed = pc.is_valid(sums["packed"])
    by_customer = sums.filter(is_packed).select(["bucket", "packed"]).sort_by("bucket").to_batches()
    found = gathered(customer_scores(by_customer, layout)).to_pandas()
    products = sum(np.frombuffer(one) for one in found["moments"].dropna())
    assert np.allclose(products, slow.scores.ravel(), rtol=1e-6, atol=1e-6 * np.abs(slow.scores).max())
    residuals = found[found["moments"].isna()].set_index("customer").sort_index()
    names = pd.util.hash_array(slow_residuals["level"].to_numpy()).view("int64")
    expected = slow_residuals.drop(columns="level").set_index(names).sort_index()
    for name in ("rows", "total", "r", "rr", "usual_rr"):
        assert np.allclose(residuals[name], expected[name], atol=1e-6), name

    spread = sums.filter(pc.invert(is_packed)).to_pandas().groupby("category").sum(numeric_only=True)
    usual = table.groupby("what")["spend"].transform("mean")
    off = table["spend"] - usual
    for aisle, one in spread.iterrows():
        own = table["aisle"] == aisle
        assert one["rows"] == own.sum()
        assert one["around"] == pytest.approx((off[own] ** 2).sum())
        cells = sums.filter(pc.invert(is_packed)).to_pandas().query("category == @aisle").sort_values("share")
        median = cells["share"].to_numpy()[np.searchsorted(cells["rows"].cumsum(), own.sum() / 2)]
        assert median == pytest.approx((table["spend"] / usual)[own].median(), abs=0.004)


def test_a_shop_whose_customers_have_no_attributes_is_compared_too() -> None:
    table = shop(seed=9).rows
    layout = Layout((), (), (), 2)
    by_item = gathered(pack_items(batches_of(table, 1), layout)).sort_by("bucket").to_batches()
    moments = np.frombuffer(next(sum_moments(within_moments(by_item, layout)))["moments"][0].as_py())
    assert moments.tolist() == [len(table), table["what"].nunique()]
    sums = gathered(customer_sums(by_item, layout, np.empty(0)))
    by_customer = sums.filter(pc.is_valid(sums["packed"])).select(["bucket", "packed"]).sort_by("bucket").to_batches()
    found = gathered(customer_scores(by_customer, layout)).to_pandas()
    assert found["r"].sum() == pytest.approx(0, abs=1e-6)
    off = table["spend"] - table.groupby("what")["spend"].transform("mean")
    assert found["rr"].sum() == pytest.approx((off**2).sum())


@pytest.mark.spark
def test_spark_fits_what_the_slow_regression_fits(spark: SparkSession) -> None:
    from purchasecast.insights.peers.regression import fit_peers
    from purchasecast.insights.sales import read_sales

    planted = shop(seed=7, town=(0.0, 0.0, -40.0), product_sd=150.0, customer_sd=40.0, taste=2.0)
    slow, slow_residuals = slow_peers(planted.rows)
    sales = read_sales(spark.createDataFrame(planted.rows).repartition(3), SCHEMA)
    fast = fit_peers(sales)
    assert sales.attributes == ("town", "age")
    assert [k.name for k in fast.levels] == [k.name for k in slow.levels]
    assert fast.columns == slow.columns
    assert np.allclose(fast.coefficients, slow.coefficients)
    assert np.allclose(fast.inverse, slow.inverse)
    assert np.allclose(fast.scores, slow.scores, rtol=1e-6, atol=1e-6 * np.abs(slow.scores).max())
    assert (fast.rows, fast.items, fast.customers) == (slow.rows, slow.items, slow.customers)
    residuals = fast.residuals.toPandas().set_index("level").sort_index()
    expected = slow_residuals.set_index("level").sort_index()
    for name in ("rows", "total", "r", "rr", "usual_rr"):
        assert np.allclose(residuals[name], expected[name], atol=1e-6)
    found, known = measure_shortfalls(fast.residuals, 0.1, SAME, 0.05), slow_shortfalls(slow_residuals)
    assert found.tried == known.tried
    assert found.variance == pytest.approx(known.variance)
    q = dict(zip(known.customers, judge([known], 0.1)[0], strict=True))
    fast_q = dict(zip(found.customers, judge([found], 0.1)[0], strict=True))
    kept = {name for name, value in q.items() if value <= 0.1}
    assert kept == {name for name, value in fast_q.items() if value <= 0.1}
    assert kept
    slow_half = slow_hidden_half(residuals[residuals["rows"] >= 10], found.variance)
    assert found.hidden.customers == slow_half[0] > 5
    assert (found.hidden.expected, found.hidden.actual, found.hidden.variance) == pytest.approx(slow_half[1:])
    sales.close()
