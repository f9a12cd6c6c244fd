"""What every step has, and what the entries of ``scorer.json`` may refer to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.files import SealedFiles
    from purchasecast.scorer.batch import Batch, KeyedLevels, Row

__all__ = ["Context", "Feature", "Step"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One or several elements of a feature vector."""

    column: str  # derived: a number or a level index
    size: int = 0  # 0 for a number, otherwise how many indicators the index becomes; a larger index has none

    @property
    def width(self) -> int:
        """Number of elements."""
        return self.size or 1


@dataclass(frozen=True, slots=True)
class Context:
    """What the entries refer to."""

    files: SealedFiles  # of the scorer; steps may have some of their own
    levels: tuple[KeyedLevels, ...]
    vectors: Mapping[str, tuple[Feature, ...]]


class Step(Protocol):
    """Reads derived columns and adds others.

    Parameters
    ----------
    entry : mapping
        The step's entry in ``scorer.json``; docs/reference/portable-format.md describes each kind.
    context : Context
        Tables, vectors and files that the entry refers to.
    """

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None: ...

    def batch(self, batch: Batch) -> None:
        """Add the columns of many rows, and the parts they are made of if the batch explains."""

    def row(self, row: Row) -> None:
        """Add the values of one row."""
