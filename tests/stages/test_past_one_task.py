"""What is too large for one task gives what one task gives: level statistics and trees; others in their own tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf
from tests.planted_shop import FOLDS, plant_shop

from purchasecast.stages import BoostedTreesRegressor, LevelStatisticsEncoder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_statistics_of_levels_that_are_hashed_to_tasks(spark: SparkSession) -> None:
    frame = plant_shop(customers=120, products=60, rows=2_000).frame(spark).withColumn("level", sf.lit(9_000.0))
    found = []
    for limit in (10**6, 700):
        stage = LevelStatisticsEncoder(
            inputCols=["customer", "product", "customer"],
            crossCols=["", "", "group"],
            outputCols=["c", "p", "cg"],
            rankWithinCol="product",
            scaleCol="level",
            labelCol="spend",
            numFolds=FOLDS,
            maxTaskRows=limit,
        )
        out = stage.fit(frame).transform(frame).drop("level", "group")
        found.append(out.toPandas().sort_values(["customer", "product"], ignore_index=True))
    one, many = found
    # Quantiles of all rows, which levels are shrunk toward, are exact to a row of 10,000 and not interpolated.
    pd.testing.assert_frame_equal(many, one, rtol=2e-3, atol=1e-9)
    exact = [name for name in one.columns if name.endswith(("_count", "_mean", "_sd", "_z", "_rank"))]
    pd.testing.assert_frame_equal(many[exact], one[exact], rtol=1e-9)


def test_trees_of_workers_have_every_fold(spark: SparkSession) -> None:
    random = np.random.default_rng(3)
    rows = pd.DataFrame({"x": random.random(3_000), "z": random.random(3_000), "fold": np.arange(3_000) % 3})
    rows["label"] = np.where(rows["x"] > 0.5, 10.0, 0.0) + rows["z"]
    frame = spark.createDataFrame(rows)
    errors = []
    for limit in (10**6, 1_000):
        model = BoostedTreesRegressor(
            inputCols=["x", "z"], validationFold=0, everyFold=True, numRounds=40, learningRate=0.3, maxTaskRows=limit
        ).fit(frame)
        assert sorted(model.without_folds) == [0, 1, 2]
        out = model.out_of_fold(frame).toPandas()
        assert len(out) == len(rows)
        errors.append(float(np.sqrt(((out["prediction"] - out["label"]) ** 2).mean())))
    assert errors[1] == pytest.approx(errors[0], rel=0.2)
    assert errors[0] < 0.3
