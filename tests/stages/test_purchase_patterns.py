"""Purchase patterns as a stage: no label, both ways of solving, and what the factors make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf
from tests.planted_shop import FOLDS

from purchasecast.errors import DataError
from purchasecast.stages import LatentFactorEncoder, PurchasePatternEncoder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

CUSTOMERS, PRODUCTS = 120, 60


def tribes(seed: int = 2) -> pd.DataFrame:
    """Draw a shop of two tribes: each buys its own products more often, and pays more for them."""
    random = np.random.default_rng(seed)
    customer, product = np.meshgrid(np.arange(CUSTOMERS), np.arange(PRODUCTS), indexing="ij")
    own = customer % 2 == product % 2
    bought = random.random(own.shape) < np.where(own, 0.25, 0.05)
    rows = pd.DataFrame({"customer": customer[bought], "product": product[bought], "own": own[bought]})
    rows["taste"] = np.where(rows["own"], 500.0, -500.0)
    rows["spend"] = 9_000.0 + rows["taste"] + random.normal(0, 1_500, len(rows))
    rows["fold"] = random.integers(0, FOLDS, len(rows)).astype("int32")
    return rows.assign(level=9_000.0).drop(columns="own")


def encoder(**params: int) -> PurchasePatternEncoder:
    return PurchasePatternEncoder(userCol="customer", itemCol="product", rank=3, **params)


def in_order(frame: DataFrame) -> pd.DataFrame:
    return frame.toPandas().sort_values(["customer", "product"]).reset_index(drop=True)


def test_a_task_and_passes_of_the_cluster_give_the_same(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    from purchasecast.stages.purchase_patterns import passes

    monkeypatch.setattr(passes, "_PAIRS_PER_BUCKET", 300)  # several buckets
    frame = spark.createDataFrame(tribes()).cache()
    mine, theirs = (in_order(encoder(maxTaskRows=rows).fit(frame).transform(frame)) for rows in (10**6, 0))
    for name in ("user_pattern", "item_pattern"):
        np.testing.assert_allclose(np.stack(mine[name]), np.stack(theirs[name]), atol=1e-9)


def test_no_label_changes_a_pattern(spark: SparkSession) -> None:
    rows = tribes()
    permuted = rows.assign(spend=np.random.default_rng(4).permutation(rows["spend"]))
    frame = spark.createDataFrame(rows)
    ours, theirs = (in_order(encoder().fit(spark.createDataFrame(some)).transform(frame)) for some in (rows, permuted))
    pd.testing.assert_frame_equal(ours, theirs)


def test_no_pair_at_all_is_told(spark: SparkSession) -> None:
    frame = spark.createDataFrame(tribes()).withColumn("customer", sf.lit(None).cast("long"))
    with pytest.raises(DataError, match="expected rows with customer and product, found none"):
        encoder().fit(frame)


def factors(**params: str) -> LatentFactorEncoder:
    return LatentFactorEncoder(
        userCol="customer", itemCol="product", labelCol="spend", offsetCol="level", numFolds=FOLDS, rank=2, **params
    )


VECTORS = {"userVectorCol": "user_pattern", "itemVectorCol": "item_pattern"}


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> DataFrame:
    frame = spark.createDataFrame(tribes())
    return encoder().fit(frame).transform(frame).cache()


def test_patterns_in_the_prior_find_taste_that_amounts_alone_hide(shop: DataFrame) -> None:
    errors = []
    for vectors in ({}, VECTORS):
        out = factors(**vectors).fit(shop).transform(shop).toPandas()
        errors.append(float(np.sqrt(((out["interaction"] - out["taste"]) ** 2).mean())))
    assert errors[1] < 0.7 * errors[0]


def test_a_level_that_only_patterns_know_has_the_taste_of_its_pattern(spark: SparkSession) -> None:
    rows = tribes()
    frame = spark.createDataFrame(rows)
    with_patterns = encoder().fit(frame).transform(frame).cache()
    new = (sf.col("product") < 4) | (sf.col("customer") < 4)
    out = factors(**VECTORS).fit(with_patterns.where(~new)).transform(with_patterns.where(new).drop("fold")).toPandas()
    assert len(out) > 50
    assert np.corrcoef(out["interaction"], out["taste"])[0, 1] > 0.7


def test_permuted_targets_give_nothing_out_of_fold(spark: SparkSession) -> None:
    rows = tribes()
    shuffled = rows.assign(spend=np.random.default_rng(5).permutation(rows["spend"]))
    frame = spark.createDataFrame(shuffled)
    with_patterns = encoder().fit(frame).transform(frame)
    out = factors(**VECTORS).fit(with_patterns).transform(with_patterns).toPandas()
    # A leak makes it positive; a fold that pays more than average leaves others that pay less.
    assert np.corrcoef(out["spend"], out["interaction"])[0, 1] < 0.06


def test_vectors_of_two_lengths_are_refused(shop: DataFrame) -> None:
    uneven = shop.withColumn("user_pattern", sf.expr("slice(user_pattern, 1, if(customer = 3, 2, 3))"))
    with pytest.raises(DataError, match="vectors of one length in user_pattern, found 2 and 3"):
        factors(**VECTORS).fit(uneven)
