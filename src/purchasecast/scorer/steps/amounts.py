"""The last steps: predictions are blended, turned back into money, and held to the range of a purchase."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.numerics.soft_minimum import SoftMinimum as Curve
from purchasecast.scorer.batch import INTERCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Blend", "Clip", "Retransform", "SoftMinimum"]


class Blend:
    """Adds up the weighted predictions of several members."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._members = {name: float(weight) for name, weight in entry["members"].items()}
        self._output = entry["output"]

    def batch(self, batch: Batch) -> None:
        """Add up whole columns and their parts."""
        total = np.zeros(batch.rows)
        for name, weight in self._members.items():
            total += weight * batch.columns[name]
            if batch.explains:
                for source, part in batch.parts_of(name).items():
                    batch.add_part(self._output, source, weight * part)
        batch.add_column(self._output, total)

    def row(self, row: Row) -> None:
        """Add up one row's values."""
        row.values[self._output] = sum(weight * row.values[name] for name, weight in self._members.items())


class Clip:
    """Raises values below a minimum to it."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        minimum = entry.get("minimum")
        self._column, self._output = entry["input"], entry["output"]
        self._minimum = -math.inf if minimum is None else float(minimum)

    def batch(self, batch: Batch) -> None:
        """Raise a whole column."""
        batch.add_held(self._column, self._output, np.maximum(batch.columns[self._column], self._minimum))

    def row(self, row: Row) -> None:
        """Raise one value."""
        row.values[self._output] = max(row.values[self._column], self._minimum)


class SoftMinimum:
    """Bends low values toward a minimum, by `purchasecast.numerics.soft_minimum`."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._column, self._output = entry["input"], entry["output"]
        self._curve = Curve(*(float(entry[name]) for name in ("minimum", "origin", "width")))

    def batch(self, batch: Batch) -> None:
        """Bend a whole column."""
        batch.add_held(self._column, self._output, self._curve.values(batch.columns[self._column]))

    def row(self, row: Row) -> None:
        """Bend one value."""
        row.values[self._output] = self._curve.value(row.values[self._column])


class Retransform:
    """Turns a prediction of the transformed target into money: `purchasecast.stages.Retransform` without Spark.

    Notes
    -----
    Parts are multiplied by one factor a row: the slope of the chord from the intercept to the prediction. These are
    their Aumann-Shapley values, because the curve depends on the parts only through their sum.
    """

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._column, self._output = entry["input"], entry["output"]
        self._is_log = entry["transform"] == "log1p"
        self._first, self._second = map(float, entry["smearing"])  # means over the residuals (Duan's estimate)

    def batch(self, batch: Batch) -> None:
        """Turn a whole column and its parts into money."""
        value = batch.columns[self._column]
        money = self._money(value)
        batch.add_column(self._output, money)
        if batch.explains:
            parts = dict(batch.parts_of(self._column))
            start = parts.pop(INTERCEPT, np.zeros(batch.rows))
            base = self._money(start)
            distance = value - start
            # Without any distance there is nothing to attribute, and no slope.
            slope = np.divide(money - base, distance, out=np.zeros(batch.rows), where=distance != 0)
            batch.add_part(self._output, INTERCEPT, base)
            for source, part in parts.items():
                batch.add_part(self._output, source, part * slope)

    def row(self, row: Row) -> None:
        """Turn one value into money."""
        value = row.values[self._column]
        if self._is_log:
            row.values[self._output] = math.exp(value) * self._second - 1.0
        else:
            row.values[self._output] = value * value + value * (2.0 * self._first) + self._second

    def _money(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._is_log:
            return np.exp(value) * self._second - 1.0
        return value * value + value * (2.0 * self._first) + self._second
