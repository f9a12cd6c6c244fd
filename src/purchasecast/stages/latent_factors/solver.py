"""Latent factors with NumPy, all ratings of a fit in memory; runs on the executors.

By variational Bayes (see `variational`), or by alternating least squares with the model of Spark's ALS and a penalty
on every rating (Zhou and others, 2008). With double precision, and first factors drawn in the order of the sorted
levels, the result does not depend on the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from purchasecast.numerics.arrow_columns import list_column, read_levels, read_lists
from purchasecast.stages.latent_factors.variational import indicators, places_of, solve_posterior

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "ITEM",
    "ITEM_MEANS",
    "USER",
    "USER_MEANS",
    "Factorization",
    "first_of_level",
    "least_squares_means",
    "posteriors_fit",
    "solve_factors",
]

USER, ITEM, USER_MEANS, ITEM_MEANS = range(4)  # kinds of rows that `solve_factors` yields

_FIRST_SPREAD = 0.1
_FIRST_ROUNDS = 5  # of least squares, from whose factors variational Bayes starts
_SCALE_RIDGE = 5.0  # items that the scale of an attribute's value is shrunk by
_MAX_MOMENTS = 250_000_000  # numbers that the posteriors of a fit may take, 2 GB


@dataclass(frozen=True, slots=True)
class Factorization:
    """Settings of a factorization.

    Attributes
    ----------
    solver : {"variational", "als"}
        Method inside a task.
    rank : int
        Number of factors.
    reg : float
        Ridge penalty on each rating, in least squares.
    iterations : int
        Rounds over users and items.
    scale_prior : float
        Rows that the spread of an item is shrunk by.
    seed : int
        Seed of the first factors.
    fits : int
        Number of fits.
    user_sizes, item_sizes : tuple of int
        Number of values of each attribute.
    user_width, item_width : int
        Length of the vectors that prior means follow from; 0 for none.
    """

    solver: str
    rank: int
    reg: float
    iterations: int
    scale_prior: float
    seed: int
    fits: int
    user_sizes: tuple[int, ...]
    item_sizes: tuple[int, ...]
    user_width: int = 0
    item_width: int = 0

    @property
    def user_size(self) -> int:
        """Number of contributions to the prior means of users, beside the constant."""
        return sum(self.user_sizes) + self.user_width

    @property
    def item_size(self) -> int:
        """Number of contributions to the prior means of items, beside the constant."""
        return sum(self.item_sizes) + self.item_width


def solve_factors(batches: Iterator[pa.RecordBatch], *, fits: range, how: Factorization) -> Iterator[pa.RecordBatch]:
    """Yield the factors of some fits.

    Parameters
    ----------
    batches : iterator of RecordBatch
        ``user``, ``item``, their attributes as lists of int, and the lists ``residuals`` of these fits; and, where
        there are vectors, one row a level with its vector.
    fits : range
        Numbers of the fits.
    how : Factorization
        Settings.

    Yields
    ------
    RecordBatch
        For each fit one row a user, one row a item, and two rows of prior means by attribute and element of the vector:
        those of the users' factors, and those of the items' factors and log scale; flattened, the constant first.
    """
    table = pa.Table.from_batches(batches)
    (user, users), (item, items) = (read_levels(table.column(name)) for name in ("user", "item"))
    attributes = (
        _attributes(table, "user", user, len(users), how.user_sizes, how.user_width),
        _attributes(table, "item", item, len(items), how.item_sizes, how.item_width),
    )
    residuals = read_lists(table.column("residuals"), len(fits))
    shape, types = (len(users), len(items)), (users.type, items.type)
    by_posterior = how.solver == "variational" and posteriors_fit(sum(shape), how.rank)
    for k, residual in zip(fits, residuals.T, strict=True):
        seen = ~np.isnan(residual)
        ratings = _Ratings.of(residual[seen], user[seen], item[seen], shape, how.scale_prior)
        random = np.random.default_rng([how.seed, k])
        if by_posterior:
            start = _alternate(ratings.by_user, ratings.by_item, how.rank, how.reg, _FIRST_ROUNDS, random)
            posterior = solve_posterior(ratings.by_user, ratings.by_item, *attributes, start, how.iterations)
            u, v, user_means = posterior.users, posterior.items, posterior.user_means
            scale, scale_means = ratings.scale_by_attributes(attributes[1])
            item_means = np.column_stack([posterior.item_means, scale_means])
        else:
            u, v = _alternate(ratings.by_user, ratings.by_item, how.rank, how.reg, how.iterations, random)
            scale = ratings.scale
            user_means, item_means = least_squares_means(how, ratings.overall)
        yield _factor_rows(k, USER, users, types, u)
        yield _factor_rows(k, ITEM, items, types, v, scale)
        yield _factor_rows(k, USER_MEANS, None, types, user_means.reshape(1, -1))
        yield _factor_rows(k, ITEM_MEANS, None, types, item_means.reshape(1, -1))


def first_of_level(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the first row of each level of a partition; ``level`` is the first column."""
    seen = None
    for batch in batches:
        codes, levels = read_levels(pa.chunked_array([batch.column(0)]))
        first = np.unique(codes, return_index=True)[1]
        new = np.ones(len(levels), dtype=bool) if seen is None else pc.invert(pc.is_in(levels, seen)).to_numpy(False)
        seen = levels if seen is None else pa.concat_arrays([seen, levels.filter(pa.array(new))])
        yield batch.take(pa.array(first[new]))


def posteriors_fit(levels: int, rank: int) -> bool:
    """Return whether the posteriors of so many levels fit into the memory of a task."""
    return levels * rank * (rank + 1) // 2 <= _MAX_MOMENTS


def least_squares_means(how: Factorization, overall: float) -> tuple[Floats, Floats]:
    """Return the prior means after least squares, which uses no attributes.

    Parameters
    ----------
    how : Factorization
        Settings.
    overall : float
        Root mean square of all residuals.

    Returns
    -------
    tuple of ndarray of shape (1 + values + length of the vector, rank or rank + 1)
        Factors of 0, and for items the logarithm of `overall` last.
    """
    item_means = np.zeros((1 + how.item_size, how.rank + 1))
    item_means[0, -1] = np.log(max(overall, 1e-300))
    return np.zeros((1 + how.user_size, how.rank)), item_means


@dataclass(frozen=True, slots=True)
class _Ratings:
    """Residuals over the scale of their item, in the orders of users and of items."""

    by_user: sp.csr_array
    by_item: sp.csr_array
    overall: float  # root mean square of all residuals
    scale: Floats  # of each item, shrunk toward `overall`

    @classmethod
    def of(
        cls,
        residual: Floats,
        user: NDArray[np.intp],
        item: NDArray[np.intp],
        shape: tuple[int, int],
        prior: float,
    ) -> _Ratings:
        mean_square = float(residual @ residual) / max(len(residual), 1)
        squares = np.bincount(item, residual * residual, shape[1])
        shrunken = (squares + prior * mean_square) / np.maximum(np.bincount(item, minlength=shape[1]) + prior, 1e-9)
        least = mean_square * 1e-12 or 1.0  # residuals of exactly 0 must not divide by 0
        scale = np.sqrt(np.maximum(shrunken, least))
        ratings = residual / scale[item]
        return cls(
            sparse_ratings(ratings, user, item, shape),
            sparse_ratings(ratings, item, user, shape[::-1]),
            mean_square**0.5,
            scale,
        )

    def scale_by_attributes(self, attributes: sp.csr_array) -> tuple[Floats, Floats]:
        """Return the scale of each item, by its attributes where it has no rating, and the log scale by attribute.

        In this fit an item without rating has to be what an unseen item is at scoring.
        """
        rated = np.diff(self.by_item.indptr) > 0
        known, log_overall = attributes[rated], np.log(max(self.overall, 1e-300))
        ridge = _SCALE_RIDGE * np.eye(known.shape[1])
        differences = np.log(self.scale[rated]) - log_overall
        means = np.asarray(np.linalg.solve((known.T @ known).toarray() + ridge, known.T @ differences), np.float64)
        means[0] += log_overall
        return np.where(rated, self.scale, np.exp(attributes @ means)), means


def _attributes(
    table: pa.Table, side: str, level: NDArray[np.intp], levels: int, sizes: Sequence[int], width: int
) -> sp.csr_array:
    """Return indicators of the attributes of each level, then its vector.

    Where the rows of a level differ, the largest index counts.
    """
    column = table.column(f"{side}_attributes").combine_chunks()
    of_rows = column.flatten().to_numpy(zero_copy_only=False).astype(np.int64).reshape(len(level), -1)
    largest = np.full((levels + 1, of_rows.shape[1]), -1, dtype=np.int64)  # the last is that of rows without a level
    np.maximum.at(largest, level, of_rows)
    attributes = indicators(largest[:-1], sizes)
    if not width:
        return attributes
    column = table.column(f"{side}_vector").combine_chunks()
    has = column.is_valid().to_numpy(zero_copy_only=False)
    vectors = np.zeros((levels, width))
    vectors[level[has]] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return sp.csr_array(sp.hstack([attributes, sp.csr_array(vectors)], format="csr"))


def sparse_ratings(
    data: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]
) -> sp.csr_array:
    """Return a sparse matrix in which a pair that occurs twice stays two ratings; SciPy's own builder adds them up."""
    order = np.lexsort((columns, rows))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return sp.csr_array((data[order], columns[order], starts), shape=shape)


def _alternate(
    by_user: sp.csr_array, by_item: sp.csr_array, rank: int, reg: float, iterations: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Solve for users and items in turn, from small random factors of the items."""
    seen_by_user, seen_by_item = places_of(by_user), places_of(by_item)
    v = random.normal(0.0, _FIRST_SPREAD, (by_item.shape[0], rank))
    u = np.zeros((by_user.shape[0], rank))
    for _ in range(iterations):
        u = _half_step(by_user, seen_by_user, v, reg)
        v = _half_step(by_item, seen_by_item, u, reg)
    return u, v


def _half_step(ratings: sp.csr_array, seen: sp.csr_array, other: Floats, reg: float) -> Floats:
    """Solve the ridge equations of one side; a level without rating has factors of 0."""
    rank = other.shape[1]
    upper, left = np.triu_indices(rank)
    outer = seen @ (other[:, upper] * other[:, left])
    gram = np.empty((len(outer), rank, rank))
    gram[:, upper, left] = outer
    gram[:, left, upper] = outer
    counts = np.diff(seen.indptr)
    diagonal = np.arange(rank)
    gram[:, diagonal, diagonal] += (reg * counts + (counts == 0))[:, None] + 1e-12
    solved: Floats = np.linalg.solve(gram, (ratings @ other)[:, :, None])[:, :, 0]
    return solved


def _factor_rows(
    k: int,
    kind: int,
    levels: pa.Array | None,
    types: tuple[pa.DataType, pa.DataType],
    factors: Floats,
    scale: Floats | None = None,
) -> pa.RecordBatch:
    rows = len(factors)
    columns = {
        "fit": pa.array(np.full(rows, k, dtype=np.int32)),
        "side": pa.array(np.full(rows, kind, dtype=np.int32)),
        "user": levels if kind == USER else pa.nulls(rows, types[0]),
        "item": levels if kind == ITEM else pa.nulls(rows, types[1]),
        "factors": list_column(factors),
        "scale": pa.array(np.zeros(rows) if scale is None else scale),
    }
    return pa.RecordBatch.from_pydict(columns)
