"""What a grid search found, as data without Spark."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Candidate", "SearchResult"]


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
