"""Texts in CSV files that a spreadsheet would run as formulas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMULA", "PLAIN_NUMBER", "escape_formulas", "escape_name"]

#: What may be run as a formula, also after blanks: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = "^(?:[ \t\r\n\N{NO-BREAK SPACE}]*[=+@\uff1d\uff0b\uff0d\uff20-]|[\t\r])"
#: What begins like one and is a number.
PLAIN_NUMBER = r"^[+-]?[0-9]*[.,]?[0-9]*(?:[eE][+-]?[0-9]+)?$"


def escape_name(name: str) -> str:
    """Put an apostrophe in front of a column's name that a spreadsheet would run as a formula.

    Parameters
    ----------
    name : str
        Name of a column.

    Returns
    -------
    str
        The name; as it was, if it is no formula.

    Examples
    --------
    >>> escape_name("=1+1"), escape_name("Spend")
    ("'=1+1", 'Spend')
    """
    return f"'{name}" if re.search(FORMULA, name) else name


def escape_formulas(table: pa.Table) -> pa.Table:
    """Put an apostrophe in front of every text, and name of a column, that a spreadsheet would run as a formula.

    Parameters
    ----------
    table : pyarrow.Table
        Table that will be written as CSV.

    Returns
    -------
    pyarrow.Table
        The table; numbers written as texts, such as ``-20``, stay as they are.
    """
    import pyarrow as pa  # noqa: PLC0415  who writes no table need not load it
    import pyarrow.compute as pc  # noqa: PLC0415

    for place, field in enumerate(table.schema):
        if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            continue
        column = table.column(place)
        risky = pc.match_substring_regex(column, FORMULA)
        if pc.any(risky).as_py():
            risky = pc.and_not(risky, pc.match_substring_regex(column, PLAIN_NUMBER))
            escaped = pc.binary_join_element_wise(pa.scalar("'", field.type), column, pa.scalar("", field.type))
            table = table.set_column(place, field, pc.if_else(risky, escaped, column))
    return table.rename_columns([escape_name(name) for name in table.column_names])
