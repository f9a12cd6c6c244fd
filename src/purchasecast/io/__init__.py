"""Read and write tables."""

from purchasecast.io.single_csv import write_single_csv
from purchasecast.io.tables import read_table, write_table

__all__ = ["read_table", "write_single_csv", "write_table"]
