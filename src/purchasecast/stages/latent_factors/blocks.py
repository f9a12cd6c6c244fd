r"""Latent factors by mean-field variational Bayes, by blocks of users; runs on the executors.

Users and items have Gaussian factors whose prior means follow from their attributes and, where there are any, vectors
such as purchase patterns,

.. math:: x_{ij} \sim N(u_i^T v_j, \sigma^2), \quad u_i \sim N(A^T a_i, \Lambda_u^{-1}), \quad
          v_j \sim N(B^T b_j, \Lambda_v^{-1}).

Each level has a posterior instead of a point estimate: one with few ratings stays near the mean of its attributes, and
has little influence on the factors of the other side. There is no penalty to choose: :math:`\Lambda` and
:math:`\sigma` are estimated with the factors.

Given the items, the posterior of a user follows in closed form. So a round is one pass over the users: each `Block` of
them reads the table of the items (`Items`), and returns sums by item (`Sums`), from which `Fit` makes the next table.
Nothing of the size of the users leaves a block. A small table is one block, a large one has many; both are solved by
the same code. The first rounds are alternating least squares, because 0 is a fixed point of the equations.

References
----------
Y. Lim, Y. Teh, "Variational Bayesian approach to movie rating prediction", KDD Cup 2007.
J. Simm and others, "Macau: scalable Bayesian factorization with high-dimensional side information", MLSP 2017.
https://doi.org/10.1109/MLSP.2017.8168143
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["FIRST_ROUNDS", "Block", "Fit", "Items", "Sums", "from_bytes", "indicators", "sparse_ratings", "to_bytes"]

FIRST_ROUNDS = 5  # of least squares, from whose factors variational Bayes starts
_FIRST_SPREAD = 0.1
_FIRST_VARIANCE = 0.05
_FIRST_RIDGE = 0.1
_ATTRIBUTE_RIDGE = 5.0  # levels that the factors of an attribute's value are shrunk by
# Each step of the items is longer than its solution by this factor, as in successive over-relaxation.
_RELAXATION = 1.8
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


def sparse_ratings(
    data: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]
) -> sp.csr_array:
    """Return a sparse matrix in which a pair that occurs twice stays two ratings; SciPy's own builder adds them up."""
    order = np.lexsort((columns, rows))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return sp.csr_array((data[order], columns[order], starts), shape=shape)


@dataclass(frozen=True, slots=True)
class Items:
    """What a block of users reads in a round: the table of the items, and the prior of the users.

    Attributes
    ----------
    factors : ndarray of shape (items, rank)
        Means of the factors.
    moments : ndarray of shape (items, rank (rank + 1) / 2)
        Expected products of two factors, the upper triangle.
    variance : float
        Variance of the noise.
    precision : ndarray of shape (rank, rank)
        Precision of the users' factors around their prior means.
    means : ndarray of shape (1 + values, rank)
        Contributions of a constant, of each value of an attribute and of each element of a vector to a prior mean.
    rounds : int
        Rounds before this one.
    """

    factors: Floats
    moments: Floats
    variance: float
    precision: Floats
    means: Floats
    rounds: int


@dataclass(slots=True)
class Sums:
    """Sums over the users of a block; those of all blocks are added up.

    Attributes
    ----------
    moments : ndarray of shape (items, rank (rank + 1) / 2)
        Expected products of two factors of the users who rated an item.
    products : ndarray of shape (items, rank)
        Ratings times factors.
    by_attribute : ndarray of shape (1 + values, rank)
        Attributes times factors.
    squares : ndarray of shape (rank, rank)
        Expected products of two factors.
    cross, quadratic : float
        Ratings times fitted values, and expected squares of fitted values.
    users : float
        Users with ratings.
    gram : ndarray of shape (1 + values, 1 + values)
        Attributes times attributes; of the first round only.
    """

    moments: Floats
    products: Floats
    by_attribute: Floats
    squares: Floats
    cross: float
    quadratic: float
    users: float
    gram: Floats

    @classmethod
    def none(cls, items: Items) -> Self:
        """Return sums of no users."""
        values, rank = items.means.shape
        zeros = np.zeros
        moments, products = zeros(items.moments.shape), zeros(items.factors.shape)
        return cls(
            moments, products, zeros((values, rank)), zeros((rank, rank)), 0.0, 0.0, 0.0, zeros((values, values))
        )

    def add(self, other: Sums) -> None:
        """Add the sums of another block."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(frozen=True, slots=True)
class Block:
    """Users with all their ratings and attributes.

    Attributes
    ----------
    ratings : csr_array of shape (users, items)
        Scaled ratings, with a mean of about 0.
    attributes : csr_array of shape (users, 1 + values)
        Result of `indicators`, and numbers of a mean square of about 1 beside it.
    """

    ratings: sp.csr_array
    attributes: sp.csr_array

    def sums(self, items: Items) -> Sums:
        """Return the sums of a round."""
        sums = Sums.none(items)
        upper, left = np.triu_indices(items.factors.shape[1])
        twice = np.where(upper == left, 1.0, 2.0)
        for part in self._parts():
            mean, covariance, seen, products = part._posterior(items)
            moments = mean[:, upper] * mean[:, left] + covariance[:, upper, left]
            rated = np.diff(part.ratings.indptr) > 0
            known = part.attributes[rated]
            sums.moments += _places(part.ratings).T @ moments
            sums.products += part.ratings.T @ mean
            sums.by_attribute += known.T @ mean[rated]
            sums.squares += mean[rated].T @ mean[rated] + covariance[rated].sum(axis=0)
            sums.cross += float((mean * products).sum())
            sums.quadratic += float(((moments * seen) @ twice).sum())
            sums.users += float(rated.sum())
            if not items.rounds:
                sums.gram += (known.T @ known).toarray()
        return sums

    def factors(self, items: Items) -> Floats:
        """Return the means of the users' factors; for a user without ratings the prior mean."""
        return np.concatenate([part._posterior(items)[0] for part in self._parts()])

    def _parts(self) -> Iterator[Block]:
        for start in range(0, max(self.ratings.shape[0], 1), _BLOCK):
            yield Block(self.ratings[start : start + _BLOCK], self.attributes[start : start + _BLOCK])

    def _posterior(self, items: Items) -> tuple[Floats, Floats, Floats, Floats]:
        """Return means and covariances of the factors, and what they follow from: moments and products of the items."""
        seen, products = _places(self.ratings) @ items.moments, self.ratings @ items.factors
        counts = np.diff(self.ratings.indptr)
        if items.rounds < FIRST_ROUNDS:
            mean = _least_squares(seen, products, counts)
            return mean, np.zeros((*mean.shape, mean.shape[1])), seen, products
        pulled = (self.attributes @ items.means) @ items.precision
        mean, covariance = _solved(seen, products, items.variance, items.precision, pulled)
        return mean, covariance, seen, products


@dataclass(slots=True)
class Fit:
    """The running estimates of one fit, but for those of the users, which follow from these.

    Attributes
    ----------
    attributes : csr_array of shape (items, 1 + values)
        Attributes of the items.
    counts : ndarray of shape (items,)
        Ratings of each item.
    squares : float
        Sum of squares of all ratings.
    factors, moments, expected : ndarray
        Means of the items' factors, expected products of two of them, and prior means.
    precision, means : ndarray
        Precision of the items' factors around their prior means, and contributions to these.
    user_precision, user_means : ndarray
        The same of the users.
    user_gram : ndarray
        Attributes times attributes of the users with ratings.
    variance : float
        Variance of the noise.
    rounds : int
        Rounds so far.
    """

    attributes: sp.csr_array
    counts: Floats
    squares: float
    factors: Floats
    moments: Floats
    expected: Floats
    precision: Floats
    means: Floats
    user_precision: Floats
    user_means: Floats
    user_gram: Floats
    variance: float
    rounds: int

    @classmethod
    def first(
        cls,
        attributes: sp.csr_array,
        counts: Floats,
        squares: float,
        user_values: int,
        rank: int,
        random: np.random.Generator,
    ) -> Self:
        """Return the estimates before the first round, with small random factors of the items.

        Parameters
        ----------
        attributes : csr_array of shape (items, contributions)
            Contributions to the prior means of items, with the constant.
        counts : ndarray
            Number of ratings of each item.
        squares : float
            Sum of the squares of the ratings.
        user_values : int
            Number of contributions to the prior means of users, with the constant.
        rank : int
            Number of factors.
        random : Generator
            Draws the factors in the order of the items.

        Returns
        -------
        Fit
            Estimates.
        """
        items, values = attributes.shape
        factors = random.normal(0.0, _FIRST_SPREAD, (items, rank))
        none, nothing = np.zeros((rank, rank)), np.zeros((items, rank))
        users = np.zeros((user_values, rank)), np.zeros((user_values, user_values))
        means = np.zeros((values, rank))
        fit = cls(attributes, counts, squares, factors, nothing, nothing, none, means, none, *users, 1.0, 0)
        fit._set(factors, np.zeros((items, rank, rank)))
        return fit

    def items(self) -> Items:
        """Return what the blocks read in the next round."""
        return Items(self.factors, self.moments, self.variance, self.user_precision, self.user_means, self.rounds)

    def advance(self, sums: Sums) -> None:
        """Update the estimates from the sums of all blocks."""
        if not self.rounds:
            self.user_gram = sums.gram
        if self.rounds < FIRST_ROUNDS:
            factors = _least_squares(sums.moments, sums.products, self.counts)
            self._set(factors, np.zeros((*factors.shape, factors.shape[1])))
            if self.rounds == FIRST_ROUNDS - 1:
                self._begin_posterior(sums)
        else:
            self._update_users(sums)
            self._update_items(sums, _RELAXATION if self.rounds > FIRST_ROUNDS else 1.0)
        self.rounds += 1

    def final_factors(self) -> Floats:
        """Return the means of the items' factors; for an item without ratings the prior mean."""
        return np.where((self.counts > 0)[:, None], self.factors, self.expected)

    def _set(self, factors: Floats, covariance: Floats) -> None:
        upper, left = np.triu_indices(factors.shape[1])
        self.factors, self.moments = factors, factors[:, upper] * factors[:, left] + covariance[:, upper, left]

    def _begin_posterior(self, sums: Sums) -> None:
        rank = self.factors.shape[1]
        small = _FIRST_VARIANCE * np.eye(rank)
        self._set(self.factors, np.broadcast_to(small, (len(self.factors), rank, rank)))
        known = self.factors[self.counts > 0]
        self.precision = _inverse(known.T @ known / max(len(known), 1) + small)
        self.user_precision = _inverse(sums.squares / max(sums.users, 1.0) + small)
        # The first value is too large, so that early steps are small.
        self.variance = max(self.squares / max(self.counts.sum(), 1.0), 1e-12)

    def _update_users(self, sums: Sums) -> None:
        """Update the prior of the users, and the noise by what they explain."""
        penalized = self.user_gram + _ATTRIBUTE_RIDGE * np.eye(len(self.user_gram))
        means = np.asarray(np.linalg.solve(penalized, sums.by_attribute), np.float64)
        crossed = means.T @ sums.by_attribute
        around = sums.squares - crossed - crossed.T + means.T @ self.user_gram @ means
        self.user_means, self.user_precision = means, _precision(around, sums.users)
        self._set_variance(sums.cross, sums.quadratic)

    def _update_items(self, sums: Sums, step: float) -> None:
        rank = self.factors.shape[1]
        upper, left = np.triu_indices(rank)
        twice = np.where(upper == left, 1.0, 2.0)
        rated, pulled = self.counts > 0, self.expected @ self.precision
        spread, quadratic = np.zeros((rank, rank)), 0.0
        before, moments = self.factors.copy(), self.moments
        for start in range(0, len(before), _BLOCK):
            part = slice(start, start + _BLOCK)
            seen, products = sums.moments[part], sums.products[part]
            solved, covariance = _solved(seen, products, self.variance, self.precision, pulled[part])
            mean = before[part] + step * (solved - before[part])
            before[part] = mean
            moments[part] = mean[:, upper] * mean[:, left] + covariance[:, upper, left]
            spread += covariance[rated[part]].sum(axis=0)
            quadratic += float(((moments[part] * seen) @ twice).sum())
        self.factors, self.moments = before, moments
        known = self.attributes[rated]
        penalized = (known.T @ known).toarray() + _ATTRIBUTE_RIDGE * np.eye(known.shape[1])
        self.means = np.asarray(np.linalg.solve(penalized, known.T @ self.factors[rated]), np.float64)
        self.expected = self.attributes @ self.means
        apart = (self.factors - self.expected)[rated]
        self.precision = _precision(apart.T @ apart + spread, float(rated.sum()))
        self._set_variance(float((self.factors * sums.products).sum()), quadratic)

    def _set_variance(self, cross: float, quadratic: float) -> None:
        """Estimate the noise: expected squares of ratings minus products; the factors' uncertainty is part of them."""
        count = max(float(self.counts.sum()), 1.0)
        least = 1e-12 * (self.squares / count) + 1e-300
        self.variance = max((self.squares - 2.0 * cross + quadratic) / count, least)


def to_bytes(estimates: Any) -> bytes:
    """Return a data class of arrays and numbers as bytes, to send it between tasks; a sparse matrix as its arrays."""
    arrays: dict[str, Any] = {}
    for field in fields(estimates):
        value = getattr(estimates, field.name)
        if isinstance(value, sp.csr_array):
            shape = np.array(value.shape)
            arrays |= {field.name: value.data, f"{field.name}.i": value.indices, f"{field.name}.p": value.indptr}
            arrays[f"{field.name}.s"] = shape
        else:
            arrays[field.name] = value
    sink = io.BytesIO()
    np.savez(sink, **arrays)
    return sink.getvalue()


def from_bytes(kind: type[Any], data: bytes) -> Any:
    """Return what `to_bytes` was called on, an object of this kind."""
    read = np.load(io.BytesIO(data), allow_pickle=False)
    values = {}
    for field in fields(kind):
        value = read[field.name]
        if f"{field.name}.s" in read:
            parts = value, read[f"{field.name}.i"], read[f"{field.name}.p"]
            value = sp.csr_array(parts, shape=tuple(read[f"{field.name}.s"]))
        values[field.name] = value.item() if getattr(value, "ndim", None) == 0 else value
    return kind(**values)


def _places(ratings: sp.csr_array) -> sp.csr_array:
    """Return a 1 for each rating, also for ratings of 0 and for pairs that occur twice."""
    return sp.csr_array((np.ones(len(ratings.data)), ratings.indices, ratings.indptr), shape=ratings.shape)


def _least_squares(seen: Floats, products: Floats, counts: NDArray[Any]) -> Floats:
    """Solve the ridge equations of one side; a level without rating has factors of 0."""
    rank = products.shape[1]
    gram = _symmetric(seen, rank)
    diagonal = np.arange(rank)
    gram[:, diagonal, diagonal] += (_FIRST_RIDGE * counts + (counts == 0))[:, None] + 1e-12
    return np.asarray(np.linalg.solve(gram, products[:, :, None])[:, :, 0], np.float64)


def _solved(
    seen: Floats, products: Floats, variance: float, precision: Floats, pulled: Floats
) -> tuple[Floats, Floats]:
    """Return means and covariances of the posterior of some levels."""
    covariance = _inverse(_symmetric(seen / variance, precision.shape[0]) + precision)
    return (covariance @ (products / variance + pulled)[:, :, None])[:, :, 0], covariance


def _symmetric(triangle: Floats, rank: int) -> Floats:
    upper, left = np.triu_indices(rank)
    full = np.empty((len(triangle), rank, rank))
    full[:, upper, left] = full[:, left, upper] = triangle
    return full


def _precision(around: Floats, levels: float) -> Floats:
    """Return the precision of factors around their prior means, from the sum of their squares."""
    # Without the small multiple of the identity, a side without any taste would get a singular prior.
    return _inverse(around / max(levels, 1.0) + 1e-9 * np.eye(len(around)))


def _inverse(matrices: Floats) -> Floats:
    return np.asarray(np.linalg.inv(matrices), np.float64)
