r"""How large a control group must be for a lift to be seen.

With :math:`n` customers contacted, :math:`m` left alone and a standard deviation :math:`\sigma` of what one of them
spends, the difference of the means has the standard error :math:`\sigma \sqrt{1 / n + 1 / m}`. A true difference
:math:`\delta` is seen at the level :math:`1 - \alpha` with a power of 80 % where

.. math:: \delta \ge (z_{1 - \alpha / 2} + z_{0.8})\, \sigma \sqrt{1 / n + 1 / m}.

Where each customer's expected revenue is adjusted for (CUPED), :math:`\sigma^2` is the variance around it: the mean
over customers of :math:`\sum_l a_l^2 p_l (1 - p_l)`; otherwise the variance of the expected revenue comes on top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["POWER", "Spend", "customers_needed", "group_needed", "half_width", "power_of", "visible_difference"]

POWER = 0.8
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Spend:
    """What a planned customer spends on the offered products: mean, and standard deviation with and without CUPED."""

    mean: float
    adjusted: float
    unadjusted: float

    @classmethod
    def of(cls, expected: Floats, variance: Floats) -> Spend:
        """Return the moments over customers, from each one's expected spend and its variance."""
        around = float(np.mean(variance)) if len(variance) else 0.0
        between = float(np.var(expected)) if len(expected) else 0.0
        mean = float(np.mean(expected)) if len(expected) else 0.0
        return cls(mean, math.sqrt(around), math.sqrt(around + between))


def half_width(level: float) -> float:
    """Return half the width of the interval of a normal distribution, in standard deviations."""
    return _NORMAL.inv_cdf((1 + level) / 2)


def _effort(level: float) -> float:
    return half_width(level) + _NORMAL.inv_cdf(POWER)


def visible_difference(contacted: int, control: int, deviation: float, level: float) -> float:
    """Return the smallest difference of means that is seen with a power of 80 %.

    Examples
    --------
    >>> round(visible_difference(900, 100, 50.0, 0.9), 1)
    13.1
    """
    return _effort(level) * deviation * math.sqrt(1 / contacted + 1 / control)


def power_of(difference: float, contacted: int, control: int, deviation: float, level: float) -> float:
    """Return the probability that a difference of means is seen."""
    if not contacted or not control:
        return 0.0
    error = deviation * math.sqrt(1 / contacted + 1 / control)
    if error == 0:
        return 1.0
    edge = half_width(level)
    return _NORMAL.cdf(difference / error - edge) + _NORMAL.cdf(-difference / error - edge)


def customers_needed(difference: float, deviation: float, level: float, share: float = 0.5) -> int:
    """Return the customers, a share of them in the control group, at which a difference is seen with 80 % power.

    Examples
    --------
    >>> customers_needed(13.1, 50.0, 0.9, share=0.1)
    1001
    """
    if difference <= 0:
        return 0
    return math.ceil((_effort(level) * deviation / difference) ** 2 / (share * (1 - share)))


def group_needed(difference: float, customers: int, deviation: float, level: float) -> int | None:
    """Return the size of the control group, of so many customers, that shows a difference; None where none does.

    Examples
    --------
    >>> group_needed(13.1, 1_000, 50.0, 0.9), group_needed(1.0, 1_000, 50.0, 0.9)
    (101, None)
    """
    if difference <= 0:
        return None
    # n control and N - n contacted: 1 / n + 1 / (N - n) = N / (n (N - n)) may be at most 1 / needed.
    needed = (_effort(level) * deviation / difference) ** 2
    root = customers**2 - 4 * customers * needed
    if root < 0:
        return None
    return min(math.ceil((customers - math.sqrt(root)) / 2), customers // 2) or 1
