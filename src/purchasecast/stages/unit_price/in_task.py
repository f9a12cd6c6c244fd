"""Fit lines, unit prices and effects with NumPy, all rows in memory; runs on the executors.

What is fitted, and in which order, is that of `solver`, which takes it by passes of the cluster; a pass takes about a
second before it has read a row, and there are three dozen. The formulas are in `stage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_columns import read_levels, read_lists
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.unit_price.solver import LINE_VALUES, PRODUCT_VALUES, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    Floats = NDArray[np.float64]

__all__ = ["fit_in_task", "solve_unit_prices"]

START = "start"  # part that holds the line of all rows
MAX_VALUES = 9  # arrays that a row of an answer has; those that a part does not need are null
_VALUES = {"level": LINE_VALUES, "product": PRODUCT_VALUES, "attribute": ("effect",), "effect": ("effect", "rows")}


@dataclass(frozen=True, slots=True)
class _Key:
    """The levels of a column, or of two: a code for each row, -1 where a column is null."""

    codes: NDArray[np.intp]
    levels: tuple[pa.Array, ...]

    @property
    def size(self) -> int:
        return len(self.levels[0])

    def sums(self, used: NDArray[np.bool_], values: Floats) -> Floats:
        """Return the sum by level of the values of the rows that are used."""
        chosen = used & (self.codes >= 0)
        return np.bincount(self.codes[chosen], values[chosen], self.size).astype(np.float64)

    def extremes(self, used: NDArray[np.bool_], values: Floats) -> tuple[Floats, Floats]:
        """Return the least and the largest value by level; NaN where no row is used."""
        chosen = used & (self.codes >= 0)
        low, high = np.full(self.size, np.inf), np.full(self.size, -np.inf)
        np.minimum.at(low, self.codes[chosen], values[chosen])
        np.maximum.at(high, self.codes[chosen], values[chosen])
        return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)

    def of_rows(self, values: Floats, missing: float) -> Floats:
        """Return each row's value of its level, or `missing` where a column of the key is null."""
        return np.append(values, missing)[self.codes]


class _Rows:
    """The training rows: log quantity ``x`` and log amount ``y``, 0 where no fit may learn from the row."""

    def __init__(self, table: pa.Table, fits: int) -> None:
        self.table = table
        self.weight = table["w"].to_numpy()
        self.x, self.y = (np.nan_to_num(table[name].to_numpy(), nan=0.0) for name in ("x", "y"))
        self.time = table["t"].to_numpy().astype(np.float64)  # NaN where it is null
        residuals = read_lists(table["r"], fits)
        self.seen = ~np.isnan(residuals)
        self.residuals = np.where(self.seen, residuals, 0.0)  # a copy: Arrow's own memory is read-only
        self._read: dict[str, _Key] = {}

    def key(self, names: Sequence[str]) -> _Key:
        """Return the key of one or two columns."""
        first, *rest = [self._column(name) for name in names]
        if not rest:
            return first
        second = rest[0]
        known = (first.codes >= 0) & (second.codes >= 0)
        pairs = first.codes[known].astype(np.int64) * second.size + second.codes[known]
        found, places = np.unique(pairs, return_inverse=True)
        codes = np.full(len(known), -1, dtype=np.intp)
        codes[known] = places
        levels = (
            first.levels[0].take(pa.array(found // second.size)),
            second.levels[0].take(pa.array(found % second.size)),
        )
        return _Key(codes, levels)

    def _column(self, name: str) -> _Key:
        if name not in self._read:
            codes, levels = read_levels(self.table[name])
            self._read[name] = _Key(np.where(codes < len(levels), codes, -1), (levels,))
        return self._read[name]


def fit_in_task(
    rows: DataFrame, keys: dict[str, list[str]], shrinkages: Sequence[float], fits: int, constants: dict[str, float]
) -> tuple[list[dict[str, float]], dict[str, Table]]:
    """Fit everything in one task; return the line of all rows by fit, and the level tables by part.

    Parameters
    ----------
    rows : DataFrame
        The columns of keys, ``w``, ``t``, ``x``, ``y`` and ``r``, as `UnitPriceEncoder` names them.
    keys : dict of str to list of str
        Columns of each part, ``level_0`` .., ``product``, ``attribute_0`` .. and ``effect_0`` .., in this order.
    shrinkages : sequence of float
        Rows that each effect is shrunk by.
    fits : int
        Number of fits.
    constants : dict of str to float
        The shrinkages ``level``, ``slope``, ``product`` and ``attribute``; ``distance`` along a line; ``limit`` of the
        residuals of effects; ``prior_rows`` and ``prior_variance`` of the spread; ``half_life`` as a share of the time,
        and the shrinkage ``recent``, of recent prices.
    """
    work = partial(solve_unit_prices, keys=keys, shrinkages=shrinkages, fits=fits, constants=constants)
    lists = ", ".join(f"v_{v} array<double>" for v in range(MAX_VALUES))
    answers = map_in_tasks(rows.repartition(1), work, f"part string, level string, cross string, {lists}")
    answers = answers.localCheckpoint(eager=True)
    sizes = {row["part"]: row["count"] for row in answers.groupBy("part").count().collect()}
    found = answers.where(col("part") == START).collect()[0]
    start = [{name: float(found[f"v_{v}"][k] or 0.0) for v, name in enumerate(LINE_VALUES)} for k in range(fits)]
    types, tables = dict(rows.dtypes), {}
    for part, names in keys.items():
        columns = [col(key).cast(types[name]).alias(key) for key, name in zip(("level", "cross"), names, strict=False)]
        columns += [col(f"v_{v}").alias(name) for v, name in enumerate(_VALUES[part.partition("_")[0]])]
        tables[part] = Table(answers.where(col("part") == part).select(*columns), sizes.get(part, 0))
    return start, tables


def solve_unit_prices(
    batches: Iterator[pa.RecordBatch],
    *,
    keys: dict[str, list[str]],
    shrinkages: Sequence[float],
    fits: int,
    constants: dict[str, float],
) -> Iterator[pa.RecordBatch]:
    """Yield the line of all rows and every level table, each as one batch; see `fit_in_task`.

    Yields
    ------
    RecordBatch
        Name of the part, level and second level as text, and the values, each a list of one number a fit.
    """
    rows = _Rows(pa.Table.from_batches(batches), fits)
    everything = _Key(np.zeros(len(rows.x), dtype=np.intp), (pa.array([""]),))
    by_kind: dict[str, list[_Key]] = {"level": [], "product": [], "attribute": [], "effect": []}
    for part, names in keys.items():
        by_kind[part.partition("_")[0]].append(rows.key(names))
    yield _answer(START, everything, _take_line(rows, everything, constants, 0.0, slopes=not by_kind["level"]))
    for i, key in enumerate(by_kind["level"]):
        yield _answer(f"level_{i}", key, _take_line(rows, key, constants, constants["level"]))
    prices, counts = rows.residuals.copy(), np.ones_like(rows.residuals)
    for key in by_kind["product"]:
        values = _fit_product(rows, key, constants)
        yield _answer("product", key, values)
        known = key.codes >= 0
        for k in range(fits):
            own = key.of_rows(values[2][:, k], 0.0)
            prices[:, k] = np.where(known, rows.y - rows.x - own, prices[:, k])
            counts[:, k] = key.of_rows(values[0][:, k], 1.0)
    for i, key in enumerate(by_kind["attribute"]):
        yield _answer(f"attribute_{i}", key, [_fit_attribute(rows, key, counts, constants["attribute"])])
    rows.residuals = np.where(rows.seen, np.clip(prices, -constants["limit"], constants["limit"]), 0.0)
    for i, (key, shrinkage) in enumerate(zip(by_kind["effect"], shrinkages, strict=True)):
        yield _answer(f"effect_{i}", key, _take_effect(rows, key, shrinkage))


def _take_line(
    rows: _Rows, key: _Key, constants: dict[str, float], shrinkage: float, *, slopes: bool = True
) -> list[Floats]:
    """Fit the line of each level, take it off the residuals, and return its values."""
    values = [np.zeros((key.size, rows.residuals.shape[1])) for _ in LINE_VALUES]
    for k in range(rows.residuals.shape[1]):
        used, residual = rows.seen[:, k], rows.residuals[:, k]
        n = key.sums(used, rows.weight)
        with np.errstate(invalid="ignore", divide="ignore"):
            middle = key.sums(used, rows.weight * rows.x) / n
            height = np.where(n > 0, key.sums(used, rows.weight * residual) / (n + shrinkage), 0.0)
        slope = np.zeros(key.size)
        if slopes:
            away = np.where(used, rows.x - key.of_rows(np.nan_to_num(middle), 0.0), 0.0)
            spread = key.sums(used, rows.weight * away * away)
            slope = key.sums(used, rows.weight * away * residual) / (spread + constants["slope"])
        ranges = [*key.extremes(used, rows.y - rows.x), *key.extremes(used, rows.y)]
        for value, column in zip(values, [n, middle, height, slope, *ranges], strict=True):
            value[:, k] = column
        distance = np.clip(
            rows.x - key.of_rows(np.nan_to_num(middle), 0.0), -constants["distance"], constants["distance"]
        )
        rows.residuals[:, k] -= np.where(used, key.of_rows(height, 0.0) + key.of_rows(slope, 0.0) * distance, 0.0)
    return values


def _fit_product(rows: _Rows, key: _Key, constants: dict[str, float]) -> list[Floats]:
    """Return the values of each product: rows, log quantity, log price, spread, the range and the recent price."""
    values = [np.zeros((key.size, rows.residuals.shape[1])) for _ in PRODUCT_VALUES]
    price, shrinkage = rows.y - rows.x, constants["product"]
    for k in range(rows.residuals.shape[1]):
        used = rows.seen[:, k]
        n, sums = key.sums(used, rows.weight), key.sums(used, rows.weight * price)
        of_line = sums - key.sums(used, rows.weight * rows.residuals[:, k])
        with np.errstate(invalid="ignore", divide="ignore"):
            middle = key.sums(used, rows.weight * rows.x) / n
            log_price = np.where(n > 0, (sums + shrinkage * of_line / n) / (n + shrinkage), np.nan)
        away = np.where(used, price - key.of_rows(np.nan_to_num(log_price), 0.0), 0.0)
        squares = key.sums(used, rows.weight * away * away)
        prior = constants["prior_rows"]
        spread = np.sqrt((squares + prior * constants["prior_variance"]) / (n + prior))
        ranges = [*key.extremes(used, price), *key.extremes(used, rows.y)]
        weight = rows.weight * _recency(rows, used, constants["half_life"])
        recent = key.sums(used, weight * away) / (key.sums(used, weight) + constants["recent"])
        for value, column in zip(values, [n, middle, log_price, spread, *ranges, recent], strict=True):
            value[:, k] = column
    return values


def _recency(rows: _Rows, used: NDArray[np.bool_], half_life: float) -> Floats:
    """Return what each row counts in a recent price: 1 on the last day that is used, and a half before."""
    ever = rows.time[rows.seen[:, -1] & np.isfinite(rows.time)]
    last = rows.time[used & np.isfinite(rows.time)]
    if not len(ever) or np.ptp(ever) <= 0:
        return np.ones(len(rows.time))
    if not len(last):
        return np.zeros(len(rows.time))
    age = np.maximum(last.max() - rows.time, 0.0)  # what is not used may be later
    counts: Floats = np.nan_to_num(np.exp2(-age / (half_life * np.ptp(ever))))
    return counts


def _fit_attribute(rows: _Rows, key: _Key, counts: Floats, shrinkage: float) -> Floats:
    """Return the shrunken mean of what the line leaves, a row weighing one over the root of its product's rows."""
    effect = np.zeros((key.size, rows.residuals.shape[1]))
    for k in range(rows.residuals.shape[1]):
        used = rows.seen[:, k] & (counts[:, k] > 0)
        weight = np.where(used, rows.weight / np.sqrt(np.where(used, counts[:, k], 1.0)), 0.0)
        n = key.sums(used, weight)
        total = key.sums(used, weight * rows.residuals[:, k])
        effect[:, k] = np.divide(total, n + shrinkage, out=np.zeros(key.size), where=n > 0)
    return effect


def _take_effect(rows: _Rows, key: _Key, shrinkage: float) -> list[Floats]:
    """Fit the shrunken mean of the residuals, take it off them, and return it with the number of rows."""
    effect, counts = (np.zeros((key.size, rows.residuals.shape[1])) for _ in range(2))
    for k in range(rows.residuals.shape[1]):
        used = rows.seen[:, k]
        n = key.sums(used, rows.weight)
        total = key.sums(used, rows.weight * rows.residuals[:, k])
        effect[:, k] = np.divide(total, n + shrinkage, out=np.zeros(key.size), where=n > 0)
        counts[:, k] = n
        rows.residuals[:, k] -= np.where(used, key.of_rows(effect[:, k], 0.0), 0.0)
    return [effect, counts]


def _answer(part: str, key: _Key, values: list[Floats]) -> pa.RecordBatch:
    text: list[Any] = [level.cast(pa.string()) for level in key.levels]
    columns = {"part": pa.array([part] * key.size, pa.string()), "level": text[0]}
    columns["cross"] = text[1] if len(text) > 1 else pa.nulls(key.size, pa.string())
    for v in range(MAX_VALUES):
        columns[f"v_{v}"] = _lists(values[v]) if v < len(values) else pa.nulls(key.size, pa.list_(pa.float64()))
    return pa.RecordBatch.from_pydict(columns)


def _lists(values: Floats) -> pa.ListArray:
    """Return the rows of a matrix as lists of numbers, with null for NaN."""
    rows, width = values.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel(), from_pandas=True))
