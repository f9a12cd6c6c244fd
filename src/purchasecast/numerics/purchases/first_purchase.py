r"""Regression of the first purchase of a pair of customer and product: the probability is share / (1 + exp(-margin)).

A pair that has not been bought will be bought some time, with odds :math:`e^m`, or never. Of those that will, a share
:math:`c` is bought in the period,

.. math:: P = \frac{c}{1 + e^{-m}} ,

so that no probability exceeds :math:`c`. The share is estimated with the coefficients: it shows in pairs that are
almost certain to be bought some time. (Without it, a third too many purchases were told of the most probable pairs,
even of the purchases that the coefficients were learned from: decision 22.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from purchasecast.numerics.newton import minimize, ridge_penalty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Reals = NDArray[np.floating[Any]]

__all__ = ["first_purchase", "fit_first_purchase"]

_MAX_MARGIN, _MIN_PROBABILITY = 30.0, 1e-12


def first_purchase(margins: Reals, share: float) -> Floats:
    """Return the probability of a first purchase in a period in which this share of the remaining pairs is bought."""
    told: Floats = share * expit(margins)
    return told


def fit_first_purchase(
    features: Floats, bought: Floats, weight: Floats, prior: Floats, *, ridge: float = 1.0, share: float | None = None
) -> tuple[Floats, float]:
    """Return the coefficients of the margin that is linear in the features, and the share.

    Parameters
    ----------
    features : ndarray of shape (rows, columns)
        The first column is 1; it has no penalty.
    bought, weight : ndarray of shape (rows,)
        Outcome, 0 or 1, and how many pairs the row stands for.
    prior : ndarray of shape (columns,)
        What the coefficients are drawn to.
    ridge : float, default 1.0
        Penalty on the squared distance of each coefficient from its prior, in units of the standard deviation of its
        feature. That of the logit of the share is 1: its evidence is weaker.
    share : float, optional
        The share in (0, 1), where it is known.

    Returns
    -------
    tuple of (ndarray of shape (columns,), float)
        Coefficients, and the share in (0, 1).

    Notes
    -----
    Fisher scoring with halved steps, of all coefficients and the logit of the share together.
    """
    total = weight.sum()
    penalty = np.append(ridge_penalty(features, weight, ridge), 1.0)
    center = np.append(prior, 0.0)
    start = center.copy()
    mean = np.clip(2 * (weight @ bought) / total, 1e-9, 0.99)
    start[0] = np.log(mean / (1 - mean)) - (weight @ features[:, 1:]) @ prior[1:] / total
    if share is not None:
        start[-1] = np.log(share / (1 - share))
    free = len(start) - (share is not None)
    found = minimize(
        start,
        lambda tried: _loss(features, bought, weight, penalty, center, tried),
        lambda tried: _step(features, bought, weight, penalty, center, tried, free),
    )
    return found[:-1], float(expit(found[-1]))


def _told(features: Floats, found: Floats) -> tuple[Floats, Floats]:
    """Return the probability that a pair is bought some time, and that it is bought in the period."""
    ever = expit(np.clip(features @ found[:-1], -_MAX_MARGIN, _MAX_MARGIN))
    return ever, np.clip(expit(found[-1]) * ever, _MIN_PROBABILITY, 1 - 1e-9)


def _loss(features: Floats, bought: Floats, weight: Floats, penalty: Floats, center: Floats, found: Floats) -> float:
    """Return the penalized negative log-likelihood."""
    _, told = _told(features, found)
    terms = np.log(np.where(bought > 0, told, 1 - told))
    return float(0.5 * penalty @ (found - center) ** 2 - weight @ terms)


def _step(
    features: Floats, bought: Floats, weight: Floats, penalty: Floats, center: Floats, found: Floats, free: int
) -> Floats:
    """Return the step of Fisher scoring; 0 for what is not free, which comes last."""
    ever, told = _told(features, found)
    # Derivatives of the logarithm of the probability by the margin and by the logit of the share.
    by_margin, by_share = 1 - ever, 1 - expit(found[-1])
    residual = weight * (told - bought) / (1 - told)
    information = weight * told / (1 - told)
    slope, both = residual * by_margin, information * by_margin
    gradient = np.append(features.T @ slope, by_share * residual.sum()) + penalty * (found - center)
    size = features.shape[1]
    curvature = np.empty((size + 1, size + 1))
    curvature[:size, :size] = (features * (both * by_margin)[:, None]).T @ features
    curvature[size, :size] = curvature[:size, size] = by_share * (features.T @ both)
    curvature[size, size] = by_share**2 * information.sum()
    # A billionth keeps columns without any spread from making the system singular.
    curvature[np.diag_indices(size + 1)] += penalty + 1e-9 * weight.sum()
    step = np.zeros(size + 1)
    step[:free] = np.linalg.solve(curvature[:free, :free], gradient[:free])
    return step
