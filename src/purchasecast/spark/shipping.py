"""Run functions of this package on executors that do not have it installed.

Executors need Spark's own libraries, NumPy, SciPy, PyArrow, pandas and XGBoost. A function of this package is pickled
by value and immediately. Spark Connect pickles functions much later, and would pickle a function of a module by
reference, which fails on an executor with ``ModuleNotFoundError``.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from pyspark import cloudpickle
from pyspark.sql import functions as sf

import purchasecast
from purchasecast.spark.compat import arrow_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, GroupedData
    from pyspark.sql.pandas.group_ops import PandasCogroupedOps
    from pyspark.sql.types import StructType

__all__ = ["apply_in_tasks", "apply_to_groups", "arrow_column", "map_in_tasks", "text_column"]

_REGISTRY = Lock()  # cloudpickle keeps one list of the modules that it pickles by value


def map_in_tasks(
    frame: DataFrame, function: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]], schema: StructType | str
) -> DataFrame:
    """Apply a function of this package to the Arrow batches of each partition.

    Parameters
    ----------
    frame : DataFrame
        Rows to read.
    function : callable
        Function from an iterator of record batches to another; may be a `functools.partial`.
    schema : StructType or str
        Columns of the result.

    Returns
    -------
    DataFrame
        Lazy result, as of `DataFrame.mapInArrow`.
    """
    code, loaded = _pickled(function), []  # type: ignore[var-annotated]

    def run(batches: Any) -> Any:
        if not loaded:
            loaded.append(cloudpickle.loads(code))
        return loaded[0](batches)

    return frame.mapInArrow(_without_hints(run), schema)


def apply_in_tasks(
    grouped: PandasCogroupedOps, function: Callable[[pa.Table, pa.Table], pa.Table], schema: StructType | str
) -> DataFrame:
    """Apply a function of this package to each pair of groups, as two Arrow tables.

    Parameters
    ----------
    grouped : PandasCogroupedOps
        Cogrouped rows; each pair of groups must fit into the memory of one task.
    function : callable
        Function from two tables to one.
    schema : StructType or str
        Columns of the result.

    Returns
    -------
    DataFrame
        Lazy result, as of `PandasCogroupedOps.applyInArrow`.
    """
    code, loaded = _pickled(function), []  # type: ignore[var-annotated]

    def run(left: Any, right: Any) -> Any:  # Spark counts the arguments
        if not loaded:
            loaded.append(cloudpickle.loads(code))
        return loaded[0](left, right)

    return grouped.applyInArrow(_without_hints(run), schema)


def apply_to_groups(
    grouped: GroupedData, function: Callable[[pa.Table], pa.Table], schema: StructType | str
) -> DataFrame:
    """Apply a function of this package to each group, as an Arrow table.

    Parameters
    ----------
    grouped : GroupedData
        Grouped rows; each group must fit into the memory of one task.
    function : callable
        Function from one table to another.
    schema : StructType or str
        Columns of the result.

    Returns
    -------
    DataFrame
        Lazy result, as of `GroupedData.applyInArrow`.
    """
    code, loaded = _pickled(function), []  # type: ignore[var-annotated]

    def run(group: Any) -> Any:  # Spark counts the arguments
        if not loaded:
            loaded.append(cloudpickle.loads(code))
        return loaded[0](group)

    return grouped.applyInArrow(_without_hints(run), schema)


def arrow_column(function: Callable[..., pa.Array], data_type: str, *columns: Column) -> Column:
    """Return a column that a function of this package computes from Arrow arrays.

    Parameters
    ----------
    function : callable
        Function from one array for each column to an array of the same length.
    data_type : str
        Type of the result, such as ``"double"``.
    *columns : Column
        Columns that the function reads.

    Returns
    -------
    Column
        Lazy column; the function runs once for each batch.
    """
    code, loaded = _pickled(function), []  # type: ignore[var-annotated]

    def run(*arrays: Any) -> Any:
        if not loaded:
            loaded.append(cloudpickle.loads(code))
        return loaded[0](*arrays)

    made: Column = arrow_function(_without_hints(run), data_type)(*columns)
    return made


def text_column(function: Callable[[Any], str], column: Column) -> Column:
    """Return a text column that a function of this package computes value by value, without Arrow.

    Parameters
    ----------
    function : callable
        Function from one value to a text.
    column : Column
        Column that the function reads.

    Returns
    -------
    Column
        Lazy column.
    """
    code = _pickled(function)

    def run(value: Any) -> Any:
        return cloudpickle.loads(code)(value)

    return sf.udf(_without_hints(run), "string", useArrow=False)(column)


def _pickled(function: Callable[..., Any]) -> bytes:
    """Pickle a function by value, with all that it uses of this package."""
    with _REGISTRY:
        cloudpickle.register_pickle_by_value(purchasecast)  # type: ignore[no-untyped-call]
        try:
            code: bytes = cloudpickle.dumps(function)  # type: ignore[no-untyped-call]
        finally:
            cloudpickle.unregister_pickle_by_value(purchasecast)  # type: ignore[no-untyped-call]
    return code


def _without_hints(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remove the type hints: Spark would evaluate names that only a type checker knows."""
    function.__annotations__ = {}
    return function
