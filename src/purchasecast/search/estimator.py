# ruff: noqa: ARG002 - keyword_only has stored the arguments by then
"""Grid search for linear regression in one pass over the data.

Spark's `CrossValidator` fits every candidate on every fold, each fit a job or more. For squared error the
Gram matrix of each fold holds all that any penalty needs: `LinearRegressionGridSearch` takes the folds'
matrices in one pass, solves every candidate on every fold from them on the driver, reads the held-out errors
off the same matrices, and lets Spark fit once, at the chosen penalty. The objective is that of Spark's
`LinearRegression`; the algebra, and when it holds, is in `docs/concepts/search.md`.

References
----------
J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for generalized linear models via coordinate
descent", Journal of Statistical Software 33(1), 2010. https://doi.org/10.18637/jss.v033.i01
"""

from __future__ import annotations

import logging
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from threadpoolctl import threadpool_limits

from purchasecast.errors import SettingsError
from purchasecast.numerics.gram import leave_one_out, merge_all
from purchasecast.numerics.penalized import metric_values, solve
from purchasecast.results import Candidate, SearchResult
from purchasecast.search.choice import choose, summarize
from purchasecast.search.grid import DEFAULT_GRID, ParamGrid, parse_grid
from purchasecast.search.model import LinearRegressionGridSearchModel, fitted_line
from purchasecast.search.native import cross_validate, fit_native, fit_or_build
from purchasecast.search.params import _LinearRegressionGridSearchParams
from purchasecast.spark.columns import col
from purchasecast.spark.gram import (
    collect_grams,
    run_interruptible,
    training_rows,
    vector_size,
)

if TYPE_CHECKING:
    from pyspark.ml.regression import LinearRegressionModel
    from pyspark.sql import DataFrame

    from purchasecast.numerics.gram import Floats, Gram

__all__ = [
    "DEFAULT_GRID",
    "Candidate",
    "LinearRegressionGridSearch",
    "LinearRegressionGridSearchModel",
    "ParamGrid",
    "SearchResult",
    "fold_lines",
    "parse_grid",
]

logger = logging.getLogger(__name__)

_THREADED = 500  # features from which a factorisation gains by more threads; fewer, and it loses


class LinearRegressionGridSearch(
    Estimator["LinearRegressionGridSearchModel"],
    _LinearRegressionGridSearchParams,
    DefaultParamsReadable["LinearRegressionGridSearch"],
    DefaultParamsWritable,
):
    """Choose a linear regression's penalty by cross-validation, in one pass, and fit it.

    Stands where `CrossValidator(LinearRegression)` stood, and gives the same metrics on the same folds.

    Parameters
    ----------
    featuresCol, labelCol, predictionCol : str, default "features", "label", "prediction"
        Columns, as in `LinearRegression`. The vectors may be sparse or dense.
    weightCol : str, optional
        Row weights of at least 0; held-out errors are weighted by it too.
    foldCol : str, default ""
        Integers from 0 to `numFolds` - 1. Empty: folds by a hash, seeded by `seed`, of the features and of
        all plain columns of the frame, so that neither row order nor partitioning changes the result.
    numFolds : int, default 5
        At least 2.
    seed : int, default 7
        Seed of the folds.
    regParam, elasticNetParam : list of float, default those of `DEFAULT_GRID`
        The grid; every one of the first is tried with every one of the second.
    fitIntercept, standardization : bool, default True
        As in `LinearRegression`.
    metricName : {"rmse", "mse", "r2"}, default "rmse"
        As `RegressionEvaluator` defines them.
    selection : {"best", "oneStandardError"}, default "best"
        The second takes the sparsest candidate within one standard error of the best.
    maxFeatures : int, default 4096
        Past it Spark's own `CrossValidator` runs, and a warning says so.
    maxIter, tol : int, float, default 10000, 1e-12
        Of Spark's fit at the chosen penalty (and of the stock search).
    parallelism : int, default 1
        Of the stock search only.

    Examples
    --------
    >>> search = LinearRegressionGridSearch(foldCol="fold", regParam=[0.1, 1.0], elasticNetParam=[0.0, 0.5])
    >>> model = search.fit(frame)  # doctest: +SKIP
    >>> model.bestModel.coefficients, model.searchResult.best  # doctest: +SKIP
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        featuresCol: str = "features",
        labelCol: str = "label",
        predictionCol: str = "prediction",
        weightCol: str | None = None,
        foldCol: str = "",
        numFolds: int = 5,
        seed: int = 7,
        regParam: list[float] | None = None,
        elasticNetParam: list[float] | None = None,
        fitIntercept: bool = True,
        standardization: bool = True,
        metricName: str = "rmse",
        selection: str = "best",
        maxFeatures: int = 4096,
        maxIter: int = 10_000,
        tol: float = 1e-12,
        parallelism: int = 1,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def setParams(self, **params: Any) -> LinearRegressionGridSearch:
        """Set params by name, as the constructor does.

        Parameters
        ----------
        **params : object
            Params of this stage.

        Returns
        -------
        LinearRegressionGridSearch
            This stage.

        Raises
        ------
        SettingsError
            If a name is not one of them.
        """
        unknown = [name for name in params if not self.hasParam(name)]
        if unknown:
            names = ", ".join(param.name for param in self.params)
            raise SettingsError(f"params are {names}; found {', '.join(unknown)}; correct the name")
        return self._set(**params)

    def _fit(self, dataset: DataFrame) -> LinearRegressionGridSearchModel:
        grid = self._check(dataset)
        return run_interruptible(dataset.sparkSession, partial(self._fit_checked, dataset, grid))

    def _fit_checked(
        self, dataset: DataFrame, grid: tuple[tuple[float, float], ...]
    ) -> LinearRegressionGridSearchModel:
        features = vector_size(dataset, self.getFeaturesCol())
        if features <= self.getOrDefault(self.maxFeatures):
            return self._fit_one_pass(dataset, grid, features)
        logger.warning(
            "grid search: %d features are past maxFeatures=%d; CrossValidator runs %d fits instead",
            features,
            self.getOrDefault(self.maxFeatures),
            len(grid) * self.getOrDefault(self.numFolds),
        )
        return self._fit_stock(dataset, grid)

    def _fit_one_pass(
        self, dataset: DataFrame, grid: tuple[tuple[float, float], ...], features: int
    ) -> LinearRegressionGridSearchModel:
        started = perf_counter()
        folds = collect_grams(self._rows(dataset, self._fold(dataset)), features, self.getOrDefault(self.numFolds))
        passed = perf_counter()
        metrics, nonzero, lines = [], [], []
        with threadpool_limits(1 if features < _THREADED else None, user_api="blas"):
            for training, held_out in zip(leave_one_out(folds), folds, strict=True):
                solutions = self._solve(training, grid)
                metrics.append(metric_values(solutions, held_out, self.getOrDefault(self.metricName)))
                nonzero.append((solutions.coefficients != 0).sum(axis=1))
                lines.append(np.column_stack([solutions.coefficients, solutions.intercepts]))
        candidates = summarize(grid, np.array(metrics), np.mean(nonzero, axis=0))
        chosen = self._choose(candidates)
        gram = merge_all(folds)
        solved = perf_counter()
        native = self._native().setRegParam(grid[chosen][0]).setElasticNetParam(grid[chosen][1])
        best = fit_or_build(native, dataset, gram, self._solve(gram, grid[chosen : chosen + 1]))
        seconds = {"pass": passed - started, "solve": solved - passed, "fit": perf_counter() - solved}
        model = self._model(best, candidates, chosen, seconds, gram)
        model.foldLines = np.array([line[chosen] for line in lines])
        return model

    def _fit_stock(self, dataset: DataFrame, grid: tuple[tuple[float, float], ...]) -> LinearRegressionGridSearchModel:
        started = perf_counter()
        folded = self.getOrDefault(self.foldCol) or f"{self.uid}_fold"
        frame = dataset.withColumn(folded, self._fold(dataset))
        candidates = cross_validate(
            self._native(),
            frame,
            grid,
            metric=self.getOrDefault(self.metricName),
            folds=self.getOrDefault(self.numFolds),
            fold_column=folded,
            parallelism=self.getParallelism(),
        )
        chosen = self._choose(candidates)
        searched = perf_counter()
        best = fit_native(self._native(), dataset, grid[chosen])
        seconds = {"search": searched - started, "fit": perf_counter() - searched}
        return self._model(best, candidates, chosen, seconds, None)

    def _solve(self, gram: Gram, grid: tuple[tuple[float, float], ...]) -> Any:
        return solve(gram, grid, fit_intercept=self.getFitIntercept(), standardization=self.getStandardization())

    def _choose(self, candidates: tuple[Candidate, ...]) -> int:
        return choose(
            candidates,
            larger_is_better=self.getOrDefault(self.metricName) == "r2",
            selection=self.getOrDefault(self.selection),
            folds=self.getOrDefault(self.numFolds),
        )

    def _standard_errors(self, best: LinearRegressionModel, candidate: Candidate, gram: Gram) -> tuple[float, ...]:
        variances = np.diagonal(fitted_line(best, gram, candidate, self).classical_covariance())
        return tuple(map(float, np.sqrt(np.maximum(variances, 0.0))))

    def _model(
        self,
        best: LinearRegressionModel,
        candidates: tuple[Candidate, ...],
        chosen: int,
        seconds: dict[str, float],
        gram: Gram | None,
    ) -> LinearRegressionGridSearchModel:
        result = SearchResult(
            metric=self.getOrDefault(self.metricName),
            larger_is_better=self.getOrDefault(self.metricName) == "r2",
            candidates=candidates,
            chosen=chosen,
            selection=self.getOrDefault(self.selection),
            folds=self.getOrDefault(self.numFolds),
            rows=gram.rows if gram else -1,
            features=best.numFeatures,
            method="one-pass" if gram else "stock",
            nonzero=int(np.count_nonzero(best.coefficients.toArray())),
            seconds=seconds,
            standard_errors=self._standard_errors(best, candidates[chosen], gram) if gram else (),
        )
        logger.info(
            "grid search: %d candidates x %d folds, %d rows, %d features, %.2f s; "
            "%s %.6g at regParam=%g elasticNetParam=%g",
            len(candidates),
            result.folds,
            result.rows,
            result.features,
            sum(seconds.values()),
            result.metric,
            result.best.average,
            result.best.reg_param,
            result.best.elastic_net_param,
        )
        return self._copyValues(LinearRegressionGridSearchModel(best, result, gram))


def fold_lines(
    dataset: DataFrame, *, features: str, label: str, fold: str, folds: int, penalty: tuple[float, float]
) -> Floats:
    """Return the line of each fold's complement at one penalty, in one pass and without a fit by Spark.

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

    Returns
    -------
    ndarray of shape (folds, d + 1)
        Coefficients and, last, the intercept.
    """
    rows = training_rows(dataset, vector=features, label=label, weight=None, fold=col(fold).cast("int"))
    lines = []
    for gram in leave_one_out(collect_grams(rows, vector_size(dataset, features), folds)):
        found = solve(gram, [penalty])
        lines.append(np.append(found.coefficients[0], found.intercepts[0]))
    return np.array(lines)
