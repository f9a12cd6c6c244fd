"""Members of a recipe are fitted again on all rows with what they chose before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors

from purchasecast.config import TrainSettings
from purchasecast.progress import Steps
from purchasecast.schema.reserved_columns import FEATURES, FOLD, LABEL
from purchasecast.training.members import LinearMember, TargetScale

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.spark
def test_the_refit_of_the_regression_is_at_its_minimum(spark: SparkSession) -> None:
    """Of 30 nearly dependent columns, where Spark's own fit stops at its tolerance."""
    random = np.random.default_rng(3)
    features = random.normal(size=(300, 1)) + 0.01 * random.normal(size=(300, 30))
    label = features @ random.normal(size=30) + random.normal(size=300)
    rows = [(Vectors.dense(x), float(y), k % 2) for k, (x, y) in enumerate(zip(features, label, strict=True))]
    table = spark.createDataFrame(rows, [FEATURES, LABEL, FOLD])
    settings = TrainSettings(folds=2, reg_param=(1e-4,), elastic_net_param=(0.0,))
    member = LinearMember(settings, TargetScale("none"))
    chosen = member.fit(table, Steps())
    again = member.refit(table, Steps(), chosen)
    assert again.out_of_fold is None
    ours, exact = again.stages[0].coefficients.toArray(), chosen.stages[0].coefficients.toArray()
    np.testing.assert_allclose(ours, exact, rtol=1e-6)
