"""The class paths that saved models hold: a file may move, a path may not."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.util import MLReadable
from pyspark.sql import functions as sf
from tests.planted_shop import FOLDS, plant_shop

from purchasecast import search, stages

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

SAVED_PATHS = {
    "purchasecast.search.LinearRegressionGridSearch",
    "purchasecast.search.LinearRegressionGridSearchModel",
    "purchasecast.stages.BoostedTreesModel",
    "purchasecast.stages.BoostedTreesRegressor",
    "purchasecast.stages.BoundedPrediction",
    "purchasecast.stages.ColumnPreparation",
    "purchasecast.stages.ConformalIntervals",
    "purchasecast.stages.ConformalIntervalsModel",
    "purchasecast.stages.CrossedEffectsEncoder",
    "purchasecast.stages.CrossedEffectsModel",
    "purchasecast.stages.LatentFactorEncoder",
    "purchasecast.stages.LatentFactorModel",
    "purchasecast.stages.LevelStatisticsEncoder",
    "purchasecast.stages.LevelStatisticsModel",
    "purchasecast.stages.PriceLadder",
    "purchasecast.stages.PriceLadderModel",
    "purchasecast.stages.PurchasePatternEncoder",
    "purchasecast.stages.PurchasePatternModel",
    "purchasecast.stages.PurchasePropensity",
    "purchasecast.stages.PurchasePropensityModel",
    "purchasecast.stages.Retransform",
    "purchasecast.stages.ScaledColumns",
    "purchasecast.stages.SimplePredictors",
    "purchasecast.stages.SimplePredictorsModel",
    "purchasecast.stages.UnitPriceEncoder",
    "purchasecast.stages.UnitPriceModel",
}


def class_at(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_stage_is_saved_by_the_path_of_its_public_home() -> None:
    faces = [getattr(room, name) for room in (stages, search) for name in room.__all__]
    saved = [face for face in faces if isinstance(face, type) and issubclass(face, MLReadable)]
    assert {f"{stage.__module__}.{stage.__name__}" for stage in saved} == SAVED_PATHS
    for path in SAVED_PATHS:
        assert class_at(path).__name__ == path.rpartition(".")[2]


def assert_round_trip(stage: Any, path: Path) -> Any:
    """Save a stage, and load it by the path that is written in it."""
    stage.save(str(path))
    metadata = json.loads(next((path / "metadata").glob("part-*")).read_text(encoding="utf-8"))
    assert metadata["class"] in SAVED_PATHS
    loaded = class_at(metadata["class"]).load(str(path))
    assert (type(loaded), loaded.uid) == (type(stage), stage.uid)
    values = [{param.name: value for param, value in one.extractParamMap().items()} for one in (stage, loaded)]
    assert values[0] == values[1]
    return loaded


@pytest.mark.spark
@pytest.mark.parametrize("path", sorted(path for path in SAVED_PATHS if not path.endswith("Model")))
def test_a_saved_stage_is_loaded_by_its_path(path: str, spark: SparkSession, tmp_path: Path) -> None:
    assert_round_trip(class_at(path)(), tmp_path / "stage")


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    rows = plant_shop(customers=20, products=10, rows=150).frame(spark, partitions=1)
    features = VectorAssembler(inputCols=["group"], outputCol="features")
    return features.transform(rows.withColumn("prediction", sf.lit(9_000.0))).cache()


FITTED = [
    stages.CrossedEffectsEncoder(
        inputCols=["product"], outputCols=["effect"], labelCol="spend", numFolds=FOLDS, maxIter=1
    ),
    stages.LatentFactorEncoder(
        userCol="customer",
        itemCol="product",
        labelCol="spend",
        offsetCol="prediction",
        rank=1,
        numFolds=FOLDS,
        maxIter=1,
    ),
    stages.LevelStatisticsEncoder(inputCols=["product"], outputCols=["p"], labelCol="spend", numFolds=FOLDS),
    stages.PriceLadder(levelCol="group", labelCol="spend"),
    stages.PurchasePatternEncoder(userCol="customer", itemCol="product", rank=2, maxIter=1),
    stages.BoostedTreesRegressor(inputCols=["group"], labelCol="spend", numRounds=2, predictionCol="trees"),
    stages.ConformalIntervals(labelCol="spend", spreadCol=""),
    stages.PurchasePropensity(),
    stages.SimplePredictors(productCol="product", labelCol="spend"),
    stages.UnitPriceEncoder(productCol="product", labelCol="spend"),
    search.LinearRegressionGridSearch(labelCol="spend", regParam=[1.0], elasticNetParam=[0.0], predictionCol="line"),
]


@pytest.mark.spark
@pytest.mark.parametrize("estimator", FITTED, ids=lambda estimator: type(estimator).__name__)
def test_a_saved_model_is_loaded_by_its_path_and_gives_the_same(
    estimator: Any, frame: DataFrame, tmp_path: Path
) -> None:
    model = estimator.fit(frame)
    loaded = assert_round_trip(model, tmp_path / "model")
    both = [one.transform(frame).orderBy("customer", "product").toPandas() for one in (model, loaded)]
    pd.testing.assert_frame_equal(*both)


def test_every_model_is_saved_and_loaded_here() -> None:
    assert {f"{type(one).__name__.replace('Encoder', '').replace('Regressor', '')}Model" for one in FITTED} == {
        path.rpartition(".")[2] for path in SAVED_PATHS if path.endswith("Model")
    }
