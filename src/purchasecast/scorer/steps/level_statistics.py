"""Statistics of the target by level: `purchasecast.stages.LevelStatisticsModel` without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["LevelStatistics"]

_MIDDLE = 0.5  # the rank of who buys neither dear nor cheap variants


@dataclass(frozen=True, slots=True)
class _Output:
    """One output: a statistic of a level or, where a pair is unseen, of its first column's level."""

    name: str
    levels: int
    source: tuple[str, ...]
    values: NDArray[np.float64]
    parent: int | None
    parent_values: NDArray[np.float64]
    lifts: bool


class LevelStatistics:
    """Looks statistics up.

    Parameters
    ----------
    outputs : sequence of _Output
        What is looked up where.
    scale : str
        Column of the spread that lifts are made with.
    """

    def __init__(self, outputs: list[_Output], scale: str) -> None:
        self._outputs = outputs
        self._scale = scale

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        """Build the step from its entry."""
        outputs = []
        for output in entry["outputs"]:
            lifts = output["name"] == "lift"
            stored = f"statistics {'rank' if lifts else output['name']}"
            keyed, parent = context.levels[output["levels"]], output["parent"]
            outputs.append(
                _Output(
                    name=output["output"],
                    levels=output["levels"],
                    source=keyed.columns,
                    values=keyed.table.numbers(stored),
                    parent=parent,
                    parent_values=np.zeros(1) if parent is None else context.levels[parent].table.numbers(stored),
                    lifts=lifts,
                )
            )
        return cls(outputs, entry["scale"])

    def batch(self, batch: Batch) -> None:
        """Look every row up in every table."""
        for output in self._outputs:
            positions = batch.positions(output.levels)
            made, source = output.values[positions], output.source
            if output.parent is not None:
                unseen = positions == len(output.values) - 1
                made[unseen] = output.parent_values[batch.positions(output.parent)[unseen]]
            if output.lifts:
                made = (made - _MIDDLE) * batch.columns[self._scale]
                source = tuple(dict.fromkeys((*source, *batch.sources[self._scale])))
            batch.columns[output.name] = made
            batch.sources[output.name] = source

    def row(self, row: Row) -> None:
        """Look one row up in every table."""
        values = row.values
        for output in self._outputs:
            position = row.position(output.levels)
            if output.parent is not None and position == len(output.values) - 1:
                made = output.parent_values.item(row.position(output.parent))
            else:
                made = output.values.item(position)
            values[output.name] = (made - _MIDDLE) * values[self._scale] if output.lifts else made
