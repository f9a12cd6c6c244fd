"""Conformal intervals: `purchasecast.stages.conformal_intervals.ConformalIntervalsModel` without Spark."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.errors import SettingsError
from purchasecast.numerics.conformal import bounds_by_group

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

    Attributes
    ----------
    level : float
        Share of purchases that are to fall between the bounds.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._prediction, self._spread, self._group = entry["prediction"], entry["spread"], entry["group"]
        self._groups = tuple(zip(entry["counts"], entry["shrinkages"], strict=True))
        self._variance, self._least = float(entry["variance"]), float(entry["least"])
        self._weights = [float(weight) for weight in entry["weights"]]
        self._minimum = float("-inf") if entry["minimum"] is None else float(entry["minimum"])
        self._calibration = {name: entry.get(name) for name in ("positions", "grid", "rows", "groups")}
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
        self.level = level
        self._bounds = bounds_by_group(self._calibration, level)

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
        low, high = (np.full(batch.rows, self._bounds[""][1][0][side]) for side in (0, 1))
        if self._group:
            encoded = batch.encoded(self._group)
            for code, value in enumerate(encoded.values):
                borders, bounds = self._of_group(value)
                mine = encoded.codes == code
                chosen = np.array(bounds)[np.searchsorted(borders, prediction[mine], side="left")]
                low[mine], high[mine] = chosen[:, 0], chosen[:, 1]
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
        borders, bounds = self._of_group(values[self._group] if self._group else None)
        low, high = bounds[bisect_left(borders, prediction)]
        values["lower"] = max(min(prediction + low * scale, prediction), self._minimum)
        values["upper"] = max(prediction + high * scale, prediction)

    def _of_group(self, level: Any) -> tuple[list[float], list[tuple[float, float]]]:
        return self._bounds.get("" if level is None else str(level), self._bounds[""])
