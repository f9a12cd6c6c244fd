"""Crossed effects against a dense oracle and against planted truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.sql import functions as sf
from tests.planted_shop import FOLDS, plant_shop

from purchasecast.errors import DataError
from purchasecast.stages import CrossedEffectsEncoder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def encoder(**params: object) -> CrossedEffectsEncoder:
    return CrossedEffectsEncoder(
        inputCols=["customer", "product"], outputCols=["a", "b"], labelCol="spend", numFolds=FOLDS, **params
    )


def test_effects_solve_the_mixed_model_equations(spark: SparkSession) -> None:
    """At the variances it found, the effects are those of a dense solve of Henderson's equations."""
    shop = plant_shop(customers=30, products=20, rows=400, noise_sd=500.0)
    model = encoder(tol=0.0, maxIter=1_000).fit(shop.frame(spark).drop("fold"))
    component = model.components[-1]
    table = shop.rows
    levels = {name: sorted(table[name].unique()) for name in ("customer", "product")}
    Z = np.hstack([(table[[name]].to_numpy() == np.array(levels[name])).astype(float) for name in levels])
    shrinkage = [component.residual / variance for variance in component.groups]
    penalty = np.repeat(shrinkage, [len(levels["customer"]), len(levels["product"])])
    y = table["spend"].to_numpy()
    expected = np.linalg.solve(Z.T @ Z + np.diag(penalty), Z.T @ (y - y.mean()))
    found = {row["level"]: row["effect"] for name in levels for row in model.level_table(name).collect()}
    ours = np.array([found[level] for name in levels for level in levels[name]])
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-4)


def test_passes_of_the_cluster_take_the_steps_of_a_task(spark: SparkSession) -> None:
    """Both ways to backfit give the same effects and variances after the same number of rounds, nulls and all."""
    shop = plant_shop(customers=30, products=20, rows=400)
    frame = shop.frame(spark).withColumn("customer", sf.when(sf.col("customer") != "c3", sf.col("customer")))
    in_tasks = encoder(tol=0.0, maxIter=3).fit(frame)
    by_passes = encoder(tol=0.0, maxIter=3, maxTaskRows=0).fit(frame)
    for mine, theirs in zip(in_tasks.components, by_passes.components, strict=True):
        np.testing.assert_allclose([mine.residual, *mine.groups], [theirs.residual, *theirs.groups], rtol=1e-9)
        assert (mine.levels, mine.rounds) == (theirs.levels, theirs.rounds)
    for name in ("customer", "product"):
        pairs = [model.level_table(name).toPandas().sort_values("level") for model in (in_tasks, by_passes)]
        np.testing.assert_allclose(pairs[0].iloc[:, 1:], pairs[1].iloc[:, 1:], rtol=1e-9, atol=1e-9)


def test_variance_components_are_recovered(spark: SparkSession) -> None:
    shop = plant_shop(customers=300, products=200, rows=15_000)
    component = encoder(maxIter=20, tol=1e-6).fit(shop.frame(spark)).components[-1]
    np.testing.assert_allclose(np.sqrt(component.residual), shop.noise_sd, rtol=0.03)
    np.testing.assert_allclose(np.sqrt(component.groups[0]), shop.customer_effect.std(), rtol=0.10)
    np.testing.assert_allclose(np.sqrt(component.groups[1]), shop.product_effect.std(), rtol=0.10)
    assert component.levels == (300, 200)


def test_planted_effects_are_recovered(spark: SparkSession) -> None:
    shop = plant_shop(customers=300, products=200, rows=15_000)
    model = encoder().fit(shop.frame(spark))
    for name, truth in (("customer", shop.customer_effect), ("product", shop.product_effect)):
        found = {int(row["level"][1:]): row["effect"] for row in model.level_table(name).collect()}
        ours = np.array([found[i] for i in range(len(truth))])
        assert np.corrcoef(ours, truth)[0, 1] > 0.97


def test_rows_and_means_of_levels_are_those_of_the_data(spark: SparkSession) -> None:
    shop = plant_shop(customers=20, products=10, rows=120)
    table = encoder().fit(shop.frame(spark)).level_table("product").toPandas().set_index("level").sort_index()
    grouped = shop.rows.groupby("product")["spend"]
    np.testing.assert_allclose(table["mean"], grouped.mean())
    np.testing.assert_allclose(table["rows"], grouped.size())


def test_a_near_unique_id_gives_nothing_away(spark: SparkSession) -> None:
    """An id of one row a level: out of fold, its effect is that of an unseen level."""
    shop = plant_shop(customers=40, products=20, rows=600)
    frame = shop.frame(spark).withColumn("ticket", sf.concat("customer", "product"))
    model = CrossedEffectsEncoder(inputCols=["ticket"], outputCols=["t"], labelCol="spend", numFolds=FOLDS).fit(frame)
    assert model.transform(frame).where("t <> 0").count() == 0


def test_weights_count_as_copies_do_whatever_their_unit(spark: SparkSession) -> None:
    """A row of weight 2 pulls like two rows; grams and kilograms as weights give the same effects."""
    shop = plant_shop(customers=20, products=10, rows=150)
    frame = shop.frame(spark).withColumn("w", sf.when(sf.col("group") == 1, 2.0).otherwise(1.0)).cache()
    copies = frame.unionByName(frame.where("group = 1"))
    weighted, scaled = (
        encoder(weightCol="w", attributeCols=["group"], maxIter=20).fit(one)
        for one in (frame, frame.withColumn("w", 1_000 * sf.col("w")))
    )
    copied = encoder(attributeCols=["group"], maxIter=20).fit(copies)
    effects = [model.level_table("product").toPandas().sort_values("level") for model in (weighted, scaled, copied)]
    np.testing.assert_allclose(effects[1][["rows", "effect"]], effects[0][["rows", "effect"]], rtol=1e-9)
    assert effects[0]["rows"].sum() == pytest.approx(150)
    np.testing.assert_allclose(weighted.components[-1].residual, scaled.components[-1].residual, rtol=1e-9)
    assert np.corrcoef(effects[0]["effect"], effects[2]["effect"])[0, 1] > 0.999
    unweighted = encoder(attributeCols=["group"], maxIter=20).fit(frame).level_table("product").toPandas()
    assert np.abs(effects[0]["effect"].to_numpy() - unweighted.sort_values("level")["effect"].to_numpy()).max() > 10.0


def test_weights_of_nothing_are_refused(spark: SparkSession) -> None:
    frame = plant_shop(customers=5, products=5, rows=20).frame(spark).withColumn("w", sf.lit(0.0))
    with pytest.raises(DataError, match="weights above 0 in w"):
        encoder(weightCol="w").fit(frame)


def test_unseen_products_get_what_their_attributes_say(spark: SparkSession) -> None:
    shop = plant_shop(customers=60, products=40, rows=1_500, product_sd=100.0, noise_sd=100.0, customer_sd=10.0)
    frame = shop.frame(spark).withColumn("spend", sf.col("spend") + 5_000 * sf.col("group"))
    model = encoder(attributeCols=["group"]).fit(frame)
    strangers = spark.createDataFrame(
        [("new", "new", float(g)) for g in range(3)], "customer string, product string, group double"
    )
    fitted = [row["fitted"] for row in model.transform(strangers).orderBy("group").collect()]
    np.testing.assert_allclose(np.diff(fitted), 5_000, atol=250)


def test_a_constant_target_has_no_effects(spark: SparkSession) -> None:
    frame = plant_shop(customers=20, products=10, rows=150).frame(spark).withColumn("spend", sf.lit(7.0))
    out = encoder().fit(frame).transform(frame)
    assert out.where("a <> 0 or b <> 0 or abs(fitted - 7) > 1e-9").count() == 0
