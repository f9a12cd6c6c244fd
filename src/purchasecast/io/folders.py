"""Write a table as a folder of files, or into a database."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from purchasecast.errors import SettingsError, SourceError
from purchasecast.files import cause, replace_folder, staging
from purchasecast.io.database import jdbc_options, write_to_database
from purchasecast.io.formats import COMPRESSIONS, CSV_DIALECT, FORMAT_OF_SUFFIX, suffix_of
from purchasecast.spark import runs_here
from purchasecast.spark.failures import SPARK_FAILURES, reason, redacted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame, DataFrameWriter, SparkSession

__all__ = ["check_folder", "write_table"]

_LOGGER = logging.getLogger(__name__)


def write_table(
    frame: DataFrame,
    location: str | Path,
    *,
    format: str | None = None,  # noqa: A002  Spark's own name for it
    table: str | None = None,
    options: Mapping[str, str] | None = None,
    mode: Literal["error", "overwrite"] = "error",
) -> None:
    """Write a frame as a folder of files, or into a database.

    Parameters
    ----------
    frame : DataFrame
        Rows to write.
    location : str or Path
        Folder or ``jdbc:`` URL.
    format : str, optional
        Any format that Spark writes; by default it follows from the suffix of the folder, otherwise Parquet.
    table : str, optional
        Table of a ``jdbc:`` URL.
    options : mapping of str to str, optional
        Options of Spark's writer; credentials as in `read_table`.
    mode : {"error", "overwrite"}, default "error"
        What to do if it exists.

    Raises
    ------
    SourceError
        If it cannot be written.
    SettingsError
        If the suffix is that of a compressed file, or a database gets no `table`.
    """
    place, given = str(location), {key: str(value) for key, value in (options or {}).items()}
    if place.startswith("jdbc:"):
        write_to_database(frame, jdbc_options(place, table, given), overwrite=mode == "overwrite")
        _LOGGER.info("wrote %s as jdbc", redacted(place, given))
        return
    if format is None and place.endswith(COMPRESSIONS):
        raise SettingsError(f"{place}: expected a folder, found the suffix of a compressed file; choose another name.")
    kind = (format or FORMAT_OF_SUFFIX.get(suffix_of(place), "parquet")).lower()
    if kind == "csv":
        given = {"header": "true", **CSV_DIALECT, **given}
    writer = frame.write.format(kind).mode("errorifexists" if mode == "error" else mode).options(**given)
    try:
        _write_folder(writer, place, here=runs_here(frame.sparkSession), overwrite=mode == "overwrite")
    except SPARK_FAILURES as error:
        raise SourceError(f"{redacted(place, given)}: cannot write it: {reason(error, given)}.") from None
    except OSError as error:
        raise SourceError(f"{place}: expected a folder to write to, found {cause(error)}; choose another.") from error
    _LOGGER.info("wrote %s as %s", redacted(place, given), kind)


def check_folder(location: str | Path, spark: SparkSession, *, mode: Literal["error", "overwrite"] = "error") -> None:
    """Refuse, before anything is computed, a folder of this machine that `write_table` would not write.

    Parameters
    ----------
    location : str or Path
        Folder or ``jdbc:`` URL; only what is surely on this machine is looked at.
    spark : SparkSession
        The session that will write.
    mode : {"error", "overwrite"}, default "error"
        What to do if it exists.

    Raises
    ------
    SourceError
        If something is there already.
    """
    target = Path(location).resolve()
    if mode == "error" and _is_here(str(location), here=runs_here(spark)) and target.exists():
        raise SourceError(f"{target}: expected no such folder, found one; choose another name, or overwrite it.")


def _is_here(place: str, *, here: bool) -> bool:
    # A plain path may be one of Hadoop's file system, where that is configured.
    return (
        here and "://" not in place and not place.startswith(("file:", "jdbc:")) and "HADOOP_CONF_DIR" not in os.environ
    )


def _write_folder(writer: DataFrameWriter, place: str, *, here: bool, overwrite: bool) -> None:
    """Write a folder, on this machine whole or not at all; Spark itself removes the old one before it writes."""
    target = Path(place).resolve()
    if not _is_here(place, here=here) or (target.exists() and not overwrite) or not target.parent.is_dir():
        writer.save(place)
        return
    with staging(target) as aside:
        # "file://" and not a URI: Hadoop does not undo the escapes of a URI
        writer.save(f"file://{aside / target.name}")
        replace_folder(aside / target.name, target)
