"""Adapters for what Spark 4.0 lacks, the oldest version that purchasecast runs on; everything else is the same.

Spark 4.1 brought Arrow functions of columns and partitions by number (SPARK-52979, SPARK-53275).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf
from pyspark.sql.pandas import functions as of_batches

from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

__all__ = ["arrow_function", "in_partitions", "partition_keys"]


def arrow_function(function: Callable[..., Any], data_type: str) -> Callable[..., Any]:
    """Return a function of columns that calls a function of Arrow arrays once for each batch.

    Parameters
    ----------
    function : callable
        Function from one array for each column to an array of the same length; it must have no type hints.
    data_type : str
        Type of the result.

    Returns
    -------
    callable
        Function of columns.
    """
    made: Callable[..., Any]
    if hasattr(of_batches, "arrow_udf"):
        made = of_batches.arrow_udf(function, data_type)  # type: ignore[call-overload]  # any columns
        return made

    import pandas as pd  # noqa: PLC0415  newer versions of Spark do without it

    def of_series(*columns: Any) -> Any:
        import pyarrow as pa  # noqa: PLC0415  runs on executors

        return function(*[pa.Array.from_pandas(column) for column in columns]).to_pandas()

    of_series.__annotations__ = {"columns": pd.Series, "return": pd.Series}  # Spark tells the kind of function by them
    made = of_batches.pandas_udf(of_series, data_type)  # type: ignore[call-overload]
    return made


def in_partitions(frame: DataFrame, count: int, number: str) -> DataFrame:
    """Put each row into the partition of its number.

    Parameters
    ----------
    frame : DataFrame
        Rows.
    count : int
        Number of partitions.
    number : str
        Column of partition numbers from 0 to `count` - 1, of type int.

    Returns
    -------
    DataFrame
        The rows, without changes.
    """
    if hasattr(frame, "repartitionById"):
        return frame.repartitionById(count, col(number))
    keyed = frame.withColumn("_pc_key", sf.get(sf.lit(partition_keys(count)), col(number)))
    return keyed.repartition(count, "_pc_key").drop("_pc_key")


def partition_keys(count: int) -> list[int]:
    """Return for each partition an integer that Spark's hash sends there, if there are `count` partitions."""
    keys: dict[int, int] = {}
    candidate = 0
    while len(keys) < count:
        keys.setdefault(_murmur3(candidate) % count, candidate)
        candidate += 1
    return [keys[partition] for partition in range(count)]


def _murmur3(value: int, seed: int = 42) -> int:
    """Return Spark's hash of an int, a signed 32-bit number."""

    def times(number: int, factor: int) -> int:
        return (number * factor) & 0xFFFFFFFF

    def rotated(number: int, by: int) -> int:
        return ((number << by) | (number >> (32 - by))) & 0xFFFFFFFF

    mixed = times(rotated(times(value & 0xFFFFFFFF, 0xCC9E2D51), 15), 0x1B873593)
    hashed = (times(rotated(seed ^ mixed, 13), 5) + 0xE6546B64) & 0xFFFFFFFF
    hashed ^= 4  # bytes of an int
    hashed = times(hashed ^ (hashed >> 16), 0x85EBCA6B)
    hashed = times(hashed ^ (hashed >> 13), 0xC2B2AE35)
    hashed ^= hashed >> 16
    return hashed - (1 << 32) if hashed >> 31 else hashed
