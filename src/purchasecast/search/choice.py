"""The choice of a candidate from the metrics of a grid search."""

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
    """Return the candidates of a grid with their metrics.

    Parameters
    ----------
    grid : tuple of (float, float)
        ``regParam`` and ``elasticNetParam`` of each candidate.
    fold_metrics : ndarray of shape (folds, candidates)
        Metric on each held-out fold.
    nonzero : ndarray of shape (candidates,)
        Number of coefficients that are not 0, averaged over the folds.

    Returns
    -------
    tuple of Candidate
        In the order of the grid.
    """
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
    """Return the index of the candidate to take.

    Parameters
    ----------
    candidates : tuple of Candidate
        In the order of the grid; of equal ones the first is taken.
    larger_is_better : bool
        Whether a larger metric is better.
    selection : {"best", "oneStandardError"}
        The second takes the sparsest candidate (then the better one; if counts are unknown the most penalised one)
        within one standard error of the best, deviation / sqrt(folds - 1).
    folds : int
        Number of folds, at least 2.

    Returns
    -------
    int
        Index in `candidates`.

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
            "grid search: expected at least one candidate with a finite metric, found none; "
            "use fewer folds or another metric."
        )
    if selection == BEST:
        return best
    limit = losses[best] + candidates[best].standard_deviation / math.sqrt(folds - 1)

    def sparsity(index: int) -> tuple[float, float]:
        candidate = candidates[index]
        if candidate.nonzero is None:  # Spark's CrossValidator keeps no coefficients
            return -candidate.reg_param * candidate.elastic_net_param, -candidate.reg_param
        return candidate.nonzero, losses[index]

    return min((i for i, loss in enumerate(losses) if loss <= limit), key=sparsity)
