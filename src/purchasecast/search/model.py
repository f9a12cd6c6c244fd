"""What a grid search leaves: Spark's own model, all candidates, and the covariance of the coefficients."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.ml import Model
from pyspark.ml.regression import LinearRegressionModel
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.numerics.covariance import FittedLine
from purchasecast.numerics.gram import Gram
from purchasecast.results import SearchResult
from purchasecast.search.params import _LinearRegressionGridSearchParams
from purchasecast.spark.columns import col
from purchasecast.spark.gram import check_columns, collect_cluster_scores, run_interruptible

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.numerics.gram import Floats

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
        rows = self._rows(frame, sf.lit(0), cluster=col(clusterCol).cast("string"))
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

    def write(self) -> _SearchModelWriter:
        """Return a writer of the native model, the result and the moments."""
        return _SearchModelWriter(self)

    @classmethod
    def read(cls) -> _SearchModelReader:
        """Return a reader of what `write` wrote."""
        return _SearchModelReader(cls)


class _SearchModelWriter(MLWriter):
    """Writer of `LinearRegressionGridSearchModel`."""

    def __init__(self, instance: LinearRegressionGridSearchModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        """Write `metadata`, `bestModel` and, after a one-pass search, `moments`."""
        session, moments = self.sparkSession, self.instance._moments
        extra = {"searchResult": self.instance.searchResult.to_dict(), "hasMoments": moments is not None}
        DefaultParamsWriter.saveMetadata(self.instance, path, session, extraMetadata=extra)
        self.instance.bestModel.write().save(f"{path}/bestModel")
        if moments is not None:
            table = pa.table(
                {
                    "rows": [moments.rows],
                    "weight": [moments.weight],
                    "weight_squares": [moments.weight_squares],
                    "mean": pa.array([moments.mean], pa.list_(pa.float64())),
                    "comoments": pa.array([moments.comoments.ravel()], pa.list_(pa.float64())),
                }
            )
            session.createDataFrame(table).coalesce(1).write.parquet(f"{path}/moments")


class _SearchModelReader(MLReader["LinearRegressionGridSearchModel"]):
    """Reader of what `_SearchModelWriter` wrote."""

    def __init__(self, cls: type[LinearRegressionGridSearchModel]) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> LinearRegressionGridSearchModel:
        """Read the model."""
        metadata: dict[str, Any] = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        best = LinearRegressionModel.load(f"{path}/bestModel")
        moments = self._load_moments(path) if metadata["hasMoments"] else None
        model = self.cls(best, SearchResult.from_dict(metadata["searchResult"]), moments)
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model

    def _load_moments(self, path: str) -> Gram:
        table = self.sparkSession.read.parquet(f"{path}/moments").toArrow()
        mean = np.array(table.column("mean")[0].as_py())
        comoments = table.column("comoments").combine_chunks().flatten().to_numpy().reshape(len(mean), -1)
        rows, weight, squares = (table.column(c)[0].as_py() for c in ("rows", "weight", "weight_squares"))
        return Gram(rows, weight, squares, mean, comoments.copy())
