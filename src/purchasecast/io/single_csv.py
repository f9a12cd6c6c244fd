"""Write a frame of any size as one CSV file, in order, without collecting it."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pyspark.sql import Observation
from pyspark.sql import functions as sf

from purchasecast.errors import PurchasecastError, SourceError
from purchasecast.files import cause, put_file, staging
from purchasecast.schema.reserved_columns import POSITION
from purchasecast.spark.failures import SPARK_FAILURES, reason

if TYPE_CHECKING:
    from typing import BinaryIO

    from pyspark.sql import DataFrame

__all__ = ["check_single_csv", "write_single_csv"]

_BLOCK = "_pc_block"
_CHUNK = 1 << 20  # bytes


def write_single_csv(frame: DataFrame, path: str | Path, *, mode: Literal["error", "overwrite"] = "error") -> int:
    r"""Write a frame as one CSV file with a header, in the order of the source.

    Parameters
    ----------
    frame : DataFrame
        Rows to write. If there is a column ``_pc_position`` (see `read_table`), rows are sorted by it and it is
        not written; otherwise they keep the order of the frame.
    path : str or Path
        File to write, on a disk that this machine shares with the executors.
    mode : {"error", "overwrite"}, default "error"
        What to do if the file exists.

    Returns
    -------
    int
        Number of rows written.

    Raises
    ------
    SourceError
        If the file cannot be written, or the disk is not shared.

    Notes
    -----
    Spark writes parts into a hidden folder beside the file. They are joined as streams of bytes and the result is
    renamed, so that an interrupted run leaves nothing at `path`. Lines end in ``\n``.

    The upper bits of a position are the number of the partition that read the row. Rows are repartitioned by these
    bits and sorted within partitions. A global sort would compute the frame twice, because it samples it first.
    """
    destination = check_single_csv(path, mode=mode)
    try:
        with staging(destination) as work:
            rows = _write_parts(frame, work / "parts")
            columns = [name for name in frame.columns if name != POSITION]
            lines = _join(work / "parts", work / destination.name, columns)
            if lines < rows or (lines and not rows):
                raise SourceError(
                    f"{destination}: expected the {rows} rows that Spark wrote, found {lines} lines; "
                    "the executors do not share this disk: write a folder on storage that they share."
                )
            put_file(work / destination.name, destination)
    except SPARK_FAILURES as error:
        raise SourceError(f"{destination}: cannot write it: {reason(error)}.") from error
    except PurchasecastError:
        raise
    except OSError as error:
        raise SourceError(f"{destination}: expected a writable file, found {cause(error)}; choose another.") from error
    return rows


def check_single_csv(path: str | Path, *, mode: Literal["error", "overwrite"] = "error") -> Path:
    """Check that a file can be written, before its rows are computed.

    Parameters
    ----------
    path : str or Path
        File to write.
    mode : {"error", "overwrite"}, default "error"
        What to do if the file exists.

    Returns
    -------
    Path
        The absolute path.

    Raises
    ------
    SourceError
        If the folder does not exist or is read-only, the file exists, or the path is not on this machine.
    """
    destination = _local(path)
    if destination.is_dir():
        raise SourceError(f"{destination}: expected the name of a file, found a folder; choose another name.")
    if mode == "error" and destination.exists():
        raise SourceError(f"{destination}: expected no such file, found one; choose another name, or overwrite it.")
    if not destination.parent.is_dir():
        raise SourceError(f"{destination}: expected a folder to write to, found no {destination.parent}; create it.")
    if not os.access(destination.parent, os.W_OK):
        raise SourceError(
            f"{destination}: expected a folder to write to, found {destination.parent} read-only; choose another."
        )
    return destination


def _local(path: str | Path) -> Path:
    parts = urlsplit(str(path))
    if len(parts.scheme) > 1 and parts.scheme != "file":  # one letter is a drive
        raise SourceError(
            f"{path}: expected a path on this machine for one CSV file, found {parts.scheme}://; write a folder there."
        )
    return Path(parts.path if parts.scheme == "file" else path).resolve()


def _write_parts(frame: DataFrame, folder: Path) -> int:
    counted = Observation("purchasecast single csv")
    frame = frame.observe(counted, sf.count(sf.lit(1)).alias("rows"))
    partitioning = []
    if POSITION in frame.columns:
        # A fixed number of partitions: otherwise adaptive execution may split one block over two files.
        partitions = int(str(frame.sparkSession.conf.get("spark.sql.shuffle.partitions")))
        frame = (
            frame.withColumn(_BLOCK, sf.shiftright(POSITION, 33))
            .repartition(partitions, _BLOCK)
            .sortWithinPartitions(_BLOCK, POSITION)
            .drop(POSITION)
        )
        partitioning = [_BLOCK]
    writer = frame.write.options(header="false", quote='"', escape='"', maxRecordsPerFile="0", emptyValue="")
    # "file://" and not a URI: Hadoop does not undo the escapes of a URI
    writer.partitionBy(*partitioning).csv(f"file://{folder}")
    return _rows_of(counted)


def _rows_of(counted: Observation) -> int:
    """Return the rows observed; 0 where adaptive execution found none and dropped the observation with the plan."""
    try:
        return int(counted.get.get("rows", 0))
    except SPARK_FAILURES:
        return 0


def _join(folder: Path, joined: Path, columns: list[str]) -> int:
    """Append the parts in order, and count their lines."""
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(columns)
    lines = 0
    with joined.open("wb") as out:
        out.write(header.getvalue().encode())
        for part in sorted(folder.glob("**/part-*"), key=_part_order):
            with part.open("rb") as stream:
                lines += _copy(stream, out)
    return lines


def _part_order(part: Path) -> tuple[int, str]:
    _, _, block = part.parent.name.partition(f"{_BLOCK}=")
    return (int(block) if block else 0, part.name)


def _copy(stream: BinaryIO, out: BinaryIO) -> int:
    lines = 0
    while chunk := stream.read(_CHUNK):
        lines += chunk.count(b"\n")
        out.write(chunk)
    return lines
