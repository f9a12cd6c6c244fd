"""Plan which rows to look at: some at random, and of every possible customer, product or visit some with all rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from purchasecast.drafting.words import BASKET, CUSTOMER, PRODUCT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.drafting.counts import ColumnCounts

__all__ = ["OwnerShare", "SamplePlan", "choose_owners", "plan_sample"]

_MAX_OWNERS = 12
_MIN_LEVELS = 12
_RANDOM_ROWS = 20_000
_ROWS_PER_OWNER = 6_000
_WHOLE_TABLE = 60_000  # up to so many rows all are looked at
_HEAVY = 500  # a level of more rows is left out of the sampled levels: it could fill the memory


@dataclass(frozen=True, slots=True)
class OwnerShare:
    """Which levels of a column to take with all their rows.

    Parameters
    ----------
    name : str
        The column.
    share : float
        Share of its levels, 0..1, by hash.
    heavy : tuple of str
        Levels to leave out, because they have too many rows.
    """

    name: str
    share: float
    heavy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """Which rows to look at.

    Parameters
    ----------
    random_share : float
        Share of all rows, by hash.
    owners : tuple of OwnerShare
        Levels to take with all their rows.
    """

    random_share: float
    owners: tuple[OwnerShare, ...]


def choose_owners(columns: Sequence[ColumnCounts]) -> list[ColumnCounts]:
    """Choose the columns whose levels may be customers, products or visits.

    Parameters
    ----------
    columns : sequence of ColumnCounts
        All columns.

    Returns
    -------
    list of ColumnCounts
        At most twelve, the likeliest: by their names, then by their number of levels.
    """
    candidates = [
        counts
        for counts in columns
        if counts.storage in {"text", "integer", "number"}
        and counts.distinct >= (3 if _named(counts.name) >= 1 else _MIN_LEVELS)
        and counts.rows_per_level >= 1.02
        # integers kept as floats are ids where there are nulls; other floats are quantities
        and (counts.storage != "number" or counts.integers == counts.filled)
        and not (counts.storage == "text" and counts.integers < 0.9 * counts.filled <= counts.numbers)
        and max(counts.with_comma, counts.with_point) < 0.5 * counts.filled
    ]

    def likelihood(counts: ColumnCounts) -> float:
        return 4 * max(_named(counts.name), 0.0) + math.log10(counts.distinct)

    return sorted(candidates, key=lambda counts: -likelihood(counts))[:_MAX_OWNERS]


def _named(name: str) -> float:
    return max(CUSTOMER.score(name), PRODUCT.score(name), BASKET.score(name))


def plan_sample(columns: Sequence[ColumnCounts], rows: int) -> SamplePlan:
    """Plan the sample of a table.

    Parameters
    ----------
    columns : sequence of ColumnCounts
        Its columns.
    rows : int
        Its rows.

    Returns
    -------
    SamplePlan
        The plan: about 20,000 rows at random and 6,000 of each owner; all rows of a table up to 60,000.
    """
    if rows <= _WHOLE_TABLE:
        return SamplePlan(1.0, tuple(OwnerShare(counts.name, 1.0) for counts in choose_owners(columns)))
    owners = []
    for counts in choose_owners(columns):
        heavy = tuple(level for level, number in counts.levels.items() if number > _HEAVY and not counts.complete)
        # rows of the heavy levels that are known do not come along
        light = counts.filled - sum(counts.levels[level] for level in heavy)
        owners.append(OwnerShare(counts.name, min(1.0, _ROWS_PER_OWNER / max(light, 1)), heavy))
    return SamplePlan(_RANDOM_ROWS / rows, tuple(owners))
