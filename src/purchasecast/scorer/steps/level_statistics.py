"""Statistics of the target by level: `purchasecast.stages.LevelStatisticsModel` without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["LevelStatistics"]

_MIDDLE = 0.5  # the rank of a customer who buys neither expensive nor cheap variants
_NONE = np.zeros(1)


@dataclass(frozen=True, slots=True)
class _Output:
    """One output: a statistic of a level; for an unseen pair of levels, that of its first level (the parent)."""

    name: str
    levels: int
    source: tuple[str, ...]
    values: NDArray[np.float64]
    parent: int | None
    parent_values: NDArray[np.float64]
    is_lift: bool


class LevelStatistics:
    """Looks up statistics in level tables; a lift is a rank that is multiplied by a spread."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        self._scale = entry["scale"]
        self._outputs = []
        for output in entry["outputs"]:
            is_lift = output["name"] == "lift"
            stored = f"statistics {'rank' if is_lift else output['name']}"
            keyed, parent = context.levels[output["levels"]], output["parent"]
            self._outputs.append(
                _Output(
                    name=output["output"],
                    levels=output["levels"],
                    source=keyed.columns,
                    values=keyed.table.numbers(stored),
                    parent=parent,
                    parent_values=_NONE if parent is None else context.levels[parent].table.numbers(stored),
                    is_lift=is_lift,
                )
            )

    def batch(self, batch: Batch) -> None:
        """Look up whole columns."""
        for output in self._outputs:
            positions = batch.positions(output.levels)
            result, source = output.values[positions], output.source
            if output.parent is not None:
                # The last position is that of unseen pairs.
                unseen = positions == len(output.values) - 1
                result[unseen] = output.parent_values[batch.positions(output.parent)[unseen]]
            if output.is_lift:
                result = (result - _MIDDLE) * batch.columns[self._scale]
                source = tuple(dict.fromkeys((*source, *batch.sources[self._scale])))
            batch.add_column(output.name, result, source)

    def row(self, row: Row) -> None:
        """Look up one row."""
        values = row.values
        for output in self._outputs:
            position = row.position(output.levels)
            if output.parent is not None and position == len(output.values) - 1:
                result = output.parent_values.item(row.position(output.parent))
            else:
                result = output.values.item(position)
            values[output.name] = (result - _MIDDLE) * values[self._scale] if output.is_lift else result
