"""The interaction of customer and product: `purchasecast.stages.LatentFactorModel` without Spark."""

from __future__ import annotations

import math
from operator import add, mul
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["LatentFactors"]

_BLOCK_ROWS = 16_384  # whose factors fit into the processor's cache


class _Means:
    """Predicts factors from attributes: a constant plus one list of numbers for each level, and from patterns."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        self._constant: list[float] = list(map(float, entry["constant"]))
        unseen = [0.0] * len(self._constant)  # adds nothing
        lists = {column: [*levels, unseen] for column, levels in entry["levels"].items()}
        self._levels = [(column, np.array(rows, dtype=np.float64), rows) for column, rows in lists.items()]
        # Only levels without factors have a pattern here; often there is none.
        self._patterns: int | None = entry.get("patterns")
        self._by_pattern = np.zeros((1, len(self._constant)))
        if self._patterns is not None:
            patterns = context.levels[self._patterns].table.numbers("pattern")
            self._by_pattern = patterns @ np.array(entry["vector"], dtype=np.float64)

    def batch(self, batch: Batch, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Predict the factors of some rows."""
        total = np.tile(np.array(self._constant), (len(rows), 1))
        for column, table, _ in self._levels:
            total += table[np.minimum(batch.columns[column][rows], len(table) - 1)]
        if self._patterns is not None:
            total += self._by_pattern[batch.positions(self._patterns)[rows]]
        return total

    def row(self, row: Row) -> list[float]:
        """Predict the factors of one row."""
        total = self._constant
        for column, _, lists in self._levels:
            total = list(map(add, total, lists[min(row.values[column], len(lists) - 1)]))
        if self._patterns is not None:
            total = list(map(add, total, self._by_pattern[row.position(self._patterns)].tolist()))
        return total


class _Side:
    """The customers or the products: their factors, and the prediction for those that have none."""

    def __init__(self, entry: Mapping[str, Any], context: Context, name: str) -> None:
        keyed = context.levels[entry[name]]
        self.levels: int = entry[name]
        self.source = keyed.columns
        self.factors = keyed.table.numbers(entry["factors"])
        self.rank = int(self.factors.shape[1])
        has_factors = keyed.table.numbers(entry["rated"]) > 0
        self.rated = has_factors.astype(np.uint8).tobytes()  # bytes are indexed in a third of an array's time
        self.unrated = ~has_factors
        self.means = _Means(entry[f"{name}_means"], context)
        self.prefix: str = entry[f"{name}_outputs"]

    def of_block(self, batch: Batch, part: slice) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
        """Return the factors of a block of rows, the rows of it that have none, and what is predicted for these."""
        positions = batch.positions(self.levels)[part]
        factors = self.factors[positions].astype(np.float64)  # stored in single precision, multiplied in double
        without = np.flatnonzero(self.unrated[positions])
        predicted = self.means.batch(batch, without + part.start)
        factors[without] = predicted[:, : self.rank]
        return factors, without, predicted


class LatentFactors:
    """Multiplies the factors of a customer with those of a product, and with the scale of the product."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        self._user, self._item = _Side(entry, context, "user"), _Side(entry, context, "item")
        self._scales = context.levels[entry["item"]].table.numbers(entry["item_scale"])
        self._output, self._scale_output = entry["output"], entry["scale"]

    def batch(self, batch: Batch) -> None:
        """Multiply a block of rows at a time."""
        products = np.empty(batch.rows)
        scales = self._scales[batch.positions(self._item.levels)]
        outputs = [(side, np.empty((batch.rows, side.rank))) for side in (self._user, self._item) if side.prefix]
        for start in range(0, batch.rows, _BLOCK_ROWS):
            part = slice(start, min(start + _BLOCK_ROWS, batch.rows))
            left, _, _ = self._user.of_block(batch, part)
            right, new, predicted = self._item.of_block(batch, part)
            products[part] = np.einsum("ij,ij->i", left, right)
            scales[new + start] = np.exp(predicted[:, -1])  # the last number is the logarithm of the scale
            for side, factors in outputs:
                factors[part] = left if side is self._user else right
        batch.add_column(self._output, products * scales, (*self._user.source, *self._item.source))
        if self._scale_output:
            batch.add_column(self._scale_output, scales, self._item.source)
        for side, factors in outputs:
            for f in range(side.rank):
                batch.add_column(f"{side.prefix}_{f}", factors[:, f], side.source)

    def row(self, row: Row) -> None:
        """Multiply the factors of one row in plain Python."""
        user, item = row.position(self._user.levels), row.position(self._item.levels)
        # With a dozen factors, lists and map() are faster than NumPy.
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
