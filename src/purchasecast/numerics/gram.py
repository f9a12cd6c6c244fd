r"""Weighted Gram matrices of all folds from one pass over the rows; they merge without loss of digits.

For the rows of one fold, a `Gram` holds the weight :math:`W = \sum_i w_i`, the mean :math:`m` and the
co-moments :math:`M = \sum_i w_i (z_i - m)(z_i - m)^T` of :math:`z = (x, y)`, features first, label last. Two of them
merge by the update of Chan, Golub and LeVeque: with :math:`\delta = m_b - m_a`,

.. math:: M = M_a + M_b + \frac{W_a W_b}{W_a + W_b}\, \delta \delta^T .

Within a block, dense columns are centred before they are squared. Sparse columns, zero in at least half of the
weight, are not: for them :math:`m^2 \le \overline{x^2} / 2` by Cauchy and Schwarz, so that subtracting the mean
afterwards loses at most one bit, and the product stays sparse.

Spark ships this module to its executors by value, so it imports nothing of this package.

References
----------
T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The American
Statistician 37(3), 1983. https://doi.org/10.1080/00031305.1983.10483115
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["Gram", "gram_by_fold", "leave_one_out", "merge", "merge_all"]

_DENSE = 0.5  # share of the weight on stored entries above which a column counts as dense
_HEADER = 4  # numbers before the means in `Gram.to_bytes`


@dataclass(frozen=True, slots=True)
class Gram:
    """Moments of the rows of one fold.

    Attributes
    ----------
    rows : int
        Rows of positive weight.
    weight : float
        Sum of weights.
    weight_squares : float
        Sum of squared weights.
    mean : ndarray of shape (d + 1,)
        Weighted means of the features, then of the label.
    comoments : ndarray of shape (d + 1, d + 1)
        Weighted sums of products of centred columns, label last.
    """

    rows: int
    weight: float
    weight_squares: float
    mean: Floats
    comoments: Floats

    @classmethod
    def empty(cls, features: int) -> Gram:
        """Return the Gram of no rows; merging it changes nothing."""
        size = features + 1
        return cls(0, 0.0, 0.0, np.zeros(size), np.zeros((size, size)))

    @property
    def features(self) -> int:
        """Return the number of features, d."""
        return len(self.mean) - 1

    def to_bytes(self) -> bytes:
        """Return all numbers as little-endian doubles, of the symmetric matrix the upper triangle only."""
        head = [self.rows, self.weight, self.weight_squares, len(self.mean)]
        upper = self.comoments[np.triu_indices(len(self.mean))]
        return np.concatenate([head, self.mean, upper]).astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview) -> Gram:
        """Return the Gram that `to_bytes` wrote."""
        numbers = np.frombuffer(payload, dtype="<f8")
        size = int(numbers[3])
        upper = np.zeros((size, size))
        upper[np.triu_indices(size)] = numbers[_HEADER + size :]
        full = upper + np.triu(upper, 1).T
        mean = numbers[_HEADER : _HEADER + size].copy()
        return cls(int(numbers[0]), float(numbers[1]), float(numbers[2]), mean, full)


def merge(a: Gram, b: Gram) -> Gram:
    """Return the Gram of the rows of both.

    Parameters
    ----------
    a, b : Gram
        Moments of two sets of rows with the same features.

    Returns
    -------
    Gram
        One of the two where the other has no weight.
    """
    if not b.weight:
        return a
    if not a.weight:
        return b
    weight = a.weight + b.weight
    delta = b.mean - a.mean
    mean = a.mean + delta * (b.weight / weight)
    comoments = np.outer(delta, delta)
    comoments *= a.weight * (b.weight / weight)
    comoments += a.comoments
    comoments += b.comoments
    return Gram(a.rows + b.rows, weight, a.weight_squares + b.weight_squares, mean, comoments)


def merge_all(grams: Iterable[Gram]) -> Gram:
    """Return the Gram of the rows of all.

    Parameters
    ----------
    grams : iterable of Gram
        At least one.

    Returns
    -------
    Gram
        Moments of all rows.

    Raises
    ------
    ValueError
        If there is none.
    """
    total: Gram | None = None
    for gram in grams:
        total = gram if total is None else merge(total, gram)
    if total is None:
        raise ValueError("merge_all: expected at least one Gram matrix, found none; pass the Gram of each fold.")
    return total


def leave_one_out(grams: list[Gram]) -> list[Gram]:
    """Return, for every fold, the Gram of all other folds.

    Parameters
    ----------
    grams : list of Gram
        One a fold.

    Returns
    -------
    list of Gram
        In the same order.

    Notes
    -----
    The other folds are added up; subtracting the fold from the total would leave rounding in columns that are constant
    or empty in the other folds. Sums of the first and of the last folds are shared, so that k folds cost 3 k merges.
    """
    features = grams[0].features
    suffixes = [Gram.empty(features)]
    for gram in reversed(grams[1:]):
        suffixes.append(merge(gram, suffixes[-1]))
    prefix = Gram.empty(features)
    others = []
    for gram in grams:
        others.append(merge(prefix, suffixes.pop()))
        prefix = merge(prefix, gram)
    return others


def gram_by_fold(x: sparse.csr_array, y: Floats, weight: Floats, fold: Integers, folds: int) -> list[Gram]:
    """Return the Gram of each fold's rows in one block.

    Parameters
    ----------
    x : csr_array of shape (n, d)
        Features; entries that are not stored are 0.
    y, weight, fold : ndarray of shape (n,)
        Label, weight (at least 0) and fold (0 to `folds` - 1) of each row.
    folds : int
        Number of folds.

    Returns
    -------
    list of Gram
        One a fold; `Gram.empty` where the block has no row of positive weight in it.
    """
    used = weight > 0
    if not used.all():
        x, y, weight, fold = x[used], y[used], weight[used], fold[used]
    rows, features = x.shape
    rows_of = np.repeat(np.arange(rows), np.diff(x.indptr))
    totals = np.bincount(fold, weights=weight, minlength=folds)
    cell = fold[rows_of] * features + x.indices
    stored = np.bincount(cell, weights=weight[rows_of], minlength=folds * features).reshape(folds, features)
    is_dense = np.any(stored > _DENSE * totals[:, None], axis=0)
    thick, thin = np.flatnonzero(is_dense), np.flatnonzero(~is_dense)
    dense_x = np.column_stack([x[:, thick].toarray() if len(thick) else np.empty((rows, 0)), y])
    dense_means = _centre(dense_x, weight, fold, folds)
    products = _sparse_products(x[:, thin] if len(thick) else x, dense_x * weight[:, None], weight, fold, folds)
    order = np.concatenate([thick, [features], thin])
    grams = []
    for k, (sparse_products, crossed, sums) in enumerate(zip(*products, strict=True)):
        if not totals[k]:
            grams.append(Gram.empty(features))
            continue
        own = fold == k
        sparse_means, centred = sums / totals[k], dense_x[own]
        mean, comoments = np.empty(features + 1), np.empty((features + 1, features + 1))
        mean[order] = np.concatenate([dense_means[k], sparse_means])
        dense_products = centred.T @ (centred * weight[own, None])
        centred_products = sparse_products - totals[k] * np.outer(sparse_means, sparse_means)
        comoments[np.ix_(order, order)] = np.block([[dense_products, crossed.T], [crossed, centred_products]])
        grams.append(Gram(int(own.sum()), float(totals[k]), float(weight[own] @ weight[own]), mean, comoments))
    return grams


def _centre(dense_x: Floats, weight: Floats, fold: Integers, folds: int) -> Floats:
    """Centre the columns of dense_x fold by fold, in place, and return the means, one row a fold."""
    means = np.zeros((folds, dense_x.shape[1]))
    for k in range(folds):
        own = np.flatnonzero(fold == k)
        if len(own):
            # Shifted by its first row, a constant column becomes exactly 0, and one of mean 1e8 keeps its digits.
            pivot = dense_x[own[0]].copy()
            shifted = dense_x[own] - pivot
            rest = weight[own] @ shifted / weight[own].sum()
            means[k] = pivot + rest
            dense_x[own] = shifted - rest
    return means


def _sparse_products(
    x: sparse.csr_array, weighted_dense: Floats, weight: Floats, fold: Integers, folds: int
) -> tuple[list[Floats], Floats, Floats]:
    """Return, for each fold, sparse by sparse and sparse by dense products, uncentred, and sums of sparse columns."""
    rows, features = x.shape
    rows_of = np.repeat(np.arange(rows), np.diff(x.indptr))
    # Each fold's rows get columns of their own, so that one sparse product serves all folds.
    columns, shape = fold[rows_of] * features + x.indices, (rows, folds * features)
    weighted = sparse.csr_array((x.data * weight[rows_of], columns, x.indptr), shape=shape)
    products: Any = weighted.T.tocsr() @ x
    by_fold = sparse.csr_array((x.data, columns, x.indptr), shape=shape)
    crossed = np.asarray(by_fold.T @ weighted_dense).reshape(folds, features, weighted_dense.shape[1])
    sums: Any = np.bincount(columns, weights=weighted.data, minlength=folds * features)
    sparse_products = [products[k * features : (k + 1) * features].toarray() for k in range(folds)]
    return sparse_products, crossed, sums.reshape(folds, features)
