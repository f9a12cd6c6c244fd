"""The pass of Spark behind a profile, and the exchange after it, down to sums that fit on the driver.

The pass finds every column's distribution: rows by value of each number and of the target, and the levels of each text
by their totals. It also packs the rows by buckets of customers. With the means, ranks and bins that follow from the
distributions, the packed rows of each bucket come together and are summed by level, by pair of levels and by tenth of
the file. Neither depends on the order or the partitions of the rows; what the driver receives does not grow with rows,
customers or products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.profiling.distribution import ValueCounts
from purchasecast.profiling.level_sums import LEVEL_SCHEMA, SUM_NAMES, Layout, level_sums
from purchasecast.profiling.value_sums import (
    BY_LEVEL,
    BY_ROWS,
    BY_TOTAL,
    BY_VALUE,
    PARTS,
    REDUCED_SCHEMA,
    TARGET,
    TENTH,
    VALUE_SCHEMA,
    reduce_levels,
    value_sums,
)
from purchasecast.schema.reserved_columns import POSITION
from purchasecast.spark.columns import quoted
from purchasecast.spark.shipping import map_in_tasks

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from purchasecast.profiling.distribution import Floats
    from purchasecast.schema import Column, Schema

__all__ = [
    "NULL_LEVELS",
    "ColumnPlan",
    "Distributions",
    "LevelDistribution",
    "collect_distributions",
    "collect_levels",
    "fold_rows",
    "make_layout",
    "read_distributions",
]


#: What stands for a null among the levels, by its meaning in the schema.
NULL_LEVELS = {"level": "(none)", "unknown": "(unknown)", "forbidden": "(none)"}

_MOST_BLOCKS = 20_000
_LEAST_BUCKETS, _BUCKET_ROWS = 4, 500_000
_MOST_SINGLE_VALUES = 20  # a number of at most so many values has a bin for each


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """Which columns are read as text and which as numbers.

    Attributes
    ----------
    texts : tuple of Column
        Customer, product, nominal, ordinal and date columns.
    numbers : tuple of Column
        Numeric features.
    customer : str or None
        The column whose values are the clusters.
    block_bits : int
        Places in the file are told apart by blocks of 2 to the power of it.
    buckets : int
        Into how many parts the customers are told; one is in the memory of a task at a time.
    by_year : tuple of str
        Date columns read by year; the others by month.
    """

    texts: tuple[Column, ...]
    numbers: tuple[Column, ...]
    customer: str | None
    block_bits: int
    buckets: int
    by_year: tuple[str, ...] = ()

    @classmethod
    def of(cls, schema: Schema, rows: int) -> ColumnPlan:
        """Return the plan for `rows` rows: all columns but the target, the weight and those that only name rows."""
        read = [column for column in schema.columns if column.role in {None, "customer", "product", "time"}]
        return cls(
            texts=tuple(column for column in read if column.kind != "numeric"),
            numbers=tuple(column for column in read if column.kind == "numeric"),
            customer=schema.customer,
            block_bits=max(0, math.ceil(math.log2(max(rows, 1) / _MOST_BLOCKS))),
            buckets=max(_LEAST_BUCKETS, rows // _BUCKET_ROWS),
        )

    @property
    def dates(self) -> tuple[int, ...]:
        """Places of the dates among the texts."""
        return tuple(i for i, column in enumerate(self.texts) if column.kind == "date")


@dataclass(frozen=True, slots=True)
class LevelDistribution:
    """The levels of a text column, counted.

    Attributes
    ----------
    by_total, by_rows : ValueCounts
        Levels by their total of the target, and by their rows.
    levels : int
        How many there are.
    between : float
        Sum over the levels of total squared / rows.
    """

    by_total: ValueCounts
    by_rows: ValueCounts
    levels: int
    between: float


@dataclass(frozen=True, slots=True)
class Distributions:
    """What the first pass found.

    Attributes
    ----------
    target : ValueCounts
        Rows by value of the target.
    numbers : tuple of ValueCounts or None
        Rows by value of each number; None where all are null.
    texts : tuple of LevelDistribution
        The levels of each text.
    blocks : ndarray
        First block of each tenth of the file.
    """

    target: ValueCounts
    numbers: tuple[ValueCounts | None, ...]
    texts: tuple[LevelDistribution, ...]
    blocks: Floats

    def edges(self, number: int) -> Floats:
        """Return the left edges of a number's bins: its values where they are few, else its deciles."""
        counts = self.numbers[number]
        if counts is None:
            return np.zeros(1)
        if len(counts.values) <= _MOST_SINGLE_VALUES:
            return counts.values
        return np.unique(counts.quantiles(np.arange(10) / 10))


def fold_rows(rows: DataFrame, schema: Schema, plan: ColumnPlan) -> DataFrame:
    """Return sums by value, and the packed rows: the one pass over the table, for the caller to keep.

    Parameters
    ----------
    rows : DataFrame
        Accepted rows.
    schema : Schema
        Their description.
    plan : ColumnPlan
        What to read.

    Returns
    -------
    DataFrame
        What `collect_distributions` and `collect_levels` read.
    """
    work = partial(
        value_sums,
        texts=len(plan.texts),
        numbers=len(plan.numbers),
        dates=plan.dates,
        block_bits=plan.block_bits,
        buckets=plan.buckets,
    )
    return map_in_tasks(_read(rows, schema, plan), work, VALUE_SCHEMA)


def collect_distributions(folded: DataFrame, plan: ColumnPlan) -> Distributions:
    """Count the rows by value of every column.

    Parameters
    ----------
    folded : DataFrame
        What `fold_rows` returned.
    plan : ColumnPlan
        What was read.

    Returns
    -------
    Distributions
        Bounded by the number of 15-bit values, not by the rows.

    Raises
    ------
    DataError
        If there is no row.
    """
    sums = [sf.expr("sum(rows) rows"), sf.expr("sum(total) total")]
    by_value = folded.where("packed IS NULL").groupBy("column", "key", "value").agg(*sums)
    reduced = map_in_tasks(by_value, partial(reduce_levels, texts=len(plan.texts)), REDUCED_SCHEMA)
    found = reduced.groupBy("column", "measure", "value").agg(*sums).toPandas()
    return read_distributions(found, plan)


def read_distributions(found: pd.DataFrame, plan: ColumnPlan) -> Distributions:
    """Return the distributions that sums by column, measure and value describe.

    Raises
    ------
    DataError
        If there is no row.
    """
    texts, numbers = len(plan.texts), len(plan.numbers)
    if not (found["column"] == TARGET).any():
        raise DataError("profile: expected rows, found none; check the table.")
    found = found.sort_values("value")
    groups: Any = dict(iter(found.groupby(["column", "measure"])))
    return Distributions(
        target=_counts(groups[TARGET, BY_VALUE]),
        numbers=tuple(
            _counts(groups[texts + j, BY_VALUE]) if (texts + j, BY_VALUE) in groups else None for j in range(numbers)
        ),
        texts=tuple(_levels(groups, i) for i in range(texts)),
        blocks=_first_blocks(groups[TENTH, BY_VALUE]),
    )


def collect_levels(
    folded: DataFrame, plan: ColumnPlan, few: ColumnPlan, found: Distributions, pairs: tuple[tuple[str, str], ...]
) -> pd.DataFrame:
    """Sum the rows by level of every column, by pair of levels, and by tenth of the file.

    Parameters
    ----------
    folded : DataFrame
        What `fold_rows` returned.
    plan : ColumnPlan
        What was read.
    few : ColumnPlan
        The texts of few levels only.
    found : Distributions
        What the pass found, of the columns of `few`.
    pairs : tuple of (str, str)
        Names of text columns to cross.

    Returns
    -------
    DataFrame
        Of pandas, one row a column and level, in the order of columns: texts, numbers, pairs.
    """
    packed = folded.where("packed IS NOT NULL").select("bucket", "packed")
    together = packed.repartition(plan.buckets, "bucket").sortWithinPartitions("bucket")
    partials = map_in_tasks(together, partial(level_sums, layout=make_layout(plan, few, found, pairs)), LEVEL_SCHEMA)
    sums = [sf.expr(f"sum({name}) {name}") for name in SUM_NAMES]
    return partials.groupBy("column", "level").agg(*sums).toPandas()


def make_layout(plan: ColumnPlan, few: ColumnPlan, found: Distributions, pairs: tuple[tuple[str, str], ...]) -> Layout:
    """Return what the executors need to know of the packed rows."""
    names, places = [column.name for column in few.texts], {column.name: i for i, column in enumerate(plan.texts)}
    counts = [found.target, *found.numbers]
    return Layout(
        texts=tuple(places[name] for name in names),
        by_year=tuple(places[name] for name in few.by_year),
        edges=tuple(found.edges(j) for j in range(len(few.numbers))),
        ranks=tuple(_rank_table(one) for one in counts),
        centres=tuple(0.0 if one is None else float(one.totals.sum() / one.count) for one in counts),
        blocks=found.blocks,
        pairs=tuple((names.index(a), names.index(b)) for a, b in pairs),
        clustered=plan.customer is not None,
    )


def _read(rows: DataFrame, schema: Schema, plan: ColumnPlan) -> DataFrame:
    """Return the columns that the executors' functions read, under their names there."""
    terms = [f"CAST({quoted(schema.target)} AS DOUBLE) target", f"{quoted(POSITION)} position"]
    for i, column in enumerate(plan.texts):
        text = quoted(column.name)
        if column.kind == "date":
            text = f"date_format({text}, 'yyyy-MM')"
        terms.append(f"coalesce(CAST({text} AS STRING), '{NULL_LEVELS[column.null]}') t{i}")
    terms += [f"CAST({quoted(column.name)} AS DOUBLE) n{j}" for j, column in enumerate(plan.numbers)]
    # A hash tells customers apart well enough for intervals: of a million two share one once in 40 million tables.
    terms.append(f"xxhash64({quoted(plan.customer)}) customer" if plan.customer else "CAST(NULL AS BIGINT) customer")
    return rows.selectExpr(*terms)


def _counts(part: pd.DataFrame) -> ValueCounts:
    return ValueCounts(*(part[name].to_numpy(dtype=np.float64) for name in ("value", "rows", "total")))


def _levels(groups: Any, column: int) -> LevelDistribution:
    whole = groups[column, BY_LEVEL]
    by_total, by_rows = _counts(groups[column, BY_TOTAL]), _counts(groups[column, BY_ROWS])
    return LevelDistribution(by_total, by_rows, int(whole["rows"].sum()), float(whole["total"].sum()))


def _first_blocks(part: pd.DataFrame) -> Floats:
    """Return the first block of each tenth of the rows, in file order; fewer tenths where blocks are few."""
    before = np.concatenate([[0.0], np.cumsum(part["rows"].to_numpy(dtype=np.float64))])
    starts = np.searchsorted(before[:-1], before[-1] * np.arange(PARTS) / PARTS - 0.5)
    return np.unique(part["value"].to_numpy(dtype=np.float64)[starts.clip(0, len(part) - 1)])


def _rank_table(counts: ValueCounts | None) -> tuple[Floats, Floats]:
    if counts is None:
        return np.zeros(1), np.zeros(1)
    return counts.values, counts.ranks() - (counts.count + 1) / 2
