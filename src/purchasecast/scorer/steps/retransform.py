"""A prediction of a transformed target back in money, as `purchasecast.stages.Retransform` makes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.scorer.batch import INTERCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Retransform"]


class Retransform:
    """Takes the smearing estimate of a column.

    Parameters
    ----------
    column, output : str
        Columns to read and to write.
    transform : {"log1p", "sqrt"}
        What the target was put through.
    means : sequence of float
        Means of the two terms of the residuals.

    Notes
    -----
    Parts are stretched by one factor a row, the slope of the chord from the intercept to the prediction. That is the
    Aumann-Shapley value of each part, as the curve depends on their sum alone; they sum to the prediction.
    """

    def __init__(self, column: str, output: str, transform: str, means: tuple[float, float]) -> None:
        self._column, self._output = column, output
        self._transform, self._means = transform, means

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:  # noqa: ARG003  every kind takes it
        """Build the step from its entry."""
        first, second = map(float, entry["smearing"])
        return cls(entry["input"], entry["output"], entry["transform"], (first, second))

    def batch(self, batch: Batch) -> None:
        """Turn a whole column, and its parts."""
        value = batch.columns[self._column]
        batch.columns[self._output] = self._money(value)
        if batch.explains:
            parts = dict(batch.parts_of(self._column))
            start = parts.pop(INTERCEPT, np.zeros(batch.rows))
            base = self._money(start)
            way = value - start
            slope = np.divide(batch.columns[self._output] - base, way, out=np.zeros(batch.rows), where=way != 0)
            batch.add_part(self._output, INTERCEPT, base)
            for source, part in parts.items():
                batch.add_part(self._output, source, part * slope)

    def row(self, row: Row) -> None:
        """Turn one value."""
        value = row.values[self._column]
        if self._transform == "log1p":
            row.values[self._output] = math.exp(value) * self._means[1] - 1.0
        else:
            row.values[self._output] = value * value + value * (2.0 * self._means[0]) + self._means[1]

    def _money(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._transform == "log1p":
            return np.exp(value) * self._means[1] - 1.0
        return value * value + value * (2.0 * self._means[0]) + self._means[1]
