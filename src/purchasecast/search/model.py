"""The model of a grid search: Spark's own model, all candidates, and the covariance of the coefficients."""

from __future__ import annotations

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

from purchasecast.errors import SettingsError
from purchasecast.numerics.covariance import coefficient_covariance
from purchasecast.numerics.gram import Gram
from purchasecast.results import SearchResult
from purchasecast.search.params import LinearRegressionGridSearchParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.numerics.gram import Floats

__all__ = ["LinearRegressionGridSearchModel"]

_UNFITTED = "LinearRegressionGridSearchModel: expected a fitted model, found none; call fit, or load a saved one."


class LinearRegressionGridSearchModel(
    Model, LinearRegressionGridSearchParams, MLReadable["LinearRegressionGridSearchModel"], MLWritable
):
    """The fitted model of a `LinearRegressionGridSearch`.

    Replace it by its `bestModel` to have a pipeline of Spark's own stages only:
    ``PipelineModel([*fitted.stages[:-1], fitted.stages[-1].bestModel])``.

    Parameters
    ----------
    bestModel : LinearRegressionModel, optional
        Spark's own model of all rows at the chosen penalty.
    searchResult : SearchResult, optional
        Every candidate with its metrics.
    moments : Gram, optional
        Moments of all rows; None after a search by `CrossValidator`.

    Attributes
    ----------
    foldLines : ndarray of shape (folds, d + 1) or None
        Coefficients and, last, the intercept of the chosen candidate without each fold; None after a search by
        `CrossValidator`, and in a model that was loaded.
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
        """The `LinearRegressionModel` at the chosen penalty.

        After a one-pass search its ``summary`` says nothing about the training rows: see `searchResult` instead.
        """
        if self._best_model is None:
            raise SettingsError(_UNFITTED)
        return self._best_model

    @property
    def searchResult(self) -> SearchResult:
        """All candidates, their metrics, and the choice."""
        if self._search_result is None:
            raise SettingsError(_UNFITTED)
        return self._search_result

    @property
    def avgMetrics(self) -> list[float]:
        """Metric of each candidate, averaged over the folds."""
        return [c.average for c in self.searchResult.candidates]

    @property
    def stdMetrics(self) -> list[float]:
        """Population standard deviation of each candidate's metric over the folds."""
        return [c.standard_deviation for c in self.searchResult.candidates]

    @property
    def foldMetrics(self) -> list[list[float]]:
        """Metric of each candidate on every fold."""
        return [list(c.fold_metrics) for c in self.searchResult.candidates]

    @property
    def coefficientCovariance(self) -> Floats:
        """Covariance of coefficients and, last, the intercept, under independent errors of one variance."""
        if self._moments is None:
            raise SettingsError(
                "coefficientCovariance: expected the moments of a one-pass search, found none; "
                "fit with maxFeatures at least the number of features."
            )
        best = self.searchResult.best
        return coefficient_covariance(
            self._moments,
            self.bestModel.coefficients.toArray(),
            (best.reg_param, best.elastic_net_param),
            fit_intercept=self.getFitIntercept(),
            standardization=self.getStandardization(),
        )

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
    """Writes a `LinearRegressionGridSearchModel`."""

    def __init__(self, instance: LinearRegressionGridSearchModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        """Write metadata, `bestModel` and, after a one-pass search, the moments."""
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
    """Reads what `_SearchModelWriter` wrote."""

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
