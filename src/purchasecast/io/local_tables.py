"""Read small tables of this machine without Spark, such as offers, stock and the results of a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import csv, dataset

from purchasecast.errors import SourceError
from purchasecast.frames import to_arrow
from purchasecast.io.local_files import peek_csv_options

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_local_table", "take_small_table"]

_CSV = (".csv", ".tsv", ".txt")


def read_local_table(location: str | Path, texts: Sequence[str] = ()) -> pa.Table:
    """Read a CSV file, a Parquet file or a folder of Parquet files.

    Parameters
    ----------
    location : str or Path
        The file or folder.
    texts : sequence of str, default ()
        Columns of a CSV file that are texts even where they look like numbers: ``007`` is no 7.

    Returns
    -------
    pyarrow.Table
        All columns.

    Raises
    ------
    SourceError
        If there is no such table, or it cannot be read.
    """
    path = Path(location)
    if not path.exists():
        raise SourceError(f"{location}: expected a CSV or Parquet file of this machine, found none; check the path.")
    try:
        if path.suffix.lower() not in _CSV:
            return dataset.dataset(path, format="parquet", exclude_invalid_files=path.is_dir()).to_table()
        found = peek_csv_options(path)
        separator = found.get("sep", "\t" if path.suffix.lower() == ".tsv" else ",")
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(encoding=found.get("encoding", "utf8")),
            parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string())),
        )
    except (OSError, pa.ArrowException, LookupError) as error:
        raise SourceError(f"{location}: expected a CSV or Parquet file, found {error}; write it again.") from error


def take_small_table(data: Any, *texts: str) -> pa.Table:
    """Return a table of any kind that fits into this process.

    Parameters
    ----------
    data : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        The table; a path as `read_local_table` takes it.
    *texts : str
        Columns of a CSV file that are texts.

    Returns
    -------
    pyarrow.Table
        The table.

    Raises
    ------
    SourceError
        If a path cannot be read.
    DataError
        If it is no table.
    """
    if isinstance(data, str | Path):
        return read_local_table(data, texts)
    return data.toArrow() if type(data).__module__.startswith("pyspark.") else to_arrow(data)
