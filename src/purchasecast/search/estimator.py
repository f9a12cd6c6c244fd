# ruff: noqa: ARG002 - keyword_only has stored the arguments by then
"""Grid search for linear regression in one pass over the data.

Spark's `CrossValidator` fits every candidate on every fold, each fit a job or more. For squared error the Gram matrix
of each fold holds everything that any penalty needs: `LinearRegressionGridSearch` computes the matrices of all folds in
one pass, solves every candidate on every fold on the driver, computes the held-out errors from the same matrices, and
makes Spark's model from the exact coefficients at the chosen penalty. The objective is that of Spark's
`LinearRegression`; docs/decisions/0003-one-pass-grid-search.md explains the algebra and its limits.

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

from purchasecast.errors import SettingsError, did_you_mean
from purchasecast.numerics.covariance import coefficient_covariance
from purchasecast.numerics.gram import leave_one_out, merge_all
from purchasecast.numerics.penalized import Solutions, metric_values, solve
from purchasecast.results import SearchResult
from purchasecast.search.choice import choose, summarize
from purchasecast.search.exact import native_model
from purchasecast.search.model import LinearRegressionGridSearchModel
from purchasecast.search.native import cross_validate
from purchasecast.search.params import LinearRegressionGridSearchParams
from purchasecast.spark.gram import collect_grams, run_interruptible, training_rows, vector_size

if TYPE_CHECKING:
    from pyspark.ml.regression import LinearRegressionModel
    from pyspark.sql import DataFrame

    from purchasecast.numerics.gram import Gram
    from purchasecast.results import Candidate

    Grid = tuple[tuple[float, float], ...]

__all__ = ["LinearRegressionGridSearch", "LinearRegressionGridSearchModel"]

logger = logging.getLogger(__name__)

_THREADED = 500  # features from which BLAS gains by several threads; with fewer it loses


class LinearRegressionGridSearch(
    Estimator["LinearRegressionGridSearchModel"],
    LinearRegressionGridSearchParams,
    DefaultParamsReadable["LinearRegressionGridSearch"],
    DefaultParamsWritable,
):
    """Choose the penalty of a linear regression by cross-validation, in one pass, and fit it.

    Replaces `CrossValidator(LinearRegression)`, with the same metrics on the same folds.

    Parameters
    ----------
    featuresCol, labelCol, predictionCol : str, default "features", "label", "prediction"
        Columns, as in `LinearRegression`. The vectors may be sparse or dense.
    weightCol : str, optional
        Row weights of at least 0; held-out errors are weighted by them too.
    foldCol : str, default ""
        Integers from 0 to `numFolds` - 1. Empty: folds by a hash, with seed `seed`, of the features and all plain
        columns of the frame, so that neither row order nor partitioning changes the result.
    numFolds : int, default 5
        Number of folds, at least 2.
    seed : int, default 7
        Seed of the folds.
    regParam, elasticNetParam : list of float, default `DEFAULT_GRID`
        The grid: every penalty is tried with every L1 ratio.
    fitIntercept, standardization : bool, default True
        As in `LinearRegression`.
    metricName : {"rmse", "mse", "r2"}, default "rmse"
        As `RegressionEvaluator` defines them.
    selection : {"best", "oneStandardError"}, default "best"
        The second takes the sparsest candidate within one standard error of the best.
    maxFeatures : int, default 4,096
        Above it, Spark's own `CrossValidator` runs, with a warning.
    maxIter, tol : int, float, default 10,000, 1e-12
        Iterations and tolerance of the fits of `CrossValidator`.
    parallelism : int, default 1
        Fits of `CrossValidator` at the same time.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If a column has the wrong type, a row cannot be used, or a fold has no row.
    SettingsError
        If a param is outside its range.

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
            If the stage has no param of a name.
        """
        names = [param.name for param in self.params]
        for name in params:
            if name not in names:
                hint = did_you_mean(name, names) or f"; use one of {', '.join(names)}."
                raise SettingsError(f"{type(self).__name__}: expected the name of a param, found {name}{hint}")
        return self._set(**params)

    def _fit(self, dataset: DataFrame) -> LinearRegressionGridSearchModel:
        grid = self._check(dataset)
        return run_interruptible(dataset.sparkSession, partial(self._search, dataset, grid))

    def _search(self, dataset: DataFrame, grid: Grid) -> LinearRegressionGridSearchModel:
        features, limit = vector_size(dataset, self.getFeaturesCol()), self.getOrDefault(self.maxFeatures)
        if features <= limit:
            return self._search_one_pass(dataset, grid, features)
        logger.warning(
            "grid search: %d features are more than maxFeatures=%d; CrossValidator runs %d fits instead",
            features,
            limit,
            len(grid) * self.getOrDefault(self.numFolds),
        )
        return self._search_stock(dataset, grid)

    def _search_one_pass(self, dataset: DataFrame, grid: Grid, features: int) -> LinearRegressionGridSearchModel:
        started = perf_counter()
        rows = training_rows(
            dataset,
            vector=self.getFeaturesCol(),
            label=self.getLabelCol(),
            weight=self._weight,
            fold=self._fold(dataset),
        )
        folds = collect_grams(rows, features, self.getOrDefault(self.numFolds))
        passed = perf_counter()
        with threadpool_limits(1 if features < _THREADED else None, user_api="blas"):
            by_fold = [self._solve(training, grid) for training in leave_one_out(folds)]
        metric = self.getOrDefault(self.metricName)
        metrics = [metric_values(fit, held_out, metric) for fit, held_out in zip(by_fold, folds, strict=True)]
        nonzero = np.mean([(fit.coefficients != 0).sum(axis=1) for fit in by_fold], axis=0)
        candidates = summarize(grid, np.array(metrics), nonzero)
        chosen = self._choose(candidates)
        gram = merge_all(folds)
        best = self._solve(gram, grid[chosen : chosen + 1])
        solved = perf_counter()
        native = self._native().setRegParam(grid[chosen][0]).setElasticNetParam(grid[chosen][1])
        fitted = native_model(native, dataset.sparkSession, best)
        seconds = {"pass": passed - started, "solve": solved - passed, "fit": perf_counter() - solved}
        model = self._model(fitted, candidates, chosen, seconds, gram)
        model.foldLines = np.array([np.append(fit.coefficients[chosen], fit.intercepts[chosen]) for fit in by_fold])
        return model

    def _search_stock(self, dataset: DataFrame, grid: Grid) -> LinearRegressionGridSearchModel:
        started = perf_counter()
        fold_column = self.getOrDefault(self.foldCol) or f"{self.uid}_fold"
        native = self._native()
        candidates = cross_validate(
            native,
            dataset.withColumn(fold_column, self._fold(dataset)),
            grid,
            metric=self.getOrDefault(self.metricName),
            folds=self.getOrDefault(self.numFolds),
            fold_column=fold_column,
            parallelism=self.getParallelism(),
        )
        chosen = self._choose(candidates)
        searched = perf_counter()
        fitted = native.setRegParam(grid[chosen][0]).setElasticNetParam(grid[chosen][1]).fit(dataset)
        seconds = {"search": searched - started, "fit": perf_counter() - searched}
        return self._model(fitted, candidates, chosen, seconds, None)

    def _solve(self, gram: Gram, grid: Grid) -> Solutions:
        return solve(gram, grid, fit_intercept=self.getFitIntercept(), standardization=self.getStandardization())

    def _choose(self, candidates: tuple[Candidate, ...]) -> int:
        return choose(
            candidates,
            larger_is_better=self.getOrDefault(self.metricName) == "r2",
            selection=self.getOrDefault(self.selection),
            folds=self.getOrDefault(self.numFolds),
        )

    def _model(
        self,
        fitted: LinearRegressionModel,
        candidates: tuple[Candidate, ...],
        chosen: int,
        seconds: dict[str, float],
        gram: Gram | None,
    ) -> LinearRegressionGridSearchModel:
        coefficients = fitted.coefficients.toArray()
        best = candidates[chosen]
        errors: tuple[float, ...] = ()
        if gram is not None:
            covariance = coefficient_covariance(
                gram,
                coefficients,
                (best.reg_param, best.elastic_net_param),
                fit_intercept=self.getFitIntercept(),
                standardization=self.getStandardization(),
            )
            errors = tuple(map(float, np.sqrt(np.maximum(np.diagonal(covariance), 0.0))))
        result = SearchResult(
            metric=self.getOrDefault(self.metricName),
            larger_is_better=self.getOrDefault(self.metricName) == "r2",
            candidates=candidates,
            chosen=chosen,
            selection=self.getOrDefault(self.selection),
            folds=self.getOrDefault(self.numFolds),
            rows=gram.rows if gram else -1,
            features=len(coefficients),
            method="one-pass" if gram else "stock",
            nonzero=int(np.count_nonzero(coefficients)),
            seconds=seconds,
            standard_errors=errors,
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
            best.average,
            best.reg_param,
            best.elastic_net_param,
        )
        return self._copyValues(LinearRegressionGridSearchModel(fitted, result, gram))
