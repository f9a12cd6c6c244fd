"""Refuse Parquet files that are small and unpack to much, before anything is unpacked.

The footer names sizes, too, but readers do not hold a file to them. The sizes in the page headers are what a reader
allocates, so these are added up. A page header is a struct in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from purchasecast.errors import DataError
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.parquet as pq

__all__ = ["check_unpacked_size", "page_sizes"]

_MAX_PAGE_BYTES, _MAX_UNPACKED_BYTES = 64 << 20, 1 << 30  # of one page, and of all pages of a file
_MAX_PAGES = 100_000
_DELTA_BYTE_ARRAY = 7  # an encoding that stores only how a value differs from the last: a page can unpack to any size
_SIZE, _PACKED_SIZE = 2, 3  # fields of a page header
_ENCODINGS = {5: 2, 8: 4}  # data page header of version 1 and 2 -> the field of the encoding in it
_FIRST_READ = 4_096
_MAX_HEADER_BYTES, _MAX_HEADERS_BYTES = 1 << 18, 4 << 20  # of one, and of all: Python reads about 3 MB a second
_I16, _I32, _I64, _BINARY, _LIST, _SET, _STRUCT = 4, 5, 6, 8, 9, 10, 12
_FIXED = {1: 0, 2: 0, 3: 1, 7: 8}  # true, false, a byte, a double -> bytes that follow
_MAX_DEPTH = 16


def check_unpacked_size(source: IO[bytes], file: pq.ParquetFile) -> None:
    """Check that a file stays small when it is unpacked; the position in the source is moved.

    Raises
    ------
    ProblemError
        If it unpacks to too much (413), or one of its encodings hides how much (422).
    DataError
        If a page header cannot be read.
    """
    total = 0
    for number, (size, encoding) in enumerate(page_sizes(source, file)):
        total += size
        if size > _MAX_PAGE_BYTES or total > _MAX_UNPACKED_BYTES or number >= _MAX_PAGES:
            limit = f"{_MAX_UNPACKED_BYTES >> 20:,} MiB unpacked, in at most {_MAX_PAGES:,} pages"
            raise ProblemError(413, f"Parquet file: expected at most {limit}, found more; send several files.")
        if encoding == _DELTA_BYTE_ARRAY:
            raise ProblemError(422, "Parquet file: expected no encoding DELTA_BYTE_ARRAY, found it; write it without.")


def page_sizes(source: IO[bytes], file: pq.ParquetFile) -> Iterator[tuple[int, int | None]]:
    """Yield every page's unpacked size in bytes, and Parquet's number of its encoding (None for a dictionary)."""
    budget = _MAX_HEADERS_BYTES
    for group in range(file.metadata.num_row_groups):
        for number in range(file.metadata.row_group(group).num_columns):
            column = file.metadata.row_group(group).column(number)
            start = column.data_page_offset
            if column.has_dictionary_page and column.dictionary_page_offset:
                start = min(start, column.dictionary_page_offset)
            place, end = start, start + column.total_compressed_size
            while place < end:
                header, length = _read_header(source, place)
                size, packed = header.get(_SIZE, -1), header.get(_PACKED_SIZE, -1)
                budget -= length
                if size < 0 or packed < 0 or budget < 0:
                    raise DataError("expected short page headers with sizes, found others.")
                encodings = [header[field].get(inner) for field, inner in _ENCODINGS.items() if field in header]
                yield size, encodings[0] if encodings else None
                place += length + packed


def _read_header(source: IO[bytes], place: int) -> tuple[dict[int, Any], int]:
    """Return the page header at a place of the file, and its length."""
    wanted = _FIRST_READ
    while wanted <= _MAX_HEADER_BYTES:
        source.seek(place)
        data = source.read(wanted)
        reader = _ThriftReader(data)
        try:
            return reader.struct(0), reader.at
        except IndexError:
            if len(data) < wanted:
                break
            wanted *= 8
    raise DataError("expected a page header, found none.")


class _ThriftReader:
    """Reads a struct from its beginning; IndexError means that the data end before the struct does."""

    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data

    def struct(self, depth: int) -> dict[int, Any]:
        """Return a struct's values by field number."""
        if depth > _MAX_DEPTH:
            raise DataError("expected a page header, found structs nested too deeply.")
        fields: dict[int, Any] = {}
        field = 0
        while (head := self._byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self._signed()
            fields[field] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        """Return a number or a struct; skip any other value and return None."""
        if kind in {_I16, _I32, _I64}:
            return self._signed()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in _FIXED:
            self._skip(_FIXED[kind])
        elif kind == _BINARY:
            self._skip(self._unsigned())
        elif kind in {_LIST, _SET}:
            self._skip_list(depth)
        else:
            raise DataError("expected a page header, found a type that it cannot have.")
        return None

    def _skip_list(self, depth: int) -> None:
        head = self._byte()
        count, kind = head >> 4, head & 15
        if count == 15:
            count = self._unsigned()
        if kind in {1, 2}:
            self._skip(count)  # in a list a boolean takes a byte
            return
        for _ in range(count):
            self._value(kind, depth + 1)

    def _byte(self) -> int:
        value = self._data[self.at]
        self.at += 1
        return value

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise IndexError

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise DataError("expected a page header, found a number that is too long.")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)  # zigzag
