"""Sum packed rows by level and by pair of levels, on the executors.

All rows of a customer are in one bucket, so that sums over clusters can be formed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_buckets import codes_of, numbers_of, to_batch, unpack
from purchasecast.profiling.value_sums import PARTS, TENTH, significant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["LEVEL_SCHEMA", "OVERALL", "PAIR_MARK", "SUM_NAMES", "Layout", "level_sums"]

OVERALL = -3  # number of a column that is no feature, as `TENTH` is
PAIR_MARK = "\x1f"
#: Sums by level: rows; target, its squares and ranks; over clusters, the squares and products of rows and target;
#: clusters; products of the number with the target, and of the ranks of both; rows by tenth of the file.
SUM_NAMES = (
    *("rows", "total", "squares", "ranks", "rows_rows", "rows_total", "total_total", "clusters", "cross", "rank_cross"),
    *(f"part_{k}" for k in range(PARTS)),
)
LEVEL_SCHEMA = "column int, level string, " + ", ".join(f"{name} double" for name in SUM_NAMES)

_MAX_DENSE_CELLS = 4_000_000  # of a table of clusters by levels: 32 MB
_TEN = np.arange(PARTS)
_YEAR = 4  # characters of the year in a month


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns and distributions, as `level_sums` needs them.

    Attributes
    ----------
    texts : tuple of int
        Text columns ``t0`` ... to read, by number; they become columns 0 ....
    by_year : tuple of int
        Those of `texts` that are months and are summed by year.
    edges : tuple of ndarray
        Left edges of the bins of each number ``n0`` ....
    ranks : tuple of (ndarray, ndarray)
        Rounded values and their centred ranks, of the target and then of each number.
    centres : tuple of float
        Mean of the target and then of each number.
    blocks : ndarray
        First block of each tenth of the file, ascending.
    pairs : tuple of (int, int)
        Pairs of places in `texts` to cross; they become the columns after the numbers.
    clustered : bool
        Whether there are customers; otherwise each row is a cluster.
    """

    texts: tuple[int, ...]
    by_year: tuple[int, ...]
    edges: tuple[Floats, ...]
    ranks: tuple[tuple[Floats, Floats], ...]
    centres: tuple[float, ...]
    blocks: Floats
    pairs: tuple[tuple[int, int], ...]
    clustered: bool


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a chunk, as every column sums them."""

    clusters: Integers | None
    target: Floats  # centred
    ranks: Floats  # of the target, centred
    tenth: Integers


def level_sums(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[pa.RecordBatch]:
    """Sum the rows of whole customers by column and level.

    Parameters
    ----------
    batches : iterable of RecordBatch
        Columns ``bucket`` and ``packed`` of `value_sums`, sorted by bucket.
    layout : Layout
        Columns and distributions.

    Yields
    ------
    RecordBatch
        `LEVEL_SCHEMA`; a level may come several times. The level of a pair is both levels with a mark between them.
    """
    for table in unpack(batches):
        rows = _read_rows(table, layout)
        ones = np.zeros(len(rows.target), np.int64)
        yield _sums(OVERALL, ones, pa.array(["all"]), rows)
        yield _sums(TENTH, rows.tenth, pa.array([str(k) for k in _TEN]), rows)
        coded = [_coded(table, i, by_year=i in layout.by_year) for i in layout.texts]
        for i, (codes, levels) in enumerate(coded):
            yield _sums(i, codes, levels, rows)
        for j, edges in enumerate(layout.edges):
            number = numbers_of(table, f"n{j}")
            there = ~np.isnan(number)
            codes = np.where(there, np.searchsorted(edges, significant(number), side="right") - 1, len(edges))
            own = np.where(there, number - layout.centres[j + 1], 0.0)
            own_ranks = np.where(there, _rank(number, layout.ranks[j + 1]), 0.0)
            names = pa.array([*map(str, range(len(edges))), None])
            yield _sums(len(coded) + j, codes.clip(0), names, rows, own, own_ranks)
        for k, (one, other) in enumerate(layout.pairs):
            (first, first_levels), (second, second_levels) = coded[one], coded[other]
            codes = first * len(second_levels) + second
            across = second_levels.to_pylist()
            names = pa.array([f"{a}{PAIR_MARK}{b}" for a in first_levels.to_pylist() for b in across])
            yield _sums(len(coded) + len(layout.edges) + k, codes, names, rows)


def _coded(table: pa.Table, text: int, *, by_year: bool) -> tuple[Integers, pa.Array]:
    """Return the code of each row, and the levels."""
    column = table.column(f"t{text}").chunk(0)
    codes, levels = column.indices.to_numpy(zero_copy_only=False).astype(np.int64), column.dictionary
    if not by_year:
        return codes, levels
    years, places = np.unique(np.array([level[:_YEAR] for level in levels.to_pylist()]), return_inverse=True)
    return places[codes], pa.array(years)


def _read_rows(table: pa.Table, layout: Layout) -> _Rows:
    target = numbers_of(table, "target")
    blocks = table.column("block").to_numpy()
    return _Rows(
        clusters=codes_of(table.column("customer"))[0] if layout.clustered else None,
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
    there = np.flatnonzero(count)
    names = levels.take(pa.array(there))
    return to_batch(LEVEL_SCHEMA, np.full(len(there), column, np.int32), names, *(one[there] for one in sums))


def _cluster_sums(clusters: Integers, codes: Integers, size: int, y: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return sums over the clusters of each level: rows squared, rows times target, target squared, and the number."""
    cells = clusters * size + codes
    most = (int(clusters.max()) + 1) * size
    if most <= _MAX_DENSE_CELLS:
        n = np.bincount(cells, minlength=most).reshape(-1, size).astype(np.float64)
        s = np.bincount(cells, y, minlength=most).reshape(-1, size)
        a, b, c, d = (one.sum(axis=0, dtype=np.float64) for one in (n * n, n * s, s * s, n > 0))
        return a, b, c, d
    cell, places = np.unique(cells, return_inverse=True)
    n, s, level = np.bincount(places).astype(np.float64), np.bincount(places, y), cell % size
    a, b, c, d = (np.bincount(level, one, minlength=size).astype(np.float64) for one in (n * n, n * s, s * s, n > 0))
    return a, b, c, d
