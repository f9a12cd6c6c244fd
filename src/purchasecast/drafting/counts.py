"""Counts of the values of every column: what the pass over the whole file leaves; no Spark here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ColumnCounts", "Storage"]

Storage = Literal["text", "integer", "number", "date", "timestamp", "boolean", "nested"]


@dataclass(frozen=True, slots=True)
class ColumnCounts:
    """Count the values of one column of the whole table.

    Parameters
    ----------
    name : str
        The column's name; empty where the header has none.
    storage : {"text", "integer", "number", "date", "timestamp", "boolean", "nested"}
        How the source keeps the values; a CSV file keeps text.
    rows : int
        Rows of the table.
    empty : int
        Rows without a value.
    distinct : int
        Different values.
    integers : int
        Rows with a whole number, such as ``12``, ``-3`` or ``12.0``.
    padded : int
        Rows with a whole number that begins with zeros, such as ``0012``.
    numbers : int
        Rows with a number, whole ones included.
    with_comma, with_point : int
        Rows with a number as people write it, with a decimal comma (``1.234,50``) and with a point (``$1,234.50``),
        beyond `numbers`.
    negatives, zeros : int
        Rows with a number below 0, and with 0.
    minimum, maximum : float, optional
        Of the numbers.
    mean_length : float
        Mean number of characters.
    spaced : int
        Rows with a blank inside the value.
    words : dict of str to int
        Rows by word that stands for an empty value in many systems (``NULL``, ``NA``, ``?``).
    levels : dict of str to int
        Rows by value: of all values where `complete`, else of a sample of them and of the most frequent ones.
    complete : bool
        Whether `levels` holds every value.
    """

    name: str
    storage: Storage
    rows: int
    empty: int
    distinct: int
    integers: int = 0
    padded: int = 0
    numbers: int = 0
    with_comma: int = 0
    with_point: int = 0
    negatives: int = 0
    zeros: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean_length: float = 0.0
    spaced: int = 0
    words: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    complete: bool = False

    @property
    def filled(self) -> int:
        """Rows with a value."""
        return self.rows - self.empty

    @property
    def rows_per_level(self) -> float:
        """Mean number of rows a value."""
        return self.filled / self.distinct if self.distinct else 0.0

    def numbers_by(self, decimal: str | None) -> int:
        """Return the rows with a number, by the decimal sign of written ones; plain numbers alone without it."""
        return self.numbers + {",": self.with_comma, ".": self.with_point}.get(decimal or "", 0)
