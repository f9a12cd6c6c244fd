"""Guess which column names an order, an invoice or a basket: its rows have one customer and one time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.drafting.roles import Guess, best_guess
from purchasecast.drafting.words import BASKET, CUSTOMER, PRODUCT

if TYPE_CHECKING:
    from collections.abc import Collection

    from purchasecast.drafting.evidence import Evidence
    from purchasecast.drafting.survey import SurveyedColumn

__all__ = ["find_visit"]

_MAX_LINES = 100  # of a visit, on average
_MIN_LEVELS = 20  # of customers
_FEW_LINES, _MANY_VISITS = 30, 50  # of a visit, and of a customer, on average, where no date tells


def find_visit(evidence: Evidence, time: Guess | None, taken: Collection[str]) -> Guess | None:
    """Return the column that names a visit, among those that are not taken."""
    candidates = [
        column
        for column in evidence.owners
        if column.name not in taken and max(CUSTOMER.score(column.name), PRODUCT.score(column.name)) < 1
    ]
    scores = []
    for column in candidates:
        reason = _reason_by_time(column, time.column, evidence) if time else _reason_by_lines(column, evidence)
        if reason is not None:
            scores.append((2 * BASKET.score(column.name) + math.log10(column.distinct), column, reason))
    guess = best_guess(scores, minimum=0.0)
    return Guess(guess.column, guess.reason) if guess else None


def _reason_by_time(column: SurveyedColumn, time: str, evidence: Evidence) -> str | None:
    """Look for one time within each level; without a telling name also for one of something else, and few lines."""
    if not evidence.depends(time, column.name).holds(agreement=0.97):
        return None
    others = [other for other in evidence.owners if other.name != column.name and other.distinct < column.distinct]
    constant = [other for other in others if evidence.follows(other.name, column.name)]
    is_like_one = 0 < len(constant) < len(others) and column.counts.rows_per_level < _MAX_LINES
    return f"every {column.name} has one {time}" if is_like_one or BASKET.score(column.name) >= 0.5 else None


def _reason_by_lines(column: SurveyedColumn, evidence: Evidence) -> str | None:
    """Look, where there is no date, for one customer who buys products again, but not twice in one visit."""
    if BASKET.score(column.name) >= 1 and column.distinct > 0.005 * evidence.survey.rows:
        return "its name says that it is an order or a visit"
    product = _likely_product(evidence)
    if product in {None, column.name} or column.counts.rows_per_level >= _FEW_LINES:
        return None
    for other in evidence.owners:
        visits = column.distinct / other.distinct
        is_customer = other.name not in {column.name, product} and other.distinct >= _MIN_LEVELS
        is_customer = is_customer and 1.4 < visits < _MANY_VISITS
        if not is_customer or not evidence.follows(other.name, column.name):
            continue
        once, again = (_share_of_different_pairs(name, str(product), evidence) for name in (column.name, other.name))
        if once > 0.9 and again < once - 0.1:
            return f"every {column.name} has one {other.name}, and hardly one {product} twice"
    return None


def _likely_product(evidence: Evidence) -> str | None:
    """Return the owner that explains some number best, on the log scale; a price depends on the product most."""
    numbers = [
        column.name for column in evidence.survey.columns if column.content == "decimal" and column.distinct > 20
    ]
    numbers = numbers or [c.name for c in evidence.survey.columns if c.content == "integer" and c.distinct > 100]
    shares = {
        owner.name: max(
            (evidence.explained(number, owner.name) for number in numbers if number != owner.name), default=0
        )
        for owner in evidence.owners
        if owner.distinct >= _MIN_LEVELS and owner.counts.rows_per_level >= 1.5
    }
    best = max(shares, key=lambda name: shares[name], default=None)
    return best if best is not None and shares[best] > 0.1 else None


def _share_of_different_pairs(owner: str, product: str, evidence: Evidence) -> float:
    """Return the number of different pairs of owner and product as a share of the rows."""
    sample = evidence.survey.sample
    rows = sample.whole[owner] & (sample.codes[owner] >= 0) & (sample.codes[product] >= 0)
    if not rows.any():
        return 1.0
    keys = sample.codes[owner][rows].astype(np.int64) * len(sample.labels[product]) + sample.codes[product][rows]
    return len(np.unique(keys)) / int(rows.sum())
