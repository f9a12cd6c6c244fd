"""What the executors do with Arrow batches: fold a partition's rows into Gram matrices, merge such partials.

Rows come as the unwrapped feature vector (`type`, `size`, `indices`, `values`), label, weight and fold. Rows
that no fit may use are counted by reason and leave no other trace; the driver decides what to say. Spark
ships this module to its executors by value, so of this package it imports `numerics.gram` alone, which travels along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from purchasecast.numerics.gram import Gram, gram_by_fold, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from purchasecast.numerics.gram import Floats, Integers

__all__ = [
    "PARTIAL_SCHEMA",
    "REASONS",
    "fold_partials",
    "merge_partials",
]

#: What Spark is told the partials look like: fold -1 holds the counts of unusable rows.
PARTIAL_SCHEMA = "key long, fold int, payload binary"
REASONS = (
    "the features vector null",
    "a features vector of another size",
    "a feature null, NaN or infinite",
    "the label null, NaN or infinite",
    "the weight null, NaN, infinite or negative",
    "the fold null or outside its range",
)
_REJECTED = -1
#: Arrow's batches are gathered up to these before the arithmetic: fewer, larger blocks cost less.
_BLOCK_ROWS, _BLOCK_BYTES = 65_536, 64 << 20


def fold_partials(batches: Iterable[pa.RecordBatch], features: int, folds: int) -> Iterator[pa.RecordBatch]:
    """Turn the rows of one partition into one partial a fold.

    Parameters
    ----------
    batches : iterable of RecordBatch
        Columns `features`, `label`, `weight`, `fold` and `key` (the partition's number).
    features, folds : int
        Size of every features vector, and number of folds.

    Yields
    ------
    RecordBatch
        One row, `key`, `fold` and `payload`.
    """
    grams = [Gram.empty(features)] * folds
    rejected = np.zeros(len(REASONS))
    key = 0
    for table in _blocks(batches):
        key = table.column("key")[0].as_py()
        x, y, weight, fold, counts = _read_block(table, features, folds)
        rejected += counts
        grams = [merge(a, b) for a, b in zip(grams, gram_by_fold(x, y, weight, fold, folds), strict=True)]
    yield _partial(key, _REJECTED, rejected.astype("<f8").tobytes())
    for k, gram in enumerate(grams):
        if gram.weight:
            yield _partial(key, k, gram.to_bytes())


def merge_partials(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Merge the partials of one partition into at most one a fold, holding one a fold at a time."""
    grams: dict[int, Gram] = {}
    rejected = np.zeros(len(REASONS))
    key = 0
    for batch in batches:
        payloads = batch.column("payload")
        key = batch.column("key")[0].as_py() if batch.num_rows else key
        for place, k in enumerate(batch.column("fold").to_pylist()):
            payload = payloads[place].as_buffer()
            if k == _REJECTED:
                rejected += np.frombuffer(payload, dtype="<f8")
            else:
                gram = Gram.from_bytes(payload)
                grams[k] = merge(grams[k], gram) if k in grams else gram
    yield _partial(key, _REJECTED, rejected.astype("<f8").tobytes())
    for k, gram in grams.items():
        yield _partial(key, k, gram.to_bytes())


def _partial(key: int, fold: int, payload: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([key], pa.int64()), pa.array([fold], pa.int32()), pa.array([payload], pa.binary())],
        ["key", "fold", "payload"],
    )


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Gather batches into tables of a size that is worth a matrix product."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _BLOCK_ROWS or size >= _BLOCK_BYTES:
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def _read_block(
    table: pa.Table, features: int, folds: int
) -> tuple[sparse.csr_array, Floats, Floats, Integers, Floats]:
    """Return features, label, weight and fold of the usable rows, and counts of the others by reason."""
    vectors = table.column("features").combine_chunks()
    label, weight = _numbers(table, "label"), _numbers(table, "weight")
    fold = table.column("fold").fill_null(_REJECTED).to_numpy().astype(np.int64)
    x, finite = _sparse_rows(vectors, features)
    failed = np.column_stack(
        [
            ~vectors.is_valid().to_numpy(zero_copy_only=False),
            vectors.field("size").fill_null(_REJECTED).to_numpy() != features,
            ~finite,
            ~np.isfinite(label),
            ~(np.isfinite(weight) & (weight >= 0)),
            (fold < 0) | (fold >= folds),
        ]
    )
    first = np.cumsum(failed, axis=1) == 1
    counts = (first & failed).sum(axis=0).astype(float)
    good = np.flatnonzero(~failed.any(axis=1))
    if len(good) == len(label):
        return x, label, weight, fold, counts
    return x[good], label[good], weight[good], fold[good], counts


def _numbers(table: pa.Table, column: str) -> Floats:
    numbers: Floats = table.column(column).cast(pa.float64()).fill_null(float("nan")).to_numpy().astype(float)
    return numbers


def _sparse_rows(vectors: pa.StructArray, features: int) -> tuple[sparse.csr_array, np.ndarray[Any, Any]]:
    """Return the vectors as one matrix, dense and sparse ones alike, and which rows hold finite numbers only.

    Rows of another size come out empty, and are rejected by the caller.
    """
    rows = len(vectors)
    values, indices = vectors.field("values"), vectors.field("indices")
    lengths = values.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    size = vectors.field("size").fill_null(_REJECTED).to_numpy()
    data = values.flatten().fill_null(float("nan")).to_numpy().astype(float)
    given = indices.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    columns = indices.flatten().to_numpy().astype(np.int64)
    if not np.array_equal(lengths, given):  # a dense vector has no indices: number its entries
        entries = np.arange(len(data)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        entries[np.repeat(vectors.field("type").fill_null(1).to_numpy() == 0, lengths)] = columns
        columns = entries
    fits = size == features
    finite = np.ones(rows, dtype=bool)
    if not fits.all() or not np.isfinite(data).all():
        rows_of = np.repeat(np.arange(rows), lengths)
        finite[rows_of[~np.isfinite(data)]] = False
        kept = fits[rows_of]
        data, columns = data[kept], columns[kept]
        lengths = np.where(fits, lengths, 0)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_array((data, columns, starts), shape=(rows, features)), finite
