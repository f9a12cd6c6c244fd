"""Conformal intervals: `purchasecast.stages.ConformalIntervalsModel` without Spark."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.errors import SettingsError
from purchasecast.numerics.conformal import bounds_by_group
from purchasecast.schema.reserved_columns import LOWER, UPPER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Interval", "checked_level"]


def checked_level(level: float) -> float:
    """Return a share of purchases, if it is one.

    Raises
    ------
    SettingsError
        If it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise SettingsError(f"level: expected a share above 0 and below 1, found {level}; take 0.9.")
    return level


class Interval:
    """Adds the bounds ``lower`` and ``upper`` of a prediction.

    Attributes
    ----------
    level : float
        Share of purchases that are to fall between the bounds.
    """

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._prediction, self._spread, self._group = entry["prediction"], entry["spread"], entry["group"]
        self._counts = tuple(zip(entry["counts"], entry["shrinkages"], strict=True))
        self._variance, self._min_variance = float(entry["variance"]), float(entry["least"])
        self._weights = [float(weight) for weight in entry["weights"]]
        self._minimum = -math.inf if entry["minimum"] is None else float(entry["minimum"])
        self._calibration = {name: entry.get(name) for name in ("positions", "grid", "rows", "others", "groups")}
        self.set_level(float(entry["level"]))

    def set_level(self, level: float) -> None:
        """Set the share of purchases that are to fall between the bounds.

        Raises
        ------
        SettingsError
            If it is not between 0 and 1.
        """
        self.level = checked_level(level)
        self._bounds = bounds_by_group(self._calibration, level)

    def batch(self, batch: Batch) -> None:
        """Add the bounds of many rows."""
        prediction = batch.columns[self._prediction]
        variance = np.full(batch.rows, self._weights[0])
        if self._spread:
            variance += self._weights[1] * batch.columns[self._spread] ** 2
        for weight, (name, shrinkage) in zip(self._weights[2:-1], self._counts, strict=True):
            variance += weight * self._variance / (batch.columns[name] + shrinkage)
        variance += self._weights[-1] * prediction**2
        scale = np.sqrt(np.maximum(variance, self._min_variance))
        # The group "" is that of all rows, for groups too small to be calibrated and for models without groups.
        low, high = (np.full(batch.rows, self._bounds[""][1][0][side]) for side in (0, 1))
        if self._group:
            encoded = batch.encoded(self._group)
            for code, value in enumerate(encoded.values):
                borders, bounds = self._of_group(value)
                mine = encoded.codes == code
                chosen = np.array(bounds)[np.searchsorted(borders, prediction[mine], side="left")]
                low[mine], high[mine] = chosen[:, 0], chosen[:, 1]
        # Where errors are skewed, both bounds can lie on one side of the prediction, which nobody would understand.
        lower = np.minimum(prediction + low * scale, prediction)
        batch.add_column(LOWER, np.maximum(lower, self._minimum))
        batch.add_column(UPPER, np.maximum(prediction + high * scale, prediction))

    def row(self, row: Row) -> None:
        """Add the bounds of one row."""
        values = row.values
        prediction = values[self._prediction]
        variance = self._weights[0] + self._weights[-1] * prediction**2
        if self._spread:
            variance += self._weights[1] * values[self._spread] ** 2
        for weight, (name, shrinkage) in zip(self._weights[2:-1], self._counts, strict=True):
            variance += weight * self._variance / (values[name] + shrinkage)
        scale = math.sqrt(max(variance, self._min_variance))
        borders, bounds = self._of_group(values[self._group] if self._group else None)
        low, high = bounds[bisect_left(borders, prediction)]
        values[LOWER] = max(min(prediction + low * scale, prediction), self._minimum)
        values[UPPER] = max(prediction + high * scale, prediction)

    def _of_group(self, level: Any) -> tuple[list[float], list[tuple[float, float]]]:
        """Return the borders of a group's bands of prediction, and the bounds of each band."""
        return self._bounds.get("" if level is None else str(level), self._bounds[""])
