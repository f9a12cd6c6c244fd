"""Latent factors past one task: users are packed into blocks that stay where they are, and tables of items travel.

A round is one job. Every block reads the tables of all fits and returns sums by item; the sums are added up by fit and
range of items; one task a fit makes the next table. The solver is that of one task (see `blocks`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pyspark.sql import functions as sf

from purchasecast.numerics.arrow_columns import list_column, read_levels, read_lists
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col
from purchasecast.spark.compat import partition_keys
from purchasecast.spark.shipping import apply_in_tasks, apply_to_groups, map_in_tasks
from purchasecast.stages.base import broadcast_if_small, numbered
from purchasecast.stages.latent_factors.blocks import FIRST_ROUNDS, Block, Fit, Items, Sums, from_bytes, to_bytes
from purchasecast.stages.latent_factors.factorize import Factors
from purchasecast.stages.latent_factors.solver import Factorization, read_attributes, spreads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    Floats = NDArray[np.float64]

__all__ = ["factorize_by_passes"]

_PART = 4_096  # items whose sums travel together
_RESULT = "fit int, side int, number int, factors array<double>"
_SUMS, _ESTIMATES = "fit int, part int, sums binary", "fit int, estimates binary"


def factorize_by_passes(rows: DataFrame, vectors: DataFrame | None, how: Factorization, tasks: int) -> Factors:
    """Solve all fits by one job a round; see `factorize_in_tasks` for the rest.

    Parameters
    ----------
    rows : DataFrame
        Ratings, as for `factorize_in_tasks`.
    vectors : DataFrame or None
        Vectors of users and items, as for `factorize_in_tasks`.
    how : Factorization
        Settings.
    tasks : int
        Number of blocks of users.

    Returns
    -------
    Factors
        Those that one task would find, but for rounding.
    """
    started = _start_items(rows, vectors, how).localCheckpoint(eager=True)
    items = started.where("fit < 0")
    estimates = started.where("fit >= 0").select("fit", "estimates")
    packed = _blocks(rows, vectors, items, how, partition_keys(tasks))
    # Cached by place, so that a round moves tables of items only.
    with cached(packed.repartition(tasks, "place")) as blocks:
        places = [row["place"] for row in blocks.select("place").collect()]  # one a task; some may have no users
        for _ in range(FIRST_ROUNDS + how.iterations):
            estimates = _round(blocks, estimates, places).localCheckpoint(eager=True)
        level = rows.schema["user"].dataType.simpleString()
        schema = f"level {level}, f array<array<double>>"
        users = _with_tables(blocks, estimates, places, _user_factors, schema).localCheckpoint(eager=True)
    found = map_in_tasks(estimates, _results, "fit int, side int, number int, factors array<double>").localCheckpoint(
        True
    )
    in_order = sf.expr("transform(array_sort(collect_list(struct(fit, factors))), x -> x.factors)").alias("f")
    of_items = found.where("side = 1").groupBy("number").agg(in_order)
    named = items.select("number", col("item").alias("level"), col("spreads").alias("s"))
    means = {(row["side"], row["fit"]): row["factors"] for row in found.where("side > 1").collect()}
    by_scale = {row["fit"]: row["scales"] for row in started.where("fit >= 0").select("fit", "scales").collect()}
    user_means, item_means = (
        np.array([means[side, k] for k in range(how.fits)]).reshape(how.fits, -1, how.rank) for side in (2, 3)
    )
    scale_means = np.array([by_scale[k] for k in range(how.fits)])[:, :, None]
    with_levels = named.join(of_items, "number").select("level", "f", "s").localCheckpoint(eager=True)
    return Factors(users, with_levels, user_means, np.concatenate([item_means, scale_means], axis=2))


def _start_items(rows: DataFrame, vectors: DataFrame | None, how: Factorization) -> DataFrame:
    """Return items, numbered and with their spread in each fit, and the estimates of each fit before the first round.

    The table of the items fits into a task, as it does in every round.
    """
    sums = []
    for k in range(how.fits):
        taken = sf.when(col("fold") != k, col(f"r_{k}"))
        sums += [sf.sum(taken * taken).alias(f"q_{k}"), sf.count(taken).alias(f"n_{k}")]
    largest = [sf.max(sf.get("item_attributes", sf.lit(j))) for j in range(len(how.item_sizes))]
    attributes = (sf.array(*largest) if largest else sf.array()).cast("array<int>").alias("item_attributes")
    by_item = rows.groupBy("item").agg(*sums, attributes)
    if vectors is not None and how.item_width:
        of_items = vectors.where("item_vector IS NOT NULL").select("item", "item_vector")
        by_item = by_item.join(of_items, "item", "left")
    kept = [name for name in ("item", "item_attributes", "item_vector") if name in by_item.columns]
    squares, counts = (sf.array(*map(col, numbered(name, how.fits))).alias(name) for name in "qn")
    selected = by_item.select(*kept, squares.cast("array<double>").alias("q"), counts.cast("array<double>").alias("n"))
    schema = f"item {rows.schema['item'].dataType.simpleString()}, number int, scales array<double>"
    schema = f"fit int, {schema}, spreads array<double>, estimates binary"
    return map_in_tasks(selected.repartition(1), partial(_first_estimates, how=how), schema)


def _first_estimates(batches: Iterator[pa.RecordBatch], *, how: Factorization) -> Iterator[pa.RecordBatch]:
    table = pa.Table.from_batches(batches)
    codes, levels = read_levels(table.column("item"))
    squares, counts = (np.empty((len(levels), how.fits)) for _ in range(2))
    squares[codes] = np.nan_to_num(read_lists(table.column("q"), how.fits))
    counts[codes] = read_lists(table.column("n"), how.fits)
    attributes = read_attributes(table, "item", codes, len(levels), how.item_sizes, how.item_width)
    scales, of_levels = np.empty_like(squares), np.empty_like(squares)
    for k in range(how.fits):
        scale, of_level, means = spreads(squares[:, k], counts[:, k], how.scale_prior, attributes)
        scales[:, k], of_levels[:, k] = scale, of_level
        fit = how.first_fit(k, attributes, counts[:, k], float((squares[:, k] / scale**2).sum()))
        yield _started(levels[:0].type, k, None, None, means[None, :], None, [to_bytes(fit)])
    numbers = np.arange(len(levels), dtype=np.int32)
    yield _started(levels.type, -1, levels, numbers, scales, of_levels, None)


def _started(
    kind: pa.DataType,
    fit: int,
    items: pa.Array | None,
    numbers: NDArray[np.int32] | None,
    scales: Floats,
    of_levels: Floats | None,
    estimates: list[bytes] | None,
) -> pa.RecordBatch:
    rows = len(scales)
    lists = pa.list_(pa.float64())
    columns = {
        "fit": pa.array(np.full(rows, fit, dtype=np.int32)),
        "item": pa.nulls(rows, kind) if items is None else items,
        "number": pa.nulls(rows, pa.int32()) if numbers is None else pa.array(numbers),
        "scales": list_column(scales),
        "spreads": pa.nulls(rows, lists) if of_levels is None else list_column(of_levels),
        "estimates": pa.nulls(rows, pa.binary()) if estimates is None else pa.array(estimates, pa.binary()),
    }
    return pa.RecordBatch.from_pydict(columns)


@dataclass(frozen=True, slots=True)
class _Packed:
    """The ratings of some users in all fits, sorted by user and item; NaN where a fit must not see one."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    ratings: Floats
    attributes: sp.csr_array

    def block(self, k: int, items: int) -> Block:
        """Return the block of one fit."""
        seen = ~np.isnan(self.ratings[:, k])
        users = self.attributes.shape[0]
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.user[seen], minlength=users))])
        ratings = sp.csr_array((self.ratings[seen, k], self.item[seen], starts), shape=(users, items))
        return Block(ratings, self.attributes)


def _blocks(
    rows: DataFrame, vectors: DataFrame | None, items: DataFrame, how: Factorization, keys: Sequence[int]
) -> DataFrame:
    """Return one row a block: its place, the levels of its users as an Arrow stream, and their ratings."""
    table = broadcast_if_small(items.select("item", "number", "scales"), items.count(), how.fits + 2)
    scaled = [sf.when(col("fold") != k, col(f"r_{k}") / sf.get("scales", sf.lit(k))) for k in range(how.fits)]
    names = ["user", "number", "user_attributes", "ratings"]
    selected = rows.join(table, "item").select("user", "number", "user_attributes", sf.array(*scaled).alias("ratings"))
    if vectors is not None and how.user_width:
        nothing = [sf.lit(None).cast("int").alias("number"), sf.lit(None).cast("array<double>").alias("ratings")]
        of_users = vectors.where("user_vector IS NOT NULL").select("user", "user_attributes", "user_vector", *nothing)
        selected = selected.unionByName(of_users, allowMissingColumns=True)
        names.append("user_vector")
    place = sf.get(sf.lit(list(keys)), sf.pmod(sf.xxhash64("user"), sf.lit(len(keys))).cast("int")).alias("place")
    placed = selected.select(place, *names).repartition(len(keys), "place")
    return map_in_tasks(placed, partial(_pack, how=how), "place int, users binary, block binary")


def _pack(batches: Iterator[pa.RecordBatch], *, how: Factorization) -> Iterator[pa.RecordBatch]:
    held = list(batches)
    if not held:
        return
    whole = pa.Table.from_batches(held)
    places = whole.column("place").to_numpy()
    for place in np.unique(places):
        table = whole.filter(pa.array(places == place))
        user, users = read_levels(table.column("user"))
        attributes = read_attributes(table, "user", user, len(users), how.user_sizes, how.user_width)
        table = table.select(["number", "ratings"]).append_column("user", pa.array(user.astype(np.int32)))
        table = table.filter(table.column("number").is_valid())
        user, item = (table.column(name).to_numpy().astype(np.int32) for name in ("user", "number"))
        order = np.lexsort((item, user))
        ratings = read_lists(table.column("ratings"), how.fits)[order]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, pa.schema([("users", users.type)])) as stream:
            stream.write_table(pa.table({"users": users}))
        packed = to_bytes(_Packed(user[order], item[order], ratings, attributes))
        columns = [pa.array([place], pa.int32()), pa.array([sink.getvalue().to_pybytes()]), pa.array([packed])]
        yield pa.RecordBatch.from_arrays(columns, names=["place", "users", "block"])


def _round(blocks: DataFrame, estimates: DataFrame, places: Sequence[int]) -> DataFrame:
    """Return the estimates after a round; lazy."""
    sums = _with_tables(blocks, estimates, places, _block_sums, _SUMS)
    added = apply_to_groups(sums.groupBy("fit", "part"), _add_up, _SUMS)
    grouped = added.groupBy("fit").cogroup(estimates.groupBy("fit"))
    return apply_in_tasks(grouped, _advance, _ESTIMATES)


def _with_tables(
    blocks: DataFrame, estimates: DataFrame, places: Sequence[int], function: Any, schema: str
) -> DataFrame:
    """Apply a function to each block and the tables of items of all fits."""
    copies = map_in_tasks(estimates, partial(_copies, places=list(places)), "place int, fit int, items binary")
    grouped = blocks.groupBy("place").cogroup(copies.groupBy("place"))
    return apply_in_tasks(grouped, partial(_of_block, function=function), schema)


def _copies(batches: Iterator[pa.RecordBatch], *, places: list[int]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for fit, estimates in zip(batch.column("fit").to_pylist(), batch.column("estimates").to_pylist(), strict=True):
            table = to_bytes(from_bytes(Fit, estimates).items())
            for place in places:  # one by one: all copies together may be more than an Arrow column holds
                columns = [pa.array([place], pa.int32()), pa.array([fit], pa.int32()), pa.array([table])]
                yield pa.RecordBatch.from_arrays(columns, names=["place", "fit", "items"])


def _of_block(block: pa.Table, tables: pa.Table, *, function: Any) -> pa.Table:
    """Call a function with the parts of a block and the tables of items by fit."""
    fits = zip(tables.column("fit").to_pylist(), tables.column("items").to_pylist(), strict=True)
    by_fit = {fit: from_bytes(Items, table) for fit, table in sorted(fits)}
    users = pa.ipc.open_stream(block.column("users")[0].as_py()).read_all().column("users")
    return function(from_bytes(_Packed, block.column("block")[0].as_py()), users, by_fit)


def _block_sums(packed: _Packed, users: Any, tables: dict[int, Items]) -> pa.Table:  # noqa: ARG001
    rows: list[tuple[int, int, bytes]] = []
    for k, items in tables.items():
        sums = packed.block(k, len(items.factors)).sums(items)
        for part, start in enumerate(range(0, len(items.factors), _PART)):
            rows.append((k, part, to_bytes(_part_of(sums, items, start))))
    return _sums_table(rows)


def _part_of(sums: Sums, items: Items, start: int) -> Sums:
    """Return the sums of a range of items; what is not by item goes with the first."""
    part = Sums.none(items) if start else sums
    return Sums(
        sums.moments[start : start + _PART],
        sums.products[start : start + _PART],
        *[getattr(part, field.name) for field in fields(Sums)[2:]],
    )


def _sums_table(rows: Sequence[tuple[int, int, bytes]]) -> pa.Table:
    fits, parts, sums = zip(*rows, strict=True)
    return pa.table(
        {"fit": pa.array(fits, pa.int32()), "part": pa.array(parts, pa.int32()), "sums": pa.array(sums, pa.binary())}
    )


def _add_up(table: pa.Table) -> pa.Table:
    """Add up the sums of all blocks, of one fit and range of items."""
    first, *others = (scalar.as_py() for scalar in table.column("sums"))
    total = from_bytes(Sums, first)
    for other in others:
        total.add(from_bytes(Sums, other))
    return _sums_table([(table.column("fit")[0].as_py(), table.column("part")[0].as_py(), to_bytes(total))])


def _advance(sums: pa.Table, estimates: pa.Table) -> pa.Table:
    """Return the next estimates of one fit."""
    parts = sorted(zip(sums.column("part").to_pylist(), sums.column("sums").to_pylist(), strict=True))
    read = [from_bytes(Sums, data) for _, data in parts]
    moments, products = (np.concatenate([getattr(part, name) for part in read]) for name in ("moments", "products"))
    whole = Sums(moments, products, *[getattr(read[0], field.name) for field in fields(Sums)[2:]])
    fit = from_bytes(Fit, estimates.column("estimates")[0].as_py())
    fit.advance(whole)
    return pa.table({"fit": estimates.column("fit"), "estimates": pa.array([to_bytes(fit)], pa.binary())})


def _user_factors(packed: _Packed, users: Any, tables: dict[int, Items]) -> pa.Table:
    by_fit = [packed.block(k, len(items.factors)).factors(items) for k, items in tables.items()]
    flat = list_column(np.stack(by_fit, axis=1).reshape(-1, by_fit[0].shape[1]))
    offsets = pa.array(np.arange(len(users) + 1, dtype=np.int32) * len(by_fit))
    return pa.table({"level": users, "f": pa.ListArray.from_arrays(offsets, flat)})


def _results(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the factors of the items (side 1), and the prior means of users (2) and items (3), flattened."""
    for batch in batches:
        for fit, data in zip(batch.column("fit").to_pylist(), batch.column("estimates").to_pylist(), strict=True):
            estimates = from_bytes(Fit, data)
            tables = (estimates.final_factors(), estimates.user_means.reshape(1, -1), estimates.means.reshape(1, -1))
            for side, factors in zip(itertools.count(1), tables):
                rows = len(factors)
                columns = {
                    "fit": pa.array(np.full(rows, fit, dtype=np.int32)),
                    "side": pa.array(np.full(rows, side, dtype=np.int32)),
                    "number": pa.array(np.arange(rows, dtype=np.int32)),
                    "factors": list_column(factors),
                }
                yield pa.RecordBatch.from_pydict(columns)
