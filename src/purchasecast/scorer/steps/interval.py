"""Conformal intervals: `purchasecast.intervals.ConformalIntervalsModel` without Spark."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast._conformal import bounds_at
from purchasecast.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Interval"]


class Interval:
    """Adds ``lower`` and ``upper`` around a prediction.

    Parameters
    ----------
    entry : mapping
        The manifest's entry.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._prediction, self._spread, self._group = entry["prediction"], entry["spread"], entry["group"]
        self._groups = tuple(zip(entry["counts"], entry["shrinkages"], strict=True))
        self._variance, self._least = float(entry["variance"]), float(entry["least"])
        self._weights = [float(weight) for weight in entry["weights"]]
        self._minimum = float("-inf") if entry["minimum"] is None else float(entry["minimum"])
        self._grids, self._rows = entry["grids"], entry["rows"]
        self.set_level(float(entry["level"]))

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:  # noqa: ARG003  every kind takes it
        """Build the step from its entry."""
        return cls(entry)

    def set_level(self, level: float) -> None:
        """Set the share of purchases inside.

        Raises
        ------
        SettingsError
            If it is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise SettingsError(f"level: expected a share above 0 and below 1, found {level}; take 0.9.")
        self._bounds = {name: bounds_at(grid, self._rows[name], level) for name, grid in self._grids.items()}

    def batch(self, batch: Batch) -> None:
        """Add the bounds of every row."""
        prediction = batch.columns[self._prediction]
        variance = np.full(batch.rows, self._weights[0])
        if self._spread:
            variance += self._weights[1] * batch.columns[self._spread] ** 2
        for weight, (name, shrinkage) in zip(self._weights[2:-1], self._groups, strict=True):
            variance += weight * self._variance / (batch.columns[name] + shrinkage)
        variance += self._weights[-1] * prediction**2
        scale = np.sqrt(np.maximum(variance, self._least))
        low, high = (np.full(batch.rows, self._bounds[""][side]) for side in (0, 1))
        if self._group:
            encoded = batch.encoded(self._group)
            of_level = np.array([self._bound(value) for value in encoded.values]).reshape(-1, 2)
            low, high = of_level[encoded.codes].T
        lower = np.minimum(prediction + low * scale, prediction)
        upper = np.maximum(prediction + high * scale, prediction)
        batch.columns["lower"], batch.columns["upper"] = np.maximum(lower, self._minimum), upper

    def row(self, row: Row) -> None:
        """Add the bounds of one row."""
        values = row.values
        prediction = values[self._prediction]
        variance = self._weights[0] + self._weights[-1] * prediction**2
        if self._spread:
            variance += self._weights[1] * values[self._spread] ** 2
        for weight, (name, shrinkage) in zip(self._weights[2:-1], self._groups, strict=True):
            variance += weight * self._variance / (values[name] + shrinkage)
        scale = math.sqrt(max(variance, self._least))
        low, high = self._bound(values[self._group]) if self._group else self._bounds[""]
        values["lower"] = max(min(prediction + low * scale, prediction), self._minimum)
        values["upper"] = max(prediction + high * scale, prediction)

    def _bound(self, level: Any) -> tuple[float, float]:
        return self._bounds.get("" if level is None else str(level), self._bounds[""])
