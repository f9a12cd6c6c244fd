"""Spark's `LinearRegressionModel` without the feature vector.

The coefficient of an indicator is looked up by the index of its level, so nothing is multiplied by 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.errors import BundleCorruptError
from purchasecast.scorer.batch import INTERCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Linear"]


class Linear:
    """Computes ``intercept + coefficients . features``."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        features = context.vectors[entry["features"]]
        coefficients = np.array(entry["coefficients"], dtype=np.float64)
        width = sum(feature.width for feature in features)
        if width != len(coefficients):
            raise BundleCorruptError(f"scorer: expected {width} coefficients, found {len(coefficients)}; train again.")
        self._intercept = float(entry["intercept"])
        self._output = entry["output"]
        self._indicators = []
        self._numbers = []
        ends = np.cumsum([feature.width for feature in features])
        for feature, part in zip(features, np.split(coefficients, ends[:-1]), strict=False):
            if feature.size:
                weights = np.append(part, 0.0)  # the last is for an index without an indicator
                self._indicators.append((feature.column, weights, tuple(weights.tolist())))
            else:
                self._numbers.append((feature.column, float(part[0])))

    def batch(self, batch: Batch) -> None:
        """Compute the sum for whole columns."""
        total = np.full(batch.rows, self._intercept)
        if batch.explains:
            batch.add_part(self._output, INTERCEPT, total.copy())
        for column, weights, _ in self._indicators:
            term = weights[np.minimum(batch.columns[column], len(weights) - 1)]
            total += term
            if batch.explains:
                batch.add_part(self._output, batch.sources[column], term)
        for column, weight in self._numbers:
            total += weight * batch.columns[column]
            if batch.explains:
                for source, part in batch.parts_of(column).items():
                    batch.add_part(self._output, source, weight * part)
        batch.add_column(self._output, total)

    def row(self, row: Row) -> None:
        """Compute the sum for one row."""
        values = row.values
        total = self._intercept
        for column, _, weights in self._indicators:
            index = values[column]
            if index < len(weights):
                total += weights[index]
        for column, weight in self._numbers:
            total += weight * values[column]
        values[self._output] = total
