"""Executor side of the regression within items: rows packed by item, then sums by customer packed by customer.

A task that has all rows of an item computes its means, the sums of squares within the item, and the residual of every
row. A task that has all sums of a customer computes the scores of the customer. Indicators are sparse: a row has only
the indices of its customer's levels.

Spark sends this module to its executors by value, with the functions that it takes from `arrow_buckets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import sparse

from purchasecast.numerics.arrow_buckets import (
    PACKED_SCHEMA,
    chunks,
    codes_of,
    numbers_of,
    pack,
    packed_batches,
    to_batch,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = [
    "CUSTOMER_SCHEMA",
    "MOMENT_SCHEMA",
    "SUM_SCHEMA",
    "Layout",
    "customer_scores",
    "customer_sums",
    "pack_items",
    "sum_moments",
    "within_moments",
]

MOMENT_SCHEMA = "moments binary"
#: Either sums by category and share of the item's mean (spend, squares around that mean, squares of the residuals), or
#: packed sums by customer.
SUM_SCHEMA = "category string, share double, rows double, spend double, around double, rest double, " + PACKED_SCHEMA
_SUMS = ("rows", "total", "r", "rr", "usual_rr", "hidden_rows", "hidden_r", "hidden_usual_rr")
CUSTOMER_SCHEMA = f"customer bigint, {', '.join(f'{name} double' for name in _SUMS)}, {MOMENT_SCHEMA}"

_SHARES = 2_000  # steps of share / (1 + share): near a share of 1, a step is 1/500 of the item's mean
_SLICE = 20_000  # customers whose scores are multiplied at a time


@dataclass(frozen=True, slots=True)
class Layout:
    """What the executors need to know about levels."""

    levels: tuple[dict[str, int], ...]  # for each attribute, the index of each of its levels among all levels
    columns: tuple[int, ...]  # indices of the levels that have an indicator
    means: tuple[float, ...]  # mean purchase of each level
    buckets: int  # number of parts that items, and later customers, are divided into

    def column_of_level(self) -> Integers:
        """Return the index of the indicator of each level, -1 for levels without one."""
        indicators = np.full(len(self.means), -1)
        indicators[list(self.columns)] = np.arange(len(self.columns))
        return indicators


@dataclass(frozen=True, slots=True)
class _Items:
    """The rows of complete items, and for each item: rows, mean spend, variance, and mean indicators (items x k)."""

    spend: Floats
    item: Integers
    customer: Integers
    levels: Integers  # rows x attributes; -1 for a level that is the usual level of no customer
    indicators: sparse.csr_matrix
    hidden: Floats  # 1 for the rows of the half that is hidden from a check
    rows: Floats
    usual: Floats
    spread: Floats
    means: Floats


def pack_items(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[pa.RecordBatch]:
    """Yield rows of ``spend``, hashes ``item`` and ``customer``, ``category`` and attributes, packed by item."""
    for table in chunks(batches):
        kept = {name: table.column(name) for name in ("spend", "item", "customer")}
        for name in ("category", *(f"a_{j}" for j in range(len(layout.levels)))):
            codes, levels = codes_of(table.column(name))
            kept[name] = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), levels)
        places = kept["item"].to_numpy() % layout.buckets
        yield from packed_batches(pa.table(kept), places, layout.buckets)


def within_moments(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[pa.RecordBatch]:
    """Yield the numbers of rows and items, and the sums of products within items: W, and indicators times spend."""
    for table in unpack(batches):
        items = _read_items(table, layout)
        squares = (items.indicators.T @ items.indicators).toarray() - (items.means.T * items.rows) @ items.means
        cross = items.indicators.T @ (items.spend - items.usual[items.item])
        yield _moments(np.concatenate([[len(items.spend), len(items.rows)], squares.ravel(), cross]))


def customer_sums(batches: Iterable[pa.RecordBatch], layout: Layout, coefficients: Floats) -> Iterator[pa.RecordBatch]:
    """Yield sums by category and share, and sums by customer, packed by customer, in `SUM_SCHEMA`."""
    for table in unpack(batches):
        items = _read_items(table, layout)
        own = items.indicators @ coefficients - (items.means @ coefficients)[items.item]
        residual = items.spend - items.usual[items.item] - own
        yield _by_category(table.column("category"), items, residual)
        names, customer = np.unique(items.customer, return_inverse=True)
        levels = np.full((len(names), len(layout.levels)), -1)
        np.maximum.at(levels, customer, items.levels)  # one per customer, for any order of the rows
        usual, hidden = items.spread[items.item], items.hidden
        whole = (np.ones(len(residual)), items.spend, residual, residual**2, usual)
        values = (*whole, hidden, residual * hidden, usual * hidden)
        kept = {name: pa.array(np.bincount(customer, v)) for name, v in zip(_SUMS, values, strict=True)}
        kept["customer"] = pa.array(names)
        shape = (len(names), len(items.rows))
        pulls = sparse.csr_matrix((residual, (customer, items.item)), shape=shape) @ items.means
        kept |= {f"level_{j}": pa.array(levels[:, j]) for j in range(len(layout.levels))}
        kept |= {f"pull_{j}": pa.array(pulls[:, j]) for j in range(len(layout.columns))}
        for bucket, packed in pack(pa.table(kept), names % layout.buckets, layout.buckets):
            empty = [pa.nulls(1, pa.string()), *[pa.nulls(1, pa.float64())] * 5]
            yield to_batch(SUM_SCHEMA, *empty, pa.array([bucket], pa.int32()), pa.array([packed], pa.binary()))


def customer_scores(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[pa.RecordBatch]:
    """Yield the sums of every customer, and the sum of the outer products of their scores, in `CUSTOMER_SCHEMA`."""
    means, columns = np.array(layout.means), np.array(layout.columns, dtype=np.int64)
    for table in unpack(batches):
        names, customer = np.unique(table.column("customer").to_numpy(), return_inverse=True)
        count = len(names)

        def added(name: str, table: pa.Table = table, customer: Integers = customer, count: int = count) -> Floats:
            return np.bincount(customer, numbers_of(table, name), minlength=count).astype(np.float64)

        sums = {name: added(name) for name in _SUMS}
        scores = np.zeros((count, len(means) + len(columns)))
        for j in range(len(layout.levels)):
            level = np.full(count, -1)
            np.maximum.at(level, customer, table.column(f"level_{j}").to_numpy())
            known = np.flatnonzero(level >= 0)
            scores[known, level[known]] = (sums["total"] - sums["rows"] * means[level])[known]
            indicator = level[:, None] == columns[None, :]
            scores[:, len(means) :] += indicator * sums["r"][:, None]
        for j in range(len(columns)):
            scores[:, len(means) + j] -= added(f"pull_{j}")
        products = sum(part.T @ part for part in np.array_split(scores, count // _SLICE + 1))
        yield to_batch(CUSTOMER_SCHEMA, names, *sums.values(), pa.nulls(count, pa.binary()))
        whole = pa.array([np.ravel(products).tobytes()], pa.binary())
        yield to_batch(CUSTOMER_SCHEMA, pa.nulls(1, pa.int64()), *[pa.nulls(1, pa.float64())] * len(_SUMS), whole)


def sum_moments(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the sum of all moments."""
    total: Floats | None = None
    for batch in batches:
        for value in batch.column("moments"):
            numbers = np.frombuffer(value.as_py(), dtype=np.float64)
            total = numbers if total is None else total + numbers
    if total is not None:
        yield _moments(total)


def _moments(numbers: Floats) -> pa.RecordBatch:
    return to_batch(MOMENT_SCHEMA, pa.array([numbers.astype(np.float64).tobytes()], pa.binary()))


def _read_items(table: pa.Table, layout: Layout) -> _Items:
    """Return the rows, and the means of their items."""
    spend = numbers_of(table, "spend")
    _, item = np.unique(table.column("item").to_numpy(), return_inverse=True)
    rows = np.bincount(item).astype(np.float64)
    usual = np.bincount(item, spend) / rows
    spread = np.bincount(item, (spend - usual[item]) ** 2) / rows
    levels = np.zeros((len(spend), len(layout.levels)), np.int64)
    for j, places in enumerate(layout.levels):
        column = table.column(f"a_{j}").chunk(0)
        known = np.array([places.get(name, -1) for name in column.dictionary.to_pylist()], dtype=np.int64)
        levels[:, j] = known[column.indices.to_numpy(zero_copy_only=False)]
    indicators = _indicators(levels, layout)
    own = sparse.csr_matrix((np.ones(len(item)), (item, np.arange(len(item)))), shape=(len(rows), len(item)))
    means = (own @ indicators).toarray() / rows[:, None]
    customer = table.column("customer").to_numpy()
    # By a bit of both hashes: the same for any order of the rows, and repeated purchases stay in one half.
    hidden = (((table.column("item").to_numpy() ^ (customer << 1)) >> 33) & 1).astype(np.float64)
    return _Items(spend, item, customer, levels, indicators, hidden, rows, usual, spread, means)


def _indicators(levels: Integers, layout: Layout) -> sparse.csr_matrix:
    """Return the indicators of the rows."""
    places = np.where(levels >= 0, layout.column_of_level()[levels], -1) if levels.size else levels
    row, attribute = np.nonzero(places >= 0)
    shape = (len(levels), len(layout.columns))
    return sparse.csr_matrix((np.ones(len(row)), (row, places[row, attribute])), shape=shape)


def _by_category(category: pa.ChunkedArray, items: _Items, residual: Floats) -> pa.RecordBatch:
    """Return sums by category and by the share of a purchase in the mean of its item."""
    codes, names = codes_of(category)
    usual = items.usual[items.item]
    off = items.spend - usual
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(usual > 0, np.maximum(items.spend, 0.0) / usual, np.nan)
    # Shares from 0 to infinity fall into steps of share / (1 + share); step -1 has items whose mean is not positive.
    step = np.where(np.isnan(share), -1, np.rint(_SHARES * share / (1 + share))).astype(np.int64)
    cell, place = np.unique(codes * (_SHARES + 2) + step + 1, return_inverse=True)
    middle = (cell % (_SHARES + 2) - 1) / _SHARES
    with np.errstate(divide="ignore"):
        shares = pa.array(middle / (1 - middle), mask=middle < 0)
    terms = (None, items.spend, off**2, residual**2)
    sums = [np.bincount(place, term).astype(np.float64) for term in terms]
    empty = [pa.nulls(len(cell), pa.int32()), pa.nulls(len(cell), pa.binary())]
    return to_batch(SUM_SCHEMA, names.take(pa.array(cell // (_SHARES + 2))), shares, *sums, *empty)
