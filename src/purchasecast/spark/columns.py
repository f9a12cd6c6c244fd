"""Names and constants as Spark SQL reads them: a shop's names may hold dots, spaces, quotes and backticks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

if TYPE_CHECKING:
    from pyspark.sql import Column

__all__ = ["col", "number_literal", "quoted", "text_literal"]


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
