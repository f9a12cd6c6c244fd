"""Names of columns that stages make, from the name of the column they read: a shop's may hold what Spark ML refuses."""

from __future__ import annotations

__all__ = ["made_name", "source_name"]

# Spark ML reads a dot in an input column as a path into a struct, and a backtick as a quote.
_STAND_INS = {".": "\N{ONE DOT LEADER}", "`": "\N{MODIFIER LETTER GRAVE ACCENT}"}


def made_name(prefix: str, name: str) -> str:
    """Return the name of a column made of the one called `name`, such as every stage of Spark takes it."""
    for sign, stand_in in _STAND_INS.items():
        name = name.replace(sign, stand_in)
    return prefix + name


def source_name(prefix: str, made: str) -> str:
    """Return the name of the column that the one called `made` is made of."""
    name = made.removeprefix(prefix)
    for sign, stand_in in _STAND_INS.items():
        name = name.replace(stand_in, sign)
    return name
