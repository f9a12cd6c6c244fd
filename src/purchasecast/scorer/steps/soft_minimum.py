"""A value bent toward the least purchase, as `purchasecast.numerics.soft_minimum` describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from purchasecast.numerics.soft_minimum import SoftMinimum as Bend

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
    bend : purchasecast.numerics.soft_minimum.SoftMinimum
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
        """Bend every value."""
        batch.hold(self._column, self._output, self._bend.values(batch.columns[self._column]))

    def row(self, row: Row) -> None:
        """Bend one value."""
        row.values[self._output] = self._bend.value(row.values[self._column])
