"""Gradient boosted trees: `purchasecast.stages.BoostedTreesModel` without Spark, by XGBoost itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.errors import SettingsError
from purchasecast.scorer.batch import INTERCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from purchasecast.scorer.batch import Batch, Row, Source
    from purchasecast.scorer.steps.base import Context

__all__ = ["BoostedTrees"]


class BoostedTrees:
    """Evaluates trees on derived columns.

    Parameters
    ----------
    file : Path
        The booster, as XGBoost's JSON.
    inputs : sequence of str
        Columns, in the order of the booster's features.
    output : str
        Column for the value.

    Raises
    ------
    SettingsError
        If XGBoost is not installed.
    """

    def __init__(self, file: Path, inputs: list[str], output: str) -> None:
        try:
            import xgboost  # noqa: PLC0415  only models with trees need it
        except ModuleNotFoundError as error:
            raise SettingsError(
                "scorer: expected XGBoost, which this model's trees need, found none; run `pip install xgboost-cpu`."
            ) from error
        self._matrix = xgboost.DMatrix
        self._booster = xgboost.Booster()
        self._booster.load_model(file)
        self._inputs = inputs
        self._output = output

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        """Build the step from its entry."""
        return cls(context.folder / entry["file"], list(entry["inputs"]), entry["output"])

    def batch(self, batch: Batch) -> None:
        """Evaluate all rows; their parts are exact Shapley values of the trees."""
        features = np.empty((batch.rows, len(self._inputs)), dtype=np.float32)
        for place, name in enumerate(self._inputs):
            features[:, place] = batch.columns[name]
        made = self._booster.inplace_predict(features) if batch.rows else np.empty(0)
        batch.columns[self._output] = made.astype(np.float64)
        if batch.explains and batch.rows:
            parts = self._booster.predict(self._matrix(features), pred_contribs=True).astype(np.float64)
            for place, name in enumerate(self._inputs):
                batch.add_part(self._output, _source(batch, name), parts[:, place])
            # Shapley values are summed in single precision: the constant takes what rounding leaves.
            batch.add_part(self._output, INTERCEPT, batch.columns[self._output] - parts[:, :-1].sum(axis=1))

    def row(self, row: Row) -> None:
        """Evaluate one row."""
        features = np.array([[row.values[name] for name in self._inputs]], dtype=np.float32)
        row.values[self._output] = float(self._booster.inplace_predict(features)[0])


def _source(batch: Batch, name: str) -> Source:
    """Return the columns of the schema that a feature comes from; of a sum, those of all its terms."""
    if name in batch.sources:
        return batch.sources[name]
    return tuple(dict.fromkeys(column for source in batch.parts_of(name) for column in source))
