"""What a grid search found, as data without Spark."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from purchasecast.errors import DataError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SELECTIONS", "Candidate", "SearchResult", "choose", "summarize"]

BEST, ONE_STANDARD_ERROR = "best", "oneStandardError"
SELECTIONS = (BEST, ONE_STANDARD_ERROR)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One point of the grid.

    Attributes
    ----------
    reg_param, elastic_net_param : float
        The penalty, as Spark means it.
    fold_metrics : tuple of float
        The metric on each held-out fold; empty where Spark's own search ran, which does not keep them.
    average, standard_deviation : float
        Mean over the folds and its population standard deviation, as `CrossValidator` has them.
    nonzero : float or None
        Coefficients that are not 0, averaged over the folds' fits; None where Spark's own search ran.
    """

    reg_param: float
    elastic_net_param: float
    fold_metrics: tuple[float, ...]
    average: float
    standard_deviation: float
    nonzero: float | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A finished grid search.

    Attributes
    ----------
    metric : str
        `rmse`, `mse` or `r2`.
    larger_is_better : bool
        Which way the metric points.
    candidates : tuple of Candidate
        In the order of the grid.
    chosen : int
        Place of the chosen one in `candidates`.
    selection : str
        `best`, or `oneStandardError`: the sparsest whose average is within one standard error of the best.
    folds, rows, features : int
        Folds, rows of positive weight (-1 where Spark's own search ran), and features.
    method : str
        `one-pass`, or `stock` where Spark's own search ran.
    nonzero : int
        Coefficients of the final fit on all rows that are not 0.
    seconds : dict of str to float
        Seconds a step: `pass`, `solve`, `fit`.
    standard_errors : tuple of float
        Of the final fit's coefficients and, last, its intercept, under independent errors of one variance and given
        the penalty; empty where Spark's own search ran.
    """

    metric: str
    larger_is_better: bool
    candidates: tuple[Candidate, ...]
    chosen: int
    selection: str
    folds: int
    rows: int
    features: int
    method: str
    nonzero: int
    seconds: dict[str, float] = field(default_factory=dict)
    standard_errors: tuple[float, ...] = ()

    @property
    def best(self) -> Candidate:
        """Return the chosen candidate."""
        return self.candidates[self.chosen]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SearchResult:
        """Read what `to_dict` wrote, also after a passage through JSON."""
        candidates = tuple(Candidate(**{**c, "fold_metrics": tuple(c["fold_metrics"])}) for c in document["candidates"])
        errors = tuple(document.get("standard_errors", ()))
        return cls(**{**document, "candidates": candidates, "standard_errors": errors})


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
