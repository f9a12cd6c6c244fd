"""Guess who bought what for how much: customer, product, target and quantity, together.

They support each other: the product is what explains the amount, the amount is what grows with the quantity within a
product, a visit has one customer and many products. So every pair of a target and a product is scored, by names and
by values, and the best pair is taken; customer and quantity follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from itertools import product as pairs
from typing import TYPE_CHECKING

from purchasecast.drafting.roles import Guess, best_guess
from purchasecast.drafting.words import AFTER_SALE, BASKET, CUSTOMER, PRODUCT, QUANTITY, TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.drafting.evidence import Evidence
    from purchasecast.drafting.survey import Survey, SurveyedColumn

__all__ = ["Trade", "find_trade"]

_MAX_CANDIDATES = 6  # of each kind that are paired
_MIN_LEVELS = 20  # of customers or products; fewer are groups of them
_NOBODY = 1.2  # what a column must score beyond, for there to be a product at all
_MIN_CUSTOMER, _MIN_QUANTITY = 0.6, 2.0  # scores
_MIN_CUSTOMER, _MIN_QUANTITY = 0.6, 2.0  # scores
_SAME_SHARE = 0.8  # of rows, for one column to be another times a third


@dataclass(frozen=True, slots=True)
class Trade:
    """Who bought what for how much.

    Parameters
    ----------
    target : Guess or None
        The amount; None if no column can be one.
    product, customer, quantity : Guess, optional
        The others.
    unit_price : str, optional
        The column that, times the quantity, is the target.
    """

    target: Guess | None
    product: Guess | None = None
    customer: Guess | None = None
    quantity: Guess | None = None
    unit_price: str | None = None


@dataclass(frozen=True, slots=True)
class _Factors:
    """A column that is one times another: an amount is a unit price times a quantity."""

    amount: str
    one: str
    other: str


def find_trade(survey: Survey, evidence: Evidence, taken: Sequence[str]) -> Trade:
    """Guess target, product, customer and quantity.

    Parameters
    ----------
    survey : Survey
        The table.
    evidence : Evidence
        Its measures, with the visit where one is known.
    taken : sequence of str
        Columns that have another role.

    Returns
    -------
    Trade
        The guesses.
    """
    amounts = [column for column in survey.columns if column.is_number and column.name not in taken]
    things = [
        column for column in evidence.owners if column.is_named and not column.is_unique and column.name not in taken
    ]
    factors = _find_factors(amounts, evidence)
    scores = _score_pairs(amounts, things, factors, evidence)
    if not scores:
        return Trade(None)
    target = max(scores, key=lambda pair: scores[pair])[0]
    product = _guess_of(1, {pair: score for pair, score in scores.items() if pair[0] == target}, survey, factors)
    product_name = product.column if product else None
    customer = best_guess(
        [
            (_customer_score(column, product_name, things, evidence), column, _customer_reason(column, evidence))
            for column in things
            if column.name not in {target, product_name}
        ],
        minimum=_MIN_CUSTOMER,
    )
    known = {target, product_name, customer.column if customer else None}
    quantity = best_guess(
        [
            _quantity_score(column, target, product_name, factors, evidence)
            for column in amounts
            if column.name not in known
        ],
        minimum=_MIN_QUANTITY,
    )
    unit_price = _unit_price(factors, target, quantity)
    return Trade(_guess_of(0, scores, survey, factors), product, customer, quantity, unit_price)


def _score_pairs(
    amounts: Sequence[SurveyedColumn],
    things: Sequence[SurveyedColumn],
    factors: Sequence[_Factors],
    evidence: Evidence,
) -> dict[tuple[str, str | None], float]:
    """Score the likeliest pairs of a target and a product; None stands for no product."""
    ranked_amounts = _ranked([(_amount_score(column, factors, evidence), column) for column in amounts])
    ranked_products = _ranked([(_product_score(column, things, evidence), column) for column in things])
    return {
        (amount.name, product.name if product else None): base + named + _support(amount, product, amounts, evidence)
        for (base, amount), (named, product) in pairs(ranked_amounts, [*ranked_products, (_NOBODY, None)])
        if product is None or product.name != amount.name
    }


def _ranked(scores: Sequence[tuple[float, SurveyedColumn]]) -> list[tuple[float, SurveyedColumn]]:
    return sorted(scores, key=lambda item: -item[0])[:_MAX_CANDIDATES]


def _guess_of(
    place: int, scores: dict[tuple[str, str | None], float], survey: Survey, factors: Sequence[_Factors]
) -> Guess | None:
    """Return the best column at one place of the scored pairs."""
    best: dict[str | None, float] = {}
    for pair, score in scores.items():
        best[pair[place]] = max(score, best.get(pair[place], -math.inf))
    first = max(best, key=lambda name: best[name])
    if first is None:
        return None
    reason = _target_reason(first, factors) if place == 0 else _product_reason(first, survey)
    return best_guess(
        [(score, survey.by_name[name], reason) for name, score in best.items() if name is not None], -math.inf
    )


def _amount_score(column: SurveyedColumn, factors: Sequence[_Factors], evidence: Evidence) -> float:
    """Return how much a number looks like the amount of a sale, on its own."""
    counts = column.counts
    score = 3 * TARGET.score(column.name) - 2.5 * max(AFTER_SALE.score(column.name), 0.0)
    score -= 2 * max(QUANTITY.score(column.name) - 0.5, 0.0)
    score += 0.5 * (column.content == "decimal") + 0.3 * min(math.log10(max(counts.distinct, 1)), 4.0)
    score -= 3 * counts.negatives / max(counts.filled, 1)
    score -= 1.5 * (counts.zeros > 0.3 * counts.filled)
    score -= 2.0 * (counts.distinct < 10) + 2.0 * _is_code(column)
    score -= 2.0 * (counts.empty > 0.05 * counts.rows)
    score += 2.0 * any(factor.amount == column.name for factor in factors)
    score -= 1.5 * any(column.name in {factor.one, factor.other} for factor in factors)
    # What does not change within a visit is its total or its shop; what does not within a product is a list price.
    owners = [owner.name for owner in evidence.owners if owner.name != column.name and not owner.is_unique]
    if column.content != "decimal" or evidence.visit:
        score -= 4.0 * any(evidence.follows(column.name, owner) for owner in owners)
    return score


def _is_code(column: SurveyedColumn) -> bool:
    """Tell codes of many digits from quantities: all have the same number of digits."""
    low, high = column.counts.minimum or 0.0, column.counts.maximum or 0.0
    return column.content == "integer" and low >= 10_000 and len(f"{low:.0f}") == len(f"{high:.0f}")


def _support(
    amount: SurveyedColumn, product: SurveyedColumn | None, numbers: Sequence[SurveyedColumn], evidence: Evidence
) -> float:
    """Return how much a product supports an amount: it explains it, and quantities multiply it."""
    score = 0.0
    if product is not None and product.counts.rows_per_level >= 1.5:
        score += 2 * max(evidence.explained(amount.name, product.name), 0.0)
    for number in numbers:
        if number.name in {amount.name, product.name if product else ""} or number.distinct >= amount.distinct:
            continue
        if number.content != "integer" and QUANTITY.score(number.name) <= 0:
            continue
        if evidence.growth(amount.name, number.name, product.name if product else None).is_proportional:
            return score + 1.5
    return score


def _thing_score(column: SurveyedColumn, things: Sequence[SurveyedColumn], evidence: Evidence) -> float:
    """Return how much a column looks like a thing that rows are about, not like a group or a text about it."""
    counts = column.counts
    score = 0.3 * min(math.log10(max(counts.distinct, 1)), 5.0)
    score -= 2.0 * (counts.distinct < _MIN_LEVELS) + 1.0 * (counts.rows_per_level < 1.2)
    score -= 0.7 * (counts.spaced > 0.3 * counts.filled)
    score -= 1.0 * max(BASKET.score(column.name), 0.0)
    others = [other for other in things if other.name != column.name]
    score -= 1.5 * any(
        other.distinct > column.distinct * 1.1 and evidence.follows(column.name, other.name) for other in others
    )
    attributes = sum(
        other.distinct < 0.9 * column.distinct and evidence.follows(other.name, column.name)
        for other in evidence.survey.columns
        if other.content in {"text", "integer"} and other.name != column.name
    )
    # Customers and products often have a name beside their number; shops and places rarely do.
    score += 0.8 * any(evidence.are_same(column.name, other.name) for other in others)
    return score + min(0.2 * attributes, 1.0)


def _product_score(column: SurveyedColumn, things: Sequence[SurveyedColumn], evidence: Evidence) -> float:
    score = _thing_score(column, things, evidence) + 3 * PRODUCT.score(column.name)
    score -= 3 * max(CUSTOMER.score(column.name), 0.0)
    if evidence.visit and evidence.follows(column.name, evidence.visit):
        score -= 3.0
    return score


def _customer_score(
    column: SurveyedColumn, product: str | None, things: Sequence[SurveyedColumn], evidence: Evidence
) -> float:
    score = _thing_score(column, things, evidence) + 3 * CUSTOMER.score(column.name)
    score -= 3 * max(PRODUCT.score(column.name), 0.0)
    if evidence.visit:
        score += 1.5 if evidence.follows(column.name, evidence.visit) else -1.5
    if product is not None and (evidence.follows(column.name, product) or evidence.are_same(column.name, product)):
        score -= 4.0
    return score


def _quantity_score(
    column: SurveyedColumn, target: str, product: str | None, factors: Sequence[_Factors], evidence: Evidence
) -> tuple[float, SurveyedColumn, str]:
    counts = column.counts
    named = QUANTITY.score(column.name)
    growth = evidence.growth(target, column.name, product)
    score = 3 * named + 0.5 * (column.content == "integer") - 2.0 * (counts.zeros > 0.3 * counts.filled)
    # Every row must have its quantity: with more gaps than a run tolerates, the column stays a feature.
    score -= 1.0 * _is_code(column) + (math.inf if counts.empty > 0.005 * counts.rows else 0.0)
    if growth.is_proportional:
        score += 2.0
    elif growth.is_known:
        score -= 4.0  # a unit price does not grow with the quantity, so this one does not multiply the target
    elif named < 1:
        score -= 1.5
    score += 1.0 * any(factor.amount == target and column.name in {factor.one, factor.other} for factor in factors)
    score -= 2.0 * max(AFTER_SALE.score(column.name), 0.0)
    owners = [owner.name for owner in evidence.owners if owner.name != column.name and not owner.is_unique]
    score -= 3.0 * any(evidence.follows(column.name, owner) for owner in owners)
    within = f" within a {product}" if product else ""
    reason = (
        f"{target} grows in proportion to it{within} (slope of the logarithms {growth.slope:.2f})"
        if growth.is_proportional
        else "its name says that it counts pieces"
    )
    return score, column, reason


def _find_factors(numbers: Sequence[SurveyedColumn], evidence: Evidence) -> list[_Factors]:
    """Find columns that are the product of two others."""
    usable = [column.name for column in numbers if not _is_code(column) and column.distinct > 2][:12]
    return [
        _Factors(amount, one, other)
        for one, other in combinations(usable, 2)
        for amount in usable
        if amount not in {one, other} and evidence.share_of_products(amount, one, other) >= _SAME_SHARE
    ]


def _unit_price(factors: Sequence[_Factors], target: str, quantity: Guess | None) -> str | None:
    for factor in factors:
        if quantity and factor.amount == target and quantity.column in {factor.one, factor.other}:
            return factor.other if factor.one == quantity.column else factor.one
    return None


def _target_reason(name: str, factors: Sequence[_Factors]) -> str:
    for factor in factors:
        if factor.amount == name:
            return f"it is {factor.one} x {factor.other}"
    if TARGET.score(name) > 0:
        return "the amount of a sale by its name, and a number that fits"
    return "of all numbers the most like an amount of money"


def _product_reason(name: str, survey: Survey) -> str:
    by = "by its name" if PRODUCT.score(name) > 0 else "the amounts depend on it most"
    return f"{survey.by_name[name].distinct:,} products, {by}"


def _customer_reason(column: SurveyedColumn, evidence: Evidence) -> str:
    by = "by its name" if CUSTOMER.score(column.name) > 0 else "the likeliest by its values"
    if CUSTOMER.score(column.name) <= 0 and evidence.visit and evidence.follows(column.name, evidence.visit):
        by = f"every {evidence.visit} has one"
    return f"{column.distinct:,} customers, {by}"
