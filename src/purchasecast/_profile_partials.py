"""What the executors do for a profile: fold Arrow batches into sums by value and by level.

Values are rounded to 15 significant bits, so that the number of distinct ones is bounded whatever the number of rows:
whole numbers up to 32,768 stay exact, others move by a 65,000th at most. Sums by value are of the values as they were.

Spark ships this module to its executors by value: it imports nothing of this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = [
    "BY_LEVEL",
    "BY_ROWS",
    "BY_TOTAL",
    "BY_VALUE",
    "LEVEL_SCHEMA",
    "OVERALL",
    "PAIR_MARK",
    "PARTS",
    "SUM_NAMES",
    "TARGET",
    "TENTH",
    "VALUE_SCHEMA",
    "Layout",
    "level_sums",
    "reduce_levels",
    "significant",
    "value_sums",
]

TARGET, TENTH, OVERALL = -1, -2, -3  # columns beside the features, which count from 0
BY_VALUE, BY_TOTAL, BY_ROWS, BY_LEVEL = 0, 1, 2, 3
PARTS = 10  # of the file
PAIR_MARK = "\x1f"

VALUE_SCHEMA = "column int, key string, value double, rows double, total double"
REDUCED_SCHEMA = "column int, measure int, value double, rows double, total double"
#: Sums by level: rows, target, its squares and ranks; over clusters the squares and products of rows and target;
#: clusters; products of the level's own value with the target and of both ranks; rows by tenth of the file.
SUM_NAMES = (
    *("rows", "total", "squares", "ranks", "rows_rows", "rows_total", "total_total", "clusters", "cross", "rank_cross"),
    *(f"part_{k}" for k in range(PARTS)),
)
LEVEL_SCHEMA = "column int, level string, " + ", ".join(f"{name} double" for name in SUM_NAMES)

_CHUNK_ROWS = 131_072  # Arrow's batches are gathered up to these before the arithmetic
_MOST_DENSE_CELLS = 4_000_000
_TEN = np.arange(PARTS)


def significant(values: Floats) -> Floats:
    """Round to 15 significant bits."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.rint(mantissa * 2**15), exponent - 15), dtype=np.float64)


def value_sums(
    batches: Iterable[pa.RecordBatch], texts: int, numbers: int, block_bits: int
) -> Iterator[pa.RecordBatch]:
    """Fold rows into rows and target sums by column and value.

    Parameters
    ----------
    batches : iterable of RecordBatch
        Columns ``target``, ``position``, ``t0`` ... (text) and ``n0`` ... (numbers).
    texts, numbers : int
        How many there are of each.
    block_bits : int
        Places in the file are told apart by blocks of 2 to the power of it.

    Yields
    ------
    RecordBatch
        `VALUE_SCHEMA`; the same value may come several times.
    """
    for table in _chunks(batches):
        target = _numbers(table, "target")
        yield _values(TARGET, significant(target), target, target)
        blocks = table.column("position").to_numpy() >> block_bits
        yield _values(TENTH, blocks.astype(np.float64), target, target)
        for j in range(numbers):
            number = _numbers(table, f"n{j}")
            there = ~np.isnan(number)
            yield _values(texts + j, significant(number[there]), target[there], number[there])
        for i in range(texts):
            codes, levels = _encode(table, f"t{i}")
            rows = np.bincount(codes, minlength=len(levels)).astype(np.float64)
            total = np.bincount(codes, target, minlength=len(levels))
            yield _batch(VALUE_SCHEMA, np.full(len(levels), i, np.int32), levels, np.zeros(len(levels)), rows, total)


def _values(column: int, values: Floats, target: Floats, own: Floats) -> pa.RecordBatch:
    """Return sums by value: of the target for a place in the file, else of the values themselves."""
    distinct, codes = np.unique(values, return_inverse=True)
    rows = np.bincount(codes, minlength=len(distinct)).astype(np.float64)
    total = np.bincount(codes, target if column == TENTH else own, minlength=len(distinct))
    keys = pa.nulls(len(distinct), pa.string())
    return _batch(VALUE_SCHEMA, np.full(len(distinct), column, np.int32), keys, distinct, rows, total)


def reduce_levels(batches: Iterable[pa.RecordBatch], texts: int) -> Iterator[pa.RecordBatch]:
    """Turn the totals of text levels into distributions of them; pass numbers on.

    Parameters
    ----------
    batches : iterable of RecordBatch
        `VALUE_SCHEMA`, every value once.
    texts : int
        Columns below this number hold text.

    Yields
    ------
    RecordBatch
        `REDUCED_SCHEMA`: by value; levels by their total; levels by their rows; and for each column the number of
        levels with the sum over them of total squared / rows.
    """
    for batch in batches:
        column, value, rows, total = (batch.column(name).to_numpy() for name in ("column", "value", "rows", "total"))
        other = (column < 0) | (column >= texts)
        count = int(other.sum())
        yield _batch(
            REDUCED_SCHEMA, column[other], np.full(count, BY_VALUE, np.int32), value[other], rows[other], total[other]
        )
        for i in np.unique(column[~other]):
            n, s = rows[column == i], total[column == i]
            for measure, key, held in ((BY_TOTAL, significant(s), s), (BY_ROWS, significant(n), n)):
                distinct, codes = np.unique(key, return_inverse=True)
                levels = np.bincount(codes).astype(np.float64)
                ids = (np.full(len(distinct), i, np.int32), np.full(len(distinct), measure, np.int32))
                yield _batch(REDUCED_SCHEMA, *ids, distinct, levels, np.bincount(codes, held))
            whole = (np.zeros(1), np.array([float(len(n))]), np.array([np.sum(s * s / n)]))
            yield _batch(REDUCED_SCHEMA, np.array([i], np.int32), np.array([BY_LEVEL], np.int32), *whole)


@dataclass(frozen=True, slots=True)
class Layout:
    """What `level_sums` needs to know: the columns, and the distributions that an earlier pass found.

    Attributes
    ----------
    texts : int
        Text columns ``t0`` ...; they are columns 0 ....
    edges : tuple of ndarray
        For each number ``n0`` ...: left edges of its bins.
    ranks : tuple of (ndarray, ndarray)
        For the target and then each number: rounded values, and their ranks about the mean rank.
    centres : tuple of float
        For the target and then each number: the mean.
    blocks : ndarray
        First block of each tenth of the file, ascending.
    block_bits : int
        As in `value_sums`.
    pairs : tuple of (int, int)
        Text columns to cross; they come after the numbers.
    clustered : bool
        Whether there is a column ``customer``, by which the rows are sorted; else every row is its own cluster.
    """

    texts: int
    edges: tuple[Floats, ...]
    ranks: tuple[tuple[Floats, Floats], ...]
    centres: tuple[float, ...]
    blocks: Floats
    block_bits: int
    pairs: tuple[tuple[int, int], ...]
    clustered: bool


@dataclass(frozen=True, slots=True)
class _Rows:
    """What every column of a chunk is summed with."""

    clusters: Integers | None
    target: Floats  # about its mean
    ranks: Floats  # about their mean
    tenth: Integers


def level_sums(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[pa.RecordBatch]:
    """Fold the rows of whole customers into sums by column and level.

    Parameters
    ----------
    batches : iterable of RecordBatch
        Columns ``target``, ``position``, ``t0`` ..., ``n0`` ..., and ``customer``, by which the rows are sorted, where
        the layout says so.
    layout : Layout
        See there.

    Yields
    ------
    RecordBatch
        `LEVEL_SCHEMA`; the same level may come several times. A pair's level is both levels with a mark between.
    """
    for table in _whole_customers(batches) if layout.clustered else _chunks(batches):
        rows = _read_rows(table, layout)
        ones = np.zeros(len(rows.target), np.int64)
        yield _sums(OVERALL, ones, pa.array(["all"]), rows)
        yield _sums(TENTH, rows.tenth, pa.array([str(k) for k in _TEN]), rows)
        coded = [_encode(table, f"t{i}") for i in range(layout.texts)]
        for i, (codes, levels) in enumerate(coded):
            yield _sums(i, codes, levels, rows)
        for j, edges in enumerate(layout.edges):
            number = _numbers(table, f"n{j}")
            there = ~np.isnan(number)
            codes = np.where(there, np.searchsorted(edges, significant(number), side="right") - 1, len(edges))
            own = np.where(there, number - layout.centres[j + 1], 0.0)
            own_ranks = np.where(there, _rank(number, layout.ranks[j + 1]), 0.0)
            names = pa.array([*map(str, range(len(edges))), None])
            yield _sums(layout.texts + j, codes.clip(0), names, rows, own, own_ranks)
        for k, (a, b) in enumerate(layout.pairs):
            (first, first_levels), (second, second_levels) = coded[a], coded[b]
            cell, codes = np.unique(first * len(second_levels) + second, return_inverse=True)
            names = pc.binary_join_element_wise(
                first_levels.take(pa.array(cell // len(second_levels))),
                second_levels.take(pa.array(cell % len(second_levels))),
                PAIR_MARK,
            )
            yield _sums(layout.texts + len(layout.edges) + k, codes, names, rows)


def _read_rows(table: pa.Table, layout: Layout) -> _Rows:
    target = _numbers(table, "target")
    blocks = table.column("position").to_numpy() >> layout.block_bits
    return _Rows(
        clusters=_encode(table, "customer")[0] if layout.clustered else None,
        target=target - layout.centres[0],
        ranks=_rank(target, layout.ranks[0]),
        tenth=(np.searchsorted(layout.blocks, blocks, side="right") - 1).clip(0),
    )


def _rank(values: Floats, table: tuple[Floats, Floats]) -> Floats:
    places = np.searchsorted(table[0], significant(values)).clip(0, len(table[0]) - 1)
    return np.asarray(table[1][places], dtype=np.float64)


def _sums(
    column: int,
    codes: Integers,
    levels: pa.Array,
    rows: _Rows,
    own: Floats | None = None,
    own_ranks: Floats | None = None,
) -> pa.RecordBatch:
    """Return one row a level of one column."""
    size, y = len(levels), rows.target

    def by_level(values: Floats | None) -> Floats:
        if values is None:
            return np.zeros(size)
        return np.bincount(codes, values, minlength=size).astype(np.float64)

    count = np.bincount(codes, minlength=size).astype(np.float64)
    squares, total = by_level(y * y), by_level(y)
    if rows.clusters is None:
        clustered = (count, total, squares, np.zeros(size))
    else:
        clustered = _cluster_sums(rows.clusters, codes, size, y)
    cross = by_level(None if own is None else own * y)
    rank_cross = by_level(None if own_ranks is None else own_ranks * rows.ranks)
    parts = np.bincount(codes * PARTS + rows.tenth, minlength=size * PARTS).reshape(size, PARTS).astype(np.float64)
    sums = (count, total, squares, by_level(rows.ranks), *clustered, cross, rank_cross, *parts.T)
    return _batch(LEVEL_SCHEMA, np.full(size, column, np.int32), levels, *sums)


def _cluster_sums(clusters: Integers, codes: Integers, size: int, y: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return, by level, the sums over clusters of rows squared, rows times target, target squared, and clusters."""
    cells = clusters * size + codes
    most = (int(clusters.max()) + 1) * size
    if most <= _MOST_DENSE_CELLS:
        n = np.bincount(cells, minlength=most).reshape(-1, size).astype(np.float64)
        s = np.bincount(cells, y, minlength=most).reshape(-1, size)
        a, b, c, d = (one.sum(axis=0, dtype=np.float64) for one in (n * n, n * s, s * s, n > 0))
        return a, b, c, d
    found, places = np.unique(cells, return_inverse=True)
    n, s, level = np.bincount(places).astype(np.float64), np.bincount(places, y), found % size
    a, b, c, d = (np.bincount(level, one, minlength=size).astype(np.float64) for one in (n * n, n * s, s * s, n > 0))
    return a, b, c, d


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= _CHUNK_ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if sum(one.num_rows for one in held):
        yield pa.Table.from_batches(held)


def _whole_customers(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut the rows between customers only; a customer's rows follow each other."""
    rest: pa.Table | None = None
    for chunk in _chunks(batches):
        table = chunk if rest is None else pa.concat_tables([rest, chunk])
        customer = table.column("customer")
        cut = pc.index(pc.equal(customer, customer[-1]), True).as_py()
        if cut:
            yield table.slice(0, cut)
        rest = table.slice(cut)
    if rest is not None and rest.num_rows:
        yield rest


def _encode(table: pa.Table, name: str) -> tuple[Integers, pa.Array]:
    column = table.column(name).combine_chunks().dictionary_encode()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return column.indices.to_numpy(zero_copy_only=False).astype(np.int64), column.dictionary


def _numbers(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def _batch(schema: str, *columns: Floats | Integers | pa.Array) -> pa.RecordBatch:
    names = [field.split()[0] for field in schema.split(", ")]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=names)
