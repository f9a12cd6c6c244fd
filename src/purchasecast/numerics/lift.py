r"""The difference that a campaign has made, between customers who were to be contacted and a control group.

Each group's mean of an outcome :math:`Y` is adjusted to the mean :math:`\bar x` of a covariate that was known before,
by a slope of its own,

.. math:: \hat\mu_g = \bar Y_g - \theta_g (\bar x_g - \bar x), \qquad \hat\tau = \hat\mu_1 - \hat\mu_0.

With one slope for both this is CUPED; with two it is never worse than no adjustment in large samples (Lin 2013). Its
variance is the sum of the squared residuals, each divided by one minus its leverage (HC3), because those who spend more
also vary more. The interval is that of Student's t with the degrees of freedom of Welch. Against
no adjustment it is narrower by :math:`\sqrt{1 - \rho^2}`, with :math:`\rho` the correlation of outcome and covariate.

References
----------
A. Deng, Y. Xu, R. Kohavi, T. Walker, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM 2013. https://doi.org/10.1145/2433396.2433413
W. Lin, "Agnostic notes on regression adjustments to experimental data", Annals of Applied Statistics 7(1), 2013.
https://doi.org/10.1214/12-AOAS583
S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2), 1979.
https://www.jstor.org/stable/4615733
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Lift", "holm", "measure_lift"]

_MIN_FOR_SLOPE = 10  # customers of a group: below, the slope costs more than it brings


@dataclass(frozen=True, slots=True)
class _Mean:
    """A group's mean, its variance, and the residuals' share of the degrees of freedom."""

    size: int
    value: float
    variance: float
    free: int


@dataclass(frozen=True, slots=True)
class Lift:
    """The difference of two means, and what is needed to say how certain it is."""

    contacted: _Mean
    control: _Mean

    @property
    def difference(self) -> float:
        """Mean of the contacted minus that of the control group."""
        return self.contacted.value - self.control.value

    @property
    def error(self) -> float:
        """Standard error of the difference."""
        return math.sqrt(self.contacted.variance + self.control.variance)

    @property
    def deviation(self) -> float:
        """Standard deviation of a customer that would give this error in groups of these sizes."""
        return self.error / math.sqrt(1 / self.contacted.size + 1 / self.control.size)

    @property
    def _free(self) -> float:
        parts = (self.contacted, self.control)
        below = sum(part.variance**2 / part.free for part in parts)
        return (self.contacted.variance + self.control.variance) ** 2 / below if below > 0 else 1e9

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of the difference."""
        half = float(stats.t.ppf((1 + level) / 2, self._free)) * self.error
        return self.difference - half, self.difference + half

    @property
    def p_value(self) -> float:
        """Probability of a difference at least as large by chance."""
        if self.error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.difference) / self.error, self._free))

    def ratio(self, level: float) -> tuple[float, float, float] | None:
        """Return the lift as a share of the control group's mean, with its interval; None where a mean is not above 0.

        The interval is that of the logarithm of the ratio: a mean in the denominator that is little known makes it
        longer upwards.
        """
        if min(self.contacted.value, self.control.value) <= 0:
            return None
        parts = (self.contacted, self.control)
        error = math.sqrt(sum(part.variance / part.value**2 for part in parts))
        half = float(stats.t.ppf((1 + level) / 2, self._free)) * error
        log = math.log(self.contacted.value / self.control.value)
        return math.expm1(log), math.expm1(log - half), math.expm1(log + half)


def measure_lift(outcome: Floats, contacted: NDArray[np.bool_], covariate: Floats | None = None) -> Lift:
    """Compare the mean outcome of contacted customers with that of the others, adjusted for a covariate if given."""
    centre = 0.0 if covariate is None else float(covariate.mean())
    means = [
        _mean(outcome[group], None if covariate is None else covariate[group] - centre)
        for group in (contacted, ~contacted)
    ]
    return Lift(*means)


def _mean(outcome: Floats, covariate: Floats | None) -> _Mean:
    """Return the mean of a group where the covariate is 0."""
    size = len(outcome)
    if size < 2:
        raise ValueError(f"group: expected at least 2 customers, found {size}.")
    around = None if covariate is None else covariate - covariate.mean()
    squares = 0.0 if around is None else float(around @ around)
    if covariate is None or around is None or size < _MIN_FOR_SLOPE or squares <= 1e-12 * float(covariate @ covariate):
        return _Mean(size, float(outcome.mean()), float(outcome.var(ddof=1)) / size, size - 1)
    slope = float(around @ outcome) / squares
    distance = float(covariate.mean())
    residuals = outcome - outcome.mean() - slope * around
    leverage = 1 / size + around**2 / squares
    weights = 1 / size - distance * around / squares
    variance = float(np.sum((weights * residuals / np.maximum(1 - leverage, 1 / size)) ** 2))
    return _Mean(size, float(outcome.mean()) - slope * distance, variance, size - 2)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that the chance of any false claim is at most the level.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(order)
    largest = 0.0
    for rank, place in enumerate(order.tolist()):
        largest = max(largest, min((len(order) - rank) * p_values[place], 1.0))
        adjusted[place] = largest
    return adjusted
