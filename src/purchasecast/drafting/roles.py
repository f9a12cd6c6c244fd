"""Guess which column names the row and which the time; roles, and how the best of several columns is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.drafting.words import BASKET, CUSTOMER, PRODUCT, SALE, TARGET, TIME, split_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.drafting.evidence import Evidence
    from purchasecast.drafting.survey import Survey, SurveyedColumn

__all__ = ["Guess", "Roles", "best_guess", "find_rows", "find_time"]

_CLOSE = 0.75  # scores that differ by less call for a question
_MAX_SPAN_YEARS = 25  # sales of more years than that are dates of birth


@dataclass(frozen=True, slots=True)
class Guess:
    """A column for a role.

    Parameters
    ----------
    column : str
        The column.
    reason : str
        Why.
    runner_up : str, optional
        A column that is nearly as likely.
    """

    column: str
    reason: str
    runner_up: str | None = None


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that have a role.

    Parameters
    ----------
    target : Guess
        The amount to predict.
    customer, product, time, quantity, visit : Guess, optional
        The others; a visit is an order, invoice or basket, whose rows belong together.
    rows : tuple of Guess
        Columns that hold another value in every row.
    unit_price : str, optional
        The column that, times the quantity, is the target.
    """

    target: Guess
    customer: Guess | None = None
    product: Guess | None = None
    time: Guess | None = None
    quantity: Guess | None = None
    visit: Guess | None = None
    rows: tuple[Guess, ...] = ()
    unit_price: str | None = None

    def of(self, name: str) -> str | None:
        """Return the role of a column; None for a feature."""
        for role in ("target", "customer", "product", "time", "quantity", "visit"):
            guess = getattr(self, role)
            if guess is not None and guess.column == name:
                return role
        return "row" if any(guess.column == name for guess in self.rows) else None


def best_guess(scores: Sequence[tuple[float, SurveyedColumn, str]], minimum: float) -> Guess | None:
    """Return the column with the highest score, and the next one where it is close.

    Parameters
    ----------
    scores : sequence of (float, SurveyedColumn, str)
        Score, column and reason of every candidate.
    minimum : float
        The lowest score that counts.

    Returns
    -------
    Guess or None
        The guess; None where nobody reaches the minimum.
    """
    ranked = sorted((item for item in scores if item[0] >= minimum), key=lambda item: -item[0])
    if not ranked:
        return None
    first = ranked[0]
    close = len(ranked) > 1 and first[0] - ranked[1][0] < _CLOSE
    return Guess(first[1].name, first[2], ranked[1][1].name if close else None)


def find_rows(survey: Survey) -> tuple[Guess, ...]:
    """Return the columns that only number or name the rows."""
    guesses = []
    for column in survey.columns:
        counts = column.counts
        if not column.is_unique or column.content not in {"integer", "text"} or survey.rows < 20:
            continue
        if column.content == "integer" and not _numbers_rows(column):
            continue
        same = counts.distinct == survey.rows
        guesses.append(Guess(column.name, f"{'a' if same else 'nearly a'} different value in every row"))
    return tuple(guesses)


def _numbers_rows(column: SurveyedColumn) -> bool:
    """Tell a running number, or a long code, from amounts that happen to be all different."""
    counts = column.counts
    low, high = counts.minimum or 0.0, counts.maximum or 0.0
    dense = high - low + 1 <= 3 * counts.rows
    long_code = low > 0 and len(f"{low:.0f}") == len(f"{high:.0f}") >= 6
    named = max(BASKET.score(column.name), 0.0) or ("id" in split_name(column.name))
    return TARGET.score(column.name) <= 0 and bool(dense or long_code or named)


def find_time(survey: Survey, evidence: Evidence) -> Guess | None:
    """Return the date column that says when a sale took place."""
    dates = [column for column in survey.columns if column.content == "date"]
    scores = []
    for column in dates:
        words = split_name(column.name)
        days = survey.days(column.name)
        days = days[np.isfinite(days)]
        years = (days.max() - days.min()) / 365.25 if len(days) else 0.0
        score = 1.0 + 0.5 * TIME.score(column.name)
        score += 1.0 if any(word in SALE for word in words) and TIME.score(column.name) >= 0 else 0.0
        score -= 2.0 if years > _MAX_SPAN_YEARS else 0.0
        # A role's dates must all be there; and a date of the customer does not change from visit to visit.
        score -= 2.0 if column.counts.empty > 0.005 * survey.rows else 0.0
        score -= 2.0 if _belongs_to_somebody(column.name, evidence) else 0.0
        score += 0.5 if _is_first(column.name, dates, survey) else 0.0
        if column.date_format and column.date_format.has_time:
            score -= 0.1  # of two that say the same, the day is enough
        reason = "the only date" if len(dates) == 1 else "the date of the sale by its name or its values"
        scores.append((score, column, reason))
    return best_guess(scores, minimum=0.5)


def _belongs_to_somebody(name: str, evidence: Evidence) -> bool:
    """Tell whether a date is constant within customers or products, as their names say who they are."""
    for owner in evidence.owners:
        if max(CUSTOMER.score(owner.name), PRODUCT.score(owner.name)) < 1 or owner.name == name:
            continue
        # One visit a customer makes every date constant; but dates of sales are shared by many customers.
        dates = evidence.survey.by_name[name].distinct
        dependence = evidence.depends(name, owner.name)
        if dependence.holds() and dates <= 1.5 * owner.distinct and dependence.levels > 0.3 * dates:
            return True
    return False


def _is_first(name: str, dates: Sequence[SurveyedColumn], survey: Survey) -> bool:
    """Tell whether a date is never after the other dates of its row: orders come before their shipment."""
    days = survey.days(name)
    others = [survey.days(other.name) for other in dates if other.name != name]
    gaps = [other - days for other in others]
    return bool(gaps) and all((gap[np.isfinite(gap)] >= 0).mean() > 0.99 for gap in gaps if np.isfinite(gap).any())
