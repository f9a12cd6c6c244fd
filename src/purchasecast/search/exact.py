"""Spark's linear regression model at the exact minimum of its objective.

Spark's own fit ends at a tolerance, among nearly dependent columns far from the minimum, and sums squares that are not
centred, so that a feature with a mean of 1e8 standard deviations has no variance left. A Gram matrix from one pass over
the rows gives the minimum to the last digits.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.linalg import Vectors
from pyspark.sql import functions as sf

from purchasecast.numerics.gram import leave_one_out
from purchasecast.numerics.penalized import Solutions, solve
from purchasecast.spark.columns import col
from purchasecast.spark.gram import collect_grams, training_rows, vector_size

if TYPE_CHECKING:
    from pyspark.ml.regression import LinearRegression, LinearRegressionModel
    from pyspark.sql import DataFrame, SparkSession

    from purchasecast.numerics.gram import Floats

__all__ = ["MAX_FEATURES", "fit_exact", "fold_lines", "native_model"]

logger = logging.getLogger(__name__)

_MIN_COEFFICIENT = 1e-100  # the square of a step must not overflow
MAX_FEATURES = 4_096  # Spark solves normal equations up to here, too; the Gram matrix then takes 134 MB


def fit_exact(regression: LinearRegression, dataset: DataFrame) -> LinearRegressionModel:
    """Fit a linear regression at its exact minimum, in one pass over the rows.

    Parameters
    ----------
    regression : LinearRegression
        Spark's estimator with squared error. ``maxIter``, ``tol`` and ``solver`` do not matter.
    dataset : DataFrame
        Training rows.

    Returns
    -------
    LinearRegressionModel
        Spark's own model, with the params of `regression`. Its ``summary`` is that of the points it was made from and
        says nothing about the training rows.

    Raises
    ------
    DataError
        If a row cannot be used, or there is none.

    Notes
    -----
    Past 4,096 features Spark's own fit runs.
    """
    features = vector_size(dataset, regression.getFeaturesCol())
    if features > MAX_FEATURES:
        logger.info("linear regression: %d features are more than %d; Spark fits it", features, MAX_FEATURES)
        model: LinearRegressionModel = regression.fit(dataset)
        return model
    rows = training_rows(
        dataset,
        vector=regression.getFeaturesCol(),
        label=regression.getLabelCol(),
        weight=(regression.isDefined(regression.weightCol) and regression.getWeightCol()) or None,
        fold=sf.lit(0),
    )
    solutions = solve(
        collect_grams(rows, features, folds=1)[0],
        [(regression.getRegParam(), regression.getElasticNetParam())],
        fit_intercept=regression.getFitIntercept(),
        standardization=regression.getStandardization(),
    )
    return native_model(regression, dataset.sparkSession, solutions)


def native_model(regression: LinearRegression, session: SparkSession, solutions: Solutions) -> LinearRegressionModel:
    """Return Spark's model with known coefficients.

    Parameters
    ----------
    regression : LinearRegression
        The estimator whose params the model gets.
    session : SparkSession
        Where the model lives.
    solutions : Solutions
        One candidate.

    Returns
    -------
    LinearRegressionModel
        With these coefficients and this intercept, up to rounding.

    Notes
    -----
    The model is fitted to points that lie on the regression plane: pyspark has no public constructor, and the JVM's
    cannot be called over Spark Connect. The points lie at +step and -step on each axis, so that the normal equations
    are diagonal; a step that is inverse to the coefficient keeps all digits of small and of large ones.
    """
    beta, intercept = solutions.coefficients[0], float(solutions.intercepts[0])
    steps = max(1.0, abs(intercept)) / np.where(beta == 0.0, 1.0, np.maximum(np.abs(beta), _MIN_COEFFICIENT))
    points = [
        (Vectors.sparse(len(beta), {axis: sign * step}), intercept + sign * step * slope, 1.0)
        for axis, (step, slope) in enumerate(zip(steps.tolist(), beta.tolist(), strict=True))
        for sign in (1.0, -1.0)
    ]
    columns = [regression.getFeaturesCol(), regression.getLabelCol()]
    if regression.isDefined(regression.weightCol) and regression.getWeightCol():
        columns.append(regression.getWeightCol())
    frame = session.createDataFrame([point[: len(columns)] for point in points], columns)
    params: dict[Any, Any] = {regression.regParam: 0.0, regression.elasticNetParam: 0.0, regression.fitIntercept: True}
    model: LinearRegressionModel = regression.fit(frame, params)
    own = {model.getParam(param.name): regression.getOrDefault(param) for param in params}
    return model.copy(own)


def fold_lines(
    dataset: DataFrame,
    *,
    features: str,
    label: str,
    fold: str,
    folds: int,
    penalty: tuple[float, float],
    weight: str | None = None,
) -> Floats:
    """Fit a regression without each fold, all in one pass.

    Parameters
    ----------
    dataset : DataFrame
        Training rows.
    features, label, fold : str
        Columns of vectors, numbers and fold numbers.
    folds : int
        Number of folds.
    penalty : (float, float)
        ``regParam`` and ``elasticNetParam``.
    weight : str, optional
        Column of row weights; without it every row weighs 1.

    Returns
    -------
    ndarray of shape (folds, d + 1)
        Coefficients and, last, the intercept of the fit without each fold.
    """
    rows = training_rows(dataset, vector=features, label=label, weight=weight, fold=col(fold).cast("int"))
    grams = collect_grams(rows, vector_size(dataset, features), folds)
    fits = [solve(gram, [penalty]) for gram in leave_one_out(grams)]
    return np.array([np.append(fit.coefficients[0], fit.intercepts[0]) for fit in fits])
