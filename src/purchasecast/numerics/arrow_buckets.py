"""Pack table rows into one Arrow value per bucket, so that a shuffle moves a few large values instead of many rows.

Spark ships this module to its executors by value, so it imports nothing of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["PACKED_SCHEMA", "chunks", "codes_of", "numbers_of", "pack", "packed_batches", "to_batch", "unpack"]

PACKED_SCHEMA = "bucket int, packed binary"
_CHUNK_ROWS = 131_072  # Spark sends batches of 10,000 rows, on which NumPy's overhead per call would dominate


def chunks(batches: Iterable[pa.RecordBatch], rows: int = _CHUNK_ROWS) -> Iterator[pa.Table]:
    """Combine batches into tables of at least `rows` rows.

    Parameters
    ----------
    batches : iterable of RecordBatch
        Batches of one schema; empty ones are skipped.
    rows : int, default 131,072
        Least rows of a table.

    Yields
    ------
    Table
        Rows in the order of the batches; the last table may be shorter.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= rows:
            yield pa.Table.from_batches(held)
            held = []
    if sum(one.num_rows for one in held):
        yield pa.Table.from_batches(held)


def pack(table: pa.Table, places: Integers, buckets: int) -> Iterator[tuple[int, bytes]]:
    """Yield the rows of each bucket as bytes.

    Parameters
    ----------
    table : Table
        Rows; text columns should be dictionary-encoded.
    places : ndarray of shape (n,)
        Bucket of each row.
    buckets : int
        Number of buckets.

    Yields
    ------
    tuple of (int, bytes)
        Number of a bucket that has rows, and its rows as an Arrow stream.
    """
    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.arange(buckets + 1))
    table = table.take(pa.array(order)).combine_chunks()
    for bucket in np.flatnonzero(np.diff(ends)):
        part = table.slice(ends[bucket], ends[bucket + 1] - ends[bucket])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, part.schema) as stream:
            stream.write_table(part)
        yield int(bucket), sink.getvalue().to_pybytes()


def packed_batches(table: pa.Table, places: Integers, buckets: int) -> Iterator[pa.RecordBatch]:
    """Pack rows as `pack` does, and yield batches of `PACKED_SCHEMA`, one bucket each."""
    for bucket, packed in pack(table, places, buckets):
        yield to_batch(PACKED_SCHEMA, pa.array([bucket], pa.int32()), pa.array([packed], pa.binary()))


def unpack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows that `pack` packed, bucket by bucket.

    Parameters
    ----------
    batches : iterable of RecordBatch
        Columns ``bucket`` and ``packed``, sorted by bucket.

    Yields
    ------
    Table
        All rows of one bucket, with the columns that all its parts have.
    """
    held: list[pa.Table] = []
    last = None
    for batch in batches:
        for bucket, packed in zip(batch.column("bucket").to_pylist(), batch.column("packed"), strict=True):
            if bucket != last and held:
                yield _concatenate(held)
                held = []
            last = bucket
            held.append(pa.ipc.open_stream(packed.as_buffer()).read_all())
    if held:
        yield _concatenate(held)


def _concatenate(tables: Sequence[pa.Table]) -> pa.Table:
    names = set.intersection(*(set(table.column_names) for table in tables))
    kept = [name for name in tables[0].column_names if name in names]
    return pa.concat_tables([table.select(kept) for table in tables]).unify_dictionaries().combine_chunks()


def codes_of(column: pa.ChunkedArray) -> tuple[Integers, pa.Array]:
    """Return the position of each row's level among the levels, and the levels."""
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary


def numbers_of(table: pa.Table, name: str) -> Floats:
    """Return a column as floats, with NaN for null."""
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def to_batch(schema: str, *columns: Floats | Integers | pa.Array) -> pa.RecordBatch:
    """Return a batch of columns, named by a Spark schema such as ``"bucket int, packed binary"``."""
    names = [field.split()[0] for field in schema.split(", ")]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=names)
