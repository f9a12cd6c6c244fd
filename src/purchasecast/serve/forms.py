"""The page's form: its fields by the model's schema, and what a submitted one says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from purchasecast.serve.problems import ProblemError
from purchasecast.serve.request_rows import expected, row_of_query

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

    from purchasecast.schema import Column
    from purchasecast.scorer import Scorer
    from purchasecast.serve.problems import FieldProblem

__all__ = ["WHAT_IF", "FormField", "FormReading", "form_fields", "read_form"]

WHAT_IF = "if:"  # before a column's name: the value that the second prediction takes
_MOST_OPTIONS = 40


@dataclass(frozen=True, slots=True)
class FormField:
    """One field.

    Attributes
    ----------
    name : str
        The column.
    id : str
        The element's id.
    label, hint : str
        For people.
    control : {"search", "select", "input"}
        What it is filled in with.
    options : tuple of str
        Levels to choose from, or to suggest.
    role : str
        ``customer`` or ``product``, where the field is its id; else empty.
    group : {"id", "customer", "product", "purchase"}
        Where it stands.
    value : str
        What is in it.
    error : str
        What is wrong with it; empty for nothing.
    is_number : bool
        Whether a keyboard of digits suits it.
    """

    name: str
    id: str
    label: str
    hint: str
    control: str
    options: tuple[str, ...]
    role: str
    group: str
    value: str
    error: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class FormReading:
    """What a submitted form says.

    Attributes
    ----------
    row : dict of str to object
        The row; fields that were left empty are left out.
    changed : dict of str to object or None
        The row of the what-if, where there is one.
    errors : dict of str to str
        What is wrong, by column.
    """

    row: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, Any] | None = None
    errors: dict[str, str] = field(default_factory=dict)


def form_fields(scorer: Scorer, reading: FormReading) -> dict[str, list[FormField]]:
    """Return the fields by group, with the values and errors of a reading."""
    groups: dict[str, list[FormField]] = {"id": [], "customer": [], "product": [], "purchase": []}
    for number, name in enumerate(scorer.columns):
        column = scorer.schema.column(name)
        value = reading.row.get(name)
        made = FormField(
            name=name,
            id=f"field-{number}",
            label=column.label,
            hint=_hint(column),
            control=_control(column, scorer),
            options=_options(column, scorer),
            role=column.role if column.role in {"customer", "product"} else "",
            group="id" if column.role in {"customer", "product"} else column.of or "purchase",
            value="" if value is None else str(value),
            error=reading.errors.get(name, ""),
            is_number=column.type in {"integer", "number"},
        )
        groups[made.group].append(made)
    return groups


def read_form(query: QueryParams, scorer: Scorer) -> FormReading:
    """Read a submitted form.

    Parameters
    ----------
    query : QueryParams
        Columns by name, and, with ``if:`` before the name, what a what-if changes.
    scorer : Scorer
        The model.

    Returns
    -------
    FormReading
        The row, the changed row, or what is wrong.
    """
    plain = [(name, value) for name, value in query.multi_items() if not name.startswith(WHAT_IF) and value.strip()]
    changes = {name.removeprefix(WHAT_IF): value for name, value in query.items() if name.startswith(WHAT_IF)}
    query_type = type(query)
    row: dict[str, Any] = dict(plain)
    try:
        row = row_of_query(query_type(plain), scorer)
        changed = None
        if changes:
            complete = dict(scorer.catalogue.complete(row))
            changed = complete | row_of_query(query_type(list({**_texts(complete), **changes}.items())), scorer)
    except ProblemError as problem:
        errors = {error["field"]: _for_people(error, row, scorer) for error in problem.errors} or {"": problem.detail}
        return FormReading(row=row, errors=errors)
    return FormReading(row=row, changed=changed)


def _for_people(error: FieldProblem, row: dict[str, Any], scorer: Scorer) -> str:
    """Return what is wrong with a field; of an empty one, what to do."""
    name = error["field"]
    if name not in scorer.columns or row.get(name):
        return str(error["detail"])
    column = scorer.schema.column(name)
    return "Choose one." if column.levels else f"Fill this in: {expected(column).removeprefix('expected ')}."


def _texts(row: dict[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}


def _control(column: Column, scorer: Scorer) -> str:
    if column.role in {"customer", "product"} and scorer.catalogue.has(column.role):
        return "search"
    return "select" if column.levels and len(column.levels) <= _MOST_OPTIONS else "input"


def _options(column: Column, scorer: Scorer) -> tuple[str, ...]:
    if column.levels:
        return column.levels
    labels = scorer.labels.get(column.name, ())
    return tuple(sorted(labels, key=lambda label: (len(label), label)))


def _hint(column: Column) -> str:
    if column.kind == "date":
        return f"Written as {column.format or '2024-12-31'}."
    if column.minimum is not None or column.maximum is not None:
        said = expected(column).removeprefix("expected ")
        return said[0].upper() + said[1:] + "."
    return f"In {column.unit}." if column.unit else ""
