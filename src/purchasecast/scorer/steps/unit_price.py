"""Quantity times unit price, and what it is made of: `purchasecast.stages.UnitPriceModel` without Spark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from purchasecast.scorer.batch import INTERCEPT, RANGE
from purchasecast.scorer.inputs import Encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer.batch import Batch, Row, Source
    from purchasecast.scorer.steps.base import Context

    Floats = NDArray[np.float64]

__all__ = ["UnitPrice"]

_MAX_LOG_DISTANCE = 4.0  # as in purchasecast.stages.unit_price
_MARGIN = math.log(2.0)
_SHOWN = ("low_amount", "low_price", "high_amount", "high_price")


@dataclass(frozen=True, slots=True)
class _Table:
    """A level table and its values by name; the last of each is that of unseen levels."""

    levels: int
    source: Source
    values: dict[str, Floats]

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any], context: Context) -> Self:
        keyed = context.levels[entry["levels"]]
        values = {name: keyed.table.numbers(column) for name, column in entry["values"].items()}
        return cls(entry["levels"], keyed.columns, values)


class UnitPrice:
    """Looks up lines, unit prices and effects.

    Notes
    -----
    The amount is a product, so its parts are taken on the log scale, around the mean of the log amount: what a product
    usually costs is the product's part, what the quantity differs from the product's usual one is the quantity's; of an
    unseen product the heights of the lines are the levels' parts and the slopes the quantity's. They are stretched by
    one factor a row, the slope of the chord, and sum to the amount (see `Retransform`).
    """

    def __init__(self, entry: Mapping[str, Any], context: Context) -> None:
        self._start = {name: float(value) for name, value in entry["start"].items()}
        self._quantity: str = entry["quantity"]
        self._bin: str = entry["bin"]
        self._outputs: dict[str, str] = dict(entry["outputs"])
        self._levels, self._effects, self._attributes = [
            [_Table.from_manifest(table, context) for table in entry[name]]
            for name in ("levels", "effects", "attributes")
        ]
        self._product = _Table.from_manifest(entry["product"], context) if entry["product"] else None
        self._finest = [*([self._product] if self._product else []), *reversed(self._levels)]

    def batch(self, batch: Batch) -> None:
        """Look every row up in every table."""
        quantity = batch.columns[self._quantity] if self._quantity else np.ones(batch.rows)
        is_positive = (quantity > 0) & (quantity < np.inf)
        usual = self._of_finest(batch, "log_quantity")
        x = np.where(is_positive, np.log(np.where(is_positive, quantity, 1.0)), usual)
        parts = self._line_parts(batch, x)
        line = np.sum(list(parts.values()), axis=0)
        made = {"line": line, "log_quantity": x}
        for i, table in enumerate(self._levels):
            made[f"rows_{i}"] = np.log1p(table.values["rows"][batch.positions(table.levels)])
        log_amount = line
        if self._product:
            positions = batch.positions(self._product.levels)
            of = {name: values[positions] for name, values in self._product.values.items()}
            price = of["log_price"]
            log_amount = np.where(np.isnan(price), line, price + x)
            made["line_excess"], made["newness"] = line - log_amount, 1.0 / (1.0 + of["rows"])
            made["log_quantity_excess"] = np.nan_to_num(x - of["log_quantity"])
            made["rows_product"], made["spread"] = np.log1p(of["rows"]), of["spread"]
            made["low"] = np.nan_to_num(of["low_price"] - price)
            made["high"] = np.nan_to_num(of["high_price"] - price)
            if "recent" in self._outputs:
                made["recent"] = of["recent"]
        low_amount, low_price, high_amount, high_price = [self._of_finest(batch, name) for name in _SHOWN]
        low = np.minimum(low_amount, low_price + x) - _MARGIN
        high = np.maximum(high_amount, high_price + x) + _MARGIN
        held = np.maximum(np.minimum(log_amount, high), low)
        made["amount"] = np.where(quantity <= 0, 0.0, np.exp(held))
        made |= self._effects_of(batch, x)
        batch.columns |= {self._outputs[kind]: values for kind, values in made.items()}
        self._name_sources(batch)
        if batch.explains:
            self._explain(batch, parts, x, held - log_amount, quantity <= 0)

    def _of_finest(self, batch: Batch, name: str) -> Floats:
        """Return what the finest known level of every row has."""
        found = np.full(batch.rows, np.nan)
        for table in self._finest:
            found = np.where(np.isnan(found), table.values[name][batch.positions(table.levels)], found)
        return np.where(np.isnan(found), self._start[name], found)

    def _quantity_source(self, batch: Batch) -> Source:
        return batch.sources[self._quantity] if self._quantity else INTERCEPT

    def _line_parts(self, batch: Batch, x: Floats) -> dict[Source, Floats]:
        """Return the parts of the line: the heights by level, and the slopes as the quantity's."""
        parts: dict[Source, Floats] = {INTERCEPT: np.full(batch.rows, self._start["height"])}
        limit = _MAX_LOG_DISTANCE
        slopes = self._start["slope"] * np.clip(x - self._start["log_quantity"], -limit, limit)
        for table in self._levels:
            positions = batch.positions(table.levels)
            height, slope, middle = [table.values[name][positions] for name in ("height", "slope", "log_quantity")]
            parts[table.source] = parts.get(table.source, 0.0) + height
            slopes = slopes + np.nan_to_num(slope * np.clip(x - middle, -limit, limit))
        source = self._quantity_source(batch)
        parts[source] = parts.get(source, 0.0) + slopes
        return parts

    def _effects_of(self, batch: Batch, x: Floats) -> dict[str, Floats]:
        made = {}
        steps, codes = np.unique(np.floor(2.0 * x + 0.5).astype(np.int64), return_inverse=True)
        batch.inputs[self._bin] = Encoded(codes, [str(step) for step in steps.tolist()])
        for i, table in enumerate(self._effects):
            positions = batch.positions(table.levels)
            made[f"effect_{i}"] = table.values["effect"][positions]
            made[f"effect_rows_{i}"] = np.log1p(table.values["rows"][positions])
        for i, table in enumerate(self._attributes):
            made[f"attribute_{i}"] = table.values["effect"][batch.positions(table.levels)]
        return made

    def _name_sources(self, batch: Batch) -> None:
        """Name the columns of the schema that each output comes from."""
        quantity = self._quantity_source(batch)
        product = self._product.source if self._product else INTERCEPT
        sources = {"log_quantity": quantity, "log_quantity_excess": (*product, *quantity)}
        sources |= dict.fromkeys(("rows_product", "spread", "low", "high", "recent", "newness"), product)
        levels = [column for table in self._levels for column in table.source]
        sources["line_excess"] = tuple(dict.fromkeys((*product, *levels, *quantity)))
        sources |= {f"rows_{i}": table.source for i, table in enumerate(self._levels)}
        for name, tables in (
            ("effect", self._effects),
            ("effect_rows", self._effects),
            ("attribute", self._attributes),
        ):
            for i, table in enumerate(tables):
                parts = [quantity if column == self._bin else (column,) for column in table.source]
                sources[f"{name}_{i}"] = tuple(dict.fromkeys(column for part in parts for column in part))
        batch.sources |= {self._outputs[kind]: source for kind, source in sources.items() if kind in self._outputs}

    def _explain(
        self, batch: Batch, line: dict[Source, Floats], x: Floats, held: Floats, is_nothing: NDArray[np.bool_]
    ) -> None:
        for source, part in line.items():
            batch.add_part(self._outputs["line"], source, part)
        start, quantity = self._start["height"], self._quantity_source(batch)
        parts = {source: part - (start if source == INTERCEPT else 0.0) for source, part in line.items()}
        if self._product:
            positions = batch.positions(self._product.levels)
            price = self._product.values["log_price"][positions]
            usual = self._product.values["log_quantity"][positions]
            seen = ~np.isnan(price)
            parts = {source: np.where(seen, 0.0, part) for source, part in parts.items()}
            parts[quantity] = np.where(seen, x - usual, parts[quantity])
            source = self._product.source
            parts[source] = parts.get(source, 0.0) + np.where(seen, price + usual - start, 0.0)
        parts[RANGE] = held
        way = np.sum(list(parts.values()), axis=0)
        base = math.exp(start)
        slope = base * np.divide(np.expm1(way), way, out=np.ones(batch.rows), where=way != 0)
        amount = self._outputs["amount"]
        batch.add_part(amount, INTERCEPT, np.full(batch.rows, base))
        for source, part in parts.items():
            batch.add_part(amount, source, np.where(is_nothing, 0.0, part * slope))
        batch.add_part(amount, quantity, np.where(is_nothing, -base, 0.0))

    def row(self, row: Row) -> None:
        """Look one row up in every table."""
        values, outputs = row.values, self._outputs
        quantity = values[self._quantity] if self._quantity else 1.0
        x = math.log(quantity) if 0 < quantity < math.inf else self._finest_of_row(row, "log_quantity")
        line = _along(x, self._start["height"], self._start["slope"], self._start["log_quantity"])
        for i, table in enumerate(self._levels):
            of, position = table.values, row.position(table.levels)
            line += _along(x, *[of[name].item(position) for name in ("height", "slope", "log_quantity")])
            values[outputs[f"rows_{i}"]] = math.log1p(of["rows"].item(position))
        values[outputs["line"]], values[outputs["log_quantity"]] = line, x
        log_amount = line
        if self._product:
            position = row.position(self._product.levels)
            product = {name: array.item(position) for name, array in self._product.values.items()}
            is_seen = not math.isnan(product["log_price"])
            log_amount = product["log_price"] + x if is_seen else line
            values[outputs["line_excess"]] = line - log_amount
            values[outputs["newness"]] = 1.0 / (1.0 + product["rows"])
            values[outputs["log_quantity_excess"]] = x - product["log_quantity"] if is_seen else 0.0
            values[outputs["rows_product"]] = math.log1p(product["rows"])
            values[outputs["spread"]] = product["spread"]
            for name in ("low", "high"):
                values[outputs[name]] = product[f"{name}_price"] - product["log_price"] if is_seen else 0.0
            if "recent" in outputs:
                values[outputs["recent"]] = product["recent"]
        low_amount, low_price, high_amount, high_price = [self._finest_of_row(row, name) for name in _SHOWN]
        low, high = min(low_amount, low_price + x) - _MARGIN, max(high_amount, high_price + x) + _MARGIN
        values[outputs["amount"]] = 0.0 if quantity <= 0 else math.exp(max(min(log_amount, high), low))
        values[self._bin] = str(math.floor(2.0 * x + 0.5))
        for i, table in enumerate(self._effects):
            position = row.position(table.levels)
            values[outputs[f"effect_{i}"]] = table.values["effect"].item(position)
            values[outputs[f"effect_rows_{i}"]] = math.log1p(table.values["rows"].item(position))
        for i, table in enumerate(self._attributes):
            values[outputs[f"attribute_{i}"]] = table.values["effect"].item(row.position(table.levels))

    def _finest_of_row(self, row: Row, name: str) -> float:
        for table in self._finest:
            value: float = table.values[name].item(row.position(table.levels))
            if not math.isnan(value):
                return value
        return self._start[name]


def _along(x: float, height: float, slope: float, middle: float) -> float:
    """Return what a line adds at a log quantity; nothing where its level is unknown."""
    if math.isnan(middle):
        return 0.0
    return height + slope * max(min(x - middle, _MAX_LOG_DISTANCE), -_MAX_LOG_DISTANCE)
