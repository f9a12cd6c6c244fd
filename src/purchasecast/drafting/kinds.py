"""Guess the kind of a feature, whose attribute it is, and what an empty value means.

Kinds follow from values alone, and from names only among integers of many levels, so that a table with other names
gets the same kinds. A code and a quantity are both integers; what tells them apart is how they are spread:
quantities crowd at the low end, or are zero where there is none, codes do not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from purchasecast.drafting.orders import find_order
from purchasecast.drafting.survey import DIRTY
from purchasecast.drafting.words import CODE, MEASURE, TIME

if TYPE_CHECKING:
    from purchasecast.drafting.counts import ColumnCounts
    from purchasecast.drafting.evidence import Evidence
    from purchasecast.drafting.roles import Roles
    from purchasecast.drafting.survey import SurveyedColumn

__all__ = ["Attribute", "KindGuess", "find_owner", "guess_kind"]

Owner = Literal["customer", "product"]

_FEW = 30  # levels of an attribute that is a code rather than a quantity, and of a column by rows
_INDICATORS = 100  # levels that are turned into indicators
_MAX_ORDER = 40
_NEARLY = 0.9  # agreement from which it is worth a question whether a column is an attribute


@dataclass(frozen=True, slots=True)
class KindGuess:
    """The kind of a column and why."""

    kind: Literal["nominal", "ordinal", "numeric", "date"]
    reason: str
    order: tuple[str, ...] = ()
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """Whose attribute a column is, and why."""

    of: Owner | None
    reason: str | None = None
    question: str | None = None


def find_owner(column: SurveyedColumn, roles: Roles, evidence: Evidence) -> Attribute:
    """Tell whether a column is constant within customers or within products.

    Parameters
    ----------
    column : SurveyedColumn
        A feature.
    roles : Roles
        The columns with roles.
    evidence : Evidence
        Measures between the columns.

    Returns
    -------
    Attribute
        The owner; of both, the one that the column agrees with further beyond chance.
    """
    best: tuple[float, Owner, str] | None = None
    question = None
    for role in ("customer", "product"):
        guess = getattr(roles, role)
        if guess is None:
            continue
        unit = unit_of(roles, role)
        for skip_empty in (False, True):
            dependence = evidence.depends(column.name, guess.column, unit, skip_empty=skip_empty)
            if dependence.holds():
                share = f"in {dependence.agreement:.1%} of repeats" if dependence.agreement < 0.9995 else "always"
                reason = f"{share} the same within a {guess.column}"
                if best is None or dependence.beyond_chance > best[0]:
                    best = (dependence.beyond_chance, role, reason)
                break
            if dependence.is_known and dependence.agreement >= _NEARLY and dependence.beyond_chance >= 0.75:
                question = (
                    f"{column.name} is the same within a {guess.column} in {dependence.agreement:.1%} of repeats: is "
                    f'it an attribute of the {role} that changed now and then? Then add of = "{role}".'
                )
    if best is not None:
        return Attribute(best[1], best[2])
    return Attribute(None, None, question)


def unit_of(roles: Roles, role: str) -> str | None:
    """Return the column whose rows count once within a customer or a product.

    Parameters
    ----------
    roles : Roles
        The columns with roles.
    role : {"customer", "product"}
        Within what.

    Returns
    -------
    str or None
        For a customer the visit, else the time, else the product; for a product the customer, else the visit.
    """
    order = (roles.customer, roles.visit) if role == "product" else (roles.visit, roles.time, roles.product)
    return next((guess.column for guess in order if guess is not None), None)


def guess_kind(column: SurveyedColumn, owner: Owner | None, roles: Roles, evidence: Evidence) -> KindGuess:
    """Guess the kind of a column."""
    if column.content == "date":
        return KindGuess("date", "dates")
    if column.content == "decimal":
        return KindGuess("numeric", "numbers with decimals")
    if column.content == "integer":
        return _kind_of_integers(column, owner, roles, evidence)
    return _kind_of_texts(column)


def _kind_of_texts(column: SurveyedColumn) -> KindGuess:
    counts = column.counts
    if counts.complete and counts.distinct <= 2 * _MAX_ORDER:
        for floor in (0.0, 0.5 * DIRTY * counts.rows):  # a level of a few rows may be a slip of the pen
            levels = [level for level, rows in counts.levels.items() if rows > floor]
            order = find_order(levels)
            if order is not None:
                return KindGuess("ordinal", "its levels have an order", order)
    return KindGuess("nominal", f"{counts.distinct:,} names")


def _kind_of_integers(column: SurveyedColumn, owner: Owner | None, roles: Roles, evidence: Evidence) -> KindGuess:
    counts = column.counts
    low, high = counts.minimum or 0.0, counts.maximum or 0.0
    if counts.distinct <= 2:
        return KindGuess("nominal", "two values")
    if low >= 10_000 and len(f"{low:.0f}") == len(f"{high:.0f}"):
        return KindGuess("nominal", f"codes: all have {len(f'{low:.0f}')} digits")
    told = _what_it_tells(column, evidence)
    if told is not None:
        return KindGuess("nominal", f"codes: {told} follows from them")
    named = MEASURE.score(column.name) - CODE.score(column.name) if counts.distinct > _INDICATORS else 0.0
    if named:
        return (
            KindGuess("numeric", "a measure by its name") if named > 0 else KindGuess("nominal", "codes by their name")
        )
    return _kind_of_attribute(counts) if owner else _kind_of_row_integers(column, roles, evidence)


def _kind_of_attribute(counts: ColumnCounts) -> KindGuess:
    """Tell codes of a customer or product from quantities."""
    low, high = counts.minimum or 0.0, counts.maximum or 0.0
    if counts.distinct <= _FEW:
        doubt = "codes or a quantity?" if counts.distinct > 8 else None
        return KindGuess("nominal", f"{counts.distinct} whole numbers: codes rather than a quantity", doubt=doubt)
    if counts.distinct > max(_INDICATORS, 0.3 * (high - low + 1)):
        return KindGuess("nominal", f"numbered through from {low:.0f} to {high:.0f}: codes", doubt="or a quantity?")
    return KindGuess("numeric", f"whole numbers from {low:.0f} to {high:.0f}")


def _what_it_tells(column: SurveyedColumn, evidence: Evidence) -> str | None:
    """Return a column of names that follows from the numbers: a postal code tells the state, a quantity nothing."""
    if column.name not in evidence.survey.sample.whole:
        return None
    for other in evidence.survey.columns:
        groups = other.content == "text" and 3 <= other.distinct <= 0.5 * column.distinct
        if groups and evidence.depends(other.name, column.name).holds(agreement=0.98):
            return other.name
    return None


def _kind_of_row_integers(column: SurveyedColumn, roles: Roles, evidence: Evidence) -> KindGuess:
    """Tell quantities of a line from codes of its shop, till or hour."""
    counts = column.counts
    if _crowds_low(column):
        return KindGuess("numeric", "most rows have the lowest values: a quantity")
    product = roles.product.column if roles.product else None
    if evidence.growth(roles.target.column, column.name, product).is_proportional:
        return KindGuess("numeric", f"{roles.target.column} grows in proportion to it")
    if roles.time is None and TIME.score(column.name) > 0 and counts.distinct > _FEW:
        return KindGuess("numeric", "a running number of days or weeks, as its name says")
    if counts.distinct <= _INDICATORS:
        doubt = "codes or a quantity?" if counts.distinct > 8 else None
        return KindGuess(
            "nominal", f"{counts.distinct} whole numbers without a lowest that most have: codes", doubt=doubt
        )
    if roles.customer is not None:
        within = evidence.depends(column.name, roles.customer.column, unit_of(roles, "customer"))
        if within.is_known and within.beyond_chance > 0.4:
            return KindGuess("nominal", f"every {roles.customer.column} has few of them, as one has few shops")
    return KindGuess("numeric", f"whole numbers from {counts.minimum or 0:.0f} to {counts.maximum or 0:.0f}")


def _crowds_low(column: SurveyedColumn) -> bool:
    """Tell whether high values are ever rarer than low ones, as with pieces in a basket."""
    counts = column.counts
    sizes: Counter[float] = Counter()
    for level, rows in counts.levels.items():
        if _is_whole(level):
            sizes[abs(float(level))] += rows  # a return of three pieces is three pieces
    total = sum(sizes.values())
    if not total or (not counts.complete and total < 0.5 * counts.filled):
        return False
    numbers = np.array(sorted(sizes))
    weights = np.array([sizes[number] for number in numbers], dtype=float)
    middle = numbers[np.searchsorted(np.cumsum(weights), 0.5 * weights.sum())]
    low, high = numbers[0], numbers[-1]
    in_lowest_fifth = weights[numbers <= low + 0.2 * (high - low)].sum() / weights.sum()
    falling = np.corrcoef(np.arange(len(weights)), np.log(weights))[0, 1] < -0.7 if len(weights) > 2 else False
    return bool(falling and middle <= low + 0.35 * (high - low) and (in_lowest_fifth > 0.4 or low == 0))


def _is_whole(text: str) -> bool:
    return text.lstrip("+-").partition(".")[0].isdigit()
