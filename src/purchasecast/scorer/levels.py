"""Level tables: what the model knows of each customer, product or other level, column by column.

A table is one Arrow file: the column ``key`` (canonical text, strictly ascending by bytes; parts of a pair are joined
by U+001F), columns of values aligned with it, and, last of all, one row without a key that stands for every null and
unseen level. So a position always exists, and reading a value needs no test.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purchasecast.errors import BundleCorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["PAIR_SEPARATOR", "LevelTable", "read_levels", "write_levels"]

PAIR_SEPARATOR = "\x1f"
_KEY = "key"
_BISECT_SHARE = 64  # keys a lookup by bisection may cost before hashing all keys is cheaper; measured


class _SortedKeys(Sequence[bytes]):
    """The keys as bytes, each cut out of one buffer when it is asked for."""

    __slots__ = ("_data", "_offsets", "_rows")

    def __init__(self, keys: pa.StringArray) -> None:
        _, offsets, data = keys.buffers()
        self._rows = len(keys)
        self._offsets: memoryview[int] = memoryview(offsets or bytes(4)).cast("i")
        self._data = bytes(data) if data else b""

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(self._rows))]
        return self._data[self._offsets[index] : self._offsets[index + 1]]


class _PairIndex:
    """Where each pair of levels stands in a table of pairs: the two parts as numbers, so that rows need no text."""

    def __init__(self, keys: pa.StringArray) -> None:
        parts = pc.split_pattern(keys, PAIR_SEPARATOR, max_splits=1).flatten()
        self._firsts = parts.take(pa.array(np.arange(0, len(parts), 2))).dictionary_encode()
        self._seconds = parts.take(pa.array(np.arange(1, len(parts), 2))).dictionary_encode()
        codes = self._coded(self._firsts.indices.to_numpy(), self._seconds.indices.to_numpy())
        self._order = np.argsort(codes)
        self._codes = codes[self._order]
        self._firsts, self._seconds = self._firsts.dictionary, self._seconds.dictionary

    def find(
        self,
        firsts: Sequence[str | None],
        first: NDArray[np.intp],
        seconds: Sequence[str | None],
        second: NDArray[np.intp],
    ) -> NDArray[np.intp]:
        """Return the position of each row's pair, the number of pairs where it is not there."""
        a = _places(firsts, self._firsts)[first]
        b = _places(seconds, self._seconds)[second]
        wanted = self._coded(a, b)
        place = np.searchsorted(self._codes, wanted).clip(max=max(len(self._codes) - 1, 0))
        is_there = (a >= 0) & (b >= 0) & (self._codes[place] == wanted if len(self._codes) else False)
        return np.where(is_there, self._order[place] if len(self._codes) else 0, len(self._codes))

    def _coded(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.int64]:
        return first.astype(np.int64) * (1 << 32) + second


def _places(values: Sequence[str | None], among: pa.StringArray) -> NDArray[np.intp]:
    """Return the place of each value, -1 where it is None or not there."""
    found = pc.index_in(pa.array(values, pa.string()), value_set=among)
    return pc.fill_null(found, -1).to_numpy().astype(np.intp)  # type: ignore[no-any-return]


class LevelTable:
    """Levels in the order of their keys, and arrays of what is known of them.

    Parameters
    ----------
    keys : pyarrow.StringArray
        Keys without null, strictly ascending by bytes.
    columns : mapping of str to pyarrow.Array
        Values, one row longer than `keys`: the last is that of unseen levels.
    """

    def __init__(self, keys: pa.StringArray, columns: Mapping[str, pa.Array]) -> None:
        self.keys = keys
        self.rows = len(keys)
        self._sorted = _SortedKeys(keys)
        self._columns = dict(columns)
        self._pairs: _PairIndex | None = None

    def find(self, key: str | None) -> int:
        """Return a level's position; that of the unseen level for None and for a key that is not there."""
        if key is None:
            return self.rows
        wanted = key.encode()
        position = bisect_left(self._sorted, wanted)
        return position if position < self.rows and self._sorted[position] == wanted else self.rows

    def find_all(self, keys: Sequence[str | None]) -> NDArray[np.intp]:
        """Return the positions of many levels; by bisection where they are few, else by one hash of all keys."""
        if len(keys) * _BISECT_SHARE < self.rows:
            return np.fromiter(map(self.find, keys), dtype=np.intp, count=len(keys))
        found = pc.index_in(pa.array(keys, pa.string()), value_set=self.keys)
        return pc.fill_null(found, self.rows).to_numpy().astype(np.intp)  # type: ignore[no-any-return]

    def find_pairs(
        self,
        firsts: Sequence[str | None],
        first: NDArray[np.intp],
        seconds: Sequence[str | None],
        second: NDArray[np.intp],
    ) -> NDArray[np.intp]:
        """Return the position of each row's pair in a table of pairs.

        Parameters
        ----------
        firsts : sequence of str or None
            Distinct values of the first column.
        first : ndarray of int of shape (n,)
            Place of each row's value in `firsts`.
        seconds : sequence of str or None
            Distinct values of the second column.
        second : ndarray of int of shape (n,)
            Place of each row's value in `seconds`.

        Returns
        -------
        ndarray of int of shape (n,)
            Positions; that of the unseen level for a pair with a null and for one that is not there.
        """
        if self._pairs is None:
            self._pairs = _PairIndex(self.keys)
        return self._pairs.find(firsts, first, seconds, second)

    def prefixed(self, prefix: str, limit: int) -> range:
        """Return the positions of the first keys that start with a text."""
        start = bisect_left(self._sorted, prefix.encode())
        stop = start
        while stop < min(start + limit, self.rows) and self._sorted[stop].startswith(prefix.encode()):
            stop += 1
        return range(start, stop)

    def containing(self, text: str, limit: int) -> list[int]:
        """Return the positions of the first keys that contain a text, whatever its case; reads every key."""
        found = pc.match_substring(self.keys, text, ignore_case=True).to_numpy(zero_copy_only=False)
        return [int(position) for position in np.flatnonzero(found)[:limit]]

    def key(self, position: int) -> str:
        """Return the key at a position."""
        return self._sorted[position].decode()

    def has(self, name: str) -> bool:
        """Tell whether there is a column of values of that name."""
        return name in self._columns

    def column(self, name: str) -> pa.Array:
        """Return a column of values, the unseen level last.

        Raises
        ------
        BundleCorruptError
            If there is none.
        """
        if name not in self._columns:
            raise BundleCorruptError(f"scorer: expected the level column {name}, found {sorted(self._columns)}.")
        return self._columns[name]

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a column of numbers: one number a level, or, of a list column, one row of numbers a level."""
        values = self.column(name)
        if pa.types.is_fixed_size_list(values.type):
            flat = values.flatten().to_numpy()
            return flat.reshape(len(values), values.type.list_size)  # type: ignore[no-any-return]
        return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]

    def texts(self, name: str) -> list[str | None]:
        """Return the distinct values of a text column."""
        return pc.unique(self.column(name)).drop_null().to_pylist()  # type: ignore[no-any-return]


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


def read_levels(path: Path) -> LevelTable:
    """Read what `write_levels` wrote.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    LevelTable
        The table, in memory: a file that is mapped and then overwritten in place would end the process.

    Raises
    ------
    BundleCorruptError
        If the file is missing, is no Arrow file, or its keys are not ascending.
    """
    try:
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
            table = reader.read_all().combine_chunks()
        arrays = {name: table[name].chunk(0) for name in table.column_names}
        keys = arrays.pop(_KEY).slice(0, len(table) - 1)
        ascending = pc.all(pc.less(keys.slice(0, max(len(keys) - 1, 0)), keys.slice(1))).as_py()
    except (OSError, KeyError, IndexError, pa.ArrowException) as error:
        raise BundleCorruptError(
            f"scorer: expected a level table in {path.name}, found none ({type(error).__name__}); train again."
        ) from error
    if keys.null_count or ascending is False:
        raise BundleCorruptError(f"scorer: expected ascending keys in {path.name}, found others; train again.")
    return LevelTable(keys, arrays)
