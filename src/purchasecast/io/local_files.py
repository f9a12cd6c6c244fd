"""Look into files of this machine without Spark: their column names, and how a CSV file is written.

It is what can be told in a moment, before Java has started. Nothing is concluded where a file is not at hand, is
packed, or is of a form that only Spark reads.
"""

from __future__ import annotations

import csv
from collections import Counter
from glob import glob, has_magic
from pathlib import Path

__all__ = ["has_few_rows", "peek_csv_options", "peek_names"]

_HEAD = 1 << 16
_ENCODING_BYTES = 64 << 20  # one byte that is no UTF-8 may stand anywhere
_FEW_BYTES = 4 << 20  # about 100,000 lines of text
_PACKED = 5  # bytes of text that a byte of Parquet or of a compressed file stands for, about
_SEPARATORS = (",", ";", "\t", "|")
_CSV = (".csv", ".tsv", ".txt")
_PARQUET = (".parquet", ".pq")
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def peek_names(location: str | Path) -> list[str] | None:
    """Return the column names of a local CSV or Parquet file, or of the first file of a folder.

    Parameters
    ----------
    location : str or Path
        A file, a folder or a glob.

    Returns
    -------
    list of str or None
        Names in the order of the file; None where they cannot be told without Spark.
    """
    path = _first_file(str(location))
    if path is None:
        return None
    if path.suffix.lower() in _PARQUET:
        return _parquet_names(path)
    try:
        if path.suffix.lower() not in _CSV:
            return None
        options = peek_csv_options(path)
        text = _head(path).decode(options.get("encoding", "utf-8"), errors="replace").lstrip("\ufeff")
        row = next(csv.reader(text.splitlines(), delimiter=options.get("sep", ",")), None)
    except (OSError, csv.Error):
        return None
    return None if row is None else [name.strip() for name in row]


def peek_csv_options(location: str | Path) -> dict[str, str]:
    """Find out how a local CSV file is written, where it is not written as usual.

    Parameters
    ----------
    location : str or Path
        A file, a folder or a glob.

    Returns
    -------
    dict of str to str
        Options of Spark's reader: ``sep`` if it is no comma, ``encoding`` if it is not UTF-8.
    """
    path = _first_file(str(location))
    if path is None or path.suffix.lower() not in _CSV:
        return {}
    try:
        head = _head(path)
        encoding = _encoding(path, head)
    except OSError:
        return {}
    options = {} if encoding == "utf-8" else {"encoding": encoding}
    separator = _separator(head.decode(encoding, errors="replace"))
    if separator != "," and not (separator == "\t" and path.suffix.lower() == ".tsv"):
        options["sep"] = separator
    return options


def has_few_rows(*locations: str | Path | None) -> bool:
    """Tell whether tables are so small that Spark's compiling would take longer than its running.

    Parameters
    ----------
    *locations : str or Path, optional
        Files, folders or globs; None for a table that is not given.

    Returns
    -------
    bool
        Whether all are files of this machine of about 100,000 rows together at most.
    """
    size = 0
    for location in filter(None, locations):
        first = _first_file(str(location))
        if first is None:
            return False
        place = Path(str(location).removeprefix("file://"))
        files = [place] if place.is_file() else list(place.rglob("*")) if place.is_dir() else []
        files = files or [Path(name) for name in glob(str(location))]  # noqa: PTH207  the pattern may be absolute
        weight = 1 if first.suffix.lower() in _CSV else _PACKED
        size += weight * sum(file.stat().st_size for file in files if file.is_file())
    return size <= _FEW_BYTES


def _parquet_names(path: Path) -> list[str] | None:
    import pyarrow as pa  # noqa: PLC0415  not for CSV files: loading it takes long
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return [str(name) for name in pq.read_schema(path).names]
    except (OSError, pa.ArrowException):
        return None


def _first_file(location: str) -> Path | None:
    if "://" in location and not location.startswith("file://"):
        return None
    place = Path(location.removeprefix("file://"))
    if has_magic(location) and not place.exists():
        names = sorted(glob(location))  # noqa: PTH207  the pattern may be absolute
        place = Path(names[0]) if names else place
    if place.is_dir():
        files = sorted(file for file in place.rglob("*") if file.suffix.lower() in (*_CSV, *_PARQUET))
        files = [file for file in files if not file.name.startswith(("_", "."))]
        place = files[0] if files else place
    return place if place.is_file() else None


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)


def _encoding(path: Path, head: bytes) -> str:
    """Return the encoding: what a byte order mark says, else UTF-8 if all bytes are, else that of Windows."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    with path.open("rb") as stream:
        content = stream.read(_ENCODING_BYTES)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character may be cut in two where reading stopped.
        if error.start < len(content) - 4:
            return "iso-8859-1"  # what Spark reads of the kind; the euro sign and curly quotes are not in it
    return "utf-8"


def _separator(text: str) -> str:
    """Return the sign that parts the header's fields, and as many fields in most lines."""
    lines = text.lstrip("\ufeff").splitlines()
    lines = lines[: 100 if len(lines) <= 100 else len(lines) - 1][:100]
    best, best_score = ",", (0.0, 0)
    for separator in _SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        agreeing = Counter(widths)[widths[0]] / len(widths)
        score = (agreeing, widths[0])
        if score[0] > best_score[0] + 0.05 or (abs(score[0] - best_score[0]) <= 0.05 and score[1] > best_score[1]):
            best, best_score = separator, score
    return best
