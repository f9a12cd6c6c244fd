r"""Factors by mean-field variational Bayes, all ratings of a fit in memory; runs on the executors.

Users and items have Gaussian factors whose means follow from their attributes,

.. math:: x_{ij} \sim N(u_i^T v_j, \sigma^2), \quad u_i \sim N(A^T a_i, \Lambda_u^{-1}), \quad
          v_j \sim N(B^T b_j, \Lambda_v^{-1}).

A posterior takes the place of a point: who has few ratings stays near what others of the same attributes like, and
counts for little in the factors of the other side. No penalty is left to choose: :math:`\Lambda` and :math:`\sigma`
are those under which the ratings are most likely.

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
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["indicators", "places_of", "solve_posterior"]

_FIRST_VARIANCE = 0.05
_ATTRIBUTE_RIDGE = 5.0  # levels that an attribute's factors are shrunken by
_BLOCK = 16_384  # levels whose equations are solved at a time


def indicators(values: NDArray[np.integer]) -> sp.csr_array:
    """Return indicators of the attributes of each level, and a column of ones before them.

    Parameters
    ----------
    values : ndarray of int of shape (levels, attributes)
        Number of the value of each attribute, -1 for none.

    Returns
    -------
    csr_array of shape (levels, 1 + numbers)
        Ones.
    """
    levels, attributes = values.shape
    sizes = values.max(axis=0, initial=-1) + 1
    starts = 1 + np.concatenate([[0], np.cumsum(sizes)])[:attributes]
    has = values >= 0
    columns = np.concatenate([np.zeros(levels, np.int64), (values + starts)[has]])
    rows = np.concatenate([np.arange(levels), np.nonzero(has)[0]])
    return sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(levels, 1 + int(sizes.sum())))


def places_of(ratings: sp.csr_array) -> sp.csr_array:
    """Return a 1 for every rating, one of 0 and one that occurs twice included."""
    return sp.csr_array((np.ones(len(ratings.data)), ratings.indices, ratings.indptr), shape=ratings.shape)


@dataclass(slots=True)
class _Side:
    """Users or items: their ratings, and the posterior of their factors."""

    ratings: sp.csr_array
    attributes: sp.csr_array
    mean: Floats
    moments: Floats  # of products of two factors, the upper triangle of each level
    precision: Floats  # of factors around what attributes say
    expected: Floats  # what attributes say
    seen: sp.csr_array = field(init=False)
    penalized: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.seen = places_of(self.ratings)
        gram = (self.attributes.T @ self.attributes).toarray()
        self.penalized = gram + _ATTRIBUTE_RIDGE * np.eye(len(gram))


def solve_posterior(
    by_user: sp.csr_array,
    by_item: sp.csr_array,
    user_attributes: sp.csr_array,
    item_attributes: sp.csr_array,
    start: tuple[Floats, Floats],
    iterations: int,
) -> tuple[Floats, Floats]:
    """Return the posterior means of the factors of users and items.

    Parameters
    ----------
    by_user, by_item : csr_array
        Ratings of mean about 0, one row a user or an item.
    user_attributes, item_attributes : csr_array
        What `indicators` makes of either.
    start : tuple of ndarray of shape (levels, rank)
        First factors of users and items, which must not be far smaller than the ratings: at 0 the equations stand
        still.
    iterations : int
        Rounds over both sides.

    Returns
    -------
    tuple of ndarray of shape (levels, rank)
        Means; of a level without ratings what its attributes say.
    """
    upper, left = np.triu_indices(start[0].shape[1])
    sides = [
        _first(by_user, user_attributes, start[0]),
        _first(by_item, item_attributes, start[1]),
    ]
    twice = np.where(upper == left, 1.0, 2.0)
    squares = float(by_user.data @ by_user.data)
    count = max(len(by_user.data), 1)
    variance = max(squares / count, 1e-12)  # of the noise; too much at first, so that nothing is taken for certain
    for _ in range(iterations):
        for side, other in (sides, sides[::-1]):
            cross, quadratic = _update(side, other, variance, twice, upper, left)
            # What is left of the ratings, in expectation: neither side's uncertainty counts as noise.
            variance = max((squares - 2.0 * cross + quadratic) / count, 1e-12 * (squares / count) + 1e-300)
    return sides[0].mean, sides[1].mean


def _first(ratings: sp.csr_array, attributes: sp.csr_array, mean: Floats) -> _Side:
    rank = mean.shape[1]
    upper, left = np.triu_indices(rank)
    moments = mean[:, upper] * mean[:, left] + _FIRST_VARIANCE * (upper == left)
    precision = np.asarray(np.linalg.inv(mean.T @ mean / len(mean) + _FIRST_VARIANCE * np.eye(rank)), np.float64)
    return _Side(ratings, attributes, mean.copy(), moments, precision, np.zeros_like(mean))


def _update(
    side: _Side,
    other: _Side,
    variance: float,
    twice: Floats,
    upper: NDArray[np.intp],
    left: NDArray[np.intp],
) -> tuple[float, float]:
    """Give one side the posterior that follows from the other; return the sums that the noise is found by."""
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
        mean = (covariance @ (products / variance + pulled[block])[:, :, None])[:, :, 0]
        moments = mean[:, upper] * mean[:, left] + covariance[:, upper, left]
        side.mean[block], side.moments[block] = mean, moments
        spread += covariance.sum(axis=0)
        cross += float((mean * products).sum())
        quadratic += float(((moments * seen) @ twice).sum())
    weights = np.linalg.solve(side.penalized, side.attributes.T @ side.mean)
    side.expected = side.attributes @ weights
    apart = side.mean - side.expected
    # A trace of the identity keeps a side without any taste from a prior of no width.
    side.precision = np.linalg.inv((apart.T @ apart + spread) / levels + 1e-9 * np.eye(rank))
    return cross, quadratic
