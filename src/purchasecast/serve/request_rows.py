"""Rows as clients send them: JSON objects held to exact types, query parameters, and what to say of a wrong one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from purchasecast.errors import did_you_mean
from purchasecast.scorer.parsing import MISSING, BadValueError, value_parser
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.datastructures import QueryParams

    from purchasecast.schema import Column
    from purchasecast.scorer import Scorer
    from purchasecast.scorer.inputs import InputReader
    from purchasecast.scorer.parsing import Value
    from purchasecast.serve.problems import FieldProblem

__all__ = [
    "column_schema",
    "expected",
    "json_parser",
    "parameter_schema",
    "parse_body",
    "row_of_query",
    "row_schema",
    "rows_of_body",
    "tell_rows",
]

_LONGEST_TEXT = 256
_BLANK = {"type": "string", "pattern": "^ *$", "maxLength": _LONGEST_TEXT}  # as good as null


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_body(body: bytes) -> Any:
    """Return a JSON body, in UTF-8; numbers that are none (NaN) are refused as any other mistake."""
    try:
        return _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ProblemError(400, f"Expected a body in JSON, found a mistake{where}.") from None


def rows_of_body(document: Any, most: int) -> list[dict[str, Any]]:
    """Return the rows of a body such as ``{"rows": [{...}]}``; their values are checked when they are scored.

    Parameters
    ----------
    document : object
        The parsed body.
    most : int
        Largest number of rows.

    Returns
    -------
    list of dict
        Objects with a value by column.

    Raises
    ------
    ProblemError
        If the document is not what it should be.
    """
    if not isinstance(document, dict):
        raise ProblemError(422, 'Expected an object such as {"rows": [...]}, found something else.')
    strangers = [name for name in document if name not in {"rows", "explain"}]
    if strangers:
        raise ProblemError(
            422, "Expected the members rows and explain only.", [_at(f"/{strangers[0]}", strangers[0], "not expected")]
        )
    rows = document.get("rows")
    if not isinstance(rows, list) or not rows:
        raise ProblemError(422, "Expected rows.", [_at("/rows", "rows", f"expected a list of 1 to {most:,} rows")])
    if len(rows) > most:
        detail = f"expected at most {most:,} rows, found {len(rows):,}; send a file to /v1/predict/file"
        raise ProblemError(422, "Expected fewer rows.", [_at("/rows", "rows", detail)])
    if not isinstance(document.get("explain", False), bool):
        raise ProblemError(422, "Expected other values.", [_at("/explain", "explain", "expected true or false")])
    wrong = [
        _at(f"/rows/{number}", "rows", "expected an object with a value by column")
        for number, row in enumerate(rows)
        if not isinstance(row, dict)
    ]
    if wrong:
        raise ProblemError(422, f"Expected objects, found {len(wrong)} others.", wrong)
    return rows


def tell_rows(rows: Sequence[Mapping[str, Any]], scorer: Scorer, reader: InputReader) -> ProblemError | None:
    """Return what is wrong with JSON rows, every field named; None where nothing is."""
    errors = [
        _at(f"/rows/{number}/{_escaped(name)}", name, detail)
        for number, row in enumerate(rows)
        for name, detail in _row_problems(row, scorer, reader)
    ]
    if not errors:
        return None
    return ProblemError(422, f"Expected values that the model's schema allows, found {len(errors)} others.", errors)


def json_parser(column: Column) -> Callable[[Any], Value]:
    """Return the function that checks a JSON value: as `value_parser` does, but text is no number, nor a number text.

    Examples
    --------
    >>> from purchasecast.schema.table import Column
    >>> json_parser(Column("Age", "numeric", type="integer"))(7)
    7.0
    """
    parse = value_parser(column)
    usual = {"integer": int, "number": float}.get(column.type or "")

    def checked(value: Any) -> Value:
        if value is None or value.__class__ is usual or _is_typed(value, column):
            return parse(value)
        raise BadValueError("of another type")

    return checked


def _row_problems(row: Mapping[str, Any], scorer: Scorer, reader: InputReader) -> list[tuple[str, str]]:
    """Return what is wrong with a JSON row, by column; attributes of known customers and products may be left out."""
    names = scorer.columns
    problems = [
        (name, f"expected a column of the model, found another{did_you_mean(name, names)}")
        for name in row
        if name not in names
    ]
    for name, reason in reader.row(scorer.catalogue.complete(row))[1].items():
        problems.append((name, _told(scorer.schema.column(name), reason, row.get(name))))
    return problems


def row_of_query(query: QueryParams, scorer: Scorer, others: Sequence[str] = ()) -> dict[str, Any]:
    """Return the row that query parameters describe: text by column; empty text stands for null.

    Raises
    ------
    ProblemError
        If a parameter is unknown, given twice, or breaks a rule.
    """
    errors: list[FieldProblem] = []
    row: dict[str, Any] = {}
    for name, value in query.multi_items():
        if name in others:
            continue
        if name not in scorer.columns:
            hint = did_you_mean(name, scorer.columns)
            errors.append(_parameter(name, f"expected a column of the model, found another{hint}"))
        elif name in row:
            errors.append(_parameter(name, "expected once, found twice"))
        elif len(value) > _LONGEST_TEXT:
            errors.append(_parameter(name, f"expected at most {_LONGEST_TEXT} characters"))
        row[name] = value if value.strip(" ") else None
    if not errors:
        found = scorer.check(scorer.catalogue.complete(row))
        errors = [
            _parameter(name, _told(scorer.schema.column(name), reason, row.get(name))) for name, reason in found.items()
        ]
    if errors:
        raise ProblemError(422, f"Expected values that the model's schema allows, found {len(errors)} others.", errors)
    return row


def expected(column: Column) -> str:
    """Return what a column takes, in words."""
    return f"expected {column.expectation}"


def row_schema(scorer: Scorer) -> dict[str, Any]:
    """Return the JSON schema of a row."""
    columns = [scorer.schema.column(name) for name in scorer.columns]
    attributes = {column.name for column in columns if column.of is not None}
    required = [c.name for c in columns if c.null == "forbidden" and c.name not in attributes]
    schema: dict[str, Any] = {
        "type": "object",
        "title": "Row",
        "description": "Attributes of a customer or product that the model knows may be left out.",
        "properties": {column.name: column_schema(column) for column in columns},
        "additionalProperties": False,
    }
    if required:
        schema["required"] = required
    return schema


def column_schema(column: Column) -> dict[str, Any]:
    """Return the JSON schema of a column's values."""
    whole = column.type == "integer"
    schema: dict[str, Any] = {"type": "integer" if whole else "number" if column.type == "number" else "string"}
    if column.levels:
        schema["enum"] = [int(level) if whole else level for level in column.levels]
    elif whole:
        schema["minimum"], schema["maximum"] = -(2**63), 2**63 - 1
    elif schema["type"] == "string":
        schema["maxLength"] = _LONGEST_TEXT
        schema["pattern"] = f"^(?:{column.pattern})$" if column.pattern else "[^ ]"
    if column.kind == "date" and column.format is None:
        schema["pattern"] = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
        schema["format"] = "date"
    for bound in ("minimum", "maximum"):
        if getattr(column, bound) is not None and column.kind != "date":
            schema[bound] = getattr(column, bound)
    if column.null != "forbidden":
        blank = [_BLANK] if schema["type"] == "string" else []
        schema = {"anyOf": [schema, {"type": "null"}, *blank]}
    return {**schema, "title": column.label, "description": _sentence(column)}


def parameter_schema(column: Column) -> dict[str, Any]:
    """Return the JSON schema of a column's values in a query, where blank text stands for null."""
    schema = column_schema(column)
    if "anyOf" in schema:
        schema["anyOf"] = [schema["anyOf"][0], _BLANK]
    return schema


def _sentence(column: Column) -> str:
    said = expected(column)
    unit = f" ({column.unit})" if column.unit else ""
    return said[0].upper() + said[1:] + unit + "."


def _is_typed(value: Any, column: Column) -> bool:
    if isinstance(value, bool):
        return False
    if column.type == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if column.type == "number":
        return isinstance(value, int | float)
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _told(column: Column, reason: str, value: Any) -> str:
    if reason in {MISSING, "null"}:
        return f"{expected(column)}, found nothing"
    return f"{expected(column)}, found {_shown(value)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _at(pointer: str, field: str, detail: str) -> FieldProblem:
    return {"pointer": f"#{pointer}", "field": field, "detail": detail}


def _parameter(name: str, detail: str) -> FieldProblem:
    return {"parameter": name, "field": name, "detail": detail}


def _escaped(name: str) -> str:
    """Return a member's name as a JSON pointer writes it."""
    return name.replace("~", "~0").replace("/", "~1")
