"""Score a whole CSV or Parquet file, a batch at a time, into a temporary file that becomes the answer.

The answer starts only once the last row is scored. A mistake at the end of a file therefore still gets a proper status,
and memory holds one batch instead of the file.
"""

from __future__ import annotations

import errno
import re
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from purchasecast.errors import ColumnMismatchError
from purchasecast.files import escape_formulas
from purchasecast.schema.values import BLANKS, NUMBER_LOSES, WRITTEN_NUMBER
from purchasecast.serve.file_reader import BATCH_ROWS, CSV, PARQUET
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from purchasecast.scorer import Scorer
    from purchasecast.serve.file_readers import FileReaders, OpenedFile

__all__ = ["CSV", "PARQUET", "ScoredFile", "new_spool", "score_file"]

_PROBLEM = "problem"  # the column that says what is wrong with a row
_MEMORY_BYTES = 8 << 20  # larger files go to the disk


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """A scored file."""

    content: IO[bytes]  # at its start
    rows: int
    bad: int  # rows without a prediction, because a value breaks a rule


def new_spool() -> IO[bytes]:
    """Return a temporary file without a name, in memory while it is small."""
    return tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)


def score_file(source: IO[bytes], kind: str, scorer: Scorer, max_rows: int, readers: FileReaders) -> ScoredFile:
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
        with readers.open(source, kind, max_rows) as opened:
            rows, bad = _score_into(sink, opened, kind, scorer)
    except BaseException as error:
        sink.close()
        if isinstance(error, ColumnMismatchError):
            raise ProblemError(422, f"File: {error}") from None
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ProblemError(503, "The server's disk is full; send a smaller file or try again later.") from None
        raise
    sink.seek(0)
    return ScoredFile(sink, rows, bad)


def _score_into(sink: IO[bytes], opened: OpenedFile, kind: str, scorer: Scorer) -> tuple[int, int]:
    """Write the rows with their predictions; return the number of rows and of rows without a prediction."""
    rows = bad = 0
    scorer.check_columns(opened.names)
    writer = _CsvWriter(sink, opened.delimiter) if kind == CSV else _ParquetWriter(sink)
    for batch in opened.batches:
        rows += len(batch)
        # A block of short rows can have millions of them; an empty batch still brings its columns.
        for start in range(0, max(len(batch), 1), BATCH_ROWS):
            part = batch.slice(start, BATCH_ROWS)
            readable = _plain_numbers(part, scorer) if kind == CSV else part
            scored, wrong = _score_batch(part, readable, scorer)
            bad += wrong
            writer.add(scored)
    writer.close()
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
        """Leave the file as it is."""


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
