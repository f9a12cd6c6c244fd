"""Score a whole CSV or Parquet file, a batch at a time, into a temporary file that becomes the answer.

The answer starts only once the last row is scored. A mistake at the end of a file therefore still gets a proper status,
and memory holds one batch instead of the file.
"""

from __future__ import annotations

import csv
import errno
import io
import re
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from purchasecast.errors import ColumnMismatchError, DataError
from purchasecast.files import escape_formulas
from purchasecast.schema.values import BLANKS, NUMBER_LOSES, WRITTEN_NUMBER, delimiter_of
from purchasecast.serve.parquet_guard import check_unpacked_size
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from purchasecast.scorer import Scorer

__all__ = ["CSV", "PARQUET", "ScoredFile", "new_spool", "score_file"]

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
_PROBLEM = "problem"  # the column that says what is wrong with a row
_MEMORY_BYTES = 8 << 20  # larger files go to the disk
_BLOCK_BYTES = 4 << 20
_HEADER_BYTES = 1 << 16
_BATCH_ROWS = 65_536
_MAX_BATCH_BYTES = 256 << 20  # of texts, once they are written out


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """A scored file."""

    content: IO[bytes]  # at its start
    rows: int
    bad: int  # rows without a prediction, because a value breaks a rule


def new_spool() -> IO[bytes]:
    """Return a temporary file without a name, in memory while it is small."""
    return tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)


def score_file(source: IO[bytes], kind: str, scorer: Scorer, max_rows: int) -> ScoredFile:
    """Score a file of the media type `kind`.

    Returns
    -------
    ScoredFile
        The rows in their order, with all columns of the file; then ``prediction``, ``lower`` and ``upper`` if the
        model has intervals, and ``problem``, which says what is wrong with a row.

    Raises
    ------
    ProblemError
        If the file is malformed or has other columns than the model (422), if it is too large (413), or if the
        server's disk is full (503).
    """
    sink = new_spool()
    try:
        rows, bad = _score_into(sink, source, kind, scorer, max_rows)
    except BaseException:
        sink.close()
        raise
    sink.seek(0)
    return ScoredFile(sink, rows, bad)


def _score_into(sink: IO[bytes], source: IO[bytes], kind: str, scorer: Scorer, max_rows: int) -> tuple[int, int]:
    """Write the rows with their predictions; return the number of rows and of rows without a prediction."""
    rows = bad = 0
    try:
        writer, batches = _open_csv(source, sink, scorer) if kind == CSV else _open_parquet(source, sink, scorer)
        for batch in batches:
            rows += len(batch)
            if rows > max_rows:
                raise ProblemError(413, f"File: expected at most {max_rows:,} rows, found more; send several files.")
            # A block of short rows can have millions of them; an empty batch still brings its columns.
            for start in range(0, max(len(batch), 1), _BATCH_ROWS):
                part = batch.slice(start, _BATCH_ROWS)
                readable = _plain_numbers(part, scorer) if kind == CSV else part
                scored, wrong = _score_batch(part, readable, scorer)
                bad += wrong
                writer.add(scored)
        writer.close()
    except ColumnMismatchError as error:
        raise ProblemError(422, f"File: {error}") from None
    except (pa.ArrowException, OSError, DataError, csv.Error, UnicodeDecodeError, EOFError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ProblemError(503, "The server's disk is full; send a smaller file or try again later.") from None
        raise ProblemError(422, _malformed(error, kind)) from None
    return rows, bad


def _score_batch(table: pa.Table, readable: pa.Table, scorer: Scorer) -> tuple[pa.Table, int]:
    """Return a batch with its predictions, made of what is readable of it, and the number of rows that have none."""
    scored = scorer.predict(readable, errors="mark")
    reasons: dict[int, list[str]] = {}
    for problem in scored.problems:
        reasons.setdefault(problem.row, []).append(f"{problem.column}: {problem.reason}")
    texts = [None] * len(table) if not reasons else ["; ".join(reasons.get(k, ())) or None for k in range(len(table))]
    added = {**scored.to_columns(), _PROBLEM: pa.array(texts, pa.string())}
    result = table.select([name for name in table.column_names if name not in added])
    for name, values in added.items():
        result = result.append_column(name, values)
    return result, len(reasons)


def _plain_numbers(table: pa.Table, scorer: Scorer) -> pa.Table:
    """Write numbers as the scorer reads them, if the schema says how its CSV files write them."""
    decimal = scorer.schema.csv.get("decimal")
    if decimal is None:
        return table
    lost = f"[{re.escape(NUMBER_LOSES[decimal])}]"
    for column in scorer.schema.numeric:
        place = table.schema.get_field_index(column.name)
        if place >= 0:
            texts = pc.utf8_trim(table.column(place), BLANKS)
            plain = pc.replace_substring(pc.replace_substring_regex(texts, lost, ""), ",", ".")
            numbers = pc.if_else(pc.match_substring_regex(texts, f"^(?:{WRITTEN_NUMBER[decimal]})$"), plain, texts)
            table = table.set_column(place, column.name, numbers)
    return table


def _open_csv(source: IO[bytes], sink: IO[bytes], scorer: Scorer) -> tuple[_CsvWriter, Iterator[pa.Table]]:
    head = source.read(_HEADER_BYTES)
    source.seek(0)
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
    scorer.check_columns(stripped)
    # All columns are read as text, so that those the model does not use come back exactly as they were.
    reader = pa_csv.open_csv(
        source,
        pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )
    batches = (pa.Table.from_batches([batch]).rename_columns(stripped) for batch in reader)
    return _CsvWriter(sink, delimiter), batches


def _open_parquet(source: IO[bytes], sink: IO[bytes], scorer: Scorer) -> tuple[_ParquetWriter, Iterator[pa.Table]]:
    described = pq.ParquetFile(source)
    scorer.check_columns(described.schema_arrow.names)
    nested = [field.name for field in described.schema_arrow if not _is_flat(field.type)]
    if nested:
        raise DataError(f"expected columns of numbers, texts and dates, found another type in {nested[0]}.")
    if not described.metadata.num_rows:
        return _ParquetWriter(sink), iter([described.schema_arrow.empty_table()])  # the answer still has its columns
    check_unpacked_size(source, described)
    texts = [field.name for field in described.schema_arrow if _is_text(field.type)]
    # Texts stay dictionary-encoded until their size is known: a file can repeat a long text in every row for free.
    source.seek(0)
    file = pq.ParquetFile(source, read_dictionary=texts)
    batches = file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
    return _ParquetWriter(sink), (_decoded(batch) for batch in batches)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def _is_flat(kind: pa.DataType) -> bool:
    """Tell whether values of a type have a size of their own, unlike lists, which a file can blow up."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
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
        limit = f"{_MAX_BATCH_BYTES >> 20} MiB of text in {_BATCH_ROWS:,} rows"
        raise ProblemError(413, f"File: expected at most {limit}, found more; shorten the texts.")
    for place in encoded:
        field = table.schema.field(place)
        table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


class _CsvWriter:
    """Writes CSV with the delimiter of the file that was sent."""

    def __init__(self, sink: IO[bytes], delimiter: str) -> None:
        self._sink = sink
        self._delimiter = delimiter
        self._is_first = True

    def add(self, table: pa.Table) -> None:
        options = pa_csv.WriteOptions(include_header=self._is_first, delimiter=self._delimiter, quoting_style="needed")
        pa_csv.write_csv(escape_formulas(table), pa.PythonFile(self._sink, "w"), options)
        self._is_first = False

    def close(self) -> None:
        if self._is_first:
            raise DataError("expected rows, found a header alone.")


class _ParquetWriter:
    """Writes Parquet with the columns of the first batch."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._writer: Any = None

    def add(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(pa.PythonFile(self._sink, "w"), table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


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
