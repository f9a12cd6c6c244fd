"""Shrunken effects of customers, products and other groups: `purchasecast.stages.CrossedEffectsModel` without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.scorer.batch import INTERCEPT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["CrossedEffects"]


@dataclass(frozen=True, slots=True)
class _Group:
    """One group: its level table, its effects and training rows, and the columns for both."""

    levels: int
    source: tuple[str, ...]
    effects: NDArray[np.float64]
    rows: NDArray[np.float64]
    output: str
    count: str


class CrossedEffects:
    """Adds up a baseline, which attributes predict, and the effects of groups."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        self._baseline, self._fitted = entry["baseline"], entry["fitted"]
        self._groups = []
        for group in entry["groups"]:
            levels = context.levels[group["levels"]]
            effects, rows = levels.table.numbers(group["effect"]), levels.table.numbers(group["rows"])
            self._groups.append(_Group(group["levels"], levels.columns, effects, rows, group["output"], group["count"]))
        attributes = entry["attributes"]
        self._intercept = float(attributes["intercept"])
        self._slopes = {column: float(slope) for column, slope in attributes["slopes"].items()}
        # Effects by level index, as an array for batches and as a tuple for rows; the last is for an unseen level.
        self._attributes = [
            (column, np.array([*effects, 0.0]), (*map(float, effects), 0.0))
            for column, effects in attributes["levels"].items()
        ]

    def batch(self, batch: Batch) -> None:
        """Look up many rows in every group."""
        terms = {
            column: effects[np.minimum(batch.columns[column], len(effects) - 1)]
            for column, effects, _ in self._attributes
        }
        terms |= {column: slope * np.nan_to_num(batch.columns[column]) for column, slope in self._slopes.items()}
        baseline = sum(terms.values(), np.full(batch.rows, self._intercept))
        fitted = baseline
        for group in self._groups:
            positions = batch.positions(group.levels)
            effect = group.effects[positions]
            batch.add_column(group.output, effect, group.source)
            if group.count:
                batch.add_column(group.count, group.rows[positions], group.source)
            fitted = fitted + effect  # not +=, which would change the baseline, too
        batch.add_column(self._baseline, baseline)
        batch.add_column(self._fitted, fitted)
        if batch.explains:
            for name in (self._baseline, self._fitted):
                batch.add_part(name, INTERCEPT, np.full(batch.rows, self._intercept))
                for column, term in terms.items():
                    batch.add_part(name, batch.sources[column], term)
            for group in self._groups:
                batch.add_part(self._fitted, group.source, batch.columns[group.output])

    def row(self, row: Row) -> None:
        """Look up one row in every group."""
        values = row.values
        total = self._intercept
        for column, _, effects in self._attributes:
            index = values[column]
            total += effects[index] if index < len(effects) else 0.0
        for column, slope in self._slopes.items():
            number = values[column]
            total += slope * number if number == number else 0.0  # noqa: PLR0124  NaN adds nothing
        values[self._baseline] = total
        for group in self._groups:
            position = row.position(group.levels)
            effect = group.effects.item(position)
            values[group.output] = effect
            if group.count:
                values[group.count] = group.rows.item(position)
            total += effect
        values[self._fitted] = total
