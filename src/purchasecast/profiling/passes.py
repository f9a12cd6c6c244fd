"""Read the rows once on Spark and sum them, until the sums fit on the driver.

The first step counts the distribution of every column: rows by value for the target and the numbers, levels by their
total for the texts. It also packs the rows by buckets of customers. The distributions give means, ranks and bins. With
them, the second step brings the packed rows of each bucket together and sums them by level, by pair of levels and by
tenth of the file. The result depends neither on the order nor on the partitions of the rows, and its size does not grow
with rows, customers or products.
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
from purchasecast.schema.reserved_columns import NULL_LEVELS, POSITION
from purchasecast.spark.columns import quoted
from purchasecast.spark.shipping import map_in_tasks

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from purchasecast.profiling.distribution import Floats
    from purchasecast.schema import Column, Schema

__all__ = [
    "ColumnPlan",
    "Distributions",
    "LevelDistribution",
    "collect_distributions",
    "collect_levels",
    "fold_rows",
    "make_layout",
    "read_distributions",
]

_MAX_BLOCKS = 20_000  # parts of the file that are counted, to find the borders of its tenths
_MIN_BUCKETS, _BUCKET_ROWS = 4, 500_000  # a bucket is in the memory of one task
_MAX_SINGLE_VALUES = 20  # a number with at most this many values has a bin for each


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """The columns to read, as text or as numbers, and how rows are packed.

    Attributes
    ----------
    texts : tuple of Column
        Customer, product, nominal, ordinal and date columns.
    numbers : tuple of Column
        Numeric features.
    customer : str or None
        Column whose values are the clusters of the intervals.
    block_bits : int
        Positions in the file are counted in blocks of 2 to the power of it.
    buckets : int
        Number of buckets that customers are divided into; a task holds one bucket at a time.
    by_year : tuple of str
        Date columns described by year; the others are described by month.
    """

    texts: tuple[Column, ...]
    numbers: tuple[Column, ...]
    customer: str | None
    block_bits: int
    buckets: int
    by_year: tuple[str, ...] = ()

    @classmethod
    def of(cls, schema: Schema, rows: int) -> ColumnPlan:
        """Plan to read all columns but the target, the weight and those that only identify rows."""
        read = [one for one in schema.columns if one.is_feature or one.role in {"customer", "product", "time"}]
        return cls(
            texts=tuple(column for column in read if column.kind != "numeric"),
            numbers=tuple(column for column in read if column.kind == "numeric"),
            customer=schema.customer,
            block_bits=max(0, math.ceil(math.log2(max(rows, 1) / _MAX_BLOCKS))),
            buckets=max(_MIN_BUCKETS, rows // _BUCKET_ROWS),
        )

    @property
    def dates(self) -> tuple[int, ...]:
        """Places of the dates among `texts`."""
        return tuple(i for i, column in enumerate(self.texts) if column.kind == "date")


@dataclass(frozen=True, slots=True)
class LevelDistribution:
    """Distribution of the levels of a text column.

    Attributes
    ----------
    by_total, by_rows : ValueCounts
        Number of levels by their total of the target, and by their number of rows.
    levels : int
        Number of levels.
    between : float
        Sum of total squared / rows over the levels.
    """

    by_total: ValueCounts
    by_rows: ValueCounts
    levels: int
    between: float


@dataclass(frozen=True, slots=True)
class Distributions:
    """Distributions of all columns.

    Attributes
    ----------
    target : ValueCounts
        Rows by value of the target.
    numbers : tuple of ValueCounts or None
        Rows by value of each number; None where all are null.
    texts : tuple of LevelDistribution
        Distribution of the levels of each text.
    blocks : ndarray
        First block of each tenth of the file.
    """

    target: ValueCounts
    numbers: tuple[ValueCounts | None, ...]
    texts: tuple[LevelDistribution, ...]
    blocks: Floats

    def edges(self, number: int) -> Floats:
        """Return the left edges of a number's bins: its values if there are few, else its deciles."""
        counts = self.numbers[number]
        if counts is None:
            return np.zeros(1)
        if len(counts.values) <= _MAX_SINGLE_VALUES:
            return counts.values
        return np.unique(counts.quantiles(np.arange(10) / 10))


def fold_rows(rows: DataFrame, schema: Schema, plan: ColumnPlan) -> DataFrame:
    """Sum the accepted rows by value and pack them: the only pass over the table, worth caching."""
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
    """Count the rows by value of every column; the result of `fold_rows` bounds their number."""
    sums = [sf.expr("sum(rows) rows"), sf.expr("sum(total) total")]
    by_value = folded.where("packed IS NULL").groupBy("column", "key", "value").agg(*sums)
    reduced = map_in_tasks(by_value, partial(reduce_levels, texts=len(plan.texts)), REDUCED_SCHEMA)
    sums_by_value = reduced.groupBy("column", "measure", "value").agg(*sums).toPandas()
    return read_distributions(sums_by_value, plan)


def read_distributions(sums_by_value: pd.DataFrame, plan: ColumnPlan) -> Distributions:
    """Build distributions from sums by column, measure and value."""
    texts, numbers = len(plan.texts), len(plan.numbers)
    if not (sums_by_value["column"] == TARGET).any():
        raise DataError("profile: expected rows, found none; check the table.")
    sums_by_value = sums_by_value.sort_values("value")
    groups: Any = dict(iter(sums_by_value.groupby(["column", "measure"])))
    return Distributions(
        target=_counts(groups[TARGET, BY_VALUE]),
        numbers=tuple(
            _counts(groups[texts + j, BY_VALUE]) if (texts + j, BY_VALUE) in groups else None for j in range(numbers)
        ),
        texts=tuple(_levels(groups, i) for i in range(texts)),
        blocks=_first_blocks(groups[TENTH, BY_VALUE]),
    )


def collect_levels(
    folded: DataFrame,
    plan: ColumnPlan,
    few: ColumnPlan,
    distributions: Distributions,
    pairs: tuple[tuple[str, str], ...],
) -> pd.DataFrame:
    """Sum the rows by level of every column, by pair of levels, and by tenth of the file.

    Parameters
    ----------
    folded : DataFrame
        Result of `fold_rows`.
    plan : ColumnPlan
        Columns that were read.
    few : ColumnPlan
        The same with the texts of few levels only.
    distributions : Distributions
        Distributions of the columns of `few`.
    pairs : tuple of (str, str)
        Names of text columns to cross.

    Returns
    -------
    pandas.DataFrame
        One row a column and level; columns are numbered in the order texts, numbers, pairs.
    """
    packed = folded.where("packed IS NOT NULL").select("bucket", "packed")
    together = packed.repartition(plan.buckets, "bucket").sortWithinPartitions("bucket")
    partials = map_in_tasks(
        together, partial(level_sums, layout=make_layout(plan, few, distributions, pairs)), LEVEL_SCHEMA
    )
    sums = [sf.expr(f"sum({name}) {name}") for name in SUM_NAMES]
    return partials.groupBy("column", "level").agg(*sums).toPandas()


def make_layout(
    plan: ColumnPlan, few: ColumnPlan, distributions: Distributions, pairs: tuple[tuple[str, str], ...]
) -> Layout:
    """Describe the packed rows to the executors."""
    names, places = [column.name for column in few.texts], {column.name: i for i, column in enumerate(plan.texts)}
    counts = [distributions.target, *distributions.numbers]
    return Layout(
        texts=tuple(places[name] for name in names),
        by_year=tuple(places[name] for name in few.by_year),
        edges=tuple(distributions.edges(j) for j in range(len(few.numbers))),
        ranks=tuple(_rank_table(one) for one in counts),
        centres=tuple(0.0 if one is None else float(one.totals.sum() / one.count) for one in counts),
        blocks=distributions.blocks,
        pairs=tuple((names.index(a), names.index(b)) for a, b in pairs),
        clustered=plan.customer is not None,
    )


def _read(rows: DataFrame, schema: Schema, plan: ColumnPlan) -> DataFrame:
    """Select the columns that the functions on the executors read, under the names they have there."""
    terms = [f"CAST({quoted(schema.target)} AS DOUBLE) target", f"{quoted(POSITION)} position"]
    for i, column in enumerate(plan.texts):
        text = quoted(column.name)
        if column.kind == "date":
            text = f"date_format({text}, 'yyyy-MM')"
        terms.append(f"coalesce(CAST({text} AS STRING), '{NULL_LEVELS[column.null]}') t{i}")
    terms += [f"CAST({quoted(column.name)} AS DOUBLE) n{j}" for j, column in enumerate(plan.numbers)]
    # Two of a million customers share a hash of 64 bits once in 40 million tables: good enough for intervals.
    terms.append(f"xxhash64({quoted(plan.customer)}) customer" if plan.customer else "CAST(NULL AS BIGINT) customer")
    return rows.selectExpr(*terms)


def _counts(part: pd.DataFrame) -> ValueCounts:
    return ValueCounts(*(part[name].to_numpy(dtype=np.float64) for name in ("value", "rows", "total")))


def _levels(groups: Any, column: int) -> LevelDistribution:
    whole = groups[column, BY_LEVEL]
    by_total, by_rows = _counts(groups[column, BY_TOTAL]), _counts(groups[column, BY_ROWS])
    return LevelDistribution(by_total, by_rows, int(whole["rows"].sum()), float(whole["total"].sum()))


def _first_blocks(part: pd.DataFrame) -> Floats:
    """Return the first block of each tenth of the file; there are fewer tenths where there are few blocks."""
    before = np.concatenate([[0.0], np.cumsum(part["rows"].to_numpy(dtype=np.float64))])
    starts = np.searchsorted(before[:-1], before[-1] * np.arange(PARTS) / PARTS - 0.5)
    return np.unique(part["value"].to_numpy(dtype=np.float64)[starts.clip(0, len(part) - 1)])


def _rank_table(counts: ValueCounts | None) -> tuple[Floats, Floats]:
    if counts is None:
        return np.zeros(1), np.zeros(1)
    return counts.values, counts.ranks() - (counts.count + 1) / 2
