"""Read and write tables."""

from purchasecast.io.data import is_spark_frame, take_table
from purchasecast.io.single_csv import check_single_csv, write_single_csv
from purchasecast.io.tables import read_table, write_table

__all__ = ["check_single_csv", "is_spark_frame", "read_table", "take_table", "write_single_csv", "write_table"]
