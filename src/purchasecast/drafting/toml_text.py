"""Write a schema as a TOML file, with comments."""

from __future__ import annotations

import json
import re
from datetime import date
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.schema import Column, Schema

__all__ = ["schema_text"]

_WIDTH = 110
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_FIELDS = (  # the order in which a person reads them
    "title", "kind", "type", "role", "format", "calendar", "order", "domain", "minimum", "maximum", "pattern",
    "null", "unit", "of",
)  # fmt: skip


def schema_text(
    schema: Schema,
    *,
    heading: Sequence[str] = (),
    reasons: Mapping[str, Sequence[str]] | None = None,
    questions: Sequence[tuple[str | None, str]] = (),
) -> str:
    """Return a schema as the text of a TOML file.

    Parameters
    ----------
    schema : Schema
        The schema.
    heading : sequence of str, optional
        Comments at the top.
    reasons : mapping of str to sequence of str, optional
        Comments by column, also for columns that are ignored.
    questions : sequence of (str or None, str), optional
        Questions by column; those of a column stand above it, those of the table or of an ignored column at the top.

    Returns
    -------
    str
        A file that `load_schema` reads.
    """
    reasons = reasons or {}
    described = set(schema.names)
    lines = [line for text in heading for line in _comment(text)]
    lines += [line for column, text in questions if column not in described for line in _comment(f"QUESTION: {text}")]
    lines.append(f"name = {_value(schema.name)}")
    if schema.title != schema.name:
        lines.append(f"title = {_value(schema.title)}")
    if schema.money:
        lines.append(f"money = {_value(schema.money)}")
    if schema.key:
        lines.append(f"key = {_value(schema.key)}")
    lines += _ignore_lines(schema.ignore, reasons)
    if schema.csv:
        lines += ["", "[csv]", *_comment("How the file is written.")]
        lines += [f"{_key(option)} = {_value(value)}" for option, value in schema.csv.items()]
    for column in schema.columns:
        lines += ["", f"[columns.{_key(column.name)}]"]
        lines += [line for text in reasons.get(column.name, ()) for line in _comment(text)]
        asked = [text for name, text in questions if name == column.name]
        lines += [line for text in asked for line in _comment(f"QUESTION: {text}")]
        lines += _column_lines(column)
    return "\n".join(lines) + "\n"


def _ignore_lines(ignore: Sequence[str], reasons: Mapping[str, Sequence[str]]) -> list[str]:
    if not ignore:
        return []
    lines = ["ignore = ["]
    for name in ignore:
        why = "; ".join(reasons.get(name, ()))
        lines.append(f"  {_value(name)}," + (f"  # {_plain(why)}" if why else ""))
    return [*lines, "]"]


def _column_lines(column: Column) -> list[str]:
    values = column.to_dict()
    lines = []
    for field in _FIELDS:
        if field not in values or (field == "type" and not _needs_type(column)):
            continue
        value = getattr(column, field)
        if field in {"order", "domain"} and column.type == "integer":
            value = [int(level) for level in value]
        lines.append(f"{field} = {_value(value)}")
    return lines


def _needs_type(column: Column) -> bool:
    usual = {"nominal": "string", "ordinal": "string", "numeric": "number", "date": "date"}
    return column.type != usual[column.kind]


def _comment(text: str) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip(" ")))
    return [f"# {indent}{line}" for line in wrap(_plain(text), _WIDTH)]


def _plain(text: str) -> str:
    """Return a text fit for a comment: one line without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _key(name: str) -> str:
    return name if _BARE_KEY.match(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float):
        return repr(value)
    return f"[{', '.join(_value(item) for item in value)}]"


def _text(text: str) -> str:
    """Write a text in quotes: JSON's escapes are TOML's, but for DEL and for what is no character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
