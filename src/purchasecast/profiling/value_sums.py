"""Sum rows by value and pack them for the second step, on the executors.

Values are rounded to 15 significant bits, which bounds the number of distinct values for any number of rows: whole
numbers up to 32,768 stay exact, others move by a 65,000th at most. The sums are those of the values before rounding.

Packed rows hold codes and numbers, one bucket of customers each (`arrow_buckets`). They are exchanged by customer and
read again without another pass over the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_buckets import chunks, codes_of, numbers_of, pack, to_batch

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
    "PARTS",
    "REDUCED_SCHEMA",
    "TARGET",
    "TENTH",
    "VALUE_SCHEMA",
    "reduce_levels",
    "significant",
    "value_sums",
]

TARGET, TENTH = -1, -2  # numbers of columns that are no features, which count from 0
BY_VALUE, BY_TOTAL, BY_ROWS, BY_LEVEL = 0, 1, 2, 3
PARTS = 10  # of the file
VALUE_SCHEMA = "column int, key string, value double, rows double, total double, bucket int, packed binary"
_SUM_TYPES = (pa.int32(), pa.string(), pa.float64(), pa.float64(), pa.float64())
_PACKED_TYPES = (pa.int32(), pa.binary())
REDUCED_SCHEMA = "column int, measure int, value double, rows double, total double"

_MAX_PACKED = 1_000  # levels of a text in one chunk; a text of more is not described level by level, a date is


def significant(values: Floats) -> Floats:
    """Round to 15 significant bits."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.rint(mantissa * 2**15), exponent - 15), dtype=np.float64)


def value_sums(
    batches: Iterable[pa.RecordBatch],
    texts: int,
    numbers: int,
    dates: tuple[int, ...],
    block_bits: int,
    buckets: int,
) -> Iterator[pa.RecordBatch]:
    """Sum rows and target by column and value, and pack the rows.

    Parameters
    ----------
    batches : iterable of RecordBatch
        Columns ``target``, ``position``, ``customer`` (a hash; null where there are no customers), ``t0`` ... (text)
        and ``n0`` ... (numbers).
    texts, numbers : int
        Number of columns of each kind.
    dates : tuple of int
        Places of the texts that are months.
    block_bits : int
        Positions in the file are counted in blocks of 2 to the power of it.
    buckets : int
        Number of buckets that customers are divided into.

    Yields
    ------
    RecordBatch
        `VALUE_SCHEMA`; a value may come several times. Where ``packed`` is set, all but ``bucket`` is null.
    """
    for table in chunks(batches):
        target = numbers_of(table, "target")
        yield _values(TARGET, significant(target), target, target)
        blocks = table.column("position").to_numpy() >> block_bits
        yield _values(TENTH, blocks.astype(np.float64), target, target)
        kept = {"target": pa.array(target), "block": pa.array(blocks), "customer": table.column("customer")}
        for j in range(numbers):
            number = numbers_of(table, f"n{j}")
            there = ~np.isnan(number)
            yield _values(texts + j, significant(number[there]), target[there], number[there])
            kept[f"n{j}"] = pa.array(number)
        for i in range(texts):
            codes, levels = codes_of(table.column(f"t{i}"))
            rows = np.bincount(codes, minlength=len(levels)).astype(np.float64)
            total = np.bincount(codes, target, minlength=len(levels))
            yield _sums(np.full(len(levels), i, np.int32), levels, np.zeros(len(levels)), rows, total)
            if len(levels) <= _MAX_PACKED or i in dates:
                kept[f"t{i}"] = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), levels)
        yield from _packed(pa.table(kept), buckets)


def _packed(table: pa.Table, buckets: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each bucket as one binary value."""
    customer = table.column("customer")
    if customer.null_count:
        places = np.full(table.num_rows, table.column("block")[0].as_py() % buckets)
    else:
        places = customer.to_numpy() % buckets
    for values in pack(table, places, buckets):
        own = [pa.array([value], kind) for value, kind in zip(values, _PACKED_TYPES, strict=True)]
        yield to_batch(VALUE_SCHEMA, *[pa.nulls(1, kind) for kind in _SUM_TYPES], *own)


def _sums(*columns: Floats | Integers | pa.Array) -> pa.RecordBatch:
    """Return sums by value, without packed rows."""
    return to_batch(VALUE_SCHEMA, *columns, *[pa.nulls(len(columns[0]), kind) for kind in _PACKED_TYPES])


def _values(column: int, values: Floats, target: Floats, own: Floats) -> pa.RecordBatch:
    """Return sums by value: of the target for positions in the file, else of the values themselves."""
    distinct, codes = np.unique(values, return_inverse=True)
    rows = np.bincount(codes, minlength=len(distinct)).astype(np.float64)
    total = np.bincount(codes, target if column == TENTH else own, minlength=len(distinct))
    keys = pa.nulls(len(distinct), pa.string())
    return _sums(np.full(len(distinct), column, np.int32), keys, distinct, rows, total)


def reduce_levels(batches: Iterable[pa.RecordBatch], texts: int) -> Iterator[pa.RecordBatch]:
    """Turn the totals of levels into their distributions; pass the sums of numbers on.

    Parameters
    ----------
    batches : iterable of RecordBatch
        `VALUE_SCHEMA`, with every value once.
    texts : int
        Number of text columns, which come first.

    Yields
    ------
    RecordBatch
        `REDUCED_SCHEMA`: rows by value, levels by their total, levels by their rows; and for each column the number of
        levels and the sum of total squared / rows over them.
    """
    for batch in batches:
        column, value, rows, total = (batch.column(name).to_numpy() for name in ("column", "value", "rows", "total"))
        other = (column < 0) | (column >= texts)
        count = int(other.sum())
        yield to_batch(
            REDUCED_SCHEMA, column[other], np.full(count, BY_VALUE, np.int32), value[other], rows[other], total[other]
        )
        for i in np.unique(column[~other]):
            n, s = rows[column == i], total[column == i]
            for measure, key, held in ((BY_TOTAL, significant(s), s), (BY_ROWS, significant(n), n)):
                distinct, codes = np.unique(key, return_inverse=True)
                levels = np.bincount(codes).astype(np.float64)
                ids = (np.full(len(distinct), i, np.int32), np.full(len(distinct), measure, np.int32))
                yield to_batch(REDUCED_SCHEMA, *ids, distinct, levels, np.bincount(codes, held))
            whole = (np.zeros(1), np.array([float(len(n))]), np.array([np.sum(s * s / n)]))
            yield to_batch(REDUCED_SCHEMA, np.array([i], np.int32), np.array([BY_LEVEL], np.int32), *whole)
