"""Steps that amounts stand on: `purchasecast.stages.PriceLadderModel` without Spark."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.numerics.step_probabilities import LevelSteps, RowSteps
from purchasecast.scorer.steps.interval import checked_level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["PriceLadder"]


class PriceLadder:
    """Adds the bounds of an interval and, where they are asked for, the steps that the amount may stand on.

    A row whose level has no ladder keeps the bounds that it has.

    Attributes
    ----------
    level : float
        Share of purchases that are to be between the bounds, and on a step of their row's set.
    """

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._group, self._prediction, self._spread = entry["group"], entry["prediction"], entry["spread"]
        self._bounds = entry["lower"], entry["upper"]
        self._fitted = entry["fitted"]
        self.set_level(float(entry["level"]))

    def set_level(self, level: float) -> None:
        """Set the share of purchases that are to be between the bounds, and on a step of their row's set.

        Raises
        ------
        SettingsError
            If it is not between 0 and 1.
        """
        self.level = checked_level(level)
        self._levels = {
            name: _SingleRow(LevelSteps.of(self._fitted, name, level), self._fitted) for name in self._fitted["levels"]
        }

    def batch(self, batch: Batch) -> None:
        """Add the bounds of many rows and, where they are asked for, the steps; null without a ladder."""
        names: list[str | None] = [""]
        codes = np.zeros(batch.rows, dtype=np.intp)
        if self._group:
            encoded = batch.encoded(self._group)
            names, codes = [None if value is None else str(value) for value in encoded.values], encoded.codes
        prediction = batch.columns[self._prediction]
        spread = batch.columns[self._spread] if self._spread else None
        steps = RowSteps.of(self._fitted, names, codes, prediction, spread, self.level)
        for name, bound in zip(self._bounds, steps.bounds(), strict=True):
            if name:
                before = batch.columns.get(name)
                batch.add_column(name, bound if before is None else np.where(np.isnan(bound), before, bound))
        if batch.lists_amounts:
            batch.amounts = _to_lists(*steps.lists())

    def row(self, row: Row) -> None:
        """Add the bounds of one row; lists come from `batch`."""
        values = row.values
        level = values[self._group] if self._group else ""
        steps = self._levels.get("" if level is None else str(level))
        if steps is not None and self._bounds[0]:
            spread = values[self._spread] if self._spread else 0.0
            values[self._bounds[0]], values[self._bounds[1]] = steps.bounds(values[self._prediction], spread)


class _SingleRow:
    """The same as `LevelSteps.bounds`, in plain numbers: NumPy takes ten times as long for a handful of them."""

    def __init__(self, steps: LevelSteps, scaling: Mapping[str, Any]) -> None:
        self._unit, self._ranks = steps.unit, steps.ranks
        self._low, self._high = steps.low.tolist(), steps.high.tolist()
        self._coefficients = steps.coefficients.T.tolist()
        self._centre, self._width, self._usual = scaling["centre"], scaling["width"], scaling["usual_spread"]
        self._x_range, self._precision_range = scaling["x_range"], scaling["precision_range"]

    def bounds(self, prediction: float, spread: float) -> tuple[float, float]:
        x = min(max(prediction / self._unit, self._x_range[0]), self._x_range[1])
        x = (x - self._centre) / self._width
        ratio = self._usual * self._unit / spread if spread > 0 and self._usual > 0 else 1.0
        precision = min(max(ratio * ratio, self._precision_range[0]), self._precision_range[1])
        exponents = [a + b * x + c * x * x + d * precision + e * precision * x for a, b, c, d, e in self._coefficients]
        largest = max(exponents)
        weights = [math.exp(exponent - largest) for exponent in exponents]
        total = sum(weights)
        chances = [weight / total for weight in weights]
        reached = list(accumulate(chances))
        lower, upper = (self._amount_at(rank, chances, reached) for rank in self._ranks)
        return min(lower, prediction), max(upper, prediction)

    def _amount_at(self, rank: float, chances: list[float], reached: list[float]) -> float:
        step = min(bisect_left(reached, rank), len(chances) - 1)
        own = chances[step]
        passed = min(max((rank - (reached[step] - own)) / own, 0.0), 1.0) if own > 0.0 else 0.0
        return float(self._low[step] + passed * (self._high[step] - self._low[step]))


def _to_lists(counts: NDArray[np.int64], made: NDArray[np.float64]) -> pa.ListArray:
    """Return the steps of each row as a list of structs, null for a row without steps."""
    fields = {
        "step": pa.array(made[:, 0].astype(np.int32)),
        "low": pa.array(made[:, 1]),
        "high": pa.array(made[:, 2]),
        "probability": pa.array(made[:, 3]),
        "in_set": pa.array(made[:, 4] > 0),
    }
    steps = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    ends = np.append(0, np.cumsum(counts))
    # A null offset makes its list null.
    offsets = pa.array(ends.astype(np.int32), mask=np.append(counts == 0, False))
    return pa.ListArray.from_arrays(offsets, steps)
