"""Columns times a scale: `purchasecast.stages.ScaledColumns` without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.scorer.batch import INTERCEPT, RANGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["ScaledColumns"]


class ScaledColumns:
    """Multiply columns, kept within a range, by another one.

    Notes
    -----
    An input is an intercept and parts; the intercept times the scale is shared out as the scale's own parts are.
    """

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:  # noqa: ARG002  the form of all steps
        self._columns: dict[str, str] = dict(entry["columns"])
        self._scale: str = entry["scale"]
        self._lower, self._upper = float(entry["lower"]), float(entry["upper"])

    def batch(self, batch: Batch) -> None:
        """Multiply whole columns, and their parts."""
        scale = batch.columns[self._scale]
        for name, output in self._columns.items():
            values = batch.columns[name]
            kept = np.clip(values, self._lower, self._upper)
            batch.columns[output] = kept * scale
            sources = (*batch.sources.get(name, ()), *batch.sources.get(self._scale, ()))
            batch.sources[output] = tuple(dict.fromkeys(sources))
            if batch.explains:
                parts = dict(batch.parts_of(name))
                start = parts.pop(INTERCEPT, np.zeros(batch.rows))
                for source, part in batch.parts_of(self._scale).items():
                    batch.add_part(output, source, part * start)
                for source, part in parts.items():
                    batch.add_part(output, source, part * scale)
                batch.add_part(output, RANGE, (kept - values) * scale)

    def row(self, row: Row) -> None:
        """Multiply one row's values."""
        values, scale = row.values, row.values[self._scale]
        for name, output in self._columns.items():
            values[output] = min(max(values[name], self._lower), self._upper) * scale
