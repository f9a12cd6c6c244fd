"""Rows on their way through the steps: inputs, derived columns, and positions in the level tables.

There are two forms. `Batch` holds arrays. `Row` holds plain Python values, because a call of NumPy takes a hundred
times as long as an addition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.scorer.inputs import Encoded
from purchasecast.scorer.levels import PAIR_SEPARATOR, LevelTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from purchasecast.scorer.parsing import Value

__all__ = ["INTERCEPT", "RANGE", "Batch", "KeyedLevels", "Row", "Source"]

Source = tuple[str, ...]  # the columns of the schema that a part of a prediction comes from
INTERCEPT: Source = ()
RANGE: Source = ("",)  # what limiting a prediction to its allowed range adds


@dataclass(frozen=True, slots=True)
class KeyedLevels:
    """A level table, and the columns whose values make its keys."""

    columns: tuple[str, ...]
    table: LevelTable


@dataclass(slots=True)
class Batch:
    """Many rows."""

    rows: int
    inputs: dict[str, Encoded | NDArray[np.float64]]  # columns of the schema, and texts that steps make of them
    levels: tuple[KeyedLevels, ...]
    explains: bool = False  # whether steps keep the parts of the sums they compute
    lists_amounts: bool = False  # whether to list the steps that amounts may stand on
    amounts: pa.ListArray | None = None  # these lists
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)  # derived: numbers or level indices
    sources: dict[str, Source] = field(default_factory=dict)  # of derived columns that are a single term
    parts: dict[str, dict[Source, NDArray[np.float64]]] = field(
        default_factory=dict
    )  # of derived columns that are sums
    _positions: dict[int, NDArray[np.intp]] = field(default_factory=dict)

    def encoded(self, name: str) -> Encoded:
        """Return an input as distinct values and codes."""
        column = self.inputs[name]
        if isinstance(column, Encoded):
            return column
        # Numbers have no codes until a step asks for them: they may all be distinct.
        values, codes = np.unique(column, return_inverse=True)
        return Encoded(codes, [None if np.isnan(value) else float(value) for value in values])

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return an input as numbers, NaN for null."""
        column = self.inputs[name]
        return column.numbers() if isinstance(column, Encoded) else column

    def positions(self, k: int) -> NDArray[np.intp]:
        """Return the position of every row in a level table; looked up once a batch."""
        if k not in self._positions:
            first, *others = [self.encoded(name) for name in self.levels[k].columns]
            table, firsts = self.levels[k].table, _texts(first)
            if others:
                self._positions[k] = table.find_pairs(firsts, first.codes, _texts(others[0]), others[0].codes)
            else:
                self._positions[k] = table.find_all(firsts)[first.codes]
        return self._positions[k]

    def add_column(self, name: str, values: NDArray[Any], source: Source | None = None) -> None:
        """Add a derived column; with a source if it is a single term."""
        self.columns[name] = values
        if source is not None:
            self.sources[name] = source

    def add_part(self, name: str, source: Source, values: NDArray[np.float64]) -> None:
        """Add to the part of a derived column that comes from a source."""
        parts = self.parts.setdefault(name, {})
        parts[source] = parts[source] + values if source in parts else values

    def parts_of(self, name: str) -> dict[Source, NDArray[np.float64]]:
        """Return the parts of a derived column; a single term is its own part."""
        return self.parts.get(name) or {self.sources.get(name, INTERCEPT): self.columns[name]}

    def add_held(self, name: str, output: str, values: NDArray[np.float64]) -> None:
        """Add a column that is another one, held to a range; the difference becomes a part of its own."""
        self.columns[output] = values
        if self.explains:
            for source, part in self.parts_of(name).items():
                self.add_part(output, source, part)
            self.add_part(output, RANGE, values - self.columns[name])


class Row:
    """One row: parsed inputs by column of the schema, to which steps add what they derive."""

    __slots__ = ("_levels", "_positions", "values")

    def __init__(self, values: dict[str, Any], levels: tuple[KeyedLevels, ...]) -> None:
        self.values = values
        self._levels = levels
        self._positions: list[int | None] = [None] * len(levels)

    def position(self, k: int) -> int:
        """Return the position of the row in a level table; looked up once."""
        position = self._positions[k]
        if position is None:  # several steps look the same customer up
            columns, table = self._levels[k].columns, self._levels[k].table
            position = table.find(self.values[columns[0]] if len(columns) == 1 else _key(self.values, columns))
            self._positions[k] = position
        return position


def _key(values: Mapping[str, Value], columns: tuple[str, ...]) -> str | None:
    parts = [values[name] for name in columns]
    return None if None in parts else PAIR_SEPARATOR.join(map(str, parts))


def _texts(column: Encoded) -> list[str | None]:
    return [None if value is None else str(value) for value in column.values]
