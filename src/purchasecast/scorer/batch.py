"""Rows on their way through the steps: the inputs, the columns derived so far, and where each row stands in the tables.

Two forms of the same thing: `Batch` holds arrays, `Row` holds plain Python values, because NumPy's cost a call is a
hundred times that of an addition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.scorer.inputs import Encoded
from purchasecast.scorer.levels import PAIR_SEPARATOR, LevelTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.parsing import Value

__all__ = ["INTERCEPT", "RANGE", "Batch", "KeyedLevels", "Row", "Source"]

Source = tuple[str, ...]  # the schema's columns that a part of a prediction comes from
INTERCEPT: Source = ()
RANGE: Source = ("",)  # what holding a prediction to its allowed range adds


@dataclass(frozen=True, slots=True)
class KeyedLevels:
    """A level table and the columns whose values make its key."""

    columns: tuple[str, ...]
    table: LevelTable


@dataclass(slots=True)
class Batch:
    """Many rows.

    Attributes
    ----------
    rows : int
        Number of rows.
    inputs : dict of str to Encoded or ndarray
        Columns of the schema, and texts that steps made of them.
    levels : tuple of KeyedLevels
        Tables that steps look rows up in.
    explains : bool
        Whether steps keep the parts of what they add up.
    columns : dict of str to ndarray
        What the steps have derived: numbers, or level indices.
    sources : dict of str to Source
        Columns of the schema that a derived column comes from, where it is one term.
    parts : dict of str to dict of Source to ndarray
        Additive parts of a derived column, where it is a sum.
    """

    rows: int
    inputs: dict[str, Encoded | NDArray[np.float64]]
    levels: tuple[KeyedLevels, ...]
    explains: bool = False
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    parts: dict[str, dict[Source, NDArray[np.float64]]] = field(default_factory=dict)
    _positions: dict[int, NDArray[np.intp]] = field(default_factory=dict)

    def encoded(self, name: str) -> Encoded:
        """Return an input as distinct values and codes."""
        column = self.inputs[name]
        if isinstance(column, Encoded):
            return column
        values, codes = np.unique(column, return_inverse=True)
        return Encoded(codes, [None if np.isnan(value) else float(value) for value in values])

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return an input as numbers, NaN for null."""
        column = self.inputs[name]
        return column.numbers() if isinstance(column, Encoded) else column

    def positions(self, k: int) -> NDArray[np.intp]:
        """Return every row's position in a level table; looked up once a batch."""
        if k not in self._positions:
            first, *others = [self.encoded(name) for name in self.levels[k].columns]
            table, firsts = self.levels[k].table, _texts(first)
            if others:
                self._positions[k] = table.find_pairs(firsts, first.codes, _texts(others[0]), others[0].codes)
            else:
                self._positions[k] = table.find_all(firsts)[first.codes]
        return self._positions[k]

    def add_part(self, name: str, source: Source, values: NDArray[np.float64]) -> None:
        """Note a part of a derived column."""
        parts = self.parts.setdefault(name, {})
        parts[source] = parts[source] + values if source in parts else values

    def parts_of(self, name: str) -> dict[Source, NDArray[np.float64]]:
        """Return the parts of a derived column; a single term is its own part."""
        return self.parts.get(name) or {self.sources.get(name, INTERCEPT): self.columns[name]}

    def hold(self, name: str, output: str, values: NDArray[np.float64]) -> None:
        """Add a derived column that another one was held to a range for; the difference is a part of its own."""
        self.columns[output] = values
        if self.explains:
            for source, part in self.parts_of(name).items():
                self.add_part(output, source, part)
            self.add_part(output, RANGE, values - self.columns[name])


class Row:
    """One row.

    Parameters
    ----------
    values : dict of str to object
        Canonical inputs by column of the schema; steps add what they derive.
    levels : tuple of KeyedLevels
        Tables that steps look the row up in.
    """

    __slots__ = ("_levels", "_positions", "values")

    def __init__(self, values: dict[str, Any], levels: tuple[KeyedLevels, ...]) -> None:
        self.values = values
        self._levels = levels
        self._positions: list[int | None] = [None] * len(levels)

    def position(self, k: int) -> int:
        """Return the row's position in a level table; looked up once."""
        position = self._positions[k]
        if position is None:
            columns, table = self._levels[k].columns, self._levels[k].table
            position = table.find(self.values[columns[0]] if len(columns) == 1 else _key(self.values, columns))
            self._positions[k] = position
        return position


def _key(values: Mapping[str, Value], columns: tuple[str, ...]) -> str | None:
    parts = [values[name] for name in columns]
    return None if None in parts else PAIR_SEPARATOR.join(map(str, parts))


def _texts(column: Encoded) -> list[str | None]:
    return [None if value is None else str(value) for value in column.values]
