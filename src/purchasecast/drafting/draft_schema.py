"""Draft the schema of a table that nothing is known of."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purchasecast.drafting.assemble import draft_from_survey
from purchasecast.drafting.check import check_draft
from purchasecast.drafting.passes import Named, count_values, storage_of, take_sample
from purchasecast.drafting.sampling import plan_sample
from purchasecast.drafting.survey import make_survey
from purchasecast.drafting.written import find_decimal_sign, find_empty_word, without_word
from purchasecast.errors import DataError
from purchasecast.io import peek_csv_options, take_table, take_untyped
from purchasecast.progress import Steps
from purchasecast.schema.reserved_columns import RESERVED_PREFIX
from purchasecast.spark.failures import redacted
from purchasecast.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import SparkSession

    from purchasecast.drafting.draft import SchemaDraft
    from purchasecast.drafting.survey import Survey
    from purchasecast.io import UntypedTable
    from purchasecast.results import ValidationReport
    from purchasecast.schema import Schema

__all__ = ["draft_schema"]

logger = logging.getLogger(__name__)

_PASSES = 2  # over the table before validation


def draft_schema(
    data: Any, session: Callable[[], SparkSession], *, steps: Steps | None = None, **reader: Any
) -> SchemaDraft:
    """Draft the schema of a table: roles, kinds, owners, domains, formats, and what to leave out.

    Parameters
    ----------
    data : str, Path, Spark DataFrame, or a pandas, Polars or PyArrow table, or list of dict
        The table.
    session : callable
        Returns the Spark session; called only where `data` does not bring one.
    steps : Steps, optional
        Times the steps and tells a watcher.
    **reader
        ``format``, ``table`` and ``options`` of `read_table`, for a path.

    Returns
    -------
    SchemaDraft
        The draft, tried on the whole table, with the reason of every guess and questions where guesses are close.

    Raises
    ------
    SourceError
        If the table cannot be read.
    DataError
        If it has no rows, or no column that can be the target.

    Notes
    -----
    The table is read three times: to count its values, to take a sample of some ten thousand rows (customers, products
    and visits with all their rows), and to validate it by the draft; once or twice more where the draft rejected
    too many rows and was loosened. The same table gives the same draft, whatever the number of partitions.
    """
    steps = steps or Steps()
    is_path = isinstance(data, str | Path)
    source = redacted(str(data), reader.get("options") or {}) if is_path else "table"
    csv = _csv_options(data, reader) if is_path else {}
    if csv:
        reader = {**reader, "options": {**csv, **(reader.get("options") or {})}}
    survey = survey_table(take_untyped(data, session, **reader), steps, csv)
    if not survey.rows:
        raise DataError(f"{source}: expected a table with rows, found none; draft from a table with past sales.")
    with steps.step("guess"):
        draft = draft_from_survey(survey, source, passes=_PASSES)

    def report(schema: Schema) -> ValidationReport:
        raw = take_table(data, schema, session, **reader)
        with steps.step("validate") as step, validate(raw, schema) as checked:
            step.rows = checked.report.rows
            return checked.report

    return check_draft(draft, report)


def _csv_options(location: str | Path, reader: Mapping[str, Any]) -> dict[str, str]:
    """Return how a local CSV file is written, as far as it is not usual: what the user says, else what is seen."""
    given = {name.lower(): str(value) for name, value in (reader.get("options") or {}).items()}
    seen = peek_csv_options(location)
    if "sep" in given or "delimiter" in given:
        seen["sep"] = given.get("sep", given.get("delimiter", ","))
    if "encoding" in given:
        seen["encoding"] = given["encoding"]
    return seen


def survey_table(table: UntypedTable, steps: Steps, csv: Mapping[str, str]) -> Survey:
    """Count the values of a table and take the sample."""
    frame, unusable = table.frame, _unusable(table.names)
    columns = [
        Named(name, column, storage_of(frame.schema[column].dataType))
        for name, column in zip(table.names, frame.columns, strict=True)
    ]
    columns = [column for column in columns if column.name not in unusable]
    with steps.step("count values") as step:
        step.rows, counts = count_values(frame, columns)
    rows = step.rows
    with steps.step("sample") as step:
        sample = take_sample(frame, columns, plan_sample(counts, rows))
        step.rows = sample.rows
    written = dict(csv)
    if table.is_csv:
        decimal = find_decimal_sign(counts, csv.get("sep", ","))
        if decimal is not None:
            written["decimal"] = decimal
        word = find_empty_word(counts)
        if word is not None:
            written["nullValue"] = word
            counts, sample = without_word(counts, sample, word)
    return make_survey(rows, counts, sample, unusable=unusable, csv=written)


def _unusable(names: list[str]) -> dict[str, str]:
    """Return the names that no schema can describe, and why."""
    folded = [name.casefold() for name in names]
    reasons = {}
    for name in names:
        if not name.strip():
            reasons[name] = "a column without a name"
        elif folded.count(name.casefold()) > 1:
            reasons[name] = "its name is there twice"
        elif name.casefold().startswith(RESERVED_PREFIX) or name.casefold() == "reasons":
            reasons[name] = "its name is one that purchasecast uses itself; rename it to use it"
        elif name != name.strip():
            reasons[name] = "blanks around its name; rename it to use it"
    return reasons
