r"""Latent factors by mean-field variational Bayes, all ratings of a fit in memory; runs on the executors.

Users and items have Gaussian factors whose prior means follow from their attributes and, where there are any, vectors
such as purchase patterns,

.. math:: x_{ij} \sim N(u_i^T v_j, \sigma^2), \quad u_i \sim N(A^T a_i, \Lambda_u^{-1}), \quad
          v_j \sim N(B^T b_j, \Lambda_v^{-1}).

Each level has a posterior instead of a point estimate: one with few ratings stays near the mean of its attributes, and
has little influence on the factors of the other side. There is no penalty to choose: :math:`\Lambda` and
:math:`\sigma` are estimated with the factors.

References
----------
Y. Lim, Y. Teh, "Variational Bayesian approach to movie rating prediction", KDD Cup 2007.
J. Simm and others, "Macau: scalable Bayesian factorization with high-dimensional side information", MLSP 2017.
https://doi.org/10.1109/MLSP.2017.8168143
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Posterior", "indicators", "places_of", "solve_posterior"]

_FIRST_VARIANCE = 0.05
_ATTRIBUTE_RIDGE = 5.0  # levels that the factors of an attribute's value are shrunk by
# Each step is longer than its solution by this factor, as in successive over-relaxation: 20 such rounds predict better
# than 30 without.
_RELAXATION = 1.7
_BLOCK = 16_384  # levels whose equations are solved at a time


def indicators(values: NDArray[np.integer], sizes: Sequence[int]) -> sp.csr_array:
    """Return indicators of the attributes of each level, after a column of ones.

    Parameters
    ----------
    values : ndarray of int of shape (levels, attributes)
        Index of each attribute's value, -1 for none.
    sizes : sequence of int
        Number of values of each attribute.

    Returns
    -------
    csr_array of shape (levels, 1 + sum of sizes)
        Ones.
    """
    levels, attributes = values.shape
    starts = 1 + np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)[:attributes]
    has = values >= 0
    columns = np.concatenate([np.zeros(levels, np.int64), (values + starts)[has]])
    rows = np.concatenate([np.arange(levels), np.nonzero(has)[0]])
    return sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(levels, 1 + int(sum(sizes))))


def places_of(ratings: sp.csr_array) -> sp.csr_array:
    """Return a 1 for each rating, also for ratings of 0 and for pairs that occur twice."""
    return sp.csr_array((np.ones(len(ratings.data)), ratings.indices, ratings.indptr), shape=ratings.shape)


@dataclass(frozen=True, slots=True)
class Posterior:
    """Posterior means of factors, and their prior means by attribute.

    Attributes
    ----------
    users, items : ndarray of shape (levels, rank)
        Means of the factors; for a level without ratings the prior mean.
    user_means, item_means : ndarray of shape (1 + values, rank)
        Contributions of a constant and of each value of an attribute to the prior mean of a level.
    """

    users: Floats
    items: Floats
    user_means: Floats
    item_means: Floats


@dataclass(slots=True)
class _Side:
    """Users or items: their ratings, and the posterior of their factors.

    The prior is estimated from levels with ratings; one without has its prior as posterior, and would not change it.
    """

    ratings: sp.csr_array
    attributes: sp.csr_array
    mean: Floats
    moments: Floats  # expected products of two factors, the upper triangle of each level
    precision: Floats  # of the factors around their prior means
    expected: Floats  # prior means
    seen: sp.csr_array = field(init=False)
    rated: NDArray[np.bool_] = field(init=False)
    known: sp.csr_array = field(init=False)  # attributes of the levels that have ratings
    penalized: Floats = field(init=False)
    means: Floats = field(init=False)  # prior means by attribute

    def __post_init__(self) -> None:
        self.seen = places_of(self.ratings)
        self.rated = np.diff(self.ratings.indptr) > 0
        self.known = self.attributes[self.rated]
        gram = (self.known.T @ self.known).toarray()
        self.penalized = gram + _ATTRIBUTE_RIDGE * np.eye(len(gram))
        self.means = np.zeros((len(gram), self.mean.shape[1]))


def solve_posterior(
    by_user: sp.csr_array,
    by_item: sp.csr_array,
    user_attributes: sp.csr_array,
    item_attributes: sp.csr_array,
    start: tuple[Floats, Floats],
    iterations: int,
) -> Posterior:
    """Return the posterior means of the factors of users and items, and their prior means by attribute.

    Parameters
    ----------
    by_user, by_item : csr_array
        Ratings with a mean of about 0, one row a user or an item.
    user_attributes, item_attributes : csr_array
        Result of `indicators`, and numbers of a mean square of about 1 beside it.
    start : tuple of ndarray of shape (levels, rank)
        First factors of users and items. They must not be much smaller than the ratings: 0 is a fixed point of the
        equations.
    iterations : int
        Rounds over both sides.

    Returns
    -------
    Posterior
        Estimates after the last round.
    """
    upper, left = np.triu_indices(start[0].shape[1])
    sides = [
        _first(by_user, user_attributes, start[0]),
        _first(by_item, item_attributes, start[1]),
    ]
    twice = np.where(upper == left, 1.0, 2.0)
    squares = float(by_user.data @ by_user.data)
    count = max(len(by_user.data), 1)
    variance = max(squares / count, 1e-12)  # of the noise; the first value is too large, so that early steps are small
    for done in range(iterations):
        for side, other in (sides, sides[::-1]):
            step = _RELAXATION if done else 1.0
            cross, quadratic = _update(side, other, variance, step, twice, upper, left)
            # Expected squares of ratings minus products: the uncertainty of the factors is part of them.
            variance = max((squares - 2.0 * cross + quadratic) / count, 1e-12 * (squares / count) + 1e-300)
    for side in sides:
        side.mean[~side.rated] = side.expected[~side.rated]
    return Posterior(sides[0].mean, sides[1].mean, sides[0].means, sides[1].means)


def _first(ratings: sp.csr_array, attributes: sp.csr_array, mean: Floats) -> _Side:
    rank = mean.shape[1]
    upper, left = np.triu_indices(rank)
    moments = mean[:, upper] * mean[:, left] + _FIRST_VARIANCE * (upper == left)
    known = mean[np.diff(ratings.indptr) > 0]
    spread = known.T @ known / max(len(known), 1) + _FIRST_VARIANCE * np.eye(rank)
    precision = np.asarray(np.linalg.inv(spread), np.float64)
    return _Side(ratings, attributes, mean.copy(), moments, precision, np.zeros_like(mean))


def _update(
    side: _Side,
    other: _Side,
    variance: float,
    step: float,
    twice: Floats,
    upper: NDArray[np.intp],
    left: NDArray[np.intp],
) -> tuple[float, float]:
    """Update the posterior of one side from the other, and return the two sums that the noise is estimated from."""
    levels, rank = side.mean.shape
    spread = np.zeros((rank, rank))
    cross = quadratic = 0.0
    pulled = side.expected @ side.precision
    for start in range(0, levels, _BLOCK):
        block = slice(start, min(start + _BLOCK, levels))
        seen = side.seen[block] @ other.moments
        products = side.ratings[block] @ other.mean
        gram = np.empty((len(seen), rank, rank))
        gram[:, upper, left] = gram[:, left, upper] = seen / variance
        covariance = np.linalg.inv(gram + side.precision)
        solved = (covariance @ (products / variance + pulled[block])[:, :, None])[:, :, 0]
        mean = side.mean[block] + step * (solved - side.mean[block])
        moments = mean[:, upper] * mean[:, left] + covariance[:, upper, left]
        side.mean[block], side.moments[block] = mean, moments
        spread += covariance[side.rated[block]].sum(axis=0)
        cross += float((mean * products).sum())
        quadratic += float(((moments * seen) @ twice).sum())
    side.means = np.linalg.solve(side.penalized, side.known.T @ side.mean[side.rated])
    side.expected = side.attributes @ side.means
    apart = (side.mean - side.expected)[side.rated]
    # Without the small multiple of the identity, a side without any taste would get a singular prior.
    around = (apart.T @ apart + spread) / max(len(apart), 1)
    side.precision = np.asarray(np.linalg.inv(around + 1e-9 * np.eye(rank)), np.float64)
    return cross, quadratic
