"""A value bent toward the least purchase, as `purchasecast._soft_minimum` describes it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

from purchasecast._soft_minimum import SoftMinimum as Bend
from purchasecast.scorer.batch import RANGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["SoftMinimum"]


class SoftMinimum:
    """Bends a column toward a minimum.

    Parameters
    ----------
    column, output : str
        Columns to read and to write.
    bend : purchasecast._soft_minimum.SoftMinimum
        Minimum, origin and width.
    """

    def __init__(self, column: str, output: str, bend: Bend) -> None:
        self._column, self._output, self._bend = column, output, bend

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:  # noqa: ARG003  every kind takes it
        """Build the step from its entry."""
        numbers = (float(entry[name]) for name in ("minimum", "origin", "width"))
        return cls(entry["input"], entry["output"], Bend(*numbers))

    def batch(self, batch: Batch) -> None:
        """Bend every value; what that adds is a part of its own."""
        value = batch.columns[self._column]
        bent = self._bend.values(value)
        batch.columns[self._output] = bent
        if batch.explains:
            for source, part in batch.parts_of(self._column).items():
                batch.add_part(self._output, source, part)
            batch.add_part(self._output, RANGE, bent - value)

    def row(self, row: Row) -> None:
        """Bend one value."""
        bend = self._bend
        step = (row.values[self._column] - bend.origin) / bend.width
        row.values[self._output] = bend.minimum + bend.width * (max(step, 0.0) + math.log1p(math.exp(-abs(step))))
