"""Shrunken effects of customers, products and other groups: `purchasecast.stages.CrossedEffectsModel` without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

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
    """One group: its table, and where its effect and its training rows go."""

    levels: int
    source: tuple[str, ...]
    effects: NDArray[np.float64]
    rows: NDArray[np.float64]
    output: str
    count: str


@dataclass(frozen=True, slots=True)
class _Attribute:
    """Effects of an attribute by index; the last one, 0, is that of indices beyond."""

    column: str
    effects: NDArray[np.float64]
    plain: tuple[float, ...]


class CrossedEffects:
    """Adds up a baseline of the attributes and the effects of the groups.

    Parameters
    ----------
    groups : sequence of _Group
        The groups.
    attributes : sequence of _Attribute
        Attributes of the baseline.
    slopes : mapping of str to float
        Numeric columns of the baseline.
    intercept : float
        The baseline's constant.
    outputs : tuple of str
        Columns for the baseline and for baseline plus effects.
    """

    def __init__(
        self,
        groups: list[_Group],
        attributes: list[_Attribute],
        slopes: dict[str, float],
        intercept: float,
        outputs: tuple[str, str],
    ) -> None:
        self._groups = groups
        self._attributes = attributes
        self._slopes = slopes
        self._intercept = intercept
        self._baseline, self._fitted = outputs

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        """Build the step from its entry."""
        groups = []
        for group in entry["groups"]:
            levels = context.levels[group["levels"]]
            groups.append(
                _Group(
                    levels=group["levels"],
                    source=levels.columns,
                    effects=levels.table.numbers(group["effect"]),
                    rows=levels.table.numbers(group["rows"]),
                    output=group["output"],
                    count=group["count"],
                )
            )
        attributes = [
            _Attribute(column, np.array([*effects, 0.0]), (*map(float, effects), 0.0))
            for column, effects in entry["attributes"]["levels"].items()
        ]
        slopes = {column: float(slope) for column, slope in entry["attributes"]["slopes"].items()}
        outputs = (entry["baseline"], entry["fitted"])
        return cls(groups, attributes, slopes, float(entry["attributes"]["intercept"]), outputs)

    def batch(self, batch: Batch) -> None:
        """Look every row up in every group."""
        terms = {}
        for attribute in self._attributes:
            index = np.minimum(batch.columns[attribute.column], len(attribute.plain) - 1)
            terms[attribute.column] = attribute.effects[index]
        terms |= {column: slope * np.nan_to_num(batch.columns[column]) for column, slope in self._slopes.items()}
        baseline = sum(terms.values(), np.full(batch.rows, self._intercept))
        fitted = baseline
        for group in self._groups:
            positions = batch.positions(group.levels)
            effect = group.effects[positions]
            batch.columns[group.output] = effect
            batch.sources[group.output] = group.source
            if group.count:
                batch.columns[group.count] = group.rows[positions]
                batch.sources[group.count] = group.source
            fitted = fitted + effect
        batch.columns[self._baseline], batch.columns[self._fitted] = baseline, fitted
        if batch.explains:
            self._explain(batch, terms)

    def row(self, row: Row) -> None:
        """Look one row up in every group."""
        values = row.values
        total = self._intercept
        for attribute in self._attributes:
            index = values[attribute.column]
            effects = attribute.plain
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

    def _explain(self, batch: Batch, terms: Mapping[str, NDArray[np.float64]]) -> None:
        for name in (self._baseline, self._fitted):
            batch.add_part(name, INTERCEPT, np.full(batch.rows, self._intercept))
            for column, term in terms.items():
                batch.add_part(name, batch.sources[column], term)
        for group in self._groups:
            batch.add_part(self._fitted, group.source, batch.columns[group.output])
