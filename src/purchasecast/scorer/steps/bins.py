"""Number the bin that a value lies in: `pyspark.ml.feature.Bucketizer` without Spark."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.scorer.inputs import Encoded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Bins"]


class Bins:
    """Find the bin, as text, from ``0.0`` on.

    Parameters
    ----------
    column, output : str
        Columns to read and to write.
    borders : sequence of float
        Inner borders, ascending; a value at a border lies above it.
    """

    def __init__(self, column: str, output: str, borders: Sequence[float]) -> None:
        self._column, self._output, self._borders = column, output, list(borders)
        self._names = [str(float(place)) for place in range(len(self._borders) + 1)]

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:  # noqa: ARG003  every kind takes it
        """Build the step from its entry."""
        return cls(entry["input"], entry["output"], entry["borders"])

    def batch(self, batch: Batch) -> None:
        """Give every value its bin."""
        codes = np.searchsorted(self._borders, batch.columns[self._column], side="right")
        batch.inputs[self._output] = Encoded(codes, list(self._names))

    def row(self, row: Row) -> None:
        """Give one value its bin."""
        row.values[self._output] = self._names[bisect_right(self._borders, row.values[self._column])]
