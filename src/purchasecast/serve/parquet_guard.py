"""What a Parquet file unpacks to, read off its page headers before anything is unpacked.

The footer also names sizes, but nobody holds a file to them; the header of a page is held to by whoever unpacks it. It
is a struct in Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from purchasecast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.parquet as pq

__all__ = ["DELTA_BYTE_ARRAY", "page_sizes"]

DELTA_BYTE_ARRAY = 7  # values as endings of the one before: a page of it can unpack to any size
_SIZE, _PACKED_SIZE = 2, 3
_DATA_HEADERS = {5: 2, 8: 4}  # of versions 1 and 2: the field of a page's header, and the encoding's within
_FIRST_READ, _LONGEST_HEADER = 4_096, 16 << 20
_I16, _I32, _I64, _BINARY, _LIST, _SET, _STRUCT = 4, 5, 6, 8, 9, 10, 12
_FIXED = {1: 0, 2: 0, 3: 1, 7: 8}  # booleans, a byte, a double: bytes that follow
_DEEPEST = 16


def page_sizes(source: IO[bytes], file: pq.ParquetFile) -> Iterator[tuple[int, int | None]]:
    """Yield the size of every page, unpacked, and its encoding.

    Parameters
    ----------
    source : file object
        The file; its place is moved.
    file : ParquetFile
        The same file, opened.

    Yields
    ------
    tuple of int and int or None
        Bytes, and Parquet's number of the encoding; None for a page that holds no rows.

    Raises
    ------
    DataError
        If a page header cannot be read.
    """
    for group in range(file.metadata.num_row_groups):
        described = file.metadata.row_group(group)
        for number in range(described.num_columns):
            column = described.column(number)
            offsets = [column.data_page_offset]
            if column.has_dictionary_page and column.dictionary_page_offset:
                offsets.append(column.dictionary_page_offset)
            place = min(offsets)
            end = place + column.total_compressed_size
            while place < end:
                header, length = _read_header(source, place)
                size, packed = header.get(_SIZE, -1), header.get(_PACKED_SIZE, -1)
                if size < 0 or packed < 0:
                    raise DataError("expected a page's sizes, found none.")
                encodings = [header[field].get(inner) for field, inner in _DATA_HEADERS.items() if field in header]
                yield size, encodings[0] if encodings else None
                place += length + packed


def _read_header(source: IO[bytes], place: int) -> tuple[dict[int, Any], int]:
    """Return the header at a place, and its length."""
    wanted = _FIRST_READ
    while wanted <= _LONGEST_HEADER:
        source.seek(place)
        data = source.read(wanted)
        try:
            return _struct(data, 0, 0)
        except IndexError:
            if len(data) < wanted:
                break
            wanted *= 8
    raise DataError("expected a page header, found none.")


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Return a struct's numbers and structs by field, and where it ends; IndexError where the data end before."""
    if depth > _DEEPEST:
        raise DataError("expected a page header, found deeper structs than one has.")
    fields: dict[int, Any] = {}
    field = 0
    while True:
        head = data[at]
        at += 1
        if head == 0:
            return fields, at
        if head >> 4:
            field += head >> 4
        else:
            field, at = _signed(data, at)
        value, at = _value(data, at, head & 15, depth)
        fields[field] = value


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    """Return a value, None where it is neither a number nor a struct, and where it ends."""
    if kind in {_I16, _I32, _I64}:
        return _signed(data, at)
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)
    if kind in _FIXED:
        return None, _within(data, at + _FIXED[kind])
    if kind == _BINARY:
        length, at = _unsigned(data, at)
        return None, _within(data, at + length)
    if kind in {_LIST, _SET}:
        return None, _skip_list(data, at, depth)
    raise DataError("expected a page header, found a type that one does not have.")


def _skip_list(data: bytes, at: int, depth: int) -> int:
    count, kind = data[at] >> 4, data[at] & 15
    at += 1
    if count == 15:
        count, at = _unsigned(data, at)
    if kind in {1, 2}:
        return _within(data, at + count)  # in a list a boolean takes a byte
    for _ in range(count):
        _, at = _value(data, at, kind, depth + 1)
    return at


def _within(data: bytes, at: int) -> int:
    if at > len(data):
        raise IndexError
    return at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise DataError("expected a page header, found a number too long for one.")


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at
