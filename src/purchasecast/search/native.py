"""Spark's own regression in a grid search: the final fit, and the whole search past the cap on features."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import CrossValidator

from purchasecast.results import Candidate

if TYPE_CHECKING:
    from pyspark.ml.regression import LinearRegressionModel
    from pyspark.sql import DataFrame, SparkSession

    from purchasecast.numerics.gram import Floats, Gram
    from purchasecast.numerics.penalized import Solutions

__all__ = ["cross_validate", "fit_native", "fit_or_build", "native_regression"]

logger = logging.getLogger(__name__)

#: Difference of two fits' predictions, in standard deviations of the label, past which Spark's is not used.
_OFF = 1e-4


def native_regression(*, weightCol: str | None, **params: Any) -> LinearRegression:
    """Return Spark's estimator; its `weightCol` must be left alone where there is none."""
    native = LinearRegression(**params)
    return native.setWeightCol(weightCol) if weightCol else native


def fit_native(native: LinearRegression, dataset: DataFrame, penalty: tuple[float, float]) -> LinearRegressionModel:
    """Fit at one penalty."""
    model: LinearRegressionModel = native.setRegParam(penalty[0]).setElasticNetParam(penalty[1]).fit(dataset)
    return model


def fit_or_build(
    native: LinearRegression, dataset: DataFrame, gram: Gram, expected: Solutions
) -> LinearRegressionModel:
    """Fit, and where Spark's solver stops short of the minimum, build its model from the exact coefficients.

    Spark's quasi-Newton steps can end early among near dependent columns. And it sums uncentred squares: a
    feature whose mean is 1e8 of its standard deviations has no variance left there.
    """
    model: LinearRegressionModel = native.fit(dataset)
    distance = _distance(model, gram, expected)
    if distance <= _OFF:
        return model
    logger.info(
        "grid search: Spark's own fit is %.2g label deviations from the minimum; its model is built at the minimum",
        distance,
    )
    return _build_native(native, dataset.sparkSession, expected)


def _build_native(native: LinearRegression, session: SparkSession, line: Solutions) -> LinearRegressionModel:
    """Return Spark's model of a known line, as the fit of points on it; there is no other public way to one.

    Points lie at +step and -step on each axis, where the normal equations are diagonal and nothing cancels.
    """
    beta, intercept = line.coefficients[0], float(line.intercepts[0])
    step = max(1.0, abs(intercept)) / (float(np.abs(beta).max()) or 1.0)
    size = len(beta)
    points = [
        (Vectors.sparse(size, {axis: sign * step}), intercept + sign * step * float(beta[axis]), 1.0)
        for axis in range(size)
        for sign in (1.0, -1.0)
    ]
    plain: dict[Any, Any] = {native.regParam: 0.0, native.elasticNetParam: 0.0, native.fitIntercept: True}
    columns = [native.getFeaturesCol(), native.getLabelCol()]
    if native.isDefined(native.weightCol):
        columns.append(native.getWeightCol())
    frame = session.createDataFrame([point[: len(columns)] for point in points], columns)
    model: LinearRegressionModel = native.fit(frame, plain)
    return model


def _distance(model: LinearRegressionModel, gram: Gram, expected: Solutions) -> float:
    """Return the root mean square difference of two fits' predictions, in deviations of the label."""
    difference: Floats = model.coefficients.toArray() - expected.coefficients[0]
    spread = float(difference @ gram.comoments[:-1, :-1] @ difference) / gram.weight
    level = model.intercept - expected.intercepts[0] + float(difference @ gram.mean[:-1])
    # The level is a difference of large numbers where means are far from 0: their rounding says nothing.
    rounding = 1e-12 * float(np.abs(expected.coefficients[0]) @ np.abs(gram.mean[:-1]))
    scale = gram.comoments[-1, -1] / gram.weight or 1.0
    off = max(spread, 0.0) + max(abs(level) - rounding, 0.0) ** 2
    return float(np.sqrt(off / scale)) if np.isfinite(off) else float("inf")


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
    """Run `CrossValidator` over the grid; it keeps no fold's metric and no candidate's coefficients.

    Parameters
    ----------
    native : LinearRegression
        The estimator with what the candidates share.
    frame : DataFrame
        Training rows with the fold column.
    grid : tuple of (float, float)
        Candidates.
    metric, folds, fold_column, parallelism
        As in `CrossValidator`.

    Returns
    -------
    tuple of Candidate
        In the order of the grid.
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
