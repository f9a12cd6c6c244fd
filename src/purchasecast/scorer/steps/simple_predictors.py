"""Mean, median and unit price of the product: `purchasecast.stages.SimplePredictorsModel` without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.batch import Batch, Row, Source
    from purchasecast.scorer.steps.base import Context

__all__ = ["SimplePredictors"]

_UNIT_PRICE = "unit_price"


class SimplePredictors:
    """Look up the product's values; the unit price is multiplied by the quantity."""

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        self._levels: int | None = entry["levels"]
        self._outputs: dict[str, str] = dict(entry["outputs"])
        self._quantity: str = entry["quantity"]
        self._source: Source = ()
        if self._levels is None:
            self._values = {name: np.array([float(entry["overall"][name])]) for name in self._outputs}
        else:
            keyed = context.levels[self._levels]
            self._source = keyed.columns
            self._values = {name: keyed.table.numbers(f"simple {name}") for name in self._outputs}

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
