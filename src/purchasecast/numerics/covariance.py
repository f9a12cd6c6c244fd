r"""Covariance of penalised least-squares coefficients from a Gram matrix.

With :math:`A` the second moments of the features about the point that the regression passes through,
:math:`\Lambda` the L2 penalty and :math:`H = A + \Lambda`, both for the features with a coefficient, the covariance is

.. math:: \frac{\hat\sigma^2}{W} H^{-1} A H^{-1}, \qquad
          \hat\sigma^2 = \frac{\sum_i w_i r_i^2}{n - \mathrm{df}}, \quad
          \mathrm{df} = \mathrm{tr}(H^{-1} A) + 1 .

Without a penalty this is the textbook covariance under independent errors of one variance. With one it holds given the
penalty and the selected features: it includes neither the bias of the estimate nor the uncertainty of the selection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from purchasecast.numerics.penalized import Solutions, penalty_diagonal, squared_errors

if TYPE_CHECKING:
    from purchasecast.numerics.gram import Floats, Gram

__all__ = ["coefficient_covariance"]


def coefficient_covariance(
    gram: Gram,
    coefficients: Floats,
    penalty: tuple[float, float],
    *,
    fit_intercept: bool = True,
    standardization: bool = True,
) -> Floats:
    """Return the covariance of the coefficients and the intercept.

    Parameters
    ----------
    gram : Gram
        Moments of the training rows.
    coefficients : ndarray of shape (d,)
        Fitted coefficients; one of 0 has variance 0.
    penalty : (float, float)
        ``regParam`` and ``elasticNetParam`` of the fit.
    fit_intercept, standardization : bool, default True
        As in the fit.

    Returns
    -------
    ndarray of shape (d + 1, d + 1)
        The intercept last; its entries are 0 where none was fitted.
    """
    centre = gram.mean if fit_intercept else np.zeros_like(gram.mean)
    moments = gram.comoments[:-1, :-1] / gram.weight
    if not fit_intercept:
        moments = moments + np.outer(gram.mean[:-1], gram.mean[:-1])
    inverse = np.zeros_like(moments)
    active = np.flatnonzero(coefficients)
    if len(active):
        added = penalty_diagonal(gram, *penalty, standardization=standardization)[active]
        system = moments[np.ix_(active, active)] + np.diag(added)
        root = np.sqrt(np.diagonal(system))
        # A unit diagonal: the cutoff of the pseudo-inverse must not depend on the units of the features.
        inverse[np.ix_(active, active)] = linalg.pinvh(system / np.outer(root, root)) / np.outer(root, root)
    freedom = float(np.sum(inverse * moments)) + float(fit_intercept)
    error = squared_errors(Solutions(coefficients[None, :], centre), gram)[0]
    variance = error / max(gram.rows - freedom, 1.0) / gram.weight
    covariance = np.zeros_like(gram.comoments)
    covariance[:-1, :-1] = inverse @ moments @ inverse * variance
    covariance[-1, -1] = variance if fit_intercept else 0.0
    # The last entry is that of the value at the centre so far; the intercept is the value at 0.
    shift = np.eye(len(covariance))
    shift[-1, :-1] = -centre[:-1]
    moved: Floats = shift @ covariance @ shift.T
    return moved
