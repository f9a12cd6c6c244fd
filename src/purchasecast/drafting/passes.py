"""Survey a table on Spark: one pass counts every value of every column, a second one takes the sample.

The first pass turns a row of n columns into n rows of (column, value) and counts them, so that all that is asked of a
column is then asked of its *different* values, which are far fewer. What comes to the driver is bounded: a few
hundred values a column, and the rows of the sample.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as sf
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    FractionalType,
    IntegralType,
    MapType,
    StructType,
    TimestampNTZType,
    TimestampType,
)
from pyspark.storagelevel import StorageLevel

from purchasecast.drafting.counts import ColumnCounts
from purchasecast.drafting.numbers import EMPTY_WORDS, NUMBER, PADDED, WHOLE
from purchasecast.drafting.sample import Sample
from purchasecast.schema.values import NUMBER_LOSES, WRITTEN_NUMBER
from purchasecast.spark.columns import without_blanks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame, Row
    from pyspark.sql.types import DataType

    from purchasecast.drafting.counts import Storage
    from purchasecast.drafting.sampling import SamplePlan

__all__ = ["Named", "count_values", "take_sample", "text_of"]

_COMPLETE = 300  # up to so many values of a column all are kept
_KEPT = 300  # values drawn of a column with more
_BUCKETS = 1 << 20  # of the hash by which levels and rows are drawn
_INDEX, _VALUE, _ROWS = "_pc_index", "_pc_text", "_pc_rows"


@dataclass(frozen=True, slots=True)
class Named:
    """A column: its name in the source, and what it is called in the frame."""

    name: str
    column: str
    storage: Storage


def text_of(frame: DataFrame, column: str) -> Column:
    """Return a column's values as text without blanks around it; null where nothing is left.

    Numbers that are whole are written without a point, however they are kept: pandas keeps integers as floats where
    a value is missing.
    """
    found, value = frame.schema[column].dataType, sf.col(column)
    if isinstance(found, FractionalType) and not isinstance(found, DecimalType):
        whole = (value == sf.floor(value)) & (sf.abs(value) < 1e15)
        value = sf.when(whole, value.cast("bigint").cast("string")).when(~sf.isnan(value), value.cast("string"))
    text = without_blanks(value.cast("string"))
    return sf.when(text != "", text)


def storage_of(found: DataType) -> Storage:
    """Return how a source keeps a column."""
    if isinstance(found, ArrayType | MapType | StructType | BinaryType):
        return "nested"
    if isinstance(found, IntegralType):
        return "integer"
    if isinstance(found, FractionalType):
        return "number"
    if isinstance(found, BooleanType):
        return "boolean"
    if isinstance(found, DateType):
        return "date"
    return "timestamp" if isinstance(found, TimestampType | TimestampNTZType) else "text"


def count_values(frame: DataFrame, columns: Sequence[Named]) -> tuple[int, list[ColumnCounts]]:
    """Count every value of every column.

    Parameters
    ----------
    frame : DataFrame
        The table.
    columns : sequence of Named
        Its columns.

    Returns
    -------
    tuple of (int, list of ColumnCounts)
        Rows of the table, and the counts of its columns. One pass over the table; what follows works on the counts.
    """
    flat = [column for column in columns if column.storage != "nested"]
    if not flat:
        rows = frame.count()
        return rows, [ColumnCounts(column.name, "nested", rows, 0, 0) for column in columns]
    pairs = sf.array(
        *(
            sf.struct(sf.lit(place).alias(_INDEX), text_of(frame, column.column).alias(_VALUE))
            for place, column in enumerate(flat)
        )
    )
    values = (
        frame.select(sf.explode(pairs).alias("pair"))
        .groupBy(sf.col(f"pair.{_INDEX}").alias(_INDEX), sf.col(f"pair.{_VALUE}").alias(_VALUE))
        .agg(sf.count(sf.lit(1)).alias(_ROWS))
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        totals = {row[_INDEX]: row for row in _summarized(values).collect()}
        rows = max((row["rows"] for row in totals.values()), default=0)
        levels, words = _kept_levels(values, totals, rows)
    finally:
        values.unpersist()
    place = {column.column: number for number, column in enumerate(flat)}
    counted = [
        _counts(column, rows, totals.get(place[column.column]), levels, words, place[column.column])
        if column.column in place
        else ColumnCounts(column.name, "nested", rows, 0, 0)
        for column in columns
    ]
    return rows, counted


def _summarized(values: DataFrame) -> DataFrame:
    """Sum up the different values of each column, weighted by their rows."""
    value, rows = sf.col(_VALUE), sf.col(_ROWS)
    plain = sf.when(value.rlike(NUMBER), value.try_cast("double"))
    written = {
        decimal: sf.when(
            plain.isNull() & value.rlike(f"^(?:{form})$"),
            sf.translate(sf.translate(value, NUMBER_LOSES[decimal], ""), ",", ".").try_cast("double"),
        )
        for decimal, form in WRITTEN_NUMBER.items()
    }

    def rows_where(condition: Column) -> Column:
        return sf.sum(sf.when(condition, rows).otherwise(0))

    prepared = values.withColumns({"plain": plain, "comma": written[","], "point": written["."]})
    prepared = prepared.withColumn("number", sf.coalesce("plain", "comma", "point"))
    number = sf.col("number")
    return prepared.groupBy(_INDEX).agg(
        sf.sum(rows).alias("rows"),
        rows_where(value.isNull()).alias("empty"),
        sf.count(value).alias("distinct"),
        rows_where(value.rlike(WHOLE)).alias("integers"),
        rows_where(value.rlike(PADDED)).alias("padded"),
        rows_where(sf.col("plain").isNotNull()).alias("numbers"),
        rows_where(sf.col("comma").isNotNull()).alias("with_comma"),
        rows_where(sf.col("point").isNotNull()).alias("with_point"),
        rows_where(number < 0).alias("negatives"),
        rows_where(number == 0).alias("zeros"),
        sf.min(number).alias("minimum"),
        sf.max(number).alias("maximum"),
        sf.sum(sf.length(value) * rows).alias("characters"),
        rows_where(value.contains(" ")).alias("spaced"),
    )


def _kept_levels(
    values: DataFrame, totals: dict[int, Row], rows: int
) -> tuple[dict[int, dict[str, int]], dict[int, Counter[str]]]:
    """Collect all values of columns that have few, and of others some by hash and the most frequent ones."""
    few = [place for place, row in totals.items() if row["distinct"] <= _COMPLETE]
    kept = sf.col(_INDEX).isin(few) if few else sf.lit(False)
    bucket = sf.pmod(sf.xxhash64(sf.col(_VALUE)), sf.lit(_BUCKETS))
    for place, row in totals.items():
        if row["distinct"] > _COMPLETE:
            share = int(_BUCKETS * _KEPT / row["distinct"])
            often = sf.col(_ROWS) > max(rows // 200, 100)
            kept = kept | ((sf.col(_INDEX) == place) & (often | (bucket < share)))
    word = sf.lower(sf.col(_VALUE)).isin(*EMPTY_WORDS)
    found = values.where(sf.col(_VALUE).isNotNull() & (kept | word)).collect()
    levels: dict[int, dict[str, int]] = {place: {} for place in totals}
    words: dict[int, Counter[str]] = {place: Counter() for place in totals}
    for row in sorted(found, key=lambda row: (row[_INDEX], row[_VALUE])):
        levels[row[_INDEX]][row[_VALUE]] = row[_ROWS]
        if row[_VALUE].lower() in EMPTY_WORDS:
            words[row[_INDEX]][row[_VALUE]] += row[_ROWS]
    return levels, words


def _counts(
    column: Named,
    rows: int,
    total: Row | None,
    levels: dict[int, dict[str, int]],
    words: dict[int, Counter[str]],
    place: int,
) -> ColumnCounts:
    if total is None:
        return ColumnCounts(column.name, column.storage, rows, rows, 0)
    filled = total["rows"] - total["empty"]
    return ColumnCounts(
        name=column.name,
        storage=column.storage,
        rows=rows,
        empty=total["empty"],
        distinct=total["distinct"],
        integers=total["integers"],
        padded=total["padded"],
        numbers=total["numbers"],
        with_comma=total["with_comma"],
        with_point=total["with_point"],
        negatives=total["negatives"],
        zeros=total["zeros"],
        minimum=total["minimum"],
        maximum=total["maximum"],
        mean_length=total["characters"] / filled if filled else 0.0,
        spaced=total["spaced"],
        words=dict(words[place]),
        levels=levels[place],
        complete=total["distinct"] <= _COMPLETE,
    )


def take_sample(frame: DataFrame, columns: Sequence[Named], plan: SamplePlan) -> Sample:
    """Take the sample that a plan describes; one pass over the table.

    Parameters
    ----------
    frame : DataFrame
        The table.
    columns : sequence of Named
        Its columns.
    plan : SamplePlan
        Which rows to take.

    Returns
    -------
    Sample
        The rows, whatever the number of partitions, sorted by their hash.
    """
    flat = [column for column in columns if column.storage != "nested"]
    by_name = {column.name: number for number, column in enumerate(flat)}
    texts = frame.select(*(text_of(frame, column.column).alias(str(place)) for place, column in enumerate(flat)))
    names = [str(place) for place in range(len(flat))]
    marks = {"random": _drawn(sf.xxhash64(*(sf.col(name) for name in names)), plan.random_share)}
    for owner in plan.owners:
        value = sf.col(str(by_name[owner.name]))
        drawn = _drawn(sf.xxhash64(value), owner.share) & value.isNotNull()
        marks[owner.name] = drawn & ~value.isin(list(owner.heavy)) if owner.heavy else drawn
    columns_of_marks = {mark: f"mark{number}" for number, mark in enumerate(marks)}
    marked = texts.select("*", *(condition.alias(columns_of_marks[mark]) for mark, condition in marks.items()))
    drawn_rows = marked.where(reduce(or_, (sf.col(name) for name in columns_of_marks.values())))
    table = drawn_rows.toArrow()
    order = np.lexsort([_sort_key(table.column(name)) for name in reversed(names)]) if names else np.arange(0)
    table = table.take(pa.array(order))
    return _sample_of(table, flat, columns_of_marks)


def _drawn(hashed: Column, share: float) -> Column:
    if share >= 1:
        return sf.lit(True)
    return sf.pmod(hashed, sf.lit(_BUCKETS)) < max(int(share * _BUCKETS), 1)


def _sort_key(column: pa.ChunkedArray) -> NDArray[np.int64]:
    encoded = column.combine_chunks().dictionary_encode()
    ranks = np.argsort(np.argsort(np.array(encoded.dictionary.to_pylist(), dtype=object)))
    codes = encoded.indices.fill_null(-1).to_numpy()
    keys: NDArray[np.int64] = np.append(ranks, -1)[codes]
    return keys


def _sample_of(table: pa.Table, flat: Sequence[Named], marks: dict[str, str]) -> Sample:
    codes, labels = {}, {}
    for place, column in enumerate(flat):
        encoded = table.column(str(place)).combine_chunks().dictionary_encode()
        values = np.array(encoded.dictionary.to_pylist(), dtype=object)
        order = np.argsort(values)
        ranks = np.empty(len(values) + 1, dtype=np.int32)
        ranks[order] = np.arange(len(values))
        ranks[-1] = -1
        codes[column.name] = ranks[encoded.indices.fill_null(-1).to_numpy()]
        labels[column.name] = tuple(values[order])
    drawn = {mark: np.array(table.column(name).to_pylist(), dtype=bool) for mark, name in marks.items()}
    random = drawn.pop("random")
    return Sample(codes, labels, random, drawn)
