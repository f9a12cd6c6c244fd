"""The interaction of customer and product: `purchasecast.stages.LatentFactorModel` without Spark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import add, mul
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["LatentFactors"]

_ROWS_AT_ONCE = 16_384  # factors of so many rows stay in the processor's cache


class _Means:
    """What attributes say: a constant, and a contribution of each level; the last, 0, is that of indices beyond."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._constant: list[float] = list(map(float, entry["constant"]))
        nothing = [0.0] * len(self._constant)
        self._plain = [(column, [*levels, nothing]) for column, levels in entry["levels"].items()]
        self._tables = [(column, np.array(levels, dtype=np.float64)) for column, levels in self._plain]

    def batch(self, batch: Batch, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Add up the contributions of some rows."""
        total = np.tile(np.array(self._constant), (len(rows), 1))
        for column, table in self._tables:
            total += table[np.minimum(batch.columns[column][rows], len(table) - 1)]
        return total

    def row(self, row: Row) -> list[float]:
        """Add up the contributions of one row."""
        total = self._constant
        for column, levels in self._plain:
            total = list(map(add, total, levels[min(row.values[column], len(levels) - 1)]))
        return total


@dataclass(frozen=True, slots=True)
class _Side:
    """Customers or products: where their factors are, and what stands for those of a level that has none."""

    levels: int
    source: tuple[str, ...]
    factors: NDArray[np.float64]
    rated: bytes
    unrated: NDArray[np.bool_]
    means: _Means
    prefix: str

    @classmethod
    def of(cls, entry: Mapping[str, Any], context: Context, name: str) -> Self:
        levels = context.levels[entry[name]]
        rated = levels.table.numbers(entry["rated"]) > 0
        return cls(
            levels=entry[name],
            source=levels.columns,
            factors=levels.table.numbers(entry["factors"]),
            rated=rated.astype(np.uint8).tobytes(),
            unrated=~rated,
            means=_Means(entry[f"{name}_means"]),
            prefix=entry[f"{name}_outputs"],
        )

    @property
    def rank(self) -> int:
        """Number of factors."""
        return int(self.factors.shape[1])

    def of_batch(self, batch: Batch, part: slice) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
        """Return the factors of a block of rows, the rows whose level has none, and what attributes say of these."""
        positions = batch.positions(self.levels)[part]
        factors = self.factors[positions].astype(np.float64)  # single precision is multiplied in double
        without = np.flatnonzero(self.unrated[positions])
        expected = self.means.batch(batch, without + part.start)
        factors[without] = expected[:, : self.rank]
        return factors, without, expected


class LatentFactors:
    """Multiplies the factors of a customer and of a product.

    Parameters
    ----------
    entry : mapping
        The manifest's entry.
    context : Context
        The tables it refers to.
    """

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        self._user, self._item = _Side.of(entry, context, "user"), _Side.of(entry, context, "item")
        self._scales = context.levels[entry["item"]].table.numbers(entry["item_scale"])
        self._output = entry["output"]
        self._scale_output = entry["scale"]

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        """Build the step from its entry."""
        return cls(entry, context)

    def batch(self, batch: Batch) -> None:
        """Multiply a block of rows at a time."""
        made = np.empty(batch.rows)
        scales = self._scales[batch.positions(self._item.levels)]
        outputs = [(side, np.empty((batch.rows, side.rank))) for side in (self._user, self._item) if side.prefix]
        for start in range(0, batch.rows, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, batch.rows))
            left, _, _ = self._user.of_batch(batch, part)
            right, new, expected = self._item.of_batch(batch, part)
            made[part] = np.einsum("ij,ij->i", left, right)
            scales[new + start] = np.exp(expected[:, -1])
            for side, factors in outputs:
                factors[part] = left if side is self._user else right
        batch.columns[self._output] = made * scales
        batch.sources[self._output] = (*self._user.source, *self._item.source)
        if self._scale_output:
            batch.columns[self._scale_output] = scales
            batch.sources[self._scale_output] = self._item.source
        for side, factors in outputs:
            for f in range(side.rank):
                batch.columns[f"{side.prefix}_{f}"] = factors[:, f]
                batch.sources[f"{side.prefix}_{f}"] = side.source

    def row(self, row: Row) -> None:
        """Multiply in plain Python."""
        user, item = row.position(self._user.levels), row.position(self._item.levels)
        left = self._user.factors[user].tolist() if self._user.rated[user] else self._user.means.row(row)
        if self._item.rated[item]:
            right, scale = self._item.factors[item].tolist(), self._scales.item(item)
        else:
            *right, log_scale = self._item.means.row(row)
            scale = math.exp(log_scale)
        row.values[self._output] = sum(map(mul, left, right)) * scale
        if self._scale_output:
            row.values[self._scale_output] = scale
        for prefix, factors in ((self._user.prefix, left), (self._item.prefix, right)):
            if prefix:
                row.values.update({f"{prefix}_{f}": factor for f, factor in enumerate(factors)})
