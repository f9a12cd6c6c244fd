r"""Singular vectors of the incidence of customers and products by subspace iteration; runs on the executors.

The same steps serve one task and passes of the cluster, where each task holds the rows of some customers. With
:math:`B` the scaled incidence and :math:`Q` orthonormal directions in the space of the products, a round is
:math:`Q \leftarrow \mathrm{orth}(B^T B Q)`, a sum over customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from purchasecast.numerics.arrow_columns import list_column, read_levels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.integer]

__all__ = [
    "ITEM",
    "USER",
    "PatternSettings",
    "Rotation",
    "first_directions",
    "incidence_of",
    "list_batch",
    "log_counts",
    "orthonormal",
    "rotation_of",
    "signs_of",
    "solve_patterns",
]

USER, ITEM = range(2)  # kinds of rows that `solve_patterns` yields

_EXTRA = 10  # directions beyond those asked for: the last ones of a subspace converge slowest
_LEAST = 1e-7  # share of the largest singular value below which a direction is rounding


@dataclass(frozen=True, slots=True)
class PatternSettings:
    """Settings of the decomposition.

    Attributes
    ----------
    rank : int
        Number of singular vectors.
    rounds : int
        Rounds of subspace iteration.
    power : float
        Power of the numbers of purchases that the incidence is divided by.
    seed : int
        Seed of the first directions.
    """

    rank: int
    rounds: int
    power: float
    seed: int


@dataclass(frozen=True, slots=True)
class Rotation:
    """From directions to singular vectors.

    Attributes
    ----------
    items, users : ndarray of shape (directions, rank)
        What ``Q`` and ``B Q`` are multiplied by. Columns beyond the rank of the incidence are 0.
    """

    items: Floats
    users: Floats

    def signed(self, signs: Floats) -> Rotation:
        """Return the rotation to vectors of other signs."""
        return Rotation(self.items * signs, self.users * signs)


def first_directions(items: int, how: PatternSettings) -> Floats:
    """Return random orthonormal directions, one row a product."""
    width = min(how.rank + _EXTRA, items)
    return orthonormal(np.random.default_rng(how.seed).standard_normal((items, width)))


def orthonormal(directions: Floats) -> Floats:
    """Return an orthonormal basis of the columns."""
    basis: Floats = np.linalg.qr(directions)[0]
    return basis


def rotation_of(moments: Floats, users: int, items: int, rank: int) -> Rotation:
    """Return the rotation to singular vectors, scaled so that the mean square of each is 1.

    Parameters
    ----------
    moments : ndarray of shape (directions, directions)
        ``(B Q)^T (B Q)``.
    users, items : int
        Number of customers and of products.
    rank : int
        Number of vectors.
    """
    squares, vectors = np.linalg.eigh((moments + moments.T) / 2.0)
    kept = np.arange(len(squares))[::-1][:rank]
    singular = np.sqrt(np.maximum(squares[kept], 0.0))
    used = singular > _LEAST * singular.max(initial=1e-300)
    wide = np.zeros((len(squares), rank))
    wide[:, : len(kept)] = vectors[:, kept] * used
    over = np.zeros(rank)
    over[: len(kept)] = 1.0 / np.where(used, singular, 1.0)
    return Rotation(wide * np.sqrt(items), wide * over * np.sqrt(users))


def signs_of(vectors: Floats) -> Floats:
    """Return the sign of the largest element of each column."""
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return np.where(largest < 0, -1.0, 1.0)


def log_counts(counts: Floats) -> Floats:
    """Return the logarithm of the counts plus 1, standardised."""
    logs = np.log1p(counts)
    standardised: Floats = (logs - logs.mean()) / max(float(logs.std()), 1e-9)
    return standardised


def incidence_of(user: Integers, item: Integers, weight: Floats, shape: tuple[int, int], power: float) -> sp.csr_array:
    """Return the scaled incidence of customers and products.

    Parameters
    ----------
    user, item : ndarray of int
        Distinct pairs, sorted by customer.
    weight : ndarray of float
        Number of customers of the pair's product, to the power of ``-power``.
    shape : tuple of int
        Number of customers and of products.
    power : float
        Power of the customer's number of products to divide by.
    """
    counts = np.bincount(user, minlength=shape[0])
    starts = np.concatenate([[0], np.cumsum(counts)])
    return sp.csr_array((weight * counts[user] ** -power, item, starts), shape=shape)


def solve_patterns(batches: Iterator[pa.RecordBatch], *, how: PatternSettings) -> Iterator[pa.RecordBatch]:
    """Yield the patterns of all customers and products, all pairs in memory.

    Parameters
    ----------
    batches : iterator of RecordBatch
        ``user`` and ``item``, in any order; pairs may repeat.
    how : PatternSettings
        Settings.

    Yields
    ------
    RecordBatch
        One row a customer and one a product: ``side``, ``user``, ``item`` and ``pattern``.
    """
    held = list(batches)
    if not held:
        return
    table = pa.Table.from_batches(held)
    (user, users), (item, items) = (read_levels(table.column(name)) for name in ("user", "item"))
    pairs = np.unique(user * len(items) + item)
    user, item = np.divmod(pairs, len(items))
    shape = len(users), len(items)
    bought, sold = (
        np.bincount(codes, minlength=size).astype(float) for codes, size in zip((user, item), shape, strict=True)
    )
    incidence = incidence_of(user, item, sold[item] ** -how.power, shape, how.power)
    transposed = sp.csr_array(incidence.T)
    directions = first_directions(len(items), how)
    for _ in range(how.rounds):
        directions = orthonormal(transposed @ (incidence @ directions))
    projected = incidence @ directions
    rotation = rotation_of(projected.T @ projected, *shape, how.rank)
    rotation = rotation.signed(signs_of(directions @ rotation.items))
    for side, levels, vectors, counts in (
        (USER, users, projected @ rotation.users, bought),
        (ITEM, items, directions @ rotation.items, sold),
    ):
        columns = {
            "side": pa.array(np.full(len(levels), side, dtype=np.int32)),
            "user": levels if side == USER else pa.nulls(len(levels), users.type),
            "item": levels if side == ITEM else pa.nulls(len(levels), items.type),
            "pattern": list_column(np.column_stack([vectors, log_counts(counts)])),
        }
        yield pa.RecordBatch.from_pydict(columns)


def list_batch(names: tuple[str, str], keys: pa.Array, values: Floats) -> pa.RecordBatch:
    """Return a batch of keys and of lists of numbers."""
    return pa.RecordBatch.from_arrays([keys, list_column(values)], names=list(names))
