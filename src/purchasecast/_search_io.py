"""Saving a grid search model: params and result as JSON, Spark's own model, the moments as Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.ml.regression import LinearRegressionModel
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter

from purchasecast._gram import Gram
from purchasecast._search_result import SearchResult

if TYPE_CHECKING:
    from purchasecast.search import LinearRegressionGridSearchModel

__all__ = ["SearchModelReader", "SearchModelWriter"]


class SearchModelWriter(MLWriter):
    """Writer of `LinearRegressionGridSearchModel`."""

    def __init__(self, instance: LinearRegressionGridSearchModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:  # noqa: N802 - Spark's name
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


class SearchModelReader(MLReader["LinearRegressionGridSearchModel"]):
    """Reader of what `SearchModelWriter` wrote."""

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
