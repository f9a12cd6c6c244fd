"""Latent factors of a fit whose rows fit into one task, with NumPy; runs on the executors.

All users are one block of the solver in `blocks`. With double precision, and first factors drawn in the order of the
sorted levels, the result does not depend on the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from purchasecast.numerics.arrow_columns import list_column, read_levels, read_lists
from purchasecast.stages.latent_factors.blocks import FIRST_ROUNDS, Block, Fit, indicators, sparse_ratings

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
    "read_attributes",
    "solve_factors",
    "spreads",
]

USER, ITEM, USER_MEANS, ITEM_MEANS = range(4)  # kinds of rows that `solve_factors` yields

_SCALE_RIDGE = 5.0  # items that the scale of an attribute's value is shrunk by


@dataclass(frozen=True, slots=True)
class Factorization:
    """Settings of a factorization.

    Attributes
    ----------
    rank : int
        Number of factors.
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

    rank: int
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

    def first_fit(self, k: int, attributes: sp.csr_array, counts: Floats, squares: float) -> Fit:
        """Return the estimates of fit `k` before the first round.

        Parameters
        ----------
        k : int
            Number of the fit.
        attributes : csr_array
            Attributes of the items.
        counts : ndarray
            Ratings of each item.
        squares : float
            Sum of squares of all ratings.

        Returns
        -------
        Fit
            Estimates.
        """
        random = np.random.default_rng([self.seed, k])
        return Fit.first(attributes, counts, squares, 1 + self.user_size, self.rank, random)


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
    of_users = read_attributes(table, "user", user, len(users), how.user_sizes, how.user_width)
    of_items = read_attributes(table, "item", item, len(items), how.item_sizes, how.item_width)
    residuals = read_lists(table.column("residuals"), len(fits))
    types = users.type, items.type
    for k, residual in zip(fits, residuals.T, strict=True):
        seen = ~np.isnan(residual)
        own, of_user, of_item = residual[seen], user[seen], item[seen]
        counts = np.bincount(of_item, minlength=len(items)).astype(np.float64)
        squares = np.asarray(np.bincount(of_item, own * own, len(items)), dtype=np.float64)
        scale, of_levels, scale_means = spreads(squares, counts, how.scale_prior, of_items)
        ratings = sparse_ratings(own / scale[of_item], of_user, of_item, (len(users), len(items)))
        block, fit = Block(ratings, of_users), how.first_fit(k, of_items, counts, float(ratings.data @ ratings.data))
        for _ in range(FIRST_ROUNDS + how.iterations):
            fit.advance(block.sums(fit.items()))
        yield _factor_rows(k, USER, users, types, block.factors(fit.items()))
        yield _factor_rows(k, ITEM, items, types, fit.final_factors(), of_levels)
        yield _factor_rows(k, USER_MEANS, None, types, fit.user_means.reshape(1, -1))
        yield _factor_rows(k, ITEM_MEANS, None, types, np.column_stack([fit.means, scale_means]).reshape(1, -1))


def first_of_level(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the first row of each level of a partition; ``level`` is the first column."""
    seen = None
    for batch in batches:
        codes, levels = read_levels(pa.chunked_array([batch.column(0)]))
        first = np.unique(codes, return_index=True)[1]
        new = np.ones(len(levels), dtype=bool) if seen is None else pc.invert(pc.is_in(levels, seen)).to_numpy(False)
        seen = levels if seen is None else pa.concat_arrays([seen, levels.filter(pa.array(new))])
        yield batch.take(pa.array(first[new]))


def spreads(squares: Floats, counts: Floats, prior: float, attributes: sp.csr_array) -> tuple[Floats, Floats, Floats]:
    """Return the spread of the residuals of each item.

    Parameters
    ----------
    squares, counts : ndarray of shape (items,)
        Sum of squares and number of the residuals of each item.
    prior : float
        Rows that a spread is shrunk by toward that of all items.
    attributes : csr_array of shape (items, 1 + values)
        Attributes of the items.

    Returns
    -------
    tuple of ndarray
        Spread by item; the same, but by attributes for an item without a residual, which in this fit has to be what an
        unseen item is at scoring; and contributions of the attributes to its logarithm.
    """
    mean_square = float(squares.sum()) / max(float(counts.sum()), 1.0)
    shrunken = (squares + prior * mean_square) / np.maximum(counts + prior, 1e-9)
    least = mean_square * 1e-12 or 1.0  # residuals of exactly 0 must not divide by 0
    scale = np.sqrt(np.maximum(shrunken, least))
    rated = counts > 0
    known, log_overall = attributes[rated], np.log(max(mean_square**0.5, 1e-300))
    ridge = _SCALE_RIDGE * np.eye(known.shape[1])
    differences = np.log(scale[rated]) - log_overall
    means = np.asarray(np.linalg.solve((known.T @ known).toarray() + ridge, known.T @ differences), np.float64)
    means[0] += log_overall
    return scale, np.where(rated, scale, np.exp(attributes @ means)), means


def read_attributes(
    table: pa.Table, side: str, level: NDArray[np.intp], levels: int, sizes: Sequence[int], width: int
) -> sp.csr_array:
    """Return indicators of the attributes of each level, then its vector.

    Parameters
    ----------
    table : Table
        Columns ``user_attributes`` and ``user_vector``, or the same of items.
    side : {"user", "item"}
        Side.
    level : ndarray of int
        Level of each row; `levels` for none.
    levels : int
        Number of levels.
    sizes : sequence of int
        Number of values of each attribute.
    width : int
        Length of the vectors; 0 for none.

    Returns
    -------
    csr_array of shape (levels, 1 + values + width)
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
