"""Purchase patterns of tables past one task: customers stay in their partitions, tables of products travel.

Each round brings the directions of all products to every bucket of customers, and adds up what the buckets return. The
steps are those of `solver`, from the same first directions, so that the result differs by rounding only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as sf

from purchasecast.numerics.arrow_columns import list_column, read_levels, read_lists
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import apply_in_tasks, map_in_tasks
from purchasecast.stages.purchase_patterns.solver import (
    PatternSettings,
    first_directions,
    incidence_of,
    list_batch,
    orthonormal,
    rotation_of,
    signs_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

    Floats = NDArray[np.float64]

__all__ = ["patterns_by_passes"]

_PAIRS_PER_BUCKET = 2_000_000
_DIRECTIONS = "place int, directions array<double>"


def patterns_by_passes(pairs: DataFrame, how: PatternSettings) -> tuple[DataFrame, DataFrame]:
    """Decompose the incidence of customers and products, a bucket of customers in the memory of a task at a time.

    Parameters
    ----------
    pairs : DataFrame
        ``user`` and ``item``, without nulls; pairs may repeat.
    how : PatternSettings
        Settings.

    Returns
    -------
    tuple of DataFrame
        One row a customer and one a product: ``level`` and ``pattern``.

    Notes
    -----
    Two shuffles of the pairs, then one pass a round over the customers' lists of products. A task holds the directions
    of all products, 8 (``rank`` + 10) bytes each. The driver receives sums of ``rank`` + 10 squared numbers.
    """
    distinct = pairs.distinct().localCheckpoint(eager=True)
    items = _numbered(distinct.groupBy("item").count()).localCheckpoint(eager=True)
    users = _users(distinct, items, how).localCheckpoint(eager=True)
    directions = map_in_tasks(items.select("place").repartition(1), partial(_first, how=how), _DIRECTIONS)
    for _ in range(how.rounds):
        summed = _with_directions(users, directions.localCheckpoint(eager=True), how, _DIRECTIONS, transposed=True)
        directions = map_in_tasks(summed.repartition(1), _orthonormal, _DIRECTIONS)
    directions = directions.localCheckpoint(eager=True)
    user_type = users.schema["user"].dataType.simpleString()
    schema = f"user {user_type}, directions array<double>"
    projected = _with_directions(users, directions, how, schema, transposed=False)
    projected = projected.localCheckpoint(eager=True)
    moments = _sum_of_moments(projected)
    bought, sold = users.select("user", sf.size("places").alias("count")), items.select("place", "item", "count")
    rotation = rotation_of(moments, users.count(), items.count(), how.rank)
    signs = map_in_tasks(directions, partial(_signs, rotation=rotation.items), "signs array<double>")
    rotation = rotation.signed(np.array(signs.collect()[0]["signs"]))  # one row
    of_items = directions.join(sold, "place").select(col("item").alias("level"), "directions", "count")
    of_users = projected.join(bought, "user").select(col("user").alias("level"), "directions", "count")
    return _rotated(of_users, rotation.users), _rotated(of_items, rotation.items)


def _numbered(items: DataFrame) -> DataFrame:
    """Return the products with their place in the order of their levels; one task sorts them."""
    schema = f"item {items.schema['item'].dataType.simpleString()}, count long, place int"
    return map_in_tasks(items.select("item", "count").repartition(1), _places, schema)


def _places(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    table = pa.Table.from_batches(list(batches)).combine_chunks()
    places, _ = read_levels(table.column("item"))
    yield from table.append_column("place", pa.array(places, pa.int32())).to_batches()


def _users(distinct: DataFrame, items: DataFrame, how: PatternSettings) -> DataFrame:
    """Return one row a customer: the bucket, and the sorted places of the products with their weights."""
    buckets = -(-distinct.count() // _PAIRS_PER_BUCKET)
    weight = sf.pow(col("count").cast("double"), sf.lit(-how.power))
    lists = sf.array_sort(sf.collect_list(sf.struct("place", weight.alias("weight"))))
    grouped = distinct.join(items, "item").groupBy("user").agg(lists.alias("bought"))
    bucket = sf.pmod(sf.xxhash64("user"), sf.lit(buckets)).cast("int").alias("bucket")
    lists_of = [col("bought")[name].alias(f"{name}s") for name in ("place", "weight")]
    return grouped.select(bucket, "user", *lists_of)


def _with_directions(
    users: DataFrame, directions: DataFrame, how: PatternSettings, schema: str, *, transposed: bool
) -> DataFrame:
    """Apply `_by_bucket` to each bucket of customers together with the directions of all products."""
    # Under another name, or the same column on both sides would be ambiguous.
    buckets = users.select(col("bucket").alias("to")).distinct()
    copies = directions.crossJoin(buckets)
    step = partial(_by_bucket, how=how, transposed=transposed)
    return apply_in_tasks(users.groupBy("bucket").cogroup(copies.groupBy("to")), step, schema)


def _by_bucket(users: pa.Table, directions: pa.Table, *, how: PatternSettings, transposed: bool) -> pa.Table:
    """Return the products' sums over the customers of a bucket or, not transposed, what projects each customer."""
    basis = _dense(directions)
    places = users.column("places").combine_chunks()
    user = np.repeat(np.arange(len(users)), places.value_lengths().to_numpy())
    item = places.flatten().to_numpy()
    weight = users.column("weights").combine_chunks().flatten().to_numpy()
    incidence = incidence_of(user, item, weight, (len(users), len(basis)), how.power)
    projected = incidence @ basis
    if not transposed:
        batch = list_batch(("user", "directions"), users.column("user").combine_chunks(), projected)
    else:
        batch = list_batch(
            ("place", "directions"), pa.array(np.arange(len(basis), dtype=np.int32)), incidence.T @ projected
        )
    return pa.Table.from_batches([batch])


def _dense(directions: pa.Table) -> Floats:
    """Return directions in the order of their places; what has the same place is added up."""
    place = directions.column("place").to_numpy()
    width = len(directions.column("directions")[0])
    basis = np.zeros((int(place.max()) + 1, width))
    np.add.at(basis, place, read_lists(directions.column("directions"), width))
    return basis


def _first(batches: Iterator[pa.RecordBatch], *, how: PatternSettings) -> Iterator[pa.RecordBatch]:
    basis = first_directions(sum(batch.num_rows for batch in batches), how)
    yield list_batch(("place", "directions"), pa.array(np.arange(len(basis), dtype=np.int32)), basis)


def _orthonormal(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    total: Floats | None = None
    for batch in batches:  # one batch at a time: together, the buckets' sums may be large
        part = _dense(pa.Table.from_batches([batch]))
        if total is None or len(part) > len(total):
            total, part = part, np.zeros((0, part.shape[1])) if total is None else total
        total[: len(part)] += part
    if total is not None:
        yield list_batch(("place", "directions"), pa.array(np.arange(len(total), dtype=np.int32)), orthonormal(total))


def _sum_of_moments(projected: DataFrame) -> Floats:
    partials = map_in_tasks(projected.select("directions"), _moments, "moments array<double>").collect()
    total: Floats = np.sum([row["moments"] for row in partials], axis=0)
    width = round(len(total) ** 0.5)
    return total.reshape(width, width)


def _moments(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    total: Floats | None = None
    for batch in batches:
        if batch.num_rows:
            values = read_lists(pa.chunked_array([batch.column("directions")]), len(batch.column("directions")[0]))
            total = values.T @ values + (0.0 if total is None else total)
    if total is not None:
        yield pa.RecordBatch.from_arrays([list_column(total.reshape(1, -1))], names=["moments"])


def _signs(batches: Iterator[pa.RecordBatch], *, rotation: Floats) -> Iterator[pa.RecordBatch]:
    basis = _dense(pa.Table.from_batches(list(batches)))
    yield pa.RecordBatch.from_arrays([list_column(signs_of(basis @ rotation).reshape(1, -1))], names=["signs"])


def _rotated(directions: DataFrame, rotation: Floats) -> DataFrame:
    """Return ``level`` and ``pattern``: singular vectors, and the standardised logarithm of the count."""
    logs = sf.log1p(col("count").cast("double"))
    mean, spread = directions.agg(sf.avg(logs), sf.stddev_pop(logs)).collect()[0]
    scaled: Column = (logs - sf.lit(float(mean))) / sf.lit(max(float(spread), 1e-9))
    named = directions.select("level", "directions", scaled.alias("count"))
    schema = f"level {directions.schema['level'].dataType.simpleString()}, pattern array<double>"
    return map_in_tasks(named, partial(_rotate, rotation=rotation), schema)


def _rotate(batches: Iterator[pa.RecordBatch], *, rotation: Floats) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        values = read_lists(pa.chunked_array([batch.column("directions")]), len(rotation))
        pattern = np.column_stack([values @ rotation, batch.column("count").to_numpy(zero_copy_only=False)])
        yield list_batch(("level", "pattern"), batch.column("level"), pattern)
