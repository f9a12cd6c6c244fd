"""Latent factors with NumPy, all ratings of a fit in memory; runs on the executors.

By variational Bayes (`variational`), or by alternating least squares with the model and the penalty on every
rating (Zhou and others, 2008) of Spark's ALS. Double precision, and first factors drawn by the sorted levels, make the
answer the same whatever the order of the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from purchasecast.stages.crossed_effects.solver import read_levels
from purchasecast.stages.latent_factors.variational import indicators, places_of, solve_posterior

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["ITEM", "ITEM_MEANS", "USER", "USER_MEANS", "means_of_nothing", "posterior_fits", "solve_factors"]

USER, ITEM, USER_MEANS, ITEM_MEANS = range(4)  # what a row of the answer is of

_FIRST_SPREAD = 0.1
_FIRST_ROUNDS = 5  # of least squares, for posteriors to start from
_SCALE_RIDGE = 5.0  # items that an attribute's scale is shrunken by
_MOST_MOMENTS = 250_000_000  # numbers that posteriors may take, 2 GB


def solve_factors(
    batches: Iterator[pa.RecordBatch],
    *,
    fits: range,
    solver: str,
    rank: int,
    reg: float,
    iterations: int,
    scale_prior: float,
    seed: int,
    user_sizes: Sequence[int],
    item_sizes: Sequence[int],
) -> Iterator[pa.RecordBatch]:
    """Yield the factors of every fit, a row a user and a row an item, and two rows of what attributes say.

    The latter are flattened, a constant and then each value of each attribute: of a user the factors, of an item the
    factors and the logarithm of the scale.
    """
    table = pa.Table.from_batches(batches)
    (user, users), (item, items) = (read_levels(table.column(name)) for name in ("user", "item"))
    values = table.column("residuals").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    by_fit = values.reshape(-1, len(fits))
    of_users = indicators(_of_levels(table.column("user_attributes"), user, len(users)), user_sizes)
    of_items = indicators(_of_levels(table.column("item_attributes"), item, len(items)), item_sizes)
    by_posterior = solver == "variational" and posterior_fits(len(users) + len(items), rank)
    none_u, none_v = pa.nulls(1, users.type), pa.nulls(1, items.type)
    for j, k in enumerate(fits):
        seen = ~np.isnan(by_fit[:, j])
        residual, rows, columns = by_fit[seen, j], user[seen], item[seen]
        overall, scale = _scales(residual, columns, len(items), scale_prior)
        scaled, shape = residual / scale[columns], (len(users), len(items))
        by_user, by_item = _by_row(scaled, rows, columns, shape), _by_row(scaled, columns, rows, shape[::-1])
        random = np.random.default_rng([seed, k])
        if by_posterior:
            start = _alternate(by_user, by_item, rank, reg, _FIRST_ROUNDS, random)
            found = solve_posterior(by_user, by_item, of_users, of_items, start, iterations)
            u, v, of_user = found.users, found.items, found.user_means
            rated = np.diff(by_item.indptr) > 0
            of_scale = _scale_means(scale, rated, of_items, overall)
            # What has no rating in this fit is to it what an unseen level is at scoring.
            scale = np.where(rated, scale, np.exp(of_items @ of_scale))
            of_item = np.column_stack([found.item_means, of_scale])
        else:
            u, v = _alternate(by_user, by_item, rank, reg, iterations, random)
            of_user, of_item = means_of_nothing(rank, sum(user_sizes), sum(item_sizes), overall)
        nothing_u, nothing_v = pa.nulls(len(items), users.type), pa.nulls(len(users), items.type)
        yield _factor_rows(k, USER, users, nothing_v, u, np.zeros(len(users)))
        yield _factor_rows(k, ITEM, nothing_u, items, v, scale)
        yield _factor_rows(k, USER_MEANS, none_u, none_v, of_user.reshape(1, -1), [0.0])
        yield _factor_rows(k, ITEM_MEANS, none_u, none_v, of_item.reshape(1, -1), [0.0])


def posterior_fits(levels: int, rank: int) -> bool:
    """Tell whether the posteriors of so many levels have room in a task."""
    return levels * rank * (rank + 1) // 2 <= _MOST_MOMENTS


def means_of_nothing(rank: int, user_numbers: int, item_numbers: int, overall: float) -> tuple[Floats, Floats]:
    """Return what attributes say after least squares: of factors nothing, of the scale that it is that of all."""
    of_item = np.zeros((1 + item_numbers, rank + 1))
    of_item[0, -1] = np.log(max(overall, 1e-300))
    return np.zeros((1 + user_numbers, rank)), of_item


def _scale_means(scale: Floats, rated: NDArray[np.bool_], attributes: sp.csr_array, overall: float) -> Floats:
    """Return what a constant and each attribute's value add to the logarithm of an item's scale: a ridge regression."""
    known, log_overall = attributes[rated], np.log(max(overall, 1e-300))
    ridge = _SCALE_RIDGE * np.eye(known.shape[1])
    means = np.linalg.solve((known.T @ known).toarray() + ridge, known.T @ (np.log(scale[rated]) - log_overall))
    means[0] += log_overall
    return np.asarray(means, dtype=np.float64)


def _of_levels(column: pa.ChunkedArray, level: NDArray[np.intp], size: int) -> NDArray[np.int64]:
    """Return the attributes of each level: where its rows differ, the largest number."""
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    of_rows = values.reshape(len(level), -1)
    found = np.full((size, of_rows.shape[1]), -1, dtype=np.int64)
    np.maximum.at(found, level, of_rows)
    return found


def _scales(residual: Floats, columns: NDArray[np.intp], size: int, prior: float) -> tuple[float, Floats]:
    """Return the root mean square of all residuals, and that of each item, shrunken toward it."""
    mean_square = float(residual @ residual) / max(len(residual), 1)
    squares = np.bincount(columns, residual * residual, size)
    shrunken = (squares + prior * mean_square) / np.maximum(np.bincount(columns, minlength=size) + prior, 1e-9)
    least = mean_square * 1e-12 or 1.0  # residuals of exactly 0 must not divide by 0
    return mean_square**0.5, np.sqrt(np.maximum(shrunken, least))


def _by_row(data: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]) -> sp.csr_array:
    """Return a sparse matrix in which a pair that occurs twice stays two ratings, as SciPy's own builder has it not."""
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
    """Solve the ridge equations of one side; who has no rating keeps factors of 0."""
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
    k: int, side: int, users: pa.Array, items: pa.Array, factors: Floats, scale: Floats | list[float]
) -> pa.RecordBatch:
    rows, rank = factors.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * rank)
    columns = {
        "fit": pa.array(np.full(rows, k, dtype=np.int32)),
        "side": pa.array(np.full(rows, side, dtype=np.int32)),
        "user": users,
        "item": items,
        "factors": pa.ListArray.from_arrays(offsets, pa.array(factors.ravel())),
        "scale": pa.array(scale, pa.float64()),
    }
    return pa.RecordBatch.from_pydict(columns)
