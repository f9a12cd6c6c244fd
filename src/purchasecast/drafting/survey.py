"""What is known of a table before anything is guessed: counts of every column, and a sample of rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from purchasecast.drafting.date_formats import find_date_format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from purchasecast.drafting.counts import ColumnCounts
    from purchasecast.drafting.date_formats import DateFormat
    from purchasecast.drafting.sample import Sample

__all__ = ["DIRTY", "Content", "Survey", "SurveyedColumn", "make_survey"]

Content = Literal["empty", "constant", "date", "time", "integer", "decimal", "text", "nested"]

_TIME_OF_DAY = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?( ?[AaPp][Mm])?$")

# Share of a column's values that may be of another form and are then rejected, row by row: lines whose fields have
# moved, a stray unit. All columns together must stay below the 1 % that stops a training run.
DIRTY = 0.002


@dataclass(frozen=True)
class SurveyedColumn:
    """Tell what one column holds.

    Parameters
    ----------
    counts : ColumnCounts
        Counts of the whole table.
    content : {"empty", "constant", "date", "time", "integer", "decimal", "text", "nested"}
        What the values are; a time is one of the day.
    date_format : DateFormat, optional
        How dates are written.
    """

    counts: ColumnCounts
    content: Content
    date_format: DateFormat | None = None

    @property
    def name(self) -> str:
        """The column's name."""
        return self.counts.name

    @property
    def distinct(self) -> int:
        """Number of different values."""
        return self.counts.distinct

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers, codes of digits included."""
        return self.content in {"integer", "decimal"}

    @property
    def is_named(self) -> bool:
        """Whether the values are names or codes, at least by the way they are written."""
        return self.content in {"integer", "text"}

    @property
    def is_unique(self) -> bool:
        """Whether nearly every row has a value of its own."""
        return self.distinct >= (1 - DIRTY) * self.counts.rows and self.counts.empty <= DIRTY * self.counts.rows


@dataclass(frozen=True)
class Survey:
    """Hold what is known of a table.

    Parameters
    ----------
    rows : int
        Rows of the table.
    columns : tuple of SurveyedColumn
        The columns that a schema can name, in the order of the table.
    sample : Sample
        Rows of those columns.
    unusable : dict of str to str
        Columns that no schema can name, and why.
    csv : dict of str to str
        How the CSV file is written, where it is not written as usual: ``sep``, ``encoding``, ``decimal``.
    """

    rows: int
    columns: tuple[SurveyedColumn, ...]
    sample: Sample
    unusable: dict[str, str] = field(default_factory=dict)
    csv: dict[str, str] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> dict[str, SurveyedColumn]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @property
    def decimal(self) -> str | None:
        """The decimal sign of numbers that people write; None where all numbers are plain."""
        return self.csv.get("decimal")

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column's sampled values as numbers, NaN where one is none."""
        return self.sample.numbers(name, self.decimal)

    def days(self, name: str) -> NDArray[np.float64]:
        """Return a date column's sampled values as day numbers, NaN where one is none."""
        date_format = self.by_name[name].date_format
        known = date_format.days if date_format else {}
        by_label = [known[label].toordinal() if label in known else np.nan for label in self.sample.labels[name]]
        return np.array([*by_label, np.nan])[self.sample.codes[name]]


def make_survey(
    rows: int,
    counts: Sequence[ColumnCounts],
    sample: Sample,
    *,
    unusable: Mapping[str, str] | None = None,
    csv: Mapping[str, str] | None = None,
) -> Survey:
    """Put together what is known of a table, and tell what each column holds.

    Parameters
    ----------
    rows : int
        Rows of the table.
    counts : sequence of ColumnCounts
        Counts of its columns.
    sample : Sample
        Sampled rows.
    unusable : mapping of str to str, optional
        Columns that no schema can name, and why.
    csv : mapping of str to str, optional
        How the CSV file is written.

    Returns
    -------
    Survey
        The survey.
    """
    written = dict(csv or {})
    columns = tuple(_content_of(column, sample, written.get("decimal")) for column in counts)
    return Survey(rows, columns, sample, dict(unusable or {}), written)


def _content_of(counts: ColumnCounts, sample: Sample, decimal: str | None) -> SurveyedColumn:
    date_format = None
    if counts.storage == "nested":
        content: Content = "nested"
    elif counts.filled == 0:
        content = "empty"
    elif counts.distinct == 1 and counts.empty == 0:
        content = "constant"
    else:
        date_format = find_date_format(_sampled_levels(counts.name, sample), DIRTY)
        content = "date" if date_format is not None else _content_of_values(counts, decimal)
    return SurveyedColumn(counts, content, date_format)


def _content_of_values(counts: ColumnCounts, decimal: str | None) -> Content:
    clean = (1 - DIRTY) * counts.filled
    # Numbers with zeros before them are codes: 0012 is not 12.
    if counts.storage != "boolean" and counts.padded == 0:
        if counts.integers >= clean:
            return "integer"
        if counts.numbers_by(decimal) >= clean:
            return "decimal"
    return "time" if all(_TIME_OF_DAY.match(level) for level in counts.levels) else "text"


def _sampled_levels(name: str, sample: Sample) -> dict[str, int]:
    codes = sample.codes[name]
    sizes = np.bincount(codes[codes >= 0], minlength=len(sample.labels[name]))
    return {label: int(size) for label, size in zip(sample.labels[name], sizes, strict=True) if size}
