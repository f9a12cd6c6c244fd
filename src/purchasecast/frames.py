"""Tables that live in this process: pandas, Polars, PyArrow, or a list of dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from purchasecast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["add_columns", "of_kind", "to_arrow"]


def to_arrow(rows: Any) -> pa.Table:
    """Return a table as Arrow.

    Parameters
    ----------
    rows : table or list of dict
        A PyArrow, pandas or Polars table, or any other that narwhals knows or that exports Arrow; or rows as dicts,
        where a key that a row lacks is a null.

    Returns
    -------
    pyarrow.Table
        The same columns; the index of a pandas table is not one of them.

    Raises
    ------
    DataError
        If it is no table, or a column holds values of several kinds.
    """
    if isinstance(rows, pa.RecordBatch | pa.Table):
        return rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    import narwhals as nw  # noqa: PLC0415  executors score Arrow tables and do not have it

    try:
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            names = list(dict.fromkeys(name for row in rows for name in row))
            return pa.table({name: [row.get(name) for row in rows] for name in names})
        native = nw.from_native(rows, eager_only=True, pass_through=True)
        if isinstance(native, nw.DataFrame):
            return native.to_arrow().select(native.columns)  # pandas adds an index that is no plain range
        if hasattr(rows, "__arrow_c_stream__"):
            return pa.table(rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"rows: expected one kind of value in each column, found several: {error}; convert the column."
        ) from error
    raise DataError(
        f"rows: expected a table or a list of dicts, found {type(rows).__name__}; pass a pandas, Polars or PyArrow "
        "table."
    )


def add_columns(rows: Any, columns: Mapping[str, pa.Array]) -> Any:
    """Return a table of the same kind with more columns.

    Parameters
    ----------
    rows : table or list of dict
        As in `to_arrow`.
    columns : mapping of str to pyarrow.Array
        One value a row, in their order; a column of the same name is replaced.

    Returns
    -------
    table or list of dict
        Of the kind of `rows`; a pandas table keeps its index.
    """
    if isinstance(rows, list):
        values = [array.to_pylist() for array in columns.values()]
        return [
            {**row, **dict(zip(columns, made, strict=True))}
            for row, made in zip(rows, zip(*values, strict=True), strict=True)
        ]
    import narwhals as nw  # noqa: PLC0415  as in `to_arrow`

    frame: Any = nw.from_native(to_arrow(rows) if isinstance(rows, pa.RecordBatch) else rows, eager_only=True)
    series = [
        nw.new_series(name, array.to_numpy(zero_copy_only=False), backend=frame.implementation)
        if array.null_count == 0 and not pa.types.is_nested(array.type)
        else nw.new_series(name, array.to_pylist(), backend=frame.implementation)
        for name, array in columns.items()
    ]
    return frame.with_columns(*series).to_native()


def of_kind(table: pa.Table, rows: Any) -> Any:
    """Return an Arrow table as the kind that other rows have.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    rows : table or list of dict
        Rows of the kind that is wanted; anything else than a pandas or Polars table or a list leaves Arrow.

    Returns
    -------
    table or list of dict
        The same columns and rows.
    """
    if isinstance(rows, list):
        return table.to_pylist()
    import narwhals as nw  # noqa: PLC0415  as in `to_arrow`

    native = nw.from_native(rows, eager_only=True, pass_through=True)
    if not isinstance(native, nw.DataFrame):
        return table
    return nw.from_arrow(table, backend=native.implementation).to_native()
