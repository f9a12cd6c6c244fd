"""Take a table of any kind: a path, a Spark frame, or a table in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyspark.sql import DataFrame
from pyspark.sql.connect.dataframe import DataFrame as ConnectDataFrame

from purchasecast.frames import to_arrow
from purchasecast.io.tables import read_table, read_untyped, take_frame, untyped

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

    from purchasecast.io.tables import UntypedTable
    from purchasecast.schema import Schema

__all__ = ["is_spark_frame", "take_table", "take_untyped"]


def is_spark_frame(data: Any) -> bool:
    """Return whether `data` is a frame of Spark, classic or Connect."""
    return isinstance(data, DataFrame | ConnectDataFrame)


def take_table(
    data: Any,
    schema: Schema,
    session: Callable[[], SparkSession],
    *,
    target: Literal["required", "optional"] = "required",
    **reader: Any,
) -> DataFrame:
    """Return the columns of a schema from a table of any kind, without checking values.

    Parameters
    ----------
    data : str, Path, Spark DataFrame, or a pandas, Polars or PyArrow table, or list of dict
        Table. A path, a glob or a ``jdbc:`` URL is read by Spark; a table in this process is sent to Spark whole.
    schema : Schema
        Description of the table.
    session : callable
        Function that returns the Spark session; not called for a Spark frame, which has one.
    target : {"required", "optional"}, default "required"
        Whether the table must have the target.
    **reader
        ``format``, ``table`` and ``options`` of `read_table`, for a path.

    Returns
    -------
    DataFrame
        Result of `read_table`.

    Raises
    ------
    SourceError
        If a path cannot be read.
    ColumnMismatchError
        If columns are missing, unknown or duplicated.
    DataError
        If `data` is not a table.
    """
    if isinstance(data, str | Path):
        return read_table(session(), data, schema, target=target, **reader)
    if is_spark_frame(data):
        return take_frame(data, schema, target=target)
    return take_frame(session().createDataFrame(to_arrow(data)), schema, target=target)


def take_untyped(data: Any, session: Callable[[], SparkSession], **reader: Any) -> UntypedTable:
    """Return all columns of a table of any kind that no schema describes yet.

    Parameters
    ----------
    data : str, Path, Spark DataFrame, or a pandas, Polars or PyArrow table, or list of dict
        Table; a path is read by Spark.
    session : callable
        Function that returns the Spark session.
    **reader
        ``format``, ``table`` and ``options`` of `read_untyped`, for a path.

    Returns
    -------
    UntypedTable
        As `read_untyped` returns it.
    """
    if isinstance(data, str | Path):
        return read_untyped(session(), data, **reader)
    return untyped(data if is_spark_frame(data) else session().createDataFrame(to_arrow(data)))
