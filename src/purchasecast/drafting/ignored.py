"""Find the columns that a model should not read: empty, doubled, known only after the sale, too fine to learn from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.drafting.calendars import CalendarColumn, calendar_column
from purchasecast.drafting.dependencies import agreement
from purchasecast.drafting.kinds import unit_of
from purchasecast.drafting.survey import DIRTY
from purchasecast.drafting.words import AFTER_SALE, TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.drafting.evidence import Evidence
    from purchasecast.drafting.roles import Roles
    from purchasecast.drafting.survey import Survey, SurveyedColumn

__all__ = ["Candidate", "Reason", "is_share", "reason_to_ignore"]

_LONG_TEXT = 40  # characters on average
_MANY_LEVELS = 100  # more than that are not turned into indicators
_THIN = 50  # rows a level, on average, that an effect of its own takes


@dataclass(frozen=True, slots=True)
class Reason:
    """Say why a column is left out, and whether that is worth a question."""

    text: str
    question: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column without a role, and what it is seen beside.

    Parameters
    ----------
    column : SurveyedColumn
        The column.
    roles : Roles
        The columns with roles.
    evidence : Evidence
        Measures between the columns.
    earlier : sequence of SurveyedColumn
        Features that come before it and are kept: a double of one of them is left out.
    """

    column: SurveyedColumn
    roles: Roles
    evidence: Evidence
    earlier: Sequence[SurveyedColumn] = ()

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    def belongs_to(self, role: str) -> bool:
        """Tell whether the column is constant within customers, or within products."""
        guess = getattr(self.roles, role)
        return guess is not None and self.evidence.depends(self.name, guess.column, unit_of(self.roles, role)).holds()


def reason_to_ignore(candidate: Candidate) -> Reason | None:
    """Return why a column should be left out; None if it is kept."""
    for check in (_is_nothing, _is_double, _is_a_time, _is_after_sale, _is_text, _is_too_fine):
        reason = check(candidate)
        if reason is not None:
            return reason
    return None


def _is_nothing(candidate: Candidate) -> Reason | None:
    column, counts = candidate.column, candidate.column.counts
    if column.content == "nested":
        return Reason("lists or tables, which no schema describes")
    if column.content == "empty":
        return Reason("empty in every row")
    if column.content == "constant":
        return Reason(f"the same in every row: {next(iter(counts.levels), '')}")
    if counts.empty > (1 - DIRTY) * counts.rows:
        return Reason(f"empty in all but {counts.filled:,} rows")
    return None


def _is_double(candidate: Candidate) -> Reason | None:
    column, roles, survey = candidate.column, candidate.roles, candidate.evidence.survey
    if not column.is_named:
        return None
    for guess in (roles.customer, roles.product, roles.visit):
        if guess is None:
            continue
        levels = survey.by_name[guess.column].distinct
        if column.distinct > 0.5 * levels and _names_the_levels(candidate, guess.column):
            return Reason(f"names each {guess.column} ({column.distinct:,} values for {levels:,}): it says the same")
    for other in candidate.earlier:
        if other.is_named and _is_renamed(column, other, survey):
            return Reason(f"says the same as {other.name} in other words")
    return None


def _names_the_levels(candidate: Candidate, owner: str) -> bool:
    """Tell whether a column is a name of the owner's levels; spellings may change now and then.

    A name is nobody else's: a shop that a customer always goes to has other customers, too.
    """
    there = candidate.evidence.depends(candidate.name, owner)
    back = candidate.evidence.depends(owner, candidate.name)
    return all(one.is_known and one.agreement >= 0.75 and one.beyond_chance >= 0.7 for one in (there, back))


def _is_renamed(column: SurveyedColumn, other: SurveyedColumn, survey: Survey) -> bool:
    """Tell whether the values of two columns stand for each other one to one, empty ones included."""
    if column.distinct != other.distinct or column.distinct < 3:
        return False
    one, two = survey.sample.codes[column.name], survey.sample.codes[other.name]
    return min(agreement(one + 1, two + 1), agreement(two + 1, one + 1)) >= 1 - DIRTY


def _is_a_time(candidate: Candidate) -> Reason | None:
    column, roles = candidate.column, candidate.roles
    if column.content == "time":
        return Reason("a time of day, which a schema cannot describe yet")
    if roles.time is None:
        return None
    time = roles.time.column
    if column.content == "date":
        return _other_date(candidate, time)
    if calendar_column(column.name, time, candidate.evidence.survey) is CalendarColumn.PASSING:
        return Reason(f"goes on with {time} and never comes back: new rows will hold values that nobody has seen")
    return None


def _other_date(candidate: Candidate, time: str) -> Reason | None:
    if candidate.belongs_to("customer") or candidate.belongs_to("product"):
        return None
    survey = candidate.evidence.survey
    gaps = survey.days(candidate.name) - survey.days(time)
    gaps = gaps[np.isfinite(gaps)]
    if len(gaps) and (gaps == 0).mean() > 0.99:
        return Reason(f"the same day as {time}")
    if len(gaps) and (gaps >= 0).mean() > 0.99:
        return Reason(f"never before {time}: known only after the sale")
    return Reason(f"another date than the time of the sale, {time}")


def _is_after_sale(candidate: Candidate) -> Reason | None:
    column, name = candidate.column, candidate.name
    if AFTER_SALE.score(name) >= 1:
        return Reason("known only after the sale, as its name says")
    if not column.is_number:
        return None
    for check in (_is_unit_price, _goes_with_the_target, _is_total_of_visit):
        reason = check(candidate)
        if reason is not None:
            return reason
    return None


def _is_unit_price(candidate: Candidate) -> Reason | None:
    roles, name = candidate.roles, candidate.name
    if name != roles.unit_price or roles.quantity is None:
        return None
    product = f"{roles.target.column} is {name} x {roles.quantity.column}"
    return Reason(
        f"{product}: with it there is nothing left to predict",
        f"{product}, so {name} is left out. Is the price known before the sale, and only the quantity to be "
        "predicted? Then describe it as numeric.",
    )


def _goes_with_the_target(candidate: Candidate) -> Reason | None:
    name, target, evidence = candidate.name, candidate.roles.target.column, candidate.evidence
    correlation = abs(evidence.correlation(name, target)) if candidate.column.distinct > 10 else 0.0
    if evidence.share_in_ratio(name, target) > 0.95 or correlation > 0.98:
        return Reason(
            f"goes with {target} row by row (correlation of the logarithms {correlation:.2f}): part of the outcome",
            f"{name} goes with {target} nearly exactly, so it is left out. Is it known before the sale?",
        )
    if (AFTER_SALE.score(name) >= 0.5 or TARGET.score(name) > 0) and correlation > 0.8:
        return Reason(
            f"another amount of the same sale (correlation of the logarithms with {target} {correlation:.2f})",
            f"{name} looks like another amount of the same sale, so it is left out. Is it known before the sale?",
        )
    return None


def _is_total_of_visit(candidate: Candidate) -> Reason | None:
    """Find sums over the lines of a visit, which are known when it is over."""
    roles, evidence, name = candidate.roles, candidate.evidence, candidate.name
    if roles.visit is None or candidate.column.distinct <= 10 or not evidence.follows(name, roles.visit.column):
        return None
    if roles.customer and evidence.depends(name, roles.customer.column, roles.visit.column).agreement > 0.5:
        return None
    sample, visit = evidence.survey.sample, roles.visit.column
    codes, totals = sample.codes[visit], evidence.survey.numbers(name)
    rows = sample.whole.get(visit, sample.random) & (codes >= 0) & np.isfinite(totals)
    if rows.sum() < 2:
        return None
    amounts = np.nan_to_num(evidence.survey.numbers(roles.target.column))
    sums = np.bincount(codes[rows], weights=amounts[rows])[codes[rows]]
    if np.std(sums) == 0 or np.std(totals[rows]) == 0 or np.corrcoef(sums, totals[rows])[0, 1] < 0.7:
        return None
    return Reason(f"a total of the whole {visit}: known only when it is over")


def _is_text(candidate: Candidate) -> Reason | None:
    column, counts = candidate.column, candidate.column.counts
    if column.content != "text":
        return None
    is_long = counts.mean_length > _LONG_TEXT and counts.spaced > 0.5 * counts.filled
    if is_long and column.distinct > _MANY_LEVELS:
        return Reason("free text")
    if counts.rows_per_level < 1.5:
        return Reason(f"nearly every row has another value ({column.distinct:,} of them)")
    return None


def _is_too_fine(candidate: Candidate) -> Reason | None:
    """Find places and the like of so many levels that each has few rows, where a coarser column says the same."""
    column, counts = candidate.column, candidate.column.counts
    if not column.is_named or column.distinct <= _MANY_LEVELS or counts.rows_per_level >= _THIN:
        return None
    if candidate.belongs_to("customer") or candidate.belongs_to("product"):
        return None
    for other in candidate.evidence.survey.columns:
        is_coarser = other.content == "text" and 3 <= other.distinct <= min(_MANY_LEVELS, column.distinct / 3)
        if not is_coarser or candidate.roles.of(other.name):
            continue
        dependence = candidate.evidence.depends(other.name, column.name)
        if dependence.is_known and dependence.agreement >= 0.85 and dependence.beyond_chance >= 0.8:
            return Reason(
                f"{column.distinct:,} values of {counts.rows_per_level:.0f} rows each on average; "
                f"{other.name} says it more coarsely"
            )
    return None


def is_share(column: SurveyedColumn) -> bool:
    """Tell whether a number is a share of one, 0 to 1, or of a hundred."""
    counts = column.counts
    if (counts.minimum or 0.0) < 0 and counts.negatives > DIRTY * counts.filled:
        return False
    # Zeros say nothing: most rows have no discount, be it a share or money.
    known = {float(level): rows for level, rows in counts.levels.items() if _is_plain_number(level)}
    total = sum(rows for value, rows in known.items() if value != 0)
    within = sum(rows for value, rows in known.items() if 0 < value <= 1)
    return total > 0 and within >= (1 - DIRTY) * total


def _is_plain_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]*[.]?[0-9]+", text) is not None
