"""Fit lines, unit prices and effects by sums over the rows: one pass a key, all fits together.

The formulas are in `stage`. Every frame of rows has ``r``, an array of the residuals of all fits: null where a fit must
not see the row, so that sums pass over it. A level that no fit may learn from still has a row in its table, with 0
rows: tables of other stages that are exported beside it may know it.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import functions as sf

from purchasecast.spark.columns import col
from purchasecast.stages.base import broadcast_if_small

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame

__all__ = [
    "LINE_VALUES",
    "MAX_LOG_DISTANCE",
    "PRODUCT_VALUES",
    "RECENT_SHRINKAGE",
    "SPREAD_PRIOR",
    "Table",
    "along_line",
    "fit_attribute",
    "fit_effect",
    "fit_line",
    "fit_product",
    "line_of_all",
    "looked_up",
    "quantity_bin",
    "recency",
    "without_effect",
    "without_line",
    "without_price",
]

MAX_LOG_DISTANCE = 4.0  # a slope is followed so far from the level's usual log quantity, and no further
SPREAD_PRIOR = (2.0, 0.04)  # rows and variance that the spread of a product's log unit price is shrunk by
_RANGE = ("low_price", "high_price", "low_amount", "high_amount")
LINE_VALUES = ("rows", "log_quantity", "height", "slope", *_RANGE)
PRODUCT_VALUES = ("rows", "log_quantity", "log_price", "spread", *_RANGE, "recent")
RECENT_SHRINKAGE = 0.2  # rows of today that a recent price is shrunk by toward the price of all time


class Table(NamedTuple):
    """A level table: ``level`` (and ``cross``), and an array of every value, one element a fit; its number of rows."""

    frame: DataFrame
    size: int


def quantity_bin(log_quantity: Column) -> Column:
    """Return the quantity in steps of a factor of the square root of e: 1, 2, 3, 4-5, 6-9, ..."""
    return sf.floor(2.0 * log_quantity + 0.5).cast("int")


def along_line(x: Column, height: Column, slope: Column, middle: Column) -> Column:
    """Return what a line adds at a log quantity; nothing where its level is unknown."""
    distance = sf.greatest(sf.least(x - middle, sf.lit(MAX_LOG_DISTANCE)), sf.lit(-MAX_LOG_DISTANCE))
    return sf.coalesce(height + slope * distance, sf.lit(0.0))


def line_of_all(rows: DataFrame, fits: int, *, slope_shrinkage: float | None) -> list[dict[str, float]]:
    """Fit the line of all rows, by fit; flat without `slope_shrinkage`. A fit without rows has zeros."""
    summed = rows.agg(*_line_sums(fits))
    by_fit = _line_values(fits, 0.0, slope_shrinkage)
    found = summed.select(*[value.alias(name) for name, value in by_fit.items()]).collect()[0]  # one row
    return [{name: float(found[name][k] or 0.0) for name in LINE_VALUES} for k in range(fits)]


def recency(rows: DataFrame, fits: int, *, half_life: float) -> list[Column]:
    """Return what a row counts in the recent price of each fit: 1 on the last day that it may see, a half before.

    The half-life is a share of the time that all rows take; a row without a time counts nothing.
    """
    latest = [sf.max(sf.when(_residual(k).isNotNull(), col("t"))).alias(f"t_{k}") for k in range(fits)]
    found = rows.agg(*latest, sf.min(sf.when(_residual(fits - 1).isNotNull(), col("t"))).alias("first")).collect()[0]
    span = (found[f"t_{fits - 1}"] or 0.0) - (found["first"] or 0.0)
    if span <= 0:
        return [sf.lit(1.0)] * fits
    ages = [sf.lit(float(found[f"t_{k}"] or 0.0)) - col("t") for k in range(fits)]
    return [sf.coalesce(sf.exp(age * (-math.log(2.0) / (half_life * span))), sf.lit(0.0)) for age in ages]


def fit_line(rows: DataFrame, key: str, fits: int, *, shrinkage: float, slope_shrinkage: float) -> Table:
    """Fit the line of each level of a column on the residuals, and the range that its rows show."""
    grouped = rows.where(col(key).isNotNull()).groupBy(col(key).alias("level")).agg(*_line_sums(fits))
    return _table(grouped, ["level"], _line_values(fits, shrinkage, slope_shrinkage))


def fit_product(rows: DataFrame, key: str, fits: int, recencies: Sequence[Column], *, shrinkage: float) -> Table:
    """Fit the log unit price of each product, shrunk to what the line says at its quantities, and the recent one."""
    price, sums = col("y") - col("x"), _line_sums(fits)
    for k in range(fits):
        weight = sf.when(_residual(k).isNotNull(), col("w"))
        sums.append(sf.sum(weight * price).alias(f"su_{k}"))
        sums.append(sf.sum(weight * price * price).alias(f"suu_{k}"))
        sums.append(sf.sum(weight * recencies[k]).alias(f"nd_{k}"))
        sums.append(sf.sum(weight * recencies[k] * price).alias(f"sud_{k}"))
    grouped = rows.where(col(key).isNotNull()).groupBy(col(key).alias("level")).agg(*sums)
    values = _line_values(fits, 0.0, None)
    prior_rows, prior_variance = SPREAD_PRIOR
    prices, spreads, recent = [], [], []
    for k in range(fits):
        n, su, sr, suu = (col(f"{name}_{k}") for name in ("n", "su", "sr", "suu"))
        u = sf.when(n > 0, (su + shrinkage * (su - sr) / n) / (n + shrinkage))
        squares = sf.greatest(suu - 2 * u * su + n * u * u, sf.lit(0.0))
        prices.append(u)
        spreads.append(sf.sqrt((squares + prior_rows * prior_variance) / (n + prior_rows)))
        recent.append((col(f"sud_{k}") - u * col(f"nd_{k}")) / (col(f"nd_{k}") + RECENT_SHRINKAGE))
    values |= {"log_price": sf.array(*prices), "spread": sf.array(*spreads), "recent": sf.array(*recent)}
    return _table(grouped, ["level"], {name: values[name] for name in PRODUCT_VALUES})


def fit_effect(rows: DataFrame, keys: Sequence[str], fits: int, *, shrinkage: float) -> Table:
    """Fit the shrunken mean of the residuals ``r`` of each level of a key, and count its rows."""
    sums = []
    for k in range(fits):
        weight = sf.when(_residual(k).isNotNull(), col("w"))
        sums.append(sf.coalesce(sf.sum(weight), sf.lit(0.0)).alias(f"n_{k}"))
        sums.append(sf.sum(weight * _residual(k)).alias(f"s_{k}"))
    names = _key_names(keys)
    grouped = _known(rows, keys).groupBy(*[col(key).alias(name) for key, name in names.items()]).agg(*sums)
    effects = [_shrunken(col(f"s_{k}"), col(f"n_{k}"), shrinkage) for k in range(fits)]
    counts = [col(f"n_{k}") for k in range(fits)]
    return _table(grouped, list(names.values()), {"effect": sf.array(*effects), "rows": sf.array(*counts)})


def fit_attribute(rows: DataFrame, keys: Sequence[str], fits: int, *, shrinkage: float) -> Table:
    """Fit the shrunken mean of what the line leaves, ``l``, by a key.

    A row weighs one over the root of its product's rows, ``pn``: an attribute is to tell of products not seen, and a
    product of many rows must not own it.
    """
    sums = []
    for k in range(fits):
        residual, count = sf.get("l", sf.lit(k)), sf.get("pn", sf.lit(k))
        weight = sf.when(residual.isNotNull() & (count > 0), col("w") / sf.sqrt(count))
        sums.append(sf.coalesce(sf.sum(weight), sf.lit(0.0)).alias(f"n_{k}"))
        sums.append(sf.sum(weight * residual).alias(f"s_{k}"))
    names = _key_names(keys)
    grouped = _known(rows, keys).groupBy(*[col(key).alias(name) for key, name in names.items()]).agg(*sums)
    effects = [_shrunken(col(f"s_{k}"), col(f"n_{k}"), shrinkage) for k in range(fits)]
    return _table(grouped, list(names.values()), {"effect": sf.array(*effects)})


def looked_up(rows: DataFrame, table: Table, keys: Sequence[str], values: Mapping[str, Column], tag: str) -> DataFrame:
    """Join a table to the rows by `keys`: its `values`, columns of the table, named ``_pc_{tag}_{name}``."""
    names = _key_names(keys)
    named = {**{name: col(name) for name in names.values()}, **values}
    renamed = table.frame.select(*[value.alias(f"_pc_{tag}_{name}") for name, value in named.items()])
    on = functools.reduce(operator.and_, [col(key) == col(f"_pc_{tag}_{name}") for key, name in names.items()])
    return rows.join(broadcast_if_small(renamed, table.size, _numbers_a_row(renamed)), on, "left")


def without_line(rows: DataFrame, table: Table, key: str, fits: int) -> DataFrame:
    """Return the rows with what a level's line adds taken off their residuals."""
    kept = [col(name) for name in rows.columns if name != "r"]
    values = {name: col(name) for name in ("log_quantity", "height", "slope")}
    joined = looked_up(rows, table, [key], values, "t")
    of = [[sf.get(f"_pc_t_{name}", sf.lit(k)) for name in ("height", "slope", "log_quantity")] for k in range(fits)]
    left = [_residual(k) - along_line(col("x"), *of[k]) for k in range(fits)]
    return joined.select(*kept, sf.array(*left).alias("r"))


def without_effect(rows: DataFrame, table: Table, keys: Sequence[str], fits: int) -> DataFrame:
    """Return the rows with an effect taken off their residuals."""
    kept = [col(name) for name in rows.columns if name != "r"]
    joined = looked_up(rows, table, keys, {"effect": col("effect")}, "t")
    of = [sf.coalesce(sf.get("_pc_t_effect", sf.lit(k)), sf.lit(0.0)) for k in range(fits)]
    return joined.select(*kept, sf.array(*[_residual(k) - of[k] for k in range(fits)]).alias("r"))


def without_price(rows: DataFrame, table: Table | None, key: str, fits: int, *, limit: float) -> DataFrame:
    """Return the rows with the residuals of the log unit price, within `limit`, for the effects.

    What the line leaves goes on as ``l``, and the rows of the row's product as ``pn``. A row without a product has the
    line's residual.
    """
    kept = [col(name) for name in rows.columns if name not in {"r", "t", "x", "y"}]
    by_fit = range(fits)
    if table is None:
        joined, prices, counts = rows, [_residual(k) for k in by_fit], [sf.lit(1.0) for _ in by_fit]
    else:
        values = {name: col(name) for name in ("rows", "log_price")}
        joined = looked_up(rows, table, [key], values, "t")
        price = [col("y") - col("x") - sf.get("_pc_t_log_price", sf.lit(k)) for k in by_fit]
        prices = [sf.coalesce(price[k], _residual(k)) for k in by_fit]
        counts = [sf.coalesce(sf.get("_pc_t_rows", sf.lit(k)), sf.lit(1.0)) for k in by_fit]
    bound = sf.lit(limit)
    clipped = [sf.when(_residual(k).isNotNull(), sf.greatest(sf.least(prices[k], bound), -bound)) for k in by_fit]
    made = {"l": col("r"), "pn": sf.array(*counts), "r": sf.array(*clipped)}
    return joined.select(*kept, *[value.alias(name) for name, value in made.items()])


def _numbers_a_row(table: DataFrame) -> int:
    """Return how many numbers a row of a table holds, an array counting as eight."""
    return sum(8 if kind.startswith("array") else 1 for _, kind in table.dtypes)


def _residual(k: int) -> Column:
    return sf.get("r", sf.lit(k))


def _key_names(keys: Sequence[str]) -> dict[str, str]:
    return dict(zip(keys, ("level", "cross"), strict=False))


def _known(rows: DataFrame, keys: Sequence[str]) -> DataFrame:
    for key in keys:
        rows = rows.where(col(key).isNotNull())
    return rows


def _shrunken(total: Column, weight: Column, shrinkage: float) -> Column:
    return sf.when(weight > 0, total / (weight + shrinkage)).otherwise(0.0)


def _line_sums(fits: int) -> list[Column]:
    """Return the sums that a line is made of, and the range of the rows, of every fit."""
    x, y = col("x"), col("y")
    sums = []
    for k in range(fits):
        r = _residual(k)
        seen = r.isNotNull()
        weight = sf.when(seen, col("w"))
        named = {
            "n": sf.coalesce(sf.sum(weight), sf.lit(0.0)),
            "sx": sf.sum(weight * x),
            "sxx": sf.sum(weight * x * x),
            "sr": sf.sum(weight * r),
            "sxr": sf.sum(weight * x * r),
            "low_price": sf.min(sf.when(seen, y - x)),
            "high_price": sf.max(sf.when(seen, y - x)),
            "low_amount": sf.min(sf.when(seen, y)),
            "high_amount": sf.max(sf.when(seen, y)),
        }
        sums += [value.alias(f"{name}_{k}") for name, value in named.items()]
    return sums


def _line_values(fits: int, shrinkage: float, slope_shrinkage: float | None) -> dict[str, Column]:
    """Return a line's values, each an array by fit, from its sums."""
    by_name: dict[str, list[Column]] = {name: [] for name in LINE_VALUES}
    for k in range(fits):
        n, sx, sxx, sr, sxr = (col(f"{name}_{k}") for name in ("n", "sx", "sxx", "sr", "sxr"))
        middle = sf.when(n > 0, sx / n)
        by_name["rows"].append(n)
        by_name["log_quantity"].append(middle)
        by_name["height"].append(_shrunken(sr, n, shrinkage))
        if slope_shrinkage is None:
            slope = sf.lit(0.0)
        else:
            spread = sf.greatest(sxx - sx * middle, sf.lit(0.0))  # rounding could take it below 0
            slope = sf.coalesce((sxr - middle * sr) / (spread + slope_shrinkage), sf.lit(0.0))
        by_name["slope"].append(slope)
        for name in _RANGE:
            by_name[name].append(col(f"{name}_{k}"))
    return {name: sf.array(*values) for name, values in by_name.items()}


def _table(grouped: DataFrame, keys: Sequence[str], values: dict[str, Column]) -> Table:
    """Fill a level table: later passes and the model read it without a pass over the rows."""
    frame = grouped.select(*keys, *[value.alias(name) for name, value in values.items()]).localCheckpoint(eager=True)
    return Table(frame, frame.count())
