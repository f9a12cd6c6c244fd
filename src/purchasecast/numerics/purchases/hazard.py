r"""Regression of a repeat purchase in a period: the probability is 1 - exp(-exp(margin)).

With a rate of purchases :math:`\lambda` and a period of length :math:`w`, the probability of at least one purchase is
:math:`1 - e^{-\lambda w}`, so that a longer period adds :math:`\log w` to the margin :math:`\log \lambda w`. (Logistic
margins have no such rule: shifted to more purchases, they told a tenth too few of the most probable pairs.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from purchasecast.numerics.newton import minimize, ridge_penalty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["fit_hazard", "probability"]

_LOWEST, _HIGHEST = -30.0, 3.0  # margins; a probability of 1 - 2e-9 is as good as 1


def probability(margins: Floats) -> Floats:
    """Return the probability of at least one purchase."""
    told: Floats = -np.expm1(-np.exp(np.clip(margins, _LOWEST, _HIGHEST)))
    return told


def fit_hazard(features: Floats, bought: Floats, weight: Floats, *, ridge: float = 1.0) -> Floats:
    """Return the coefficients of the margin that is linear in the features.

    Parameters
    ----------
    features : ndarray of shape (rows, columns)
        The first column is 1; it has no penalty.
    bought, weight : ndarray of shape (rows,)
        Outcome, 0 or 1, and how many pairs the row stands for.
    ridge : float, default 1.0
        Penalty on the square of each coefficient of a feature in units of its standard deviation.

    Returns
    -------
    ndarray of shape (columns,)
        Coefficients.
    """
    penalty = ridge_penalty(features, weight, ridge)
    start = np.zeros(features.shape[1])
    start[0] = np.log(-np.log1p(-np.clip((weight @ bought) / weight.sum(), 1e-9, 1 - 1e-9)))
    return minimize(
        start,
        lambda coefficients: _loss(features, bought, weight, penalty, coefficients),
        lambda coefficients: _step(features, bought, weight, penalty, coefficients),
    )


def _step(features: Floats, bought: Floats, weight: Floats, penalty: Floats, coefficients: Floats) -> Floats:
    """Return the step of Newton's method, with expected second derivatives."""
    rate = np.exp(np.clip(features @ coefficients, _LOWEST, _HIGHEST))
    odds = rate / np.expm1(rate)  # rate times the probability of none, over that of some
    gradient = features.T @ (weight * ((1 - bought) * rate - bought * odds)) + penalty * coefficients
    curvature = (features * (weight * rate * odds)[:, None]).T @ features
    # A billionth keeps columns without any spread from making the system singular.
    curvature[np.diag_indices(len(curvature))] += penalty + 1e-9 * weight.sum()
    return np.asarray(np.linalg.solve(curvature, gradient))


def _loss(features: Floats, bought: Floats, weight: Floats, penalty: Floats, coefficients: Floats) -> float:
    """Return the penalized negative log-likelihood."""
    rate = np.exp(np.clip(features @ coefficients, _LOWEST, _HIGHEST))
    terms = np.where(bought > 0, -np.log(-np.expm1(-rate)), rate)
    return float(weight @ terms + 0.5 * penalty @ coefficients**2)
