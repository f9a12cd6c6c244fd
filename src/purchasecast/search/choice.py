"""Choose the candidate of a grid search to take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from purchasecast.errors import DataError
from purchasecast.results import Candidate

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SELECTIONS", "choose", "summarize"]

BEST, ONE_STANDARD_ERROR = "best", "oneStandardError"
SELECTIONS = (BEST, ONE_STANDARD_ERROR)


def summarize(
    grid: tuple[tuple[float, float], ...], fold_metrics: np.ndarray[Any, Any], nonzero: np.ndarray[Any, Any]
) -> tuple[Candidate, ...]:
    """Make candidates of the metrics (folds x candidates) and the mean counts of coefficients."""
    averages, deviations = fold_metrics.mean(axis=0), fold_metrics.std(axis=0)
    return tuple(
        Candidate(
            reg,
            ratio,
            tuple(map(float, fold_metrics[:, i])),
            float(averages[i]),
            float(deviations[i]),
            float(nonzero[i]),
        )
        for i, (reg, ratio) in enumerate(grid)
    )


def choose(candidates: tuple[Candidate, ...], *, larger_is_better: bool, selection: str, folds: int) -> int:
    """Return the place of the candidate to take.

    Parameters
    ----------
    candidates : tuple of Candidate
        In the order of the grid; of equals the first is taken.
    larger_is_better : bool
        Which way the metric points.
    selection : {"best", "oneStandardError"}
        The second takes the sparsest (then the better; where counts are unknown the most penalised) of those
        within one standard error of the best: deviation / sqrt(folds - 1), that of a mean over folds.
    folds : int
        Number of folds, at least 2.

    Returns
    -------
    int

    Raises
    ------
    DataError
        If no candidate has a finite metric.
    """
    sign = -1.0 if larger_is_better else 1.0
    losses = [sign * c.average if math.isfinite(c.average) else math.inf for c in candidates]
    best = min(range(len(candidates)), key=losses.__getitem__)
    if math.isinf(losses[best]):
        raise DataError(
            "a grid search needs at least one candidate with a finite metric, found none; "
            "use fewer folds or another metric"
        )
    if selection == BEST:
        return best
    limit = losses[best] + candidates[best].standard_deviation / math.sqrt(folds - 1)

    def sparsity(place: int) -> tuple[float, float]:
        one = candidates[place]
        if one.nonzero is None:
            return -one.reg_param * one.elastic_net_param, -one.reg_param
        return one.nonzero, losses[place]

    return min((i for i, loss in enumerate(losses) if loss <= limit), key=sparsity)
