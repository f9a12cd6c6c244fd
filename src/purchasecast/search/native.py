"""The grid search by Spark's own `CrossValidator`, for more features than a Gram matrix has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.tuning import CrossValidator

from purchasecast.results import Candidate

if TYPE_CHECKING:
    from pyspark.ml.regression import LinearRegression
    from pyspark.sql import DataFrame

__all__ = ["cross_validate"]


def cross_validate(
    native: LinearRegression,
    frame: DataFrame,
    grid: tuple[tuple[float, float], ...],
    *,
    metric: str,
    folds: int,
    fold_column: str,
    parallelism: int,
) -> tuple[Candidate, ...]:
    """Run `CrossValidator` over the grid.

    Parameters
    ----------
    native : LinearRegression
        The estimator with what all candidates share.
    frame : DataFrame
        Training rows with the fold column.
    grid : tuple of (float, float)
        ``regParam`` and ``elasticNetParam`` of each candidate.
    metric : {"rmse", "mse", "r2"}
        Metric on the held-out fold.
    folds : int
        Number of folds.
    fold_column : str
        Column of fold numbers.
    parallelism : int
        Fits at the same time.

    Returns
    -------
    tuple of Candidate
        In the order of the grid, without metrics by fold, which `CrossValidator` does not keep.
    """
    points = [{native.regParam: reg, native.elasticNetParam: ratio} for reg, ratio in grid]
    evaluator = RegressionEvaluator(
        labelCol=native.getLabelCol(),
        predictionCol=native.getPredictionCol(),
        metricName=metric,  # type: ignore[arg-type]
    )
    if native.isDefined(native.weightCol) and native.getWeightCol():
        evaluator = evaluator.setWeightCol(native.getWeightCol())
    validator = CrossValidator(
        estimator=native,
        estimatorParamMaps=points,
        evaluator=evaluator,
        numFolds=folds,
        foldCol=fold_column,
        parallelism=parallelism,
    )
    fitted = validator.fit(frame)
    return tuple(
        Candidate(reg, ratio, (), float(average), float(deviation), None)
        for (reg, ratio), average, deviation in zip(grid, fitted.avgMetrics, fitted.stdMetrics, strict=True)
    )
