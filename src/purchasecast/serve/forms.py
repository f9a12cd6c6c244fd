"""The form of the page: its fields, made of the model's schema, and what a submitted form says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from purchasecast.serve.problems import ProblemError
from purchasecast.serve.request_rows import row_of_query

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from purchasecast.schema import Column
    from purchasecast.scorer import Scorer
    from purchasecast.serve.response_models import FieldError

__all__ = ["FormField", "FormReading", "form_fields", "options_of", "read_form"]

_WHAT_IF = "if:"  # before a column's name in the query: the value to compare with
_MAX_OPTIONS = 40  # of a drop-down list; with more, typing is faster


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of the form."""

    name: str  # of the column
    id: str  # of the HTML element
    label: str
    hint: str
    control: str  # "search", "select" or "input"
    options: tuple[str, ...]  # to choose from, or to suggest
    role: str  # "customer" or "product" if the column is its id, otherwise empty
    group: str  # part of the form: "id", "customer", "product" or "purchase"
    value: str
    error: str  # empty if nothing is wrong
    is_number: bool  # phones then show a keyboard of digits


@dataclass(frozen=True, slots=True)
class FormReading:
    """What a submitted form says."""

    row: dict[str, Any] = field(default_factory=dict)  # without empty fields
    changed: dict[str, Any] | None = None  # the row to compare with, if the form asks for a comparison
    errors: dict[str, str] = field(default_factory=dict)  # by column


def form_fields(scorer: Scorer, reading: FormReading) -> dict[str, list[FormField]]:
    """Return the fields by group, with the values and errors of a reading."""
    groups: dict[str, list[FormField]] = {"id": [], "customer": [], "product": [], "purchase": []}
    for number, name in enumerate(scorer.columns):
        column = scorer.schema.column(name)
        value = reading.row.get(name)
        role = column.role if column.role in {"customer", "product"} else ""
        group = "id" if role else column.of or "purchase"
        form_field = FormField(
            name=name,
            id=f"field-{number}",
            label=column.label,
            hint=_hint(column),
            control=_control(column, role, scorer),
            options=options_of(column, scorer),
            role=role,
            group=group,
            value="" if value is None else str(value),
            error=reading.errors.get(name, ""),
            is_number=column.type in {"integer", "number"},
        )
        groups[group].append(form_field)
    return groups


def options_of(column: Column, scorer: Scorer) -> tuple[str, ...]:
    """Return the values to choose from: those of the schema in its order, else those of the training data, sorted."""
    # Short labels first, so that numbers stand in their order.
    return column.levels or tuple(sorted(scorer.labels.get(column.name, ()), key=lambda label: (len(label), label)))


def read_form(query: QueryParams, scorer: Scorer) -> FormReading:
    """Return what a submitted form says: values by column and, under ``if:`` and a column's name, values to compare."""
    filled = [(name, value) for name, value in query.multi_items() if not name.startswith(_WHAT_IF) and value.strip()]
    changes = {name.removeprefix(_WHAT_IF): value for name, value in query.items() if name.startswith(_WHAT_IF)}
    make_query = type(query)  # the form is checked by the rules of GET /v1/explain
    row: dict[str, Any] = dict(filled)
    changed = None
    try:
        row = row_of_query(make_query(filled), scorer)
        if changes:
            complete = dict(scorer.catalogue.complete(row))
            texts = {name: "" if value is None else str(value) for name, value in complete.items()}
            changed = complete | row_of_query(make_query(list({**texts, **changes}.items())), scorer)
    except ProblemError as problem:
        errors = {error["field"]: _text_of(error, row, scorer) for error in problem.errors} or {"": problem.detail}
        return FormReading(row=row, errors=errors)
    return FormReading(row=row, changed=changed)


def _text_of(error: FieldError, row: dict[str, Any], scorer: Scorer) -> str:
    """Return what is wrong with a field; if it is empty, what to do."""
    name = error["field"]
    if name not in scorer.columns or row.get(name):
        return error["detail"]
    column = scorer.schema.column(name)
    if column.levels:
        return "Choose one."
    return "Enter a value." if column.expectation == "text" else f"Enter {column.expectation}."


def _control(column: Column, role: str, scorer: Scorer) -> str:
    if role and scorer.catalogue.has(role):
        return "search"
    return "select" if 0 < len(column.levels) <= _MAX_OPTIONS else "input"


def _hint(column: Column) -> str:
    if column.kind == "date":
        return f"Written as {column.format or '2024-12-31'}."
    if column.minimum is not None or column.maximum is not None:
        text = column.expectation
        return f"{text[0].upper()}{text[1:]}."
    return f"In {column.unit}." if column.unit else ""
