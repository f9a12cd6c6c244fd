"""Names and constants as Spark SQL reads them: a shop's names may hold dots, spaces, quotes and backticks."""

from __future__ import annotations

import math
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf
from pyspark.sql.types import StringType

from purchasecast.files import FORMULA, PLAIN_NUMBER, escape_name
from purchasecast.schema.values import BLANKS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["col", "escape_formulas", "number_literal", "quoted", "text_literal", "without_blanks"]


def quoted(name: str) -> str:
    """Return a column's name as Spark SQL reads it.

    Examples
    --------
    >>> quoted("unit.price")
    '`unit.price`'
    """
    return "`" + name.replace("`", "``") + "`"


def col(name: str) -> Column:
    """Return the column of exactly this name."""
    return sf.col(quoted(name))


def without_blanks(text: Column) -> Column:
    """Return a text without blanks around it, of all kinds that count as blank."""
    trimmed = sf.trim(text)
    # Spark is slow at taking off anything but spaces: it does so only where there is something else.
    others = reduce(or_, (trimmed.startswith(blank) | trimmed.endswith(blank) for blank in BLANKS.strip(" ")))
    return sf.when(others, sf.btrim(trimmed, sf.lit(BLANKS))).otherwise(trimmed)


def escape_formulas(frame: DataFrame) -> DataFrame:
    """Return a frame as `purchasecast.files.escape_formulas` returns a table, for CSV files that people open."""
    columns = []
    for field in frame.schema:
        column, name = col(field.name), escape_name(field.name)
        if isinstance(field.dataType, StringType):
            risky = column.rlike(FORMULA) & ~column.rlike(PLAIN_NUMBER)
            column = sf.when(risky, sf.concat(sf.lit("'"), column)).otherwise(column).alias(name)
        columns.append(column if name == field.name else column.alias(name))
    return frame.select(*columns)


def text_literal(text: str) -> str:
    r"""Return a text as Spark SQL reads it.

    Examples
    --------
    >>> print(text_literal("it's"))
    'it\'s'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    escaped = escaped.replace("${", "\\u0024{")  # Spark puts a setting in the place of ${name}, in texts too
    return f"'{escaped}'"


def number_literal(value: float) -> str:
    """Return a number as Spark SQL reads it, to the last digit; in brackets, because it may be negative.

    Examples
    --------
    >>> number_literal(-0.1)
    '(-0.1D)'
    >>> number_literal(float("inf"))
    "double('inf')"
    """
    number = float(value)
    if not math.isfinite(number):  # Spark has no literal for it: "infD" would be the name of a column
        return f"double('{number}')"
    return f"({number!r}D)"
