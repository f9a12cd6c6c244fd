"""Read and write tables, and look into files before anything else has started."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from purchasecast.io.access import session_of, temporary_folder
from purchasecast.io.local_files import has_few_rows, peek_csv_options, peek_names

if TYPE_CHECKING:
    from purchasecast.io.access import Session as Session
    from purchasecast.io.data import is_spark_frame, take_table, take_untyped
    from purchasecast.io.database import check_other_table
    from purchasecast.io.folders import check_folder, write_table
    from purchasecast.io.local_tables import read_local_table, take_small_table
    from purchasecast.io.single_csv import check_single_csv, write_single_csv
    from purchasecast.io.tables import UntypedTable, read_table

__all__ = [
    "UntypedTable",
    "check_folder",
    "check_other_table",
    "check_single_csv",
    "has_few_rows",
    "is_spark_frame",
    "peek_csv_options",
    "peek_names",
    "read_local_table",
    "read_table",
    "session_of",
    "take_small_table",
    "take_table",
    "take_untyped",
    "temporary_folder",
    "write_single_csv",
    "write_table",
]

# What needs Spark or Arrow is loaded when it is asked for: a wrong file is told of before that.
_HOMES = {
    "data": ("is_spark_frame", "take_table", "take_untyped"),
    "database": ("check_other_table",),
    "folders": ("check_folder", "write_table"),
    "local_tables": ("read_local_table", "take_small_table"),
    "single_csv": ("check_single_csv", "write_single_csv"),
    "tables": ("UntypedTable", "read_table"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load what needs Spark or Arrow."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
