"""What every step has, and what a manifest's entries may refer to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from purchasecast.scorer.batch import Batch, KeyedLevels, Row

__all__ = ["Context", "Feature", "Step"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One or several elements of a feature vector.

    Attributes
    ----------
    column : str
        A derived column: a number, or a level index.
    size : int
        0 for a number; else the number of indicators that the index becomes. A larger index has none.
    """

    column: str
    size: int = 0

    @property
    def width(self) -> int:
        """Number of elements."""
        return self.size or 1


@dataclass(frozen=True, slots=True)
class Context:
    """What entries of a manifest refer to.

    Attributes
    ----------
    folder : Path
        The scorer's folder, for files of a step's own.
    levels : tuple of KeyedLevels
        Level tables, by number.
    vectors : mapping of str to tuple of Feature
        Feature vectors by name.
    """

    folder: Path
    levels: tuple[KeyedLevels, ...]
    vectors: Mapping[str, tuple[Feature, ...]]


class Step(Protocol):
    """An evaluator: reads derived columns, adds others, and leaves the rest alone."""

    def batch(self, batch: Batch) -> None:
        """Add the step's columns, and their parts where the batch explains."""

    def row(self, row: Row) -> None:
        """Add the step's values."""
