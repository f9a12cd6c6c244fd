"""Columns by their exact names: a shop's names may hold dots, spaces and backticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

if TYPE_CHECKING:
    from pyspark.sql import Column

__all__ = ["col", "quoted"]


def quoted(name: str) -> str:
    """Return `name` as Spark SQL reads it."""
    return "`" + name.replace("`", "``") + "`"


def col(name: str) -> Column:
    """Return the column called exactly `name`."""
    return sf.col(quoted(name))
