"""Training that knows who buys what in the rows to score: patterns see the pairs, nothing sees a label."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf

from purchasecast.bundle.pipeline import load_pipeline
from purchasecast.config import TrainSettings
from purchasecast.datasets import generate_shop
from purchasecast.errors import SettingsError
from purchasecast.schema import load_schema
from purchasecast.scorer import load
from purchasecast.stages import PurchasePatternModel
from purchasecast.training import TrainResult, train
from purchasecast.training.split import holdout_split
from purchasecast.validation import validate

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = load_schema("black_friday")
SETTINGS = TrainSettings(folds=2, refit=False, reg_param=(0.1,), elastic_net_param=(0.0,), target_transform="none")
NEW = "P-new"


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Return a generated shop as `read_table` would."""
    shop = generate_shop(spark, rows=3_000, seed=5).transactions
    return shop.select(
        "*", sf.lit(None).cast("string").alias("_pc_corrupt"), sf.monotonically_increasing_id().alias("_pc_position")
    ).cache()


@pytest.fixture(scope="module")
def pairs(rows: DataFrame) -> DataFrame:
    """Return rows to score: their product is new, and its buyers are known; the target is nonsense."""
    some = rows.where("pmod(xxhash64(User_ID), 10) = 0").dropDuplicates(["User_ID"])
    return some.withColumn("Product_ID", sf.lit(NEW)).withColumn("Purchase", sf.lit(1))


def patterns(result: TrainResult) -> tuple[Any, list[pd.DataFrame]]:
    """Return the pipeline, and the patterns of customers and products in the order of their levels."""
    pipeline = load_pipeline(result.bundle)
    stage = next(stage for stage in pipeline.stages if isinstance(stage, PurchasePatternModel))
    tables = stage.to_portable()["tables"].values()
    return pipeline, [table.toPandas().sort_values("level").reset_index(drop=True) for table in tables]


@pytest.fixture(scope="module")
def trained(rows: DataFrame, pairs: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(rows, SCHEMA, tmp_path_factory.mktemp("pairs") / "model", SETTINGS, pairs=pairs)


def test_patterns_know_the_pairs_and_those_of_the_holdout(trained: TrainResult, rows: DataFrame) -> None:
    _, (customers, products) = patterns(trained)
    assert NEW in set(products["level"])
    everyone = {row["User_ID"] for row in validate(rows, SCHEMA).accepted.select("User_ID").distinct().collect()}
    assert set(customers["level"]) == everyone
    assert trained.evaluation is not None
    assert "which customer bought which product is known" in (trained.evaluation.computed_on or "")


def test_a_product_that_only_the_pairs_know_is_scored_alike_without_spark(
    trained: TrainResult, pairs: DataFrame
) -> None:
    pipeline, (_, products) = patterns(trained)
    assert np.abs(np.stack(products["pattern"])[list(products["level"]).index(NEW)]).max() > 0
    accepted = validate(pairs, SCHEMA, check_duplicates=False).accepted
    unlabelled = accepted.drop("_pc_position", "Purchase")
    theirs = pipeline.transform(unlabelled).select("User_ID", "_pc_taste", "prediction").toPandas()
    assert theirs["_pc_taste"].abs().max() > 0
    table = unlabelled.toPandas()
    mine = pd.Series(np.asarray(load(trained.bundle.path).predict(table).to_columns()["prediction"]), table["User_ID"])
    expected = theirs.set_index("User_ID")["prediction"]
    np.testing.assert_allclose(mine.sort_index(), expected.sort_index(), rtol=1e-9)


def test_shuffled_labels_of_the_holdout_change_no_pattern(
    trained: TrainResult, rows: DataFrame, pairs: DataFrame, tmp_path: Path
) -> None:
    accepted = validate(rows, SCHEMA).accepted
    held_out = holdout_split(accepted, SCHEMA, share=0.2, by="auto", seed=SETTINGS.seed).holdout
    shuffled = held_out.select("User_ID", "Product_ID", (30_000 - sf.col("Purchase")).alias("other"))
    key = ["User_ID", "Product_ID"]
    swapped = rows.join(
        shuffled.withColumns({name: sf.col(name).cast(rows.schema[name].dataType) for name in key}), key, "left"
    )
    swapped = swapped.withColumn("Purchase", sf.coalesce("other", "Purchase")).select(rows.columns)
    assert swapped.exceptAll(rows).count() > 400
    other = train(swapped, SCHEMA, tmp_path / "model", SETTINGS, pairs=pairs)
    for mine, theirs in zip(patterns(trained)[1], patterns(other)[1], strict=True):
        np.testing.assert_allclose(np.stack(mine["pattern"]), np.stack(theirs["pattern"]), atol=1e-9)


def test_a_model_without_patterns_refuses_pairs(rows: DataFrame, tmp_path: Path) -> None:
    kept = ("User_ID", "Gender", "Purchase")
    others = tuple(name for name in SCHEMA.names if name not in kept)
    columns = tuple(column for column in SCHEMA.columns if column.name in kept)
    without = replace(SCHEMA, columns=columns, ignore=others, key=())
    with pytest.raises(SettingsError, match="pairs: expected a model with purchase patterns"):
        train(rows.drop(*others), without, tmp_path / "model", SETTINGS, pairs=rows.drop(*others))
