r"""Means with intervals, and measures of association, from sums by level.

The mean of a level is :math:`m = S / N`; its variance, when purchases of one customer go together, is
:math:`\tfrac{G}{G-1} \sum_g (S_g - m N_g)^2 / N^2` over the level's G customers, and the interval takes the quantile of
Student's t with G - 1 degrees of freedom. The share of variance between levels is corrected for their number as the
coefficient of determination is.

References
----------
A. C. Cameron, D. L. Miller, "A practitioner's guide to cluster-robust inference", Journal of Human Resources
50(2), 2015. https://doi.org/10.3368/jhr.50.2.317
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from purchasecast.profiling.level_sums import PAIR_MARK
from purchasecast.results import LevelProfile, PairCell

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from purchasecast.profiling.distribution import Floats

__all__ = [
    "adjusted_share",
    "interaction_share",
    "interval",
    "level_profiles",
    "pair_cells",
    "share_between",
    "spearman",
]

_MAX_ROUNDS = 200  # of the additive fit, which converges in a dozen


def interval(sums: Any, mean: float, *, clustered: bool) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a level's mean.

    Parameters
    ----------
    sums : object with the attributes of `SUM_NAMES`
        Sums of the level; the target is centred at `mean`.
    mean : float
        Overall mean of the target.
    clustered : bool
        Whether the clusters are customers; otherwise each row is a cluster.

    Returns
    -------
    tuple of float or None
        Lower and upper bound; None for a single cluster.
    """
    clusters = sums.clusters if clustered else sums.rows
    if clusters < 2:
        return None, None
    own = sums.total / sums.rows
    squares = max(sums.total_total - 2 * own * sums.rows_total + own * own * sums.rows_rows, 0.0)
    error = math.sqrt(clusters / (clusters - 1) * squares) / sums.rows
    reach = float(special.stdtrit(clusters - 1, 0.975)) * error
    return mean + own - reach, mean + own + reach


def level_profiles(part: pd.DataFrame, mean: float, rows: float, *, clustered: bool) -> tuple[LevelProfile, ...]:
    """Describe every level, from the sums of a column about the overall mean of the target."""
    whole = mean * rows
    profiles = []
    for sums in _each(part):
        own = sums.total / sums.rows
        low, high = interval(sums, mean, clustered=clustered)
        total = sums.total + mean * sums.rows
        spread = max(sums.squares - sums.rows * own * own, 0.0)
        profiles.append(
            LevelProfile(
                level=str(sums.level),
                rows=int(sums.rows),
                share_of_rows=sums.rows / rows,
                total=total,
                share_of_total=total / whole if whole else 0.0,
                mean=mean + own,
                sd=math.sqrt(spread / (sums.rows - 1)) if sums.rows > 1 else 0.0,
                low=low,
                high=high,
                customers=int(sums.clusters) if clustered else None,
            )
        )
    return tuple(profiles)


def _each(part: pd.DataFrame) -> Iterator[Any]:
    """Yield the sums of each level, as attributes."""
    yield from part.itertuples(index=False)


def share_between(part: pd.DataFrame) -> float:
    """Return the share of the target's variance that is between the levels (eta squared)."""
    rows, total = part["rows"].to_numpy(), part["total"].to_numpy()
    spread = float(part["squares"].sum() - total.sum() ** 2 / rows.sum())
    between = float(np.sum(total**2 / rows) - total.sum() ** 2 / rows.sum())
    return min(max(between / spread, 0.0), 1.0) if spread > 0 else 0.0


def adjusted_share(share: float, rows: float, levels: int) -> float:
    """Correct a share of variance for the number of levels, as the adjusted R2 does; at least 0."""
    if rows <= levels:
        return 0.0
    return max(1 - (1 - share) * (rows - 1) / (rows - levels), 0.0)


def spearman(part: pd.DataFrame, rank_squares: float) -> float | None:
    """Return the rank correlation of ordered levels with the target.

    Parameters
    ----------
    part : DataFrame
        Sums of one column, one row a level, lowest level first.
    rank_squares : float
        Sum of squared deviations of the target's ranks from their mean.

    Returns
    -------
    float or None
        The correlation; None if one of the two does not vary.
    """
    rows = part["rows"].to_numpy()
    ranks = np.cumsum(rows) - (rows - 1) / 2 - (rows.sum() + 1) / 2
    squares = float(np.sum(rows * ranks**2)) * rank_squares
    if squares <= 0:
        return None
    return float(np.sum(ranks * part["ranks"].to_numpy()) / math.sqrt(squares))


def pair_cells(part: pd.DataFrame, mean: float, *, clustered: bool) -> tuple[PairCell, ...]:
    """Describe every pair of levels, in the same order."""
    cells = []
    for sums in _each(part):
        first, second = str(sums.level).split(PAIR_MARK)
        low, high = interval(sums, mean, clustered=clustered)
        own = mean + sums.total / sums.rows
        cells.append(PairCell(first, second, int(sums.rows), own * sums.rows, own, low, high))
    return tuple(cells)


def interaction_share(part: pd.DataFrame) -> float:
    """Return the share of variance that an interaction explains beyond both effects, corrected for chance."""
    names = part["level"].str.split(PAIR_MARK, expand=True)
    first, second = (np.unique(names[k], return_inverse=True)[1] for k in (0, 1))
    rows, total = part["rows"].to_numpy(), part["total"].to_numpy()
    means = total / rows
    additive = _additive_fit(first, second, rows, means)
    spread = float(part["squares"].sum() - total.sum() ** 2 / rows.sum())
    if spread <= 0:
        return 0.0
    beyond = float(np.sum(rows * (means - additive) ** 2))
    freedom = len(part) - (first.max() + 1) - (second.max() + 1) + 1
    noise = float(part["squares"].sum() - np.sum(rows * means**2)) / max(rows.sum() - len(part), 1.0)
    return float(max(beyond - max(freedom, 0) * noise, 0.0) / spread)


def _additive_fit(first: Any, second: Any, rows: Floats, means: Floats) -> Floats:
    """Fit the cell means by the sum of two effects, weighted by rows: backfitting, one effect at a time."""
    a, b = np.zeros(first.max() + 1), np.zeros(second.max() + 1)
    rows_a, rows_b = np.bincount(first, rows), np.bincount(second, rows)
    for _ in range(_MAX_ROUNDS):
        before = a
        a = np.bincount(first, rows * (means - b[second])) / rows_a
        b = np.bincount(second, rows * (means - a[first])) / rows_b
        if np.max(np.abs(a - before)) <= 1e-9 * (1 + np.max(np.abs(a))):
            break
    return np.asarray(a[first] + b[second], dtype=np.float64)
