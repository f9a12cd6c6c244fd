"""Latent factors against planted taste, and against data without any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.sql import functions as sf
from tests.planted_shop import FOLDS, plant_shop

from purchasecast.stages import LatentFactorEncoder

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession

    from purchasecast.stages import LatentFactorModel

pytestmark = pytest.mark.spark


def encoder(**params: object) -> LatentFactorEncoder:
    return LatentFactorEncoder(
        userCol="customer", itemCol="product", labelCol="spend", offsetCol="level", numFolds=FOLDS, **params
    )


def test_planted_taste_is_recovered_out_of_fold(spark: SparkSession) -> None:
    shop = plant_shop(
        customers=120, products=60, rows=5_000, customer_sd=0.0, product_sd=0.0, interaction_sd=1_500.0, noise_sd=300.0
    )
    frame = shop.frame(spark).withColumn("level", sf.lit(9_000.0))
    out = encoder(rank=3).fit(frame).transform(frame).toPandas()
    truth = shop.rows.assign(truth=shop.interaction).merge(out, on=["customer", "product"], validate="one_to_one")
    assert np.corrcoef(truth["truth"], truth["interaction"])[0, 1] > 0.97


def test_attributes_help_those_of_few_purchases(spark: SparkSession) -> None:
    """Taste that is all of the attributes' making is found with a handful of purchases each."""
    shop = plant_shop(
        customers=120, products=60, rows=900, customer_sd=0.0, product_sd=0.0, interaction_sd=0.0, noise_sd=600.0
    )
    rows = shop.rows.assign(level=9_000.0, kind=shop.rows["customer"].str[1:].astype(int) % 3)
    rows["sort"] = rows["product"].str[1:].astype(int) % 3
    taste = np.where(rows["kind"] == rows["sort"], 1_000.0, -500.0)
    frame = spark.createDataFrame(rows.assign(spend=rows["spend"] + taste, truth=taste))
    errors = []
    for attributes in ({}, {"userAttributeCols": ["kind"], "itemAttributeCols": ["sort"]}):
        out = encoder(rank=2, **attributes).fit(frame).transform(frame).toPandas()
        errors.append(float(np.sqrt(((out["interaction"] - out["truth"]) ** 2).mean())))
    assert errors[1] < 0.6 * errors[0]


@pytest.fixture(scope="module")
def of_attributes(spark: SparkSession) -> tuple[LatentFactorModel, pd.DataFrame]:
    """Return a model of taste that is all of the attributes' making, and rows: some customers and products are unseen.

    Product p50 occurs in fold 1 only.
    """
    shop = plant_shop(
        customers=120, products=60, rows=3_000, customer_sd=0.0, product_sd=0.0, interaction_sd=0.0, noise_sd=600.0
    )
    rows = shop.rows.assign(level=9_000.0, kind=shop.rows["customer"].str[1:].astype(int) % 3)
    rows["sort"] = rows["product"].str[1:].astype(int) % 3
    rows["truth"] = np.where(rows["kind"] == rows["sort"], 1_000.0, -500.0)
    rows["spend"] += rows["truth"]
    rows["unseen"] = (rows["customer"] > "c80") | (rows["product"] > "p50")
    rows.loc[rows["product"] == "p50", "fold"] = 1
    stage = encoder(rank=2, scaleCol="scale", userAttributeCols=["kind"], itemAttributeCols=["sort"])
    return stage.fit(spark.createDataFrame(rows[~rows["unseen"]])), rows


def test_who_is_unseen_has_the_taste_of_its_attributes(
    spark: SparkSession, of_attributes: tuple[LatentFactorModel, pd.DataFrame]
) -> None:
    model, rows = of_attributes
    out = model.transform(spark.createDataFrame(rows[rows["unseen"]].drop(columns="fold"))).toPandas()
    assert len(out) > 300
    assert out["interaction"].sub(out["truth"]).pow(2).mean() ** 0.5 < 0.4 * out["truth"].pow(2).mean() ** 0.5
    blank = out.assign(customer=None, product="new", kind=None, sort=99).drop(columns=["interaction", "scale"])
    nothing = model.transform(spark.createDataFrame(blank)).toPandas()
    assert nothing["interaction"].nunique() == 1  # an attribute that is null or unseen adds nothing
    assert abs(nothing["interaction"][0]) < 200.0


def test_a_level_of_one_fold_is_encoded_there_as_if_it_were_unseen(
    spark: SparkSession, of_attributes: tuple[LatentFactorModel, pd.DataFrame]
) -> None:
    model, rows = of_attributes
    alone = rows[(rows["product"] == "p50") & ~rows["unseen"]]
    assert len(alone) > 10
    both = [alone, alone.assign(product="never seen")]
    mine, unseen = (model.transform(spark.createDataFrame(some)).toPandas() for some in both)
    for name in ("interaction", "scale"):
        np.testing.assert_allclose(*(found.sort_values("customer")[name] for found in (mine, unseen)), rtol=1e-9)
    assert mine["interaction"].std() > 300


def test_permuted_targets_give_nothing_out_of_fold(spark: SparkSession) -> None:
    shop = plant_shop(customers=60, products=40, rows=2_000)
    shuffled = shop.rows.assign(spend=np.random.default_rng(5).permutation(shop.rows["spend"]), level=9_000.0)
    frame = spark.createDataFrame(shuffled)
    out = encoder(rank=4).fit(frame).transform(frame).toPandas()
    assert abs(np.corrcoef(out["spend"], out["interaction"])[0, 1]) < 0.06


def test_spread_is_the_shrunken_root_mean_square_of_the_residual(spark: SparkSession) -> None:
    shop = plant_shop(customers=30, products=10, rows=200)
    frame = shop.frame(spark).withColumn("level", sf.lit(9_000.0)).drop("fold")
    out = encoder(rank=1, maxIter=1, scaleCol="scale", scalePrior=5.0).fit(frame).transform(frame).toPandas()
    squares = (shop.rows["spend"] - 9_000.0) ** 2
    by_product = squares.groupby(shop.rows["product"])
    expected = np.sqrt((by_product.sum() + 5.0 * squares.mean()) / (by_product.size() + 5.0))
    np.testing.assert_allclose(out.groupby("product")["scale"].first(), expected.sort_index(), rtol=1e-9)


def test_scalar_offset_is_taken_off_too(spark: SparkSession) -> None:
    shop = plant_shop(customers=20, products=10, rows=120)
    frame = shop.frame(spark).withColumn("level", sf.col("spend"))
    out = encoder(rank=1, maxIter=1).fit(frame).transform(frame)
    assert out.where("abs(interaction) > 1e-6").count() == 0


def test_many_tasks_fit_the_model_of_one(spark: SparkSession) -> None:
    """A pair that occurs twice counts twice in both."""
    shop = plant_shop(
        customers=40, products=30, rows=900, customer_sd=0.0, product_sd=0.0, interaction_sd=1_500.0, noise_sd=100.0
    )
    rows = shop.rows.assign(level=9_000.0, kind=shop.rows["customer"].str[1:].astype(int) % 3)
    frame = spark.createDataFrame(rows)
    twice = frame.unionByName(frame.where("customer < 'c2'")).cache()
    ways = [
        encoder(rank=2, maxIter=5, scaleCol="scale", userAttributeCols=["kind"], maxTaskRows=limit).fit(twice)
        for limit in (10**6, 300)
    ]
    for some in (frame, frame.drop("fold").withColumn("product", sf.concat("product", sf.lit("?")))):
        mine, theirs = (way.transform(some).toPandas().sort_values(["customer", "product"]) for way in ways)
        for name in ("interaction", "scale"):
            np.testing.assert_allclose(theirs[name], mine[name], rtol=1e-7, atol=1e-4)
    assert mine["interaction"].std() >= 0.0
