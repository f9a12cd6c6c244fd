"""Describe a table: columns, kinds, roles and domains, read from a TOML file. Needs neither Spark nor NumPy."""

from purchasecast.schema.column import CALENDAR_PARTS, Column
from purchasecast.schema.table import Schema, load_schema, shipped_schemas

__all__ = ["CALENDAR_PARTS", "Column", "Schema", "load_schema", "shipped_schemas"]
