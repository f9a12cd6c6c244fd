"""Try a draft on the data at once, and loosen what would reject more than a few rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from purchasecast.drafting.draft import ColumnDraft, Question
from purchasecast.drafting.survey import DIRTY
from purchasecast.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from purchasecast.drafting.draft import SchemaDraft
    from purchasecast.results import ValidationReport
    from purchasecast.schema import Column, Schema

__all__ = ["check_draft", "loosened"]

_MAX_RATE = 0.005  # half of what stops a training run
_ROUNDS = 3


def check_draft(draft: SchemaDraft, validation_of: Callable[[Schema], ValidationReport]) -> SchemaDraft:
    """Validate the table by a drafted schema, and loosen the schema until few rows are rejected.

    Parameters
    ----------
    draft : SchemaDraft
        The draft.
    validation_of : callable
        From a schema to the report of validation; each call is a pass over the table.

    Returns
    -------
    SchemaDraft
        The draft with its report, and a question where more than 0.5 % of the rows are still rejected.
    """
    report = validation_of(draft.schema)
    passes = 1
    while report.reject_rate > _MAX_RATE and passes < _ROUNDS:
        looser = loosened(draft, report)
        if looser.schema == draft.schema:
            break
        draft, passes = looser, passes + 1
        report = validation_of(draft.schema)
    questions = draft.questions
    if report.reject_rate > _MAX_RATE:
        top = ", ".join(f"{reason} ({count:,})" for reason, count in list(report.reasons.items())[:3])
        text = (
            f"{report.reject_rate:.1%} of the rows are rejected, mostly {top}. Are these rows wrong, or is the draft?"
        )
        questions = (Question(None, text), *questions)
    return replace(draft, validation=report, passes=draft.passes + passes, questions=questions)


def loosened(draft: SchemaDraft, report: ValidationReport) -> SchemaDraft:
    """Change what rejects more than a few rows.

    Parameters
    ----------
    draft : SchemaDraft
        The draft.
    report : ValidationReport
        What it rejects.

    Returns
    -------
    SchemaDraft
        The same, looser; unchanged where nothing can be done.
    """
    columns = {column.name: column for column in draft.schema.columns}
    drafts = {column.name: column for column in draft.columns}
    key, ignore = draft.schema.key, list(draft.schema.ignore)
    for reason, count in report.reasons.items():
        if count <= DIRTY * report.rows:
            continue
        if reason == "duplicate key":
            key = ()
            continue
        name, _, problem = reason.rpartition(": ")
        column = columns.get(name)
        if column is None:
            continue
        looser = _loosened_column(column, problem)
        why = f"{count:,} rows: {problem}; loosened"
        if looser is not None:
            columns[name] = looser
            drafts[name] = replace(drafts[name], kind=looser.kind, reasons=(*drafts[name].reasons, why))
        elif column.role in {None, "row", "time"}:
            del columns[name]
            ignore.append(name)
            drafts[name] = ColumnDraft(
                name, False, None, drafts[name].kind, drafts[name].of, (f"{count:,} rows: {problem}",)
            )
    try:
        schema = replace(
            draft.schema,
            columns=tuple(columns.values()),
            key=key if set(key) <= set(columns) else (),
            ignore=tuple(ignore),
        )
    except SchemaError:
        return draft
    return replace(draft, schema=schema, columns=tuple(drafts.values()))


def _loosened_column(column: Column, problem: str) -> Column | None:
    """Return a column that allows what was rejected; None if it cannot."""
    feature, named = column.role is None, column.role in {None, "customer", "product", "quantity"}
    kept_role = None if column.role == "quantity" else column.role  # a quantity is there in every row, or it is none
    looser: dict[str, dict[str, Any]] = {
        "null": {"null": "unknown", "role": kept_role} if named else {},
        "not in domain": {"kind": "nominal", "order": (), "domain": ()},
        "not an integer": {"type": "number" if column.kind == "numeric" else "string", "domain": ()},
        "negative": {"minimum": None} if column.role != "target" else {},
        "below minimum": {"minimum": None} if column.role != "target" else {},
        "above maximum": {"maximum": None},
        "not a number": {"kind": "nominal", "type": "string", "minimum": None, "maximum": None} if feature else {},
    }
    changes = looser.get(problem)
    return replace(column, **changes) if changes else None
