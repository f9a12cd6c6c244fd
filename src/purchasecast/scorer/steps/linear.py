"""A linear function of a feature vector: Spark's `LinearRegressionModel`, without making the vector.

An indicator's coefficient is looked up by its level's index; nothing is multiplied by 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.errors import BundleCorruptError
from purchasecast.scorer.batch import INTERCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context, Feature

__all__ = ["Linear"]


class Linear:
    """Evaluates ``intercept + coefficients . features``.

    Parameters
    ----------
    features : sequence of Feature
        The vector.
    coefficients : ndarray
        One an element of the vector.
    intercept : float
        The constant.
    output : str
        Column for the value.
    """

    def __init__(
        self, features: Sequence[Feature], coefficients: NDArray[np.float64], intercept: float, output: str
    ) -> None:
        width = sum(feature.width for feature in features)
        if width != len(coefficients):
            raise BundleCorruptError(f"scorer: expected {width} coefficients, found {len(coefficients)}; train again.")
        self._intercept = intercept
        self._output = output
        self._indicators: list[tuple[str, NDArray[np.float64]]] = []
        self._numbers: list[tuple[str, float]] = []
        start = 0
        for feature in features:
            part = coefficients[start : start + feature.width]
            if feature.size:
                self._indicators.append((feature.column, np.append(part, 0.0)))
            else:
                self._numbers.append((feature.column, float(part[0])))
            start += feature.width
        self._plain = [(column, tuple(map(float, weights))) for column, weights in self._indicators]

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        """Build the step from its entry."""
        coefficients = np.array(entry["coefficients"], dtype=np.float64)
        return cls(context.vectors[entry["features"]], coefficients, float(entry["intercept"]), entry["output"])

    def batch(self, batch: Batch) -> None:
        """Look coefficients up for whole columns."""
        total = np.full(batch.rows, self._intercept)
        if batch.explains:
            batch.add_part(self._output, INTERCEPT, np.full(batch.rows, self._intercept))
        for column, weights in self._indicators:
            term = weights[np.minimum(batch.columns[column], len(weights) - 1)]
            total += term
            if batch.explains:
                batch.add_part(self._output, batch.sources[column], term)
        for column, weight in self._numbers:
            total += weight * batch.columns[column]
            if batch.explains:
                for source, part in batch.parts_of(column).items():
                    batch.add_part(self._output, source, weight * part)
        batch.columns[self._output] = total

    def row(self, row: Row) -> None:
        """Look coefficients up for one row."""
        values = row.values
        total = self._intercept
        for column, weights in self._plain:
            index = values[column]
            if index < len(weights):
                total += weights[index]
        for column, weight in self._numbers:
            total += weight * values[column]
        values[self._output] = total
