"""Rows as clients send them, in JSON or as query parameters: checked, described, and answered with what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from purchasecast.errors import did_you_mean
from purchasecast.schema.values import MAX_NUMBER, UNREADABLE
from purchasecast.scorer.parsing import MISSING, BadValueError, value_parser
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.datastructures import QueryParams

    from purchasecast.schema import Column
    from purchasecast.scorer import Scorer
    from purchasecast.scorer.inputs import InputReader
    from purchasecast.scorer.parsing import Value
    from purchasecast.serve.response_models import FieldError

__all__ = [
    "json_parser",
    "parameter_schema",
    "parse_body",
    "row_of_query",
    "row_problem",
    "row_schema",
    "rows_of_body",
]

_MAX_LETTERS = 256  # of a text; a file may have longer ones
_LOST = "".join(f"\\u{ord(sign):04x}" for sign in UNREADABLE)
_TEXT = f"^[^{_LOST}]*[^ {_LOST}][^{_LOST}]*$"  # with something else than blanks
_BLANK = {"type": "string", "pattern": "^ *$", "maxLength": _MAX_LETTERS}  # counts as null


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)  # JSON has no NaN and no Infinity; Python's decoder does


def parse_body(body: bytes) -> Any:
    """Return the content of a JSON body in UTF-8.

    Raises
    ------
    ProblemError
        With status 400 if the body is not JSON.
    """
    try:
        return _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ProblemError(400, f"Body: expected JSON, found a mistake{where}; correct it.") from None


def rows_of_body(document: Any, limit: int) -> list[dict[str, Any]]:
    """Return the rows of a body such as ``{"rows": [{...}]}``; their values are checked when they are scored.

    Raises
    ------
    ProblemError
        With status 422 if the body has another form or too many rows.
    """
    if not isinstance(document, dict):
        raise ProblemError(422, 'Body: expected an object such as {"rows": [...]}, found something else.')
    rows = document.get("rows")
    errors = [
        _body_error(f"/{name}", name, "expected only rows, explain and amounts")
        for name in document
        if name not in {"rows", "explain", "amounts"}
    ]
    if not isinstance(rows, list) or not rows:
        errors.append(_body_error("/rows", "rows", f"expected a list of 1 to {limit:,} rows"))
    elif len(rows) > limit:
        detail = f"expected at most {limit:,} rows, found {len(rows):,}; send a file to /v1/predict/file"
        errors.append(_body_error("/rows", "rows", detail))
    else:
        errors += [
            _body_error(f"/rows/{number}", "rows", "expected an object with a value for each column")
            for number, row in enumerate(rows)
            if not isinstance(row, dict)
        ]
    for name in ("explain", "amounts"):
        if not isinstance(document.get(name, False), bool):
            errors.append(_body_error(f"/{name}", name, "expected true or false"))
    if errors:
        told = "Body: expected rows, and optionally explain and amounts; see errors for what was found."
        raise ProblemError(422, told, errors)
    return rows or []


def row_problem(rows: Sequence[Mapping[str, Any]], scorer: Scorer, reader: InputReader) -> ProblemError:
    """Return the problem that names every wrong field of JSON rows, at least one of which cannot be scored."""
    errors = []
    for number, row in enumerate(rows):
        found = {name: _unknown_column(name, scorer) for name in row if name not in scorer.columns}
        # Attributes of known customers and products may be left out, so they are filled in before the check.
        for name, reason in reader.row(scorer.catalogue.complete(row))[1].items():
            found[name] = _wrong_value(scorer.schema.column(name), reason, row.get(name))
        errors += [_body_error(f"/rows/{number}/{_escaped(name)}", name, detail) for name, detail in found.items()]
    return _values_problem(errors)


def row_of_query(query: QueryParams, scorer: Scorer) -> dict[str, Any]:
    """Return the row that query parameters describe: text by column, None for blank text.

    Raises
    ------
    ProblemError
        With status 422 if a parameter is unknown, given twice, or breaks a rule of its column.
    """
    errors: list[FieldError] = []
    row: dict[str, Any] = {}
    for name, value in query.multi_items():
        if name not in scorer.columns:
            errors.append(_parameter_error(name, _unknown_column(name, scorer)))
        elif name in row:
            errors.append(_parameter_error(name, "expected one value, found several"))
        elif len(value) > _MAX_LETTERS:
            errors.append(_parameter_error(name, f"expected at most {_MAX_LETTERS} characters, found {len(value):,}"))
        row[name] = value if value.strip(" ") else None
    if not errors:
        wrong = scorer.check(scorer.catalogue.complete(row))
        errors = [
            _parameter_error(name, _wrong_value(scorer.schema.column(name), reason, row.get(name)))
            for name, reason in wrong.items()
        ]
    if errors:
        raise _values_problem(errors)
    return row


def json_parser(column: Column) -> Callable[[Any], Value]:
    """Return the function that checks a JSON value of a column.

    It checks as `value_parser` does, but types are exact: ``"7"`` is not a number, and ``7`` is not text.

    Examples
    --------
    >>> from purchasecast.schema.table import Column
    >>> json_parser(Column("Age", "numeric", type="integer"))(7)
    7.0
    """
    parse = value_parser(column)
    usual = {"integer": int, "number": float}.get(column.type or "")

    def check(value: Any) -> Value:
        # The comparison of classes takes a tenth of the time of the full test, and decides nearly always.
        if value is None or value.__class__ is usual or _has_type(value, column):
            return parse(value)
        raise BadValueError("of another type")

    return check


def row_schema(scorer: Scorer) -> dict[str, Any]:
    """Return the JSON schema of a row."""
    columns = [scorer.schema.column(name) for name in scorer.columns]
    required = [column.name for column in columns if column.null == "forbidden" and column.of is None]
    return {
        "type": "object",
        "title": "Row",
        "description": "Attributes of a customer or product that the model knows may be left out.",
        "properties": {column.name: _column_schema(column) for column in columns},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def parameter_schema(column: Column) -> dict[str, Any]:
    """Return the JSON schema of a column's values in a query, where blank text counts as null."""
    schema = _column_schema(column)
    if "anyOf" in schema:
        schema["anyOf"] = [schema["anyOf"][0], _BLANK]
    return schema


def _column_schema(column: Column) -> dict[str, Any]:
    """Return the JSON schema of a column's values in a body."""
    is_whole = column.type == "integer"
    # A schema for generated clients and tests: what it allows is scored, and what it forbids is refused.
    schema: dict[str, Any] = {"type": {"integer": "integer", "number": "number"}.get(column.type or "", "string")}
    if column.levels:
        schema["enum"] = [int(level) if is_whole else level for level in column.levels]
    elif is_whole:
        schema |= {"minimum": -(2**63), "maximum": 2**63 - 1}
    elif schema["type"] == "string":
        schema |= {"maxLength": _MAX_LETTERS, "pattern": f"^(?:{column.pattern})$" if column.pattern else _TEXT}
    elif column.type == "number":
        schema |= {"minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
    if column.kind == "date" and column.format is None:
        schema |= {"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "format": "date"}
    for bound in ("minimum", "maximum"):
        if getattr(column, bound) is not None and column.kind != "date":
            schema[bound] = getattr(column, bound)
    if column.null != "forbidden":
        blank = [_BLANK] if schema["type"] == "string" else []
        schema = {"anyOf": [schema, {"type": "null"}, *blank]}
    text = column.expectation + (f" ({column.unit})" if column.unit else "")
    return {**schema, "title": column.label, "description": f"{text[0].upper()}{text[1:]}."}


def _has_type(value: Any, column: Column) -> bool:
    if isinstance(value, bool):  # a bool is an int to Python
        return False
    if column.type == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if column.type == "number":
        return isinstance(value, int | float)
    return isinstance(value, str) and len(value) <= _MAX_LETTERS


def _unknown_column(name: str, scorer: Scorer) -> str:
    return f"expected a column of the model, found another{did_you_mean(name, scorer.columns)}"


def _wrong_value(column: Column, reason: str, value: Any) -> str:
    if reason in {MISSING, "null"}:
        return f"expected {column.expectation}, found nothing"
    text = json.dumps(value, ensure_ascii=True, default=str)
    return f"expected {column.expectation}, found {text if len(text) <= 60 else f'{text[:57]}...'}"


def _values_problem(errors: list[FieldError]) -> ProblemError:
    count = f"{len(errors):,} other value{'' if len(errors) == 1 else 's'}"
    return ProblemError(422, f"Expected values that the model's schema allows, found {count}; see errors.", errors)


def _body_error(pointer: str, field: str, detail: str) -> FieldError:
    return {"pointer": f"#{pointer}", "field": field, "detail": detail}


def _parameter_error(name: str, detail: str) -> FieldError:
    return {"parameter": name, "field": name, "detail": detail}


def _escaped(name: str) -> str:
    """Return a name as a JSON pointer writes it (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
