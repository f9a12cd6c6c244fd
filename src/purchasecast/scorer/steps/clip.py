"""The last step of a recipe: a value held to the range that the schema allows a purchase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Clip"]


class Clip:
    """Holds a column to a minimum.

    Parameters
    ----------
    column, output : str
        Columns to read and to write.
    minimum : float
        The least value; minus infinity for none.
    """

    def __init__(self, column: str, output: str, minimum: float) -> None:
        self._column, self._output, self._minimum = column, output, minimum

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:  # noqa: ARG003  every kind takes it
        """Build the step from its entry."""
        minimum = entry.get("minimum")
        return cls(entry["input"], entry["output"], float("-inf") if minimum is None else float(minimum))

    def batch(self, batch: Batch) -> None:
        """Hold every value."""
        batch.hold(self._column, self._output, np.maximum(batch.columns[self._column], self._minimum))

    def row(self, row: Row) -> None:
        """Hold one value."""
        value = row.values[self._column]
        row.values[self._output] = max(value, self._minimum)
