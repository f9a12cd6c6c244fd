"""Number the bin that a value lies in: `pyspark.ml.feature.Bucketizer` without Spark."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.scorer.inputs import Encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Bins"]


class Bins:
    """Find the bin, as text, from ``0.0`` on; a value at a border is above it."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._column, self._output, self._borders = entry["input"], entry["output"], list(entry["borders"])
        self._names = [str(float(place)) for place in range(len(self._borders) + 1)]

    def batch(self, batch: Batch) -> None:
        """Give every value its bin."""
        codes = np.searchsorted(self._borders, batch.columns[self._column], side="right")
        batch.inputs[self._output] = Encoded(codes, list(self._names))

    def row(self, row: Row) -> None:
        """Give one value its bin."""
        row.values[self._output] = self._names[bisect_right(self._borders, row.values[self._column])]
