"""Lines that could be changed without a test noticing: each has one here that does, by numbers worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import chi2

from purchasecast import evaluation, monitoring
from purchasecast.insights.demand.measure import Noise, expected_by
from purchasecast.schema import Schema
from purchasecast.stages import BoostedTreesRegressor, LatentFactorEncoder
from purchasecast.training import members
from purchasecast.training.blend import bounded_prediction

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA = Schema.from_dict(
    {"name": "s", "columns": [{"name": "x", "kind": "numeric"}, {"name": "spend", "kind": "numeric", "role": "target"}]}
)


def test_chance_counts_the_rows_of_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile of few rows moves by chance, however many rows are compared with it."""
    before, after = (50.0, 50.0), {(0, 0): 60_000, (0, 1): 40_000}
    one = SimpleNamespace(name="town", label="Town", role="feature", of=None, levels=("a", "b"), before=before)
    monkeypatch.setattr(monitoring, "_of_feature", lambda *_: one)
    monkeypatch.setattr(monitoring, "_count_levels", lambda *_: after)
    profile: Any = SimpleNamespace(features=[SimpleNamespace(kind="nominal")], concentrations=[], rows=100)
    checked: Any = SimpleNamespace(accepted=None, report=SimpleNamespace(accepted=100_000))
    (drift,) = monitoring._compare(checked, profile, SCHEMA, labelled=False)
    assert drift.chance == pytest.approx((1 / 100 + 1 / 100_000) * chi2.ppf(0.999, 1))
    assert not drift.has_moved(0.01)


def test_a_refit_has_as_many_trees_as_were_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    scale: Any = SimpleNamespace(column=lambda name: name)
    member = members.BoostedMember(BoostedTreesRegressor(numRounds=400), None, scale, None)  # type: ignore[arg-type]
    fitted: list[Any] = []

    def fit(_: Any, __: Any, ___: Any, trees: BoostedTreesRegressor, *____: Any) -> members.FittedMember:
        fitted.append(trees)
        return members.FittedMember("b", (), None)

    monkeypatch.setattr(members.BoostedMember, "_fit", fit)
    chosen = members.FittedMember("b", (), None, boosting=members.Boosting(137, 1.0, None))
    member.refit(None, None, chosen)  # type: ignore[arg-type]
    (trees,) = fitted
    assert trees.getOrDefault("numRounds") == 137
    assert trees.getOrDefault("validationFold") == -1


@pytest.mark.spark
def test_weights_belong_to_their_members(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(10.0, 100.0), (20.0, 1.0)], "linear double, boosted double")
    blended = bounded_prediction(SCHEMA, {"linear": 0.25, "boosted": 0.5}, None).transform(rows)
    assert [row["prediction"] for row in blended.collect()] == [52.5, 5.5]


@pytest.mark.spark
def test_every_fit_has_its_own_offset(spark: SparkSession) -> None:
    frame = spark.createDataFrame(
        [("u", "i", 0, 10.0, [1.0, 2.0, 4.0]), ("u", "j", 1, 20.0, [3.0, 5.0, 9.0])],
        "user string, item string, fold int, label double, offset array<double>",
    )
    encoder = LatentFactorEncoder(
        userCol="user", itemCol="item", labelCol="label", offsetCol="offset", foldCol="fold", numFolds=2
    )
    found = encoder._residual_frame(frame).orderBy("item").select("r_0", "r_1", "r_2").collect()
    assert [tuple(row) for row in found] == [(9.0, 8.0, 6.0), (17.0, 15.0, 11.0)]


@pytest.mark.spark
def test_a_miss_costs_two_over_one_minus_the_level(spark: SparkSession) -> None:
    from pyspark.sql import functions as sf

    rows = spark.createDataFrame(
        [(5.0, 10.0, 20.0), (15.0, 10.0, 20.0), (27.0, 10.0, 20.0)], "y double, lower double, upper double"
    )
    terms = evaluation._interval_terms(sf.col("y"), sf.lit(15.0), (0.9, (-4.0, 6.0)), None)
    found = rows.select(terms["score"].alias("s"), terms["constant"].alias("c")).collect()
    assert [row["s"] for row in found] == pytest.approx([10 + 20 * 5, 10, 10 + 20 * 7])
    assert [row["c"] for row in found] == [10.0, 10.0, 10.0]


@pytest.mark.spark
def test_what_rows_of_one_customer_and_product_share_counts_for_every_pair_of_them(spark: SparkSession) -> None:
    """Var = sum of own + sum over customers of n(n-1)v, over products likewise, + (n b)^2."""
    lines = [("ann", "pen"), ("ann", "pen"), ("ann", "cup"), ("bob", "pen")]
    data = [(who, what, 10.0, 1.0, 4.0, 4.0, 3.0, 5.0) for who, what in lines]
    columns = "customer string, product string, expected double, units double, own double, own_by_mean double"
    demand = spark.createDataFrame(data, f"{columns}, of_customer double, of_product double")
    noise = Noise({}, of_any=0.0, bias=0.5, residual=0.0, customer=0.0, product=0.0, source="")
    (cell,) = expected_by(demand, None, noise)
    variance = 4 * 4.0 + (3 * 2 + 1 * 0) * 3.0 + (3 * 2 + 1 * 0) * 5.0 + 4**2 * 0.5
    assert (cell.rows, cell.customers, cell.expected) == (4, 2, 40.0)
    assert cell.deviation == pytest.approx(np.sqrt(variance))
