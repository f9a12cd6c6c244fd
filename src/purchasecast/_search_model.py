# ruff: noqa: N802, N803 - Spark params are camelCase
"""What a grid search leaves: Spark's own model, all candidates, and the covariance of the coefficients."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml import Model
from pyspark.ml.util import MLReadable, MLWritable
from pyspark.sql import functions as sf

from purchasecast._gram_spark import check_columns, collect_cluster_scores, run_interruptible
from purchasecast._inference import FittedLine
from purchasecast._search_io import SearchModelReader, SearchModelWriter
from purchasecast._search_params import _LinearRegressionGridSearchParams
from purchasecast.errors import DataError, SettingsError

if TYPE_CHECKING:
    from pyspark.ml.regression import LinearRegressionModel
    from pyspark.sql import DataFrame

    from purchasecast._gram import Floats, Gram
    from purchasecast._search_result import SearchResult

__all__ = ["LinearRegressionGridSearchModel", "fitted_line"]


def fitted_line(model: Any, gram: Gram, best: Any, params: Any) -> FittedLine:
    """Return a fit with the moments it was fitted on, its penalty, and the params that say how."""
    return FittedLine(
        gram,
        np.asarray(model.coefficients.toArray(), dtype=float),
        (best.reg_param, best.elastic_net_param),
        fit_intercept=params.getFitIntercept(),
        standardization=params.getStandardization(),
    )


class LinearRegressionGridSearchModel(
    Model, _LinearRegressionGridSearchParams, MLReadable["LinearRegressionGridSearchModel"], MLWritable
):
    """The chosen fit of a `LinearRegressionGridSearch`.

    Put `bestModel` in its place to have a pipeline of Spark's own stages only:
    `PipelineModel([*fitted.stages[:-1], fitted.stages[-1].bestModel])`.

    Parameters
    ----------
    bestModel : LinearRegressionModel, optional
        Spark's own model, fitted on all rows at the chosen penalty.
    searchResult : SearchResult, optional
        Every candidate with its metrics, and how the search went.
    moments : Gram, optional
        Moments of all rows; None after a stock search.

    Attributes
    ----------
    foldLines : ndarray or None
        For each fold, the coefficients and at the end the intercept of the chosen candidate's fit without that fold;
        None after a stock search, and after a passage through a file.
    """

    # Spark writes a class's module into what it saves, and this is the model's public home.
    __module__ = "purchasecast.search"

    def __init__(
        self,
        bestModel: LinearRegressionModel | None = None,
        searchResult: SearchResult | None = None,
        moments: Gram | None = None,
    ) -> None:
        super().__init__()
        self._best_model, self._search_result, self._moments = bestModel, searchResult, moments
        self.foldLines: Floats | None = None

    @property
    def bestModel(self) -> LinearRegressionModel:
        """Return Spark's own model at the chosen penalty."""
        if self._best_model is None:
            raise SettingsError("a grid search model needs a fit, found none; call fit or load")
        return self._best_model

    @property
    def searchResult(self) -> SearchResult:
        """Return all candidates and how the search went."""
        if self._search_result is None:
            raise SettingsError("a grid search model needs a fit, found none; call fit or load")
        return self._search_result

    @property
    def avgMetrics(self) -> list[float]:
        """Return each candidate's metric, averaged over the folds."""
        return [c.average for c in self.searchResult.candidates]

    @property
    def stdMetrics(self) -> list[float]:
        """Return each candidate's population standard deviation over the folds."""
        return [c.standard_deviation for c in self.searchResult.candidates]

    @property
    def foldMetrics(self) -> list[list[float]]:
        """Return each candidate's metric on every fold."""
        return [list(c.fold_metrics) for c in self.searchResult.candidates]

    @property
    def coefficientCovariance(self) -> Floats:
        """Return the classical covariance of (coefficients, intercept), an array of shape (d + 1, d + 1)."""
        return self._line.classical_covariance()

    def clustered_covariance(self, frame: DataFrame, clusterCol: str) -> Floats:
        """Return the covariance of (coefficients, intercept) when errors of a cluster may go together.

        Takes a pass of its own over the training rows, grouped by cluster.

        Parameters
        ----------
        frame : DataFrame
            The frame the search was fitted on.
        clusterCol : str
            Column that says which rows may go together, for example the customer; no nulls.

        Returns
        -------
        ndarray of shape (d + 1, d + 1)
            The intercept last.

        Raises
        ------
        DataError
            If a cluster is null, there are fewer than two, or the frame is not the one of the fit.
        """
        line, weight = self._line, self._weight
        numeric = [self.getLabelCol(), *([weight] if weight else [])]
        check_columns(frame, vector=self.getFeaturesCol(), numeric=numeric, others=[clusterCol])
        rows = self._rows(frame, sf.lit(0), cluster=sf.col(f"`{clusterCol}`").cast("string"))
        collect = partial(collect_cluster_scores, rows, line.coefficients, line.centre)
        scores = run_interruptible(frame.sparkSession, collect)
        if scores.rows < 2:
            raise DataError(
                f"a clustered covariance needs at least 2 clusters, found {scores.rows} in {clusterCol}; "
                "name another column"
            )
        return line.clustered_covariance(scores)

    @property
    def _line(self) -> FittedLine:
        if self._moments is None:
            raise SettingsError(
                "covariances need the moments of a one-pass search, found none; "
                "fit with maxFeatures at least the number of features"
            )
        return fitted_line(self.bestModel, self._moments, self.searchResult.best, self)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self.bestModel.transform(dataset)

    def write(self) -> SearchModelWriter:
        """Return a writer of the native model, the result and the moments."""
        return SearchModelWriter(self)

    @classmethod
    def read(cls) -> SearchModelReader:
        """Return a reader of what `write` wrote."""
        return SearchModelReader(cls)
