"""Level tables: what the model knows of each customer, product or other level, column by column.

A table is one Arrow file. Its column ``key`` holds canonical text, strictly ascending by bytes; the two parts of a pair
are joined by U+001F. Value columns are aligned with it. The last row has no key and stands for every null and unseen
level. A look-up therefore always returns a valid position, and nothing has to be tested before a value is read.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purchasecast.errors import BundleCorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from purchasecast.files import SealedFiles

    Positions = NDArray[np.intp]
    Texts = Sequence[str | None]

__all__ = ["PAIR_SEPARATOR", "LevelTable", "read_levels", "write_levels"]

PAIR_SEPARATOR = "\x1f"
_KEY = "key"
_BISECT_SHARE = 64  # measured: bisection is faster for fewer than one look-up in 64 keys


class _SortedKeys:
    """The keys as bytes, each cut out of one buffer when it is asked for; a million Python strings would take 60 MB."""

    __slots__ = ("_data", "_offsets", "_rows")

    def __init__(self, keys: pa.StringArray) -> None:
        _, offsets, data = keys.buffers()
        self._rows = len(keys)
        self._offsets: memoryview[int] = memoryview(offsets or bytes(4)).cast("i")
        self._data = bytes(data) if data else b""

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: int) -> bytes:
        return self._data[self._offsets[index] : self._offsets[index + 1]]


class _PairIndex:
    """Finds pairs in a table of pairs by two numbers, so that no text has to be joined for each row."""

    def __init__(self, keys: pa.StringArray) -> None:
        parts = pc.split_pattern(keys, PAIR_SEPARATOR, max_splits=1).flatten()
        first, second = (parts.take(pa.array(np.arange(side, len(parts), 2))).dictionary_encode() for side in (0, 1))
        self._firsts, self._seconds = first.dictionary, second.dictionary
        codes = _pair_codes(first.indices.to_numpy(), second.indices.to_numpy())
        self._order = np.argsort(codes)
        self._codes = codes[self._order]

    def find(self, firsts: Texts, first: Positions, seconds: Texts, second: Positions) -> Positions:
        """Return the position of each row's pair; the number of pairs if it is not there."""
        rows = len(self._codes)
        if not rows:
            return np.zeros(len(first), dtype=np.intp)
        a, b = _find(firsts, self._firsts, -1)[first], _find(seconds, self._seconds, -1)[second]
        wanted = _pair_codes(a, b)
        place = np.searchsorted(self._codes, wanted).clip(max=rows - 1)
        return np.where((a >= 0) & (b >= 0) & (self._codes[place] == wanted), self._order[place], rows)


def _pair_codes(first: Positions, second: Positions) -> NDArray[np.int64]:
    return first.astype(np.int64) * (1 << 32) + second  # no table has 2**31 distinct values in a column


def _find(values: Texts, keys: pa.StringArray, absent: int) -> Positions:
    """Return the place of each value among the keys, by a hash of all keys."""
    places = pc.index_in(pa.array(values, pa.string()), value_set=keys)
    return pc.fill_null(places, absent).to_numpy().astype(np.intp)  # type: ignore[no-any-return]


class LevelTable:
    """Levels in the order of their keys, with what is known of each.

    Parameters
    ----------
    keys : pyarrow.StringArray
        Keys without nulls, strictly ascending by bytes.
    columns : mapping of str to pyarrow.Array
        Values, one more than keys: the last is that of unseen levels.
    """

    def __init__(self, keys: pa.StringArray, columns: Mapping[str, pa.Array]) -> None:
        self.keys = keys
        self.rows = len(keys)
        self._sorted = _SortedKeys(keys)
        self._columns = dict(columns)
        self._pairs: _PairIndex | None = None

    def find(self, key: str | None) -> int:
        """Return the position of a level; that of the unseen level for None and for an unknown key."""
        if key is None:
            return self.rows
        wanted = key.encode()
        position = bisect_left(self._sorted, wanted)
        return position if position < self.rows and self._sorted[position] == wanted else self.rows

    def find_all(self, keys: Texts) -> Positions:
        """Return the positions of many levels; that of the unseen level for None and for an unknown key."""
        if len(keys) * _BISECT_SHARE < self.rows:
            return np.fromiter(map(self.find, keys), dtype=np.intp, count=len(keys))
        return _find(keys, self.keys, self.rows)

    def find_pairs(self, firsts: Texts, first: Positions, seconds: Texts, second: Positions) -> Positions:
        """Return the position of each row's pair in a table of pairs.

        Parameters
        ----------
        firsts, seconds : sequence of str or None
            Distinct values of both columns.
        first, second : ndarray of int of shape (n,)
            Place of each row's value among them.

        Returns
        -------
        ndarray of int of shape (n,)
            Positions; that of the unseen level for an unknown pair and for one with a null.
        """
        if self._pairs is None:  # built for the first batch: single rows never need it
            self._pairs = _PairIndex(self.keys)
        return self._pairs.find(firsts, first, seconds, second)

    def prefixed(self, prefix: str, limit: int) -> range:
        """Return the positions of the first keys that start with a text."""
        wanted = prefix.encode()
        start = stop = bisect_left(self._sorted, wanted)
        while stop < min(start + limit, self.rows) and self._sorted[stop].startswith(wanted):
            stop += 1
        return range(start, stop)

    def containing(self, text: str, limit: int) -> list[int]:
        """Return the positions of the first keys that contain a text in any case; reads every key."""
        matches = pc.match_substring(self.keys, text, ignore_case=True).to_numpy(zero_copy_only=False)
        return [int(position) for position in np.flatnonzero(matches)[:limit]]

    def key(self, position: int) -> str:
        """Return the key at a position."""
        return self._sorted[position].decode()

    def column(self, name: str) -> pa.Array:
        """Return a column of values, that of the unseen level last.

        Raises
        ------
        BundleCorruptError
            If there is no such column.
        """
        if name not in self._columns:
            raise BundleCorruptError(
                f"scorer: expected the level column {name}, found {', '.join(sorted(self._columns))}; train again."
            )
        return self._columns[name]

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a column as an array: one number for each level or, of a list column, one row of numbers."""
        values = self.column(name)
        if pa.types.is_fixed_size_list(values.type):
            flat = values.flatten().to_numpy()
            return flat.reshape(len(values), values.type.list_size)  # type: ignore[no-any-return]
        return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def write_levels(path: Path, keys: pa.Array, columns: Mapping[str, pa.Array]) -> None:
    """Write a level table.

    Parameters
    ----------
    path : Path
        The file.
    keys : pyarrow.Array
        Distinct texts in any order.
    columns : mapping of str to pyarrow.Array
        Values aligned with `keys`, followed by that of the unseen level.
    """
    keys = keys.cast(pa.string())
    order = pc.sort_indices(keys)
    with_unseen = pa.concat_arrays([order, pa.array([len(keys)], order.type)])
    sorted_keys = pa.concat_arrays([keys.take(order), pa.array([None], pa.string())])
    table = pa.table({_KEY: sorted_keys, **{name: values.take(with_unseen) for name, values in columns.items()}})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=max(len(table), 1))


def read_levels(files: SealedFiles, name: str) -> LevelTable:
    """Read a level table into memory.

    Parameters
    ----------
    files : SealedFiles
        Files of the scorer.
    name : str
        Name of the table's file.

    Returns
    -------
    LevelTable
        The table.

    Raises
    ------
    BundleCorruptError
        If the file is missing, is not an Arrow file, or its keys are not ascending.
    """
    try:
        # Not memory-mapped: if the file were overwritten in place, a mapped one would kill the process.
        with pa.ipc.open_file(pa.BufferReader(files.read(name))) as reader:
            table = reader.read_all().combine_chunks()
        arrays = {name: table[name].chunk(0) for name in table.column_names}
        keys = arrays.pop(_KEY).slice(0, len(table) - 1)
        is_ascending = pc.all(pc.less(keys.slice(0, max(len(keys) - 1, 0)), keys.slice(1))).as_py()
    except (OSError, KeyError, IndexError, pa.ArrowException) as error:
        raise BundleCorruptError(f"scorer: expected a level table in {name}, found none; train again.") from error
    if keys.null_count or is_ascending is False:
        raise BundleCorruptError(f"scorer: expected ascending keys in {name}, found others; train again.")
    return LevelTable(keys, arrays)
