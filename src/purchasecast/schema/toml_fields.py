"""Fields that a schema file may have, and the line that a field is on.

`tomllib` names the line of broken syntax only. For other errors the line is found again in the text: that of the key,
or else of the table that should have it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from itertools import takewhile
from typing import Any

from purchasecast.errors import SchemaError, did_you_mean

__all__ = ["COLUMN_FIELDS", "TABLE_FIELDS", "FieldError", "check_fields", "line_of"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_TABLE_HEADER = re.compile(r"\s*\[(?!\[)(.+)\]\s*(?:#.*)?\Z")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_.\s-]|"[^"]*"|'[^']*')+?)\s*=""")


class FieldError(SchemaError):
    """One field of a schema is wrong.

    Parameters
    ----------
    field : tuple of str
        Keys from the top of the document down, such as ``("columns", "Age", "order")``.
    problem : str
        What was expected and what was found, without a full stop.
    """

    def __init__(self, field: tuple[str, ...], problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{dotted(field)}: {problem}{'' if problem.endswith('?') else '.'}")


def dotted(field: tuple[str, ...]) -> str:
    """Write a path of keys as TOML does, such as ``columns."Customer ID".kind``."""
    return ".".join(key if _BARE_KEY.match(key) else f'"{key}"' for key in field)


def line_of(text: str, field: tuple[str, ...]) -> int:
    """Return the number of the line that sets a field, or of the nearest table around it."""
    best_line, best_depth = 1, 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        path = None
        if header := _TABLE_HEADER.match(line):
            path = table = _key_path(f"[{header[1]}]") or table
        elif key := _KEY.match(line):
            inner = _key_path(f"{key[1]} = 0")
            path = table + inner if inner else None
        common = takewhile(lambda pair: pair[0] == pair[1], zip(path or (), field, strict=False))
        depth = len(list(common))
        if depth > best_depth:
            best_line, best_depth = number, depth
    return best_line


def _key_path(toml: str) -> tuple[str, ...] | None:
    """Read one header or one key by tomllib, which knows how keys are quoted."""
    try:
        node: Any = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return None
    path = []
    while isinstance(node, dict) and node:
        key, node = next(iter(node.items()))
        path.append(key)
    return tuple(path)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_bound(value: object) -> bool:
    # A datetime is also a date for Python, but a time of day means nothing as the bound of a column of days.
    number = isinstance(value, float) or _is_integer(value)
    return number or _is_text(value) or (isinstance(value, date) and not isinstance(value, datetime))


def _is_list_of(*checks: Callable[[object], bool]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return isinstance(value, list | tuple) and all(any(ok(item) for ok in checks) for item in value)

    return check


_Field = tuple[str, Callable[[object], bool]]
_TEXT: _Field = ("text in quotes", _is_text)
_TEXTS: _Field = ("a list of texts in quotes", _is_list_of(_is_text))
_CODES: _Field = ("a list of texts or whole numbers", _is_list_of(_is_text, _is_integer))
_BOUND: _Field = ("a number or a date", _is_bound)

TABLE_FIELDS: dict[str, _Field] = {
    "name": _TEXT,
    "title": _TEXT,
    "money": _TEXT,
    "key": _TEXTS,
    "ignore": _TEXTS,
    "csv": (
        "a table of texts in quotes",
        lambda value: isinstance(value, Mapping) and all(map(_is_text, value.values())),
    ),
    "columns": ("a table of columns", lambda value: isinstance(value, Mapping)),
}

COLUMN_FIELDS: dict[str, _Field] = {
    "kind": _TEXT,
    "type": _TEXT,
    "role": _TEXT,
    "order": _CODES,
    "domain": _CODES,
    "minimum": _BOUND,
    "maximum": _BOUND,
    "pattern": _TEXT,
    "null": _TEXT,
    "of": _TEXT,
    "format": _TEXT,
    "calendar": _TEXTS,
    "title": _TEXT,
    "unit": _TEXT,
}


def check_fields(
    values: object, allowed: Mapping[str, _Field], required: tuple[str, ...], field: tuple[str, ...] = ()
) -> None:
    """Check one table of the document: unknown keys, missing keys and values of the wrong type.

    Parameters
    ----------
    values : object
        The parsed table.
    allowed : mapping of str to (str, callable)
        What is expected of each key, in words and as a check.
    required : tuple of str
        Keys that the table must have.
    field : tuple of str, default ()
        Keys of the table itself, from the top down.

    Raises
    ------
    FieldError
        At the first error.
    """
    if not isinstance(values, Mapping):
        raise FieldError(field, f"expected a table, found {values!r}")
    for key, value in values.items():
        if key not in allowed:
            raise FieldError(
                (*field, key),
                f"expected one of {', '.join(allowed)}, found {key}{did_you_mean(key, allowed)}",
            )
        expected, holds = allowed[key]
        if not holds(value):
            raise FieldError((*field, key), f"expected {expected}, found {value!r}")
    for key in required:
        if key not in values:
            raise FieldError((*field, key), "expected a value, found nothing; add it")
