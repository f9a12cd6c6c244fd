"""Whole files: received to a spool, scored a batch at a time into another, and only then answered.

So a file that turns out to be malformed at its end still gets a proper status, and memory holds one batch, not a file.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from purchasecast.errors import ColumnMismatchError, DataError
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
_MOST_UNPACKED_BYTES = 4 << 30
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
            scored, wrong = _scored(batch, scorer)
            bad += wrong
            writer.add(scored)
        writer.close()
    except ColumnMismatchError as error:
        raise ProblemError(422, f"The file's columns are not the model's: {error}") from None
    except (pa.ArrowException, OSError, DataError, csv.Error, UnicodeDecodeError, EOFError) as error:
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
    file = pq.ParquetFile(source)
    unpacked = sum(file.metadata.row_group(k).total_byte_size for k in range(file.metadata.num_row_groups))
    if unpacked > _MOST_UNPACKED_BYTES:
        raise ProblemError(413, "Expected a file that unpacks to less, found a larger one; send several files.")
    scorer.check_columns(file.schema_arrow.names)
    # An empty file must still tell the columns of its answer.
    empty = [] if file.metadata.num_rows else [file.schema_arrow.empty_table()]
    batches = (pa.Table.from_batches([b]) for b in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False))
    return None, iter(empty) if empty else batches


class _CsvWriter:
    """Writes CSV with the delimiter of the file that was sent."""

    def __init__(self, sink: IO[bytes], delimiter: str) -> None:
        self._sink = sink
        self._options: Callable[..., Any] = lambda **more: pa_csv.WriteOptions(
            delimiter=delimiter, quoting_style="needed", **more
        )
        self._is_first = True

    def add(self, table: pa.Table) -> None:
        pa_csv.write_csv(table, pa.PythonFile(self._sink, "w"), self._options(include_header=self._is_first))
        self._is_first = False

    def close(self) -> None:
        if self._is_first:
            raise DataError("expected rows, found a header alone.")


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
    if kind != CSV:
        return "Expected a Parquet file, found one that is damaged or cut short."
    if isinstance(error, DataError):
        return f"Expected a CSV file: {error}"
    found = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", str(error))
    if found:
        line = f" in line {int(found.group(1))}" if found.group(1) else ""
        return f"Expected {found.group(2)} fields, found {found.group(3)}{line}."
    if isinstance(error, UnicodeDecodeError) or "utf8" in str(error).lower():
        return "Expected text in UTF-8, found other bytes; save the file as CSV UTF-8."
    return "Expected a CSV file with a header, found one that is malformed."
