"""A drafted schema: what was guessed of every column, why, and what the user should answer. No Spark here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from purchasecast.drafting.toml_text import schema_text
from purchasecast.results import Record, ValidationReport
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ColumnDraft", "Question", "SchemaDraft"]


@dataclass(frozen=True, slots=True)
class ColumnDraft(Record):
    """Say what was guessed of one column.

    Parameters
    ----------
    name : str
        The column's name.
    used : bool
        Whether the schema describes it; otherwise the schema lists it under ``ignore``.
    role : {"customer", "product", "target", "time", "quantity", "row"} or None
        What it is for; None for a feature and for a column that is ignored.
    kind : {"nominal", "ordinal", "numeric", "date"} or None
        What its values are; None where nothing can be told.
    of : {"customer", "product"} or None
        Whose attribute it is.
    reasons : tuple of str
        Why, one sentence a guess.
    """

    name: str
    used: bool
    role: str | None = None
    kind: str | None = None
    of: str | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question(Record):
    """Ask what the data cannot tell.

    Parameters
    ----------
    column : str or None
        The column that it is about; None for the table.
    text : str
        The question, and what was drafted meanwhile.
    """

    column: str | None
    text: str


@dataclass(frozen=True, slots=True)
class SchemaDraft:
    """Hold a drafted schema with its reasons.

    Parameters
    ----------
    source : str
        Where the data came from.
    schema : Schema
        The draft, ready for `train`.
    columns : tuple of ColumnDraft
        Every column of the table, in its order.
    questions : tuple of Question
        What to decide by hand; the draft works without an answer.
    rows : int
        Rows of the table.
    passes : int
        How often the table was read.
    validation : ValidationReport or None
        How many rows the draft accepts; None before it was tried.
    """

    source: str
    schema: Schema
    columns: tuple[ColumnDraft, ...]
    questions: tuple[Question, ...] = ()
    rows: int = 0
    passes: int = 0
    validation: ValidationReport | None = None

    def column(self, name: str) -> ColumnDraft:
        """Return the guesses about a column by its name."""
        return next(column for column in self.columns if column.name == name)

    def to_toml(self) -> str:
        """Return the schema as a TOML file, every guess with its reason as a comment."""
        return schema_text(
            self.schema,
            heading=self._heading(),
            reasons={column.name: column.reasons for column in self.columns},
            questions=[(question.column, question.text) for question in self.questions],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the draft as JSON-safe values.

        Returns
        -------
        dict
            What `from_dict` reads; ``schema`` is what `Schema.from_dict` reads, ``toml`` the file's text.
        """
        return {
            "source": self.source,
            "rows": self.rows,
            "passes": self.passes,
            "schema": self.schema.to_dict(),
            "columns": [column.to_dict() for column in self.columns],
            "questions": [question.to_dict() for question in self.questions],
            "validation": self.validation.to_dict() if self.validation else None,
            "toml": self.to_toml(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SchemaDraft:
        """Build a draft from what `to_dict` returned.

        Parameters
        ----------
        values : mapping
            The document.

        Returns
        -------
        SchemaDraft
            The draft.
        """
        validation = values.get("validation")
        return cls(
            source=values["source"],
            schema=Schema.from_dict(values["schema"]),
            columns=tuple(ColumnDraft.from_dict(column) for column in values["columns"]),
            questions=tuple(Question.from_dict(question) for question in values["questions"]),
            rows=values["rows"],
            passes=values["passes"],
            validation=ValidationReport.from_dict(validation) if validation else None,
        )

    def _heading(self) -> list[str]:
        lines = [f"Drafted from {self.source}: {self.rows:,} rows, {len(self.columns)} columns."]
        if self.validation is not None:
            report = self.validation
            rate = f" ({report.reject_rate:.2%})" if report.rejected else ""
            lines.append(
                f"With this schema {report.accepted:,} rows are accepted and {report.rejected:,} rejected{rate}."
            )
            lines += [f"  {count:,} rows: {reason}" for reason, count in list(report.reasons.items())[:8]]
        lines.append("Every guess has its reason beside it. Change what is wrong, as docs/howto/own-columns.md says.")
        return lines
