"""Read the column names of CSV files, before their rows are read."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pyspark.sql import functions as sf

from purchasecast.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from pyspark.sql import SparkSession

__all__ = ["read_header"]

_OPENERS: dict[str, Callable[[Path], BinaryIO]] = {".gz": gzip.open, ".bz2": bz2.open}  # type: ignore[dict-item]
# Python has no standard module for these (before 3.14), or Hadoop writes another framing: Spark reads the header.
_UNREADABLE = (".zst", ".lz4", ".snappy", ".deflate", ".xz")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_header(spark: SparkSession, files: Sequence[str], options: Mapping[str, str]) -> list[str]:
    """Read the column names of CSV files that share one header.

    Parameters
    ----------
    spark : SparkSession
        The session.
    files : sequence of str
        URIs of the files, as `DataFrame.inputFiles` returns them.
    options : mapping
        Options of Spark's CSV reader, such as separator, quote and encoding.

    Returns
    -------
    list of str
        Names in the order of the file, without blanks around them; empty for a column without a name.

    Raises
    ------
    SourceError
        If no file has a header, or if two headers differ: Spark would put values into the wrong columns.
    """
    lines = _first_lines(spark, files) if len(files) > 1 else dict.fromkeys(files, b"?")
    lines = {file: line for file, line in lines.items() if line}
    first = next(iter(lines), None)
    for file, line in lines.items():
        if first is not None and line != lines[first]:
            raise SourceError(
                f"{unquote(file)}: expected the same header as in {unquote(first)}, found another; "
                "read the files one by one."
            )
    row = None
    if first is not None:
        row = spark.read.options(**options).option("header", "false").csv(_as_path(first)).head()
    if row is None:
        raise SourceError(
            f"{unquote(files[0])}: expected a header with column names, found an empty file; leave it out."
        )
    return [(name or "").strip() for name in row]


def _first_lines(spark: SparkSession, files: Sequence[str]) -> dict[str, bytes]:
    """Return the first line of each file; it is empty for an empty file."""
    local = [_local_path(file) for file in files]
    if all(path is not None for path in local):
        return {file: _read_first_line(path) for file, path in zip(files, local, strict=True) if path}
    return _read_first_lines_on_cluster(spark, files)


def _as_path(file: str) -> str:
    """Undo the escapes of a URI: Spark's readers take paths without them."""
    return unquote(file)


def _local_path(file: str) -> Path | None:
    """Return the path of a file that Python can read on this machine; None for any other file."""
    parts = urlsplit(file)
    path = Path(unquote(parts.path))
    readable = parts.scheme == "file" and path.suffix not in _UNREADABLE and path.is_file()
    return path if readable else None


def _read_first_line(path: Path) -> bytes:
    opener: Callable[[Path], BinaryIO] = _OPENERS.get(path.suffix, lambda plain: plain.open("rb"))
    with opener(path) as stream:
        return stream.readline().removeprefix(_BYTE_ORDER_MARK).rstrip()


def _read_first_lines_on_cluster(spark: SparkSession, files: Sequence[str]) -> dict[str, bytes]:
    """Read the first lines in one job, for files that only the executors can read."""
    lines = (
        spark.read.text([_as_path(file) for file in files])
        .where(sf.col("_metadata.file_block_start") == 0)
        .select(
            sf.col("_metadata.file_path").alias("file"),
            sf.col("value"),
            sf.monotonically_increasing_id().alias("position"),
        )
        .groupBy("file")
        .agg(sf.min_by("value", "position").alias("line"))
    )
    return {row["file"]: row["line"].strip().encode() for row in lines.collect()}
