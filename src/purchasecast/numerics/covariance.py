r"""Covariance of penalised least-squares coefficients from a Gram matrix.

With :math:`A` the second moments of the active features about the point the line goes through,
:math:`\Lambda` the L2 penalty and :math:`H = A + \Lambda`, the classical covariance is

.. math:: \frac{\hat\sigma^2}{W} H^{-1} A H^{-1}, \qquad
          \hat\sigma^2 = \frac{\sum_i w_i r_i^2}{n - \mathrm{df}}, \quad
          \mathrm{df} = \mathrm{tr}(H^{-1} A) + 1,

and the clustered one is :math:`W^{-2} H^{-1} (\sum_g s_g s_g^T) H^{-1}` times
:math:`\tfrac{G}{G-1} \tfrac{n-1}{n - \mathrm{df}}`, with :math:`s_g = \sum_{i \in g} w_i r_i x_i`. Without a
penalty these are the textbook ones. With one they hold for the penalised estimate, given the penalty and the
features it kept: they leave out its bias and the choice itself.

References
----------
A. C. Cameron, D. L. Miller, "A practitioner's guide to cluster-robust inference", Journal of Human Resources
50(2), 2015. https://doi.org/10.3368/jhr.50.2.317
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from purchasecast.numerics.penalized import Solutions, penalty_diagonal, squared_errors

if TYPE_CHECKING:
    from purchasecast.numerics.gram import Floats, Gram

__all__ = ["FittedLine"]


@dataclass(frozen=True, slots=True)
class FittedLine:
    """A fit and the moments it was fitted on.

    Attributes
    ----------
    gram : Gram
        Moments of all training rows.
    coefficients : ndarray of shape (d,)
        The fit; a coefficient of 0 has variance 0.
    penalty : (float, float)
        `regParam` and `elasticNetParam`.
    fit_intercept, standardization : bool
        As in the fit.
    """

    gram: Gram
    coefficients: Floats
    penalty: tuple[float, float]
    fit_intercept: bool
    standardization: bool

    @property
    def centre(self) -> Floats:
        """Return the point (features, label) that the line goes through."""
        return self.gram.mean if self.fit_intercept else np.zeros_like(self.gram.mean)

    def classical_covariance(self) -> Floats:
        """Return the covariance of (coefficients, intercept) under independent errors of one variance.

        Returns
        -------
        ndarray of shape (d + 1, d + 1)
            The intercept last; 0 there where none was fitted.
        """
        moments, inverse, freedom = self._bread()
        error = squared_errors(Solutions(self.coefficients[None, :], self.centre), self.gram)[0]
        variance = error / max(self.gram.rows - freedom, 1.0)
        covariance = np.zeros_like(self.gram.comoments)
        covariance[:-1, :-1] = inverse @ moments @ inverse * (variance / self.gram.weight)
        covariance[-1, -1] = variance / self.gram.weight if self.fit_intercept else 0.0
        return self._at_origin(covariance)

    def clustered_covariance(self, scores: Gram) -> Floats:
        """Return the covariance of (coefficients, intercept) when errors of a cluster may go together.

        Parameters
        ----------
        scores : Gram
            Clusters as rows; its co-moments are the sum over clusters of the outer squares of their scores.

        Returns
        -------
        ndarray of shape (d + 1, d + 1)
            The intercept last; 0 there where none was fitted.
        """
        _, inverse, freedom = self._bread()
        bread = np.zeros_like(self.gram.comoments)
        bread[:-1, :-1] = inverse / self.gram.weight
        bread[-1, -1] = 1.0 / self.gram.weight if self.fit_intercept else 0.0
        clusters, rows = scores.rows, self.gram.rows
        small = clusters / max(clusters - 1, 1) * (rows - 1) / max(rows - freedom, 1.0)
        return self._at_origin(bread @ scores.comoments @ bread * small)

    def _bread(self) -> tuple[Floats, Floats, float]:
        """Return the moments A, the inverse of H (0 for inactive features) and the degrees of freedom."""
        gram = self.gram
        moments = gram.comoments[:-1, :-1] / gram.weight
        if not self.fit_intercept:
            moments = moments + np.outer(gram.mean[:-1], gram.mean[:-1])
        inverse = np.zeros_like(moments)
        active = np.flatnonzero(self.coefficients)
        if len(active):
            added = penalty_diagonal(gram, *self.penalty, standardization=self.standardization)[active]
            system = moments[np.ix_(active, active)] + np.diag(added)
            root = np.sqrt(np.diagonal(system))
            scale = np.outer(root, root)
            inverse[np.ix_(active, active)] = linalg.pinvh(system / scale) / scale
        return moments, inverse, float(np.sum(inverse * moments)) + float(self.fit_intercept)

    def _at_origin(self, covariance: Floats) -> Floats:
        """Turn the last entry from the level at the centre into the intercept, the level at 0."""
        shift = np.eye(len(covariance))
        shift[-1, :-1] = -self.centre[:-1]
        moved: Floats = shift @ covariance @ shift.T
        return moved
