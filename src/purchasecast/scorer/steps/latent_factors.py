"""The interaction of customer and product: `purchasecast.stages.LatentFactorModel` without Spark."""

from __future__ import annotations

from operator import mul
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row
    from purchasecast.scorer.steps.base import Context

__all__ = ["LatentFactors"]

_ROWS_AT_ONCE = 16_384  # factors of so many rows stay in the processor's cache


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
        self._user, self._item = entry["user"], entry["item"]
        users, items = context.levels[self._user], context.levels[self._item]
        self._users = users.table.numbers(entry["user_factors"])
        self._items = items.table.numbers(entry["item_factors"])
        self._scales = items.table.numbers(entry["item_scale"])
        self._source = (*users.columns, *items.columns)
        self._user_source, self._item_source = users.columns, items.columns
        self._output = entry["output"]
        self._scale_output = entry["scale"]
        self._user_prefix, self._item_prefix = entry["user_outputs"], entry["item_outputs"]

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        """Build the step from its entry."""
        return cls(entry, context)

    def batch(self, batch: Batch) -> None:
        """Multiply a block of rows at a time; single-precision factors are multiplied in double precision."""
        users, items = batch.positions(self._user), batch.positions(self._item)
        made = np.empty(batch.rows)
        for start in range(0, batch.rows, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            left = self._users[users[part]].astype(np.float64)
            made[part] = np.einsum("ij,ij->i", left, self._items[items[part]].astype(np.float64))
        made *= self._scales[items]  # factors of an unseen level are 0, so its scale does not matter here
        batch.columns[self._output] = made
        batch.sources[self._output] = self._source
        if self._scale_output:
            batch.columns[self._scale_output] = self._scales[items]
            batch.sources[self._scale_output] = self._item_source
        outputs = (
            (self._user_prefix, self._users, users, self._user_source),
            (self._item_prefix, self._items, items, self._item_source),
        )
        for prefix, factors, positions, source in outputs:
            if prefix:
                chosen = factors[positions].astype(np.float64)
                for f in range(chosen.shape[1]):
                    batch.columns[f"{prefix}_{f}"] = chosen[:, f]
                    batch.sources[f"{prefix}_{f}"] = source

    def row(self, row: Row) -> None:
        """Multiply in plain Python."""
        user, item = row.position(self._user), row.position(self._item)
        left, right = self._users[user].tolist(), self._items[item].tolist()
        scale = self._scales.item(item)
        row.values[self._output] = sum(map(mul, left, right)) * scale
        if self._scale_output:
            row.values[self._scale_output] = scale
        for prefix, factors in ((self._user_prefix, left), (self._item_prefix, right)):
            if prefix:
                row.values.update({f"{prefix}_{f}": factor for f, factor in enumerate(factors)})
