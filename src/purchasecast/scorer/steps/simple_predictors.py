"""Mean, median and unit price of the product: `purchasecast.stages.SimplePredictorsModel` without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row, Source
    from purchasecast.scorer.steps.base import Context

__all__ = ["SimplePredictors"]

_UNIT_PRICE = "unit_price"


class SimplePredictors:
    """Look up the product's values; the unit price is multiplied by the quantity.

    Parameters
    ----------
    levels : int or None
        Table of products; None where the values are those of all rows.
    source : tuple of str
        Columns of the product's key.
    values : dict of str to ndarray
        Values by statistic, of each product and, last, of unseen ones.
    outputs : dict of str to str
        Column to add by statistic.
    quantity : str
        Column of the quantity; empty where each row counts as one.
    """

    def __init__(
        self,
        levels: int | None,
        source: Source,
        values: dict[str, NDArray[np.float64]],
        outputs: dict[str, str],
        quantity: str,
    ) -> None:
        self._levels, self._source, self._values = levels, source, values
        self._outputs, self._quantity = outputs, quantity

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        """Build the step from its entry."""
        number, outputs = entry["levels"], dict(entry["outputs"])
        if number is None:
            values = {name: np.array([float(entry["overall"][name])]) for name in outputs}
            return cls(None, (), values, outputs, entry["quantity"])
        keyed = context.levels[number]
        values = {name: keyed.table.numbers(f"simple {name}") for name in outputs}
        return cls(number, keyed.columns, values, outputs, entry["quantity"])

    def batch(self, batch: Batch) -> None:
        """Look every row up."""
        positions = np.zeros(batch.rows, np.intp) if self._levels is None else batch.positions(self._levels)
        for name, output in self._outputs.items():
            batch.columns[output] = self._values[name][positions]
            batch.sources[output] = self._source
        if self._quantity:
            output = self._outputs[_UNIT_PRICE]
            batch.columns[output] = batch.columns[output] * batch.columns[self._quantity]
            batch.sources[output] = tuple(dict.fromkeys((*self._source, *batch.sources[self._quantity])))

    def row(self, row: Row) -> None:
        """Look one row up."""
        position = 0 if self._levels is None else row.position(self._levels)
        for name, output in self._outputs.items():
            row.values[output] = self._values[name].item(position)
        if self._quantity:
            row.values[self._outputs[_UNIT_PRICE]] *= row.values[self._quantity]
