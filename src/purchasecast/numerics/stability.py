"""The population stability index: how far the distribution of a column has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["population_stability"]

_MIN_SHARE = 1e-4  # a level that is missing on one side would make the index infinite


def population_stability(before: Sequence[float], after: Sequence[float]) -> float:
    r"""Return the population stability index of two distributions over the same levels.

    Parameters
    ----------
    before, after : sequence of float
        Rows or shares by level; both are divided by their sum.

    Returns
    -------
    float
        0 where both are the same, finite for any.

    Notes
    -----
    :math:`\sum_l (a_l - b_l) \ln(a_l / b_l)` of the shares, each raised to at least 0.0001: the symmetric form of the
    Kullback-Leibler divergence. For two samples of :math:`n` and :math:`m` rows from the same distribution it is about
    :math:`(1/n + 1/m)\,\chi^2`, with one degree of freedom fewer than levels.

    References
    ----------
    B. Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University, 2018.
    https://scholarworks.wmich.edu/dissertations/3208

    Examples
    --------
    >>> population_stability([50, 50], [500, 500])
    0.0
    >>> round(population_stability([50, 50], [80, 20]), 3)
    0.416
    """
    b, a = (np.maximum(np.asarray(side, float) / np.sum(side), _MIN_SHARE) for side in (before, after))
    return float(np.sum((a - b) * np.log(a / b)))
