"""Whole files: received to a spool, scored a batch at a time into another, and only then answered.

So a file that turns out to be malformed at its end still gets a proper status, and memory holds one batch, not a file.
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
from purchasecast.serve.parquet_guard import DELTA_BYTE_ARRAY, page_sizes
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from purchasecast.scorer import Scorer

__all__ = ["CSV", "PARQUET", "ScoredFile", "new_spool", "score_file"]

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
PROBLEM = "problem"
_SPOOL_BYTES = 8 << 20  # smaller files never touch the disk
_BLOCK_BYTES = 4 << 20
_BATCH_ROWS = 65_536
_MOST_PAGE_BYTES, _MOST_UNPACKED_BYTES = 64 << 20, 1 << 30  # of one page, and of all of a file's
_MOST_BATCH_BYTES = 256 << 20
_MOST_PAGES = 100_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # https://owasp.org/www-community/attacks/CSV_Injection
_PLAIN_NUMBER = r"^[+-]?[0-9]*[.,]?[0-9]*(?:[eE][+-]?[0-9]+)?$"
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """A scored file.

    Attributes
    ----------
    content : file object
        The answer, at its start.
    rows : int
        Rows in it, as many as were sent.
    bad : int
        Rows without a prediction, because a value breaks a rule; column ``problem`` says which.
    """

    content: IO[bytes]
    rows: int
    bad: int


def new_spool() -> IO[bytes]:
    """Return a temporary file that stays in memory while it is small; it has no name in the file system."""
    return tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)


def score_file(source: IO[bytes], kind: str, scorer: Scorer, most_rows: int) -> ScoredFile:
    """Score a file.

    Parameters
    ----------
    source : file object
        The file, at its start.
    kind : {"text/csv", "application/vnd.apache.parquet"}
        Its form, and that of the answer.
    scorer : Scorer
        The model.
    most_rows : int
        Largest number of rows.

    Returns
    -------
    ScoredFile
        All columns of the file, then ``prediction``, ``lower`` and ``upper`` where the model has an interval, and
        ``problem``; the rows in their order.

    Raises
    ------
    ProblemError
        If the file is no table, its columns are not the model's, or it has too many rows.
    """
    sink = new_spool()
    try:
        rows, bad = _score_into(sink, source, kind, scorer, most_rows)
    except BaseException:
        sink.close()
        raise
    sink.seek(0)
    return ScoredFile(sink, rows, bad)


def _score_into(sink: IO[bytes], source: IO[bytes], kind: str, scorer: Scorer, most_rows: int) -> tuple[int, int]:
    """Write a file's rows with their predictions; return how many, and how many have none."""
    read, write = (_read_csv, _CsvWriter) if kind == CSV else (_read_parquet, _ParquetWriter)
    rows = bad = 0
    try:
        options, batches = read(source, scorer)
        writer = write(sink, options)
        for batch in batches:
            rows += len(batch)
            if rows > most_rows:
                raise ProblemError(413, f"Expected at most {most_rows:,} rows, found more; send several files.")
            for start in range(0, max(len(batch), 1), _BATCH_ROWS):
                scored, wrong = _scored(batch.slice(start, _BATCH_ROWS), scorer)
                bad += wrong
                writer.add(scored)
        writer.close()
    except ColumnMismatchError as error:
        raise ProblemError(422, f"The file's columns are not the model's: {error}") from None
    except (pa.ArrowException, OSError, DataError, csv.Error, UnicodeDecodeError, EOFError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ProblemError(503, "The server has no room for the answer; send a smaller file.") from None
        raise ProblemError(422, _malformed(error, kind)) from None
    return rows, bad


def _scored(table: pa.Table, scorer: Scorer) -> tuple[pa.Table, int]:
    """Return a batch with its predictions, and the number of rows that have none."""
    found = scorer.predict(table, errors="mark")
    told: dict[int, list[str]] = {}
    for problem in found.problems:
        told.setdefault(problem.row, []).append(f"{problem.column}: {problem.reason}")
    texts = [None] * len(table) if not told else ["; ".join(told[k]) if k in told else None for k in range(len(table))]
    made = {**found.to_columns(), PROBLEM: pa.array(texts, pa.string())}
    kept = table.select([name for name in table.column_names if name not in made])
    for name, values in made.items():
        kept = kept.append_column(name, values)
    return kept, len(told)


def _read_csv(source: IO[bytes], scorer: Scorer) -> tuple[Any, Iterator[pa.Table]]:
    head = source.read(1 << 16)
    source.seek(0)
    text = head.decode("utf-8-sig", errors="strict" if len(head) < 1 << 16 else "ignore")
    line = text.lstrip("\r\n").partition("\n")[0]
    if not line.strip():
        raise DataError("expected a header, found nothing.")
    delimiter = max(_DELIMITERS, key=line.count)
    names = next(csv.reader(io.StringIO(text), delimiter=delimiter))
    scorer.check_columns(names)
    reader = pa_csv.open_csv(
        source,
        pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
    )
    return delimiter, (pa.Table.from_batches([batch]) for batch in reader)


def _read_parquet(source: IO[bytes], scorer: Scorer) -> tuple[Any, Iterator[pa.Table]]:
    described = pq.ParquetFile(source)
    scorer.check_columns(described.schema_arrow.names)
    nested = [field.name for field in described.schema_arrow if not _is_flat(field.type)]
    if nested:
        raise DataError(f"expected columns of numbers, texts and dates, found another in {nested[0]}.")
    _check_unpacked(source, described)
    texts = [field.name for field in described.schema_arrow if _is_text(field.type)]
    # Texts stay encoded until their size is known: a long one may be repeated in every row at the cost of one.
    source.seek(0)
    file = pq.ParquetFile(source, read_dictionary=texts)
    # An empty file must still tell the columns of its answer.
    empty = [] if file.metadata.num_rows else [described.schema_arrow.empty_table()]
    batches = (_decoded(batch) for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False))
    return None, iter(empty) if empty else batches


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def _is_flat(kind: pa.DataType) -> bool:
    """Tell whether values of a type have a size of their own that no file can blow up."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_temporal)
    return _is_text(kind) or pa.types.is_null(kind) or any(test(kind) for test in tests)


def _check_unpacked(source: IO[bytes], file: pq.ParquetFile) -> None:
    """Check that a file stays small when it is unpacked, whatever its footer says."""
    too_large = ProblemError(413, "Expected a file that unpacks to less, found a larger one; send several files.")
    total = 0
    for number, (size, encoding) in enumerate(page_sizes(source, file)):
        total += size
        if size > _MOST_PAGE_BYTES or total > _MOST_UNPACKED_BYTES or number >= _MOST_PAGES:
            raise too_large
        if encoding == DELTA_BYTE_ARRAY:
            raise ProblemError(422, "Expected a Parquet file without the encoding DELTA_BYTE_ARRAY, found it.")


def _decoded(batch: pa.RecordBatch) -> pa.Table:
    """Return a batch with its texts written out, if they are not too long for that."""
    table = pa.Table.from_batches([batch])
    encoded = [place for place, field in enumerate(table.schema) if pa.types.is_dictionary(field.type)]
    size = 0
    for place in encoded:
        for chunk in table.column(place).chunks:
            values = chunk.dictionary
            if _is_text(values.type):
                size += pc.sum(pc.binary_length(values).cast(pa.int64()).take(chunk.indices)).as_py() or 0
    if size > _MOST_BATCH_BYTES:
        raise ProblemError(413, "Expected shorter texts, found some too long to be written out; shorten them.")
    for place in encoded:
        field = table.schema.field(place)
        table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


class _CsvWriter:
    """Writes CSV with the delimiter of the file that was sent."""

    def __init__(self, sink: IO[bytes], delimiter: str) -> None:
        self._sink = sink
        self._options: Callable[..., Any] = lambda **more: pa_csv.WriteOptions(
            delimiter=delimiter, quoting_style="needed", **more
        )
        self._is_first = True

    def add(self, table: pa.Table) -> None:
        table = _escape_formulas(table)
        pa_csv.write_csv(table, pa.PythonFile(self._sink, "w"), self._options(include_header=self._is_first))
        self._is_first = False

    def close(self) -> None:
        if self._is_first:
            raise DataError("expected rows, found a header alone.")


def _escape_formulas(table: pa.Table) -> pa.Table:
    """Put an apostrophe before every text that a spreadsheet would run as a formula."""
    names = [f"'{name}" if name.startswith(_FORMULA_STARTS) else name for name in table.column_names]
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if not pa.types.is_string(field.type):
            continue
        first = pc.binary_slice(column.cast(pa.binary()), 0, 1)
        risky = pc.is_in(first, value_set=pa.array(_FORMULA_STARTS, pa.binary()))
        if pc.any(risky).as_py():
            risky = pc.and_not(risky, pc.match_substring_regex(column, _PLAIN_NUMBER))
            escaped = pc.binary_join_element_wise("'", column, "")
            table = table.set_column(place, field, pc.if_else(risky, escaped, column))
    return table.rename_columns(names)


class _ParquetWriter:
    """Writes Parquet."""

    def __init__(self, sink: IO[bytes], options: None) -> None:  # noqa: ARG002  the CSV writer's form
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
    """Return what is wrong with a file, of its own text only the place."""
    if isinstance(error, DataError):
        return f"Expected a {'CSV' if kind == CSV else 'Parquet'} file: {error}"
    if kind != CSV:
        return "Expected a Parquet file, found one that is damaged or cut short."
    found = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", str(error))
    if found:
        line = f" in line {int(found.group(1))}" if found.group(1) else ""
        return f"Expected {found.group(2)} fields, found {found.group(3)}{line}."
    if isinstance(error, UnicodeDecodeError) or "utf8" in str(error).lower():
        return "Expected text in UTF-8, found other bytes; save the file as CSV UTF-8."
    return "Expected a CSV file with a header, found one that is malformed."
