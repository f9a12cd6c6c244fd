"""Tell which column follows from which: an attribute is constant within a customer, a product, or a visit.

Agreement is measured on what can disagree. A level with one row agrees with itself, whatever stands in it, so each
level's first row counts nothing; rows of one visit count once, because a visit has one store and one day. And a column
that holds "no" in 97 of 100 rows agrees with itself nearly everywhere: what agreement would be if the column's values
were dealt out at random is measured too, and taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from purchasecast.drafting.sample import Sample

__all__ = ["Dependence", "agreement", "explained_share", "measure_dependence"]

_SEED = 7
_MIN_REPEATS = 20  # fewer say nothing
_MIN_LEVELS = 8


@dataclass(frozen=True, slots=True)
class Dependence:
    """Tell how constant a column is within the levels of another.

    Parameters
    ----------
    agreement : float
        Share of the repeats (the rows of a level beyond its first) that have the level's most frequent value, 0..1.
    chance : float
        The same with the column's values dealt out at random.
    repeats : int
        How many repeats there were.
    levels : int
        How many levels have repeats.
    """

    agreement: float
    chance: float
    repeats: int
    levels: int

    @property
    def is_known(self) -> bool:
        """Whether there were enough repeats to tell."""
        return self.repeats >= _MIN_REPEATS and self.levels >= _MIN_LEVELS

    @property
    def beyond_chance(self) -> float:
        """Agreement beyond chance, as a share of what is possible beyond it; Cohen's kappa."""
        return (self.agreement - self.chance) / (1 - self.chance) if self.chance < 1 else 0.0

    def holds(self, *, agreement: float = 0.96, beyond_chance: float = 0.85) -> bool:
        """Tell whether the column follows from the other, a small share of exceptions allowed."""
        return self.is_known and self.agreement >= agreement and self.beyond_chance >= beyond_chance


def measure_dependence(
    sample: Sample, column: str, owner: str, unit: str | None = None, *, skip_empty: bool = False
) -> Dependence:
    """Measure how constant a column is within the levels of another.

    Parameters
    ----------
    sample : Sample
        The rows; of the owner, whole levels are looked at.
    column : str
        What may be constant.
    owner : str
        Within what.
    unit : str, optional
        A column whose rows count once in each level of the owner, such as a visit.
    skip_empty : bool, default False
        Whether rows without a value are left out; by default an empty value is one more value.

    Returns
    -------
    Dependence
        The measure.
    """
    rows = sample.whole.get(owner, sample.random) & (sample.codes[owner] >= 0)
    if skip_empty:
        rows = rows & (sample.codes[column] >= 0)
    owners = sample.codes[owner][rows].astype(np.int64)
    values = sample.codes[column][rows].astype(np.int64) + 1
    if unit is not None and len(owners):
        units, width = sample.codes[unit][rows].astype(np.int64) + 1, values.max() + 1
        # Three numbers in one: a sample has some ten thousand levels at most, so 63 bits hold them.
        keys = np.unique((owners * (units.max() + 1) + units) * width + values)
        owners, values = keys // width // (units.max() + 1), keys % width
    if not len(owners):
        return Dependence(0.0, 0.0, 0, 0)
    sizes = np.bincount(owners)
    repeats = int((sizes[sizes > 0] - 1).sum())
    if repeats == 0:
        return Dependence(0.0, 0.0, 0, 0)
    used = sizes > 0
    shuffled = np.random.default_rng(_SEED).permutation(values)
    return Dependence(
        agreement=int((_most_frequent(owners, values)[used] - 1).sum()) / repeats,
        chance=int((_most_frequent(owners, shuffled)[used] - 1).sum()) / repeats,
        repeats=repeats,
        levels=int((sizes > 1).sum()),
    )


def agreement(owners: NDArray[np.integer[Any]], values: NDArray[np.integer[Any]]) -> float:
    """Return the share of rows that have the most frequent value of their owner, first rows included.

    Parameters
    ----------
    owners, values : array of int
        Level numbers of every row, from 0.

    Returns
    -------
    float
        1 where the values follow from the owners.

    Examples
    --------
    >>> agreement(np.array([0, 0, 0, 1]), np.array([2, 2, 3, 3]))
    0.75
    """
    return float(_most_frequent(owners, values).sum() / len(owners))


def _most_frequent(owners: NDArray[np.integer[Any]], values: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Count, for each owner, the rows with its most frequent value."""
    width = int(values.max()) + 1
    pairs, counts = np.unique(owners.astype(np.int64) * width + values, return_counts=True)
    most = np.zeros(int(owners.max()) + 1, dtype=np.int64)
    np.maximum.at(most, pairs // width, counts)
    return most


def explained_share(numbers: NDArray[np.float64], owners: NDArray[np.int32]) -> float:
    """Return the share of a number's variance that lies between levels.

    Parameters
    ----------
    numbers : array of float
        One a row; rows without a finite one are left out.
    owners : array of int
        The level of each row; -1 for none.

    Returns
    -------
    float
        Adjusted for the number of levels, so 0 in expectation where they explain nothing; at most 1.

    Notes
    -----
    The share is ``1 - s2_within / s2_total``, both variances unbiased (adjusted eta squared; Ezekiel's R squared).
    """
    rows = np.isfinite(numbers) & (owners >= 0)
    values, levels = numbers[rows], owners[rows]
    if len(values) < 3:
        return 0.0
    sizes = np.bincount(levels)
    used = int((sizes > 0).sum())
    total = float(values.var(ddof=1))
    if total <= 0 or len(values) - used < max(2, used // 10):
        return 0.0
    means = np.bincount(levels, weights=values) / np.maximum(sizes, 1)
    within = float(((values - means[levels]) ** 2).sum()) / (len(values) - used)
    return 1 - within / total
