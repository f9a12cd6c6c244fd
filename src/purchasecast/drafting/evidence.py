"""Measures between columns of the sample, each computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.drafting.dependencies import Dependence, explained_share, measure_dependence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from purchasecast.drafting.survey import Survey, SurveyedColumn

__all__ = ["Evidence", "Growth"]

_SAME = 0.005  # two amounts are the same up to rounding
_MIN_ROWS = 30


@dataclass(frozen=True, slots=True)
class Growth:
    """Tell how an amount grows with another number within a product.

    Parameters
    ----------
    slope : float
        Of the logarithms; 1 where twice as much costs twice as much, 0 where it does not matter.
    explained : float
        Share of the amount's variance within products that it explains, 0..1.
    is_known : bool
        Whether there were enough rows, and enough different numbers, to tell.
    """

    slope: float
    explained: float
    is_known: bool = True

    @property
    def is_proportional(self) -> bool:
        """Whether the amount grows about in proportion."""
        return 0.6 <= self.slope <= 1.4 and self.explained >= 0.1


@dataclass
class Evidence:
    """Measure how the columns of a survey go together.

    Parameters
    ----------
    survey : Survey
        The table.
    visit : str, optional
        The column that names a visit, once it is known: its rows count once.
    """

    survey: Survey
    visit: str | None = None
    _dependences: dict[tuple[str, str, str | None, bool], Dependence] = field(default_factory=dict, repr=False)

    @property
    def owners(self) -> list[SurveyedColumn]:
        """The columns whose levels may be customers, products or visits."""
        return [column for column in self.survey.columns if column.name in self.survey.sample.whole]

    def depends(self, column: str, owner: str, unit: str | None = None, *, skip_empty: bool = False) -> Dependence:
        """Return how constant a column is within the levels of another."""
        key = (column, owner, unit, skip_empty)
        if key not in self._dependences:
            sample = self.survey.sample
            self._dependences[key] = measure_dependence(sample, column, owner, unit, skip_empty=skip_empty)
        return self._dependences[key]

    def follows(self, column: str, owner: str) -> bool:
        """Tell whether a column follows from another, row by row."""
        return self.depends(column, owner).holds()

    def are_same(self, one: str, other: str) -> bool:
        """Tell whether two columns name the same things: each follows from the other."""
        levels = self.survey.by_name[one].distinct, self.survey.by_name[other].distinct
        if one == other or min(levels) < 0.9 * max(levels):
            return False
        known = [(a, b) for a, b in ((one, other), (other, one)) if b in self.survey.sample.whole]
        return bool(known) and all(self.follows(a, b) for a, b in known)

    def logarithm(self, name: str) -> NDArray[np.float64]:
        """Return the logarithm of a column's positive values, NaN for others."""
        values = self.survey.numbers(name)
        return np.log(np.where(values > 0, values, np.nan))

    def explained(self, amount: str, owner: str) -> float:
        """Return the share of an amount's variance, on the log scale, that lies between an owner's levels."""
        sample = self.survey.sample
        rows = sample.whole.get(owner, sample.random)
        return explained_share(self.logarithm(amount)[rows], sample.codes[owner][rows])

    def growth(self, amount: str, number: str, product: str | None) -> Growth:
        """Return how an amount grows with a number within a product (or in the whole table)."""
        sample = self.survey.sample
        rows = sample.whole.get(product, sample.random) if product else sample.random
        y, x = self.logarithm(amount)[rows], self.logarithm(number)[rows]
        levels = sample.codes[product][rows] if product else np.zeros(len(y), dtype=np.int32)
        used = np.isfinite(y) & np.isfinite(x) & (levels >= 0)
        if used.sum() < _MIN_ROWS:
            return Growth(0.0, 0.0, is_known=False)
        y, x = _centred(y[used], levels[used]), _centred(x[used], levels[used])
        if x.var() < 1e-4 or y.var() < 1e-8:
            return Growth(0.0, 0.0, is_known=False)
        covariance = float((x * y).mean())
        return Growth(covariance / float(x.var()), covariance**2 / float(x.var() * y.var()))

    def correlation(self, one: str, other: str) -> float:
        """Return the correlation of the logarithms of two columns' sizes, over random rows where both are not 0."""
        rows = self.survey.sample.random
        x, y = (np.abs(self.survey.numbers(name)[rows]) for name in (one, other))
        used = (x > 0) & (y > 0)  # False for NaN
        if used.sum() < _MIN_ROWS:
            return 0.0
        x, y = np.log(x[used]), np.log(y[used])
        return float(np.corrcoef(x, y)[0, 1]) if x.std() > 1e-6 and y.std() > 1e-6 else 0.0

    def share_in_ratio(self, one: str, other: str) -> float:
        """Return the share of rows in which two columns stand in the same ratio."""
        rows = self.survey.sample.random
        x, y = (self.survey.numbers(name)[rows] for name in (one, other))
        used = np.isfinite(x) & np.isfinite(y) & (x != 0) & (y != 0)
        if used.sum() < _MIN_ROWS:
            return 0.0
        ratio = x[used] / y[used]
        return float((np.abs(ratio / np.median(ratio) - 1) <= _SAME).mean())

    def share_of_products(self, amount: str, one: str, other: str) -> float:
        """Return the share of rows in which an amount is one column times another, rows with a factor of 1 left out."""
        rows = self.survey.sample.random
        y, a, b = (self.survey.numbers(name)[rows] for name in (amount, one, other))
        used = np.isfinite(y) & np.isfinite(a) & np.isfinite(b) & (a != 1) & (b != 1) & (a != 0) & (b != 0)
        if used.sum() < _MIN_ROWS:
            return 0.0
        gap = np.abs(y[used] - a[used] * b[used])
        return float((gap <= np.maximum(0.011, _SAME * np.abs(y[used]))).mean())


def _centred(values: NDArray[np.float64], levels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Take each level's mean off its values."""
    sizes = np.bincount(levels)
    means = np.bincount(levels, weights=values) / np.maximum(sizes, 1)
    return values - means[levels]
