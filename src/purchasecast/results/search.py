"""Result of a grid search."""

from __future__ import annotations

from dataclasses import dataclass, field

from purchasecast.results.record import Record

__all__ = ["Candidate", "SearchResult"]


@dataclass(frozen=True, slots=True)
class Candidate(Record):
    """One point of the grid.

    Attributes
    ----------
    reg_param, elastic_net_param : float
        The penalty, defined as in Spark.
    fold_metrics : tuple of float
        The metric on each held-out fold; empty where Spark's own search ran, which does not keep them.
    average, standard_deviation : float
        Mean over the folds and its population standard deviation, as `CrossValidator` computes them.
    nonzero : float or None
        Number of coefficients that are not 0, averaged over the folds; None where Spark's own search ran.
    """

    reg_param: float
    elastic_net_param: float
    fold_metrics: tuple[float, ...]
    average: float
    standard_deviation: float
    nonzero: float | None


@dataclass(frozen=True, slots=True)
class SearchResult(Record):
    """A finished grid search.

    Attributes
    ----------
    metric : str
        ``rmse``, ``mse`` or ``r2``.
    larger_is_better : bool
        Whether a larger metric is better.
    candidates : tuple of Candidate
        In the order of the grid.
    chosen : int
        Index of the chosen candidate in `candidates`.
    selection : str
        ``best``, or ``oneStandardError``: the sparsest candidate within one standard error of the best.
    folds, rows, features : int
        Folds, rows of positive weight (-1 where Spark's own search ran), and features.
    method : str
        ``one-pass``, or ``stock`` where Spark's own search ran.
    nonzero : int
        Number of coefficients of the final model that are not 0.
    seconds : dict of str to float
        Seconds per step: ``pass``, ``solve``, ``fit``.
    standard_errors : tuple of float
        Of the final coefficients and, last, of the intercept, assuming independent errors of equal variance and a given
        penalty; empty where Spark's own search ran.
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
        """The chosen candidate."""
        return self.candidates[self.chosen]
