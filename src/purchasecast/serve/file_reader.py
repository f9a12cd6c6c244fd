"""Read an uploaded file in a process of its own: ``python -m purchasecast.serve.file_reader BYTES SECONDS``.

Small files can unpack to any size and keep a reader busy for any time. This process ends when it needs more memory or
time than it is allowed, and the server lives on. It imports neither the web framework nor the model.

Notes
-----
Over its standard streams it gets a job (JSON, then the file) and tells the file's columns (JSON). Told to go on, it
sends the rows as tables of Arrow, then nothing, and last what was wrong (JSON).
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import struct
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from purchasecast.errors import DataError
from purchasecast.schema.values import delimiter_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BATCH_ROWS", "CSV", "GO_ON", "OUT_OF_MEMORY", "PARQUET", "STOP", "read_frame", "write_frame"]

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
BATCH_ROWS = 65_536
GO_ON, STOP = b"1", b"0"  # whether the rows of a file are wanted
OUT_OF_MEMORY = 3  # exit code
_BLOCK_BYTES = 4 << 20
_HEADER_BYTES = 1 << 16
_MAX_BATCH_BYTES, _MAX_UNPACKED_BYTES = 128 << 20, 1 << 30  # of a batch's texts, once written out, and of all rows
_LENGTH = struct.Struct(">Q")


class RefusedError(Exception):
    """What the server is to answer: an HTTP status and a sentence."""


def write_frame(stream: IO[bytes], content: bytes | pa.Buffer) -> None:
    """Write a piece that `read_frame` reads."""
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes:
    """Read one piece.

    Raises
    ------
    EOFError
        If the other side has ended.
    """
    head = stream.read(_LENGTH.size)
    content = stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    if len(head) < _LENGTH.size or len(content) < _LENGTH.unpack(head)[0]:
        raise EOFError
    return content


def main(memory: int, seconds: int) -> None:
    """Read files until the server ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they may go to all processes: the server finishes its requests first
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    _limit_memory(memory)
    with suppress(EOFError, BrokenPipeError):
        while True:
            job = json.loads(read_frame(sys.stdin.buffer))
            content = sys.stdin.buffer.read(job["bytes"])
            if len(content) == job["bytes"]:
                _limit_time(seconds)
                _answer(job, pa.py_buffer(content), sys.stdin.buffer, sys.stdout.buffer)


def _answer(job: dict[str, Any], content: pa.Buffer, source: IO[bytes], sink: IO[bytes]) -> None:
    """Tell what is in a file."""
    is_csv = job["kind"] == CSV
    is_open, told = False, {}
    try:
        names, delimiter, batches = (_open_csv if is_csv else _open_parquet)(content)
        write_frame(sink, json.dumps({"names": names, "delimiter": delimiter}).encode())
        if read_frame(source) != GO_ON:
            return
        is_open = True
        for table in _limited(batches, job["max_rows"]):
            packed = pa.BufferOutputStream()
            with pa.ipc.new_stream(packed, table.schema) as stream:
                stream.write_table(table)
            write_frame(sink, packed.getvalue())
    except (BrokenPipeError, pa.ArrowMemoryError):
        raise
    except RefusedError as error:
        told = {"status": error.args[0], "detail": f"File: {error.args[1]}"}
    except (pa.ArrowException, OSError, DataError, csv.Error, ValueError, OverflowError) as error:
        told = {"status": 422, "detail": _malformed(error, job["kind"])}
    if is_open:
        write_frame(sink, b"")
    write_frame(sink, json.dumps(told).encode())


def _limited(batches: Iterator[pa.Table], max_rows: int) -> Iterator[pa.Table]:
    """Yield the rows of a file while they are few enough."""
    rows = size = 0
    for table in batches:
        rows += len(table)
        size += table.nbytes
        if rows > max_rows:
            raise RefusedError(413, f"expected at most {max_rows:,} rows, found more; send several files.")
        if size > _MAX_UNPACKED_BYTES:
            limit = f"{_MAX_UNPACKED_BYTES >> 20:,} MiB unpacked"
            raise RefusedError(413, f"expected at most {limit}, found more; send several files.")
        yield table


def _open_csv(content: pa.Buffer) -> tuple[list[str], str, Iterator[pa.Table]]:
    """Return the columns of a CSV file, its delimiter, and its rows, which are all texts."""
    head = content[:_HEADER_BYTES].to_pybytes()
    # The last character of a cut head may be cut, too.
    text = head.decode("utf-8-sig", errors="strict" if len(head) < _HEADER_BYTES else "ignore")
    # Lines end in \n, \r\n or \r; other line breaks of Unicode are part of a value.
    text = text.lstrip("\r\n").replace("\r\n", "\n").replace("\r", "\n")
    line = text.partition("\n")[0]
    if not line.strip():
        raise DataError("expected a header, found nothing.")
    delimiter = delimiter_of(line)
    names = next(csv.reader(io.StringIO(text), delimiter=delimiter))
    stripped = [name.strip() for name in names]
    return stripped, delimiter, _csv_rows(content, names, stripped, delimiter)


def _csv_rows(content: pa.Buffer, names: list[str], stripped: list[str], delimiter: str) -> Iterator[pa.Table]:
    # All columns are read as text, so that those the model does not use come back exactly as they were.
    reader = pa_csv.open_csv(
        pa.BufferReader(content),
        pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )
    rows = 0
    for batch in reader:
        rows += len(batch)
        yield pa.Table.from_batches([batch]).rename_columns(stripped)
    if not rows:
        raise DataError("expected rows, found a header alone.")


def _open_parquet(content: pa.Buffer) -> tuple[list[str], str, Iterator[pa.Table]]:
    """Return the columns of a Parquet file, no delimiter, and its rows."""
    schema = pq.read_schema(pa.BufferReader(content))
    nested = [field.name for field in schema if not _is_flat(field.type)]
    if nested:
        raise DataError(f"expected columns of numbers, texts and dates, found another type in {nested[0]}.")
    return schema.names, "", _parquet_rows(content, schema)


def _parquet_rows(content: pa.Buffer, schema: pa.Schema) -> Iterator[pa.Table]:
    texts = [field.name for field in schema if _is_text(field.type)]
    # Texts stay dictionary-encoded until their size is known: a file can repeat a long text in every row for free.
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
    if not file.metadata.num_rows:
        yield schema.empty_table()  # the answer still has its columns
    for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
        yield _decoded(batch)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def _written_out(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_flat(kind: pa.DataType) -> bool:
    """Tell whether values of a type have a size of their own, unlike lists, which a file can blow up."""
    kind = _written_out(kind)
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_temporal)
    return _is_text(kind) or pa.types.is_null(kind) or any(test(kind) for test in tests)


def _decoded(batch: pa.RecordBatch) -> pa.Table:
    """Return a batch with its texts written out, if they are short enough."""
    table = pa.Table.from_batches([batch])
    encoded = [place for place, field in enumerate(table.schema) if pa.types.is_dictionary(field.type)]
    size = 0
    for place in encoded:
        for chunk in table.column(place).chunks:
            if _is_text(chunk.dictionary.type):
                lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
                size += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    if size > _MAX_BATCH_BYTES:
        limit = f"{_MAX_BATCH_BYTES >> 20} MiB of text in {BATCH_ROWS:,} rows"
        raise RefusedError(413, f"expected at most {limit}, found more; shorten the texts.")
    for place in encoded:
        field = table.schema.field(place)
        table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


def _malformed(error: Exception, kind: str) -> str:
    """Return what is wrong with a file; of its text, the message holds at most a place."""
    if isinstance(error, DataError):
        return f"{'CSV' if kind == CSV else 'Parquet'} file: {error}"
    if kind != CSV:
        return "File: expected Parquet, found a damaged or incomplete file; write it again."
    fields = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", str(error))
    if fields:
        line, expected, found = fields.groups()
        where = f"CSV file, line {line}" if line else "CSV file"
        return f"{where}: expected {expected} fields, found {found}; correct that line."
    if isinstance(error, UnicodeDecodeError) or "utf8" in str(error).lower():
        return "CSV file: expected text in UTF-8, found other bytes; save it as CSV UTF-8."
    return "CSV file: expected a header and rows, found something malformed; write it again."


def _limit_memory(more: int) -> None:
    """Allow so many bytes beyond those that the process has; not possible on Windows, and ignored by macOS."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415  not on Windows

        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + more, resource.RLIM_INFINITY))


def _limit_time(more: int) -> None:
    """Allow so many seconds of computing beyond those that were used."""
    with suppress(ImportError):
        import resource  # noqa: PLC0415  not on Windows

        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime) + 1 + more
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
