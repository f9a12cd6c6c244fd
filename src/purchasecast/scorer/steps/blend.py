"""A weighted sum of the members' predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["Blend"]


class Blend:
    """Adds up weighted columns.

    Parameters
    ----------
    members : mapping of str to float
        Weight by column.
    output : str
        Column for the sum.
    """

    def __init__(self, members: Mapping[str, float], output: str) -> None:
        self._members = {name: float(weight) for name, weight in members.items()}
        self._output = output

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:  # noqa: ARG003  every kind takes it
        """Build the step from its entry."""
        return cls(entry["members"], entry["output"])

    def batch(self, batch: Batch) -> None:
        """Add up whole columns, and their parts."""
        total = np.zeros(batch.rows)
        for name, weight in self._members.items():
            total += weight * batch.columns[name]
            if batch.explains:
                for source, part in batch.parts_of(name).items():
                    batch.add_part(self._output, source, weight * part)
        batch.columns[self._output] = total

    def row(self, row: Row) -> None:
        """Add up one row's values."""
        row.values[self._output] = sum(weight * row.values[name] for name, weight in self._members.items())
