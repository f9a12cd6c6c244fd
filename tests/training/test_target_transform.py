"""The target's transformation: the right one is found on planted data, and money comes back without bias."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import functions as sf

from purchasecast.config import TrainSettings
from purchasecast.errors import SettingsError
from purchasecast.numerics.soft_minimum import SoftMinimum
from purchasecast.schema import load_schema
from purchasecast.schema.reserved_columns import BOOSTED_PREDICTION, LINEAR_PREDICTION, PREDICTION, TARGET
from purchasecast.search import fold_lines
from purchasecast.stages import BoundedPrediction, Retransform
from purchasecast.stages.retransform import transformed
from purchasecast.training import target_transform
from purchasecast.training.blend import bounded_prediction
from purchasecast.training.out_of_fold import out_of_fold
from purchasecast.training.target_transform import choose_transform, smearing_means

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

FOLDS = 3


def planted(spark: SparkSession, transform: str) -> DataFrame:
    random = np.random.default_rng(3)
    x, z = random.normal(size=2_000), random.normal(size=2_000)
    inner = {
        "log1p": 7.0 + 0.6 * x - 0.4 * z + random.normal(0, 0.5, 2_000),
        "sqrt": 60.0 + 9.0 * x - 6.0 * z + random.normal(0, 8.0, 2_000),
        "none": 5_000.0 + 900.0 * x - 600.0 * z + random.normal(0, 700.0, 2_000),
    }[transform]
    label = {"log1p": np.expm1, "sqrt": np.square, "none": np.array}[transform](inner)
    rows = [(float(a), float(b), float(y), k % FOLDS) for k, (a, b, y) in enumerate(zip(x, z, label, strict=True))]
    frame = spark.createDataFrame(rows, "x double, z double, label double, fold int").withColumn(
        "order", sf.xxhash64("x", "z")
    )
    return VectorAssembler(inputCols=["x", "z"], outputCol="features").transform(frame)


def choose(frame: DataFrame, asked: str = "auto", least: float | None = 0.0):
    settings = TrainSettings(folds=FOLDS, target_transform=asked)  # type: ignore[arg-type]
    columns = {"features": "features", "fold": "fold", "order": "order"}
    return choose_transform(frame, "label", settings, least=least, **columns, trees=None)


@pytest.mark.parametrize("transform", ["none", "log1p", "sqrt"])
def test_the_planted_transformation_is_chosen_by_its_error_in_money(spark: SparkSession, transform: str) -> None:
    found = choose(planted(spark, transform))
    assert found.chosen == transform
    assert set(found.rmse) == {"none", "log1p", "sqrt"}
    assert found.rmse[transform] == min(found.rmse.values())


@pytest.mark.parametrize("transform", ["log1p", "sqrt"])
def test_money_comes_back_without_bias(spark: SparkSession, tmp_path: Path, transform: str) -> None:
    frame = planted(spark, transform)
    labelled = frame.withColumn(TARGET, transformed(sf.col("label"), transform))
    lines = fold_lines(labelled, features="features", label=TARGET, fold="fold", folds=FOLDS, penalty=(0.0, 0.0))
    held_out = labelled.withColumn("v", out_of_fold(lines, "features", "fold"))
    means = smearing_means(held_out, "label", "v", transform)
    stage = Retransform(inputCol="v", outputCol="money", transformName=transform, smearing=list(means))
    sums = stage.transform(held_out).agg(sf.sum("money"), sf.sum("label"), sf.sum(sf.expm1("v"))).collect()[0]
    assert sums[0] == pytest.approx(sums[1], rel=0.01)
    if transform == "log1p":
        assert sums[2] < 0.92 * sums[1]  # what comes back without smearing: exp(0.5 ** 2 / 2) too little
    stage.write().save(str(tmp_path / "stage"))
    loaded = Retransform.load(str(tmp_path / "stage"))
    assert loaded.to_portable() == stage.to_portable()


def test_many_rows_are_tried_by_a_part(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = planted(spark, "log1p").persist()
    whole = choose(frame)
    monkeypatch.setattr(target_transform, "_MOST_TRIED", 500)
    part = choose(frame)
    assert part.chosen == whole.chosen
    assert part.rmse == pytest.approx(choose(frame.repartition(5)).rmse, rel=1e-9)
    assert part.rmse["log1p"] != pytest.approx(whole.rmse["log1p"], rel=1e-6)
    assert part.rmse["log1p"] == pytest.approx(whole.rmse["log1p"], rel=0.3)


def test_a_trial_of_infinite_error_is_left_out(spark: SparkSession) -> None:
    frame = planted(spark, "none").drop("features")
    largest = frame.agg(sf.max("z")).collect()[0][0]
    frame = frame.withColumn("x", sf.when(sf.col("z") == largest, 1e5).otherwise(sf.col("x")))  # one row far off
    found = choose(VectorAssembler(inputCols=["x", "z"], outputCol="features").transform(frame))
    assert found.chosen == "none"
    assert "log1p" not in found.rmse
    json.dumps(found.rmse, allow_nan=False)  # as a bundle is written


def test_what_the_range_does_not_allow_is_refused(spark: SparkSession) -> None:
    frame = planted(spark, "none")
    assert choose(frame, least=None).chosen == "none"
    assert choose(frame, asked="sqrt").chosen == "sqrt"
    with pytest.raises(SettingsError, match="at least 0"):
        choose(frame, asked="log1p", least=-5.0)


def test_the_prediction_stage_says_the_same_in_spark_in_numpy_and_when_loaded(
    spark: SparkSession, tmp_path: Path
) -> None:
    values = np.concatenate([np.linspace(-3_000.0, 3_000.0, 61), [-1e7, 1e7]])
    frame = spark.createDataFrame(pd.DataFrame({LINEAR_PREDICTION: values, BOOSTED_PREDICTION: values[::-1]}))
    for bend in (SoftMinimum(0.0, 20.5, 1e-3), SoftMinimum(0.0, -310.25, 120.0)):
        for weights in ({LINEAR_PREDICTION: 1.0}, {LINEAR_PREDICTION: 0.37, BOOSTED_PREDICTION: 6.5e-1}):
            stage = bounded_prediction(load_schema("black_friday"), weights, bend)
            result = stage.transform(frame).toPandas()
            total = sum(weight * result[name].to_numpy() for name, weight in weights.items())
            np.testing.assert_allclose(result[PREDICTION], bend.values(total), rtol=1e-12)
            np.testing.assert_allclose([bend.value(v) for v in values], bend.values(values), rtol=1e-12)
            stage.write().overwrite().save(str(tmp_path / "stage"))
            loaded = BoundedPrediction.load(str(tmp_path / "stage"))
            assert loaded.to_portable() == stage.to_portable()
            assert (loaded.members(), loaded.soft_minimum()) == (weights, bend)


@pytest.mark.parametrize(
    "wrong", [{"weights": [1.0, 2.0]}, {"bend": [1.0, 2.0]}, {"minimum": [0.0], "bend": [1.0]}, {"minimum": [0.0, 1.0]}]
)
def test_a_prediction_stage_whose_params_do_not_fit_together_is_refused(
    spark: SparkSession, wrong: dict[str, list[float]]
) -> None:
    frame = spark.createDataFrame([(1.0,)], "a double")
    with pytest.raises(SettingsError, match="expected"):
        BoundedPrediction(inputCols=["a"], **wrong).transform(frame)
