r"""Weighted Gram matrices of many folds in one pass, stable and mergeable.

A `Gram` holds, for the rows of one fold, the weight :math:`W = \sum_i w_i`, the mean :math:`m` and the
co-moments :math:`M = \sum_i w_i (z_i - m)(z_i - m)^T` of :math:`z = (x, y)`, features then label. Two of them
merge exactly (Chan, Golub and LeVeque): with :math:`\delta = m_b - m_a`,

.. math:: M = M_a + M_b + \frac{W_a W_b}{W_a + W_b}\, \delta \delta^T .

Within a block, thick columns are centred before they are squared. Thin columns, zero in at least half of the
weight, are not: for them :math:`m^2 \le \overline{x^2} / 2` by Cauchy and Schwarz, so that subtracting the
mean afterwards loses at most one bit, and they stay sparse.

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

#: Columns with more weight than this on their stored entries are centred as dense ones.
_DENSE = 0.5
_HEADER = 4


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
        """Return the Gram of no rows, the neutral element of `merge`."""
        size = features + 1
        return cls(0, 0.0, 0.0, np.zeros(size), np.zeros((size, size)))

    @property
    def features(self) -> int:
        """Return the number of features, d."""
        return len(self.mean) - 1

    def to_bytes(self) -> bytes:
        """Return the numbers, upper triangle only, as little-endian doubles."""
        head = [self.rows, self.weight, self.weight_squares, len(self.mean)]
        upper = self.comoments[np.triu_indices(len(self.mean))]
        return np.concatenate([head, self.mean, upper]).astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, payload: bytes | memoryview) -> Gram:
        """Read what `to_bytes` wrote."""
        numbers = np.frombuffer(payload, dtype="<f8")
        size = int(numbers[3])
        upper = np.zeros((size, size))
        upper[np.triu_indices(size)] = numbers[_HEADER + size :]
        full = upper + np.triu(upper, 1).T
        mean = numbers[_HEADER : _HEADER + size].copy()
        return cls(int(numbers[0]), float(numbers[1]), float(numbers[2]), mean, full)


def merge(a: Gram, b: Gram) -> Gram:
    """Return the Gram of the rows of both."""
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
    """Return the Gram of the rows of all of at least one."""
    total: Gram | None = None
    for gram in grams:
        total = gram if total is None else merge(total, gram)
    if total is None:
        raise ValueError("expected at least one Gram matrix, found none")
    return total


def leave_one_out(grams: list[Gram]) -> list[Gram]:
    """Return, for every fold, the Gram of all the other folds.

    Others are added up, never the fold taken away from the total: what is constant or empty in the other
    folds then stays exactly so. Prefixes and suffixes are shared, so k folds cost 3 k merges.
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
        Features; entries that are not stored are zeros.
    y, weight, fold : ndarray of shape (n,)
        Label, weight (at least 0) and fold (0 to `folds` - 1) of each row.
    folds : int
        Number of folds.

    Returns
    -------
    list of Gram
        One a fold; that of no rows where the block has none of weight.
    """
    used = weight > 0
    if not used.all():
        x, y, weight, fold = x[used], y[used], weight[used], fold[used]
    rows, features = x.shape
    rows_of = np.repeat(np.arange(rows), np.diff(x.indptr))
    cell = fold[rows_of] * features + x.indices
    totals = np.bincount(fold, weights=weight, minlength=folds)
    stored = np.bincount(cell, weights=weight[rows_of], minlength=folds * features).reshape(folds, features)
    is_dense = np.any(stored > _DENSE * totals[:, None], axis=0)
    thick, thin = np.flatnonzero(is_dense), np.flatnonzero(~is_dense)
    thin_x = x[:, thin] if len(thick) else x
    thick_x = np.column_stack([x[:, thick].toarray() if len(thick) else np.empty((rows, 0)), y])
    thick_means = _centre(thick_x, weight, fold, folds)
    thin_products, thin_thick, thin_sums = _thin_products(thin_x, thick_x * weight[:, None], weight, fold, folds)
    order = np.concatenate([thick, [features], thin])
    grams = []
    for k in range(folds):
        own = fold == k
        if not totals[k]:
            grams.append(Gram.empty(features))
            continue
        mean, comoments = np.empty(features + 1), np.empty((features + 1, features + 1))
        means_thin = thin_sums[k] / totals[k]
        mean[order] = np.concatenate([thick_means[k], means_thin])
        centred = thick_x[own]
        thin_thin = thin_products[k] - totals[k] * np.outer(means_thin, means_thin)
        comoments[np.ix_(order, order)] = np.block(
            [[centred.T @ (centred * weight[own, None]), thin_thick[k].T], [thin_thick[k], thin_thin]]
        )
        squares = float(weight[own] @ weight[own])
        grams.append(Gram(int(own.sum()), float(totals[k]), squares, mean, comoments))
    return grams


def _centre(thick_x: Floats, weight: Floats, fold: Integers, folds: int) -> Floats:
    """Centre the columns of thick_x fold by fold, in place, and return the means, one row a fold."""
    means = np.zeros((folds, thick_x.shape[1]))
    for k in range(folds):
        own = np.flatnonzero(fold == k)
        if len(own):
            pivot = thick_x[own[0]].copy()  # a constant column becomes exactly 0, a far one loses no digits
            shifted = thick_x[own] - pivot
            rest = weight[own] @ shifted / weight[own].sum()
            means[k] = pivot + rest
            thick_x[own] = shifted - rest
    return means


def _thin_products(
    thin_x: sparse.csr_array, weighted_thick: Floats, weight: Floats, fold: Integers, folds: int
) -> tuple[list[Floats], Floats, Floats]:
    """Return, fold by fold and uncentred, thin by thin products, thin by thick ones, and sums of thin columns."""
    rows, features = thin_x.shape
    rows_of = np.repeat(np.arange(rows), np.diff(thin_x.indptr))
    # A fold's rows get columns of their own, so one product serves all folds.
    columns = fold[rows_of] * features + thin_x.indices
    by_fold = sparse.csr_array((thin_x.data, columns, thin_x.indptr), shape=(rows, folds * features))
    weighted = sparse.csr_array((thin_x.data * weight[rows_of], columns, thin_x.indptr), shape=(rows, folds * features))
    products: Any = weighted.T.tocsr() @ thin_x
    thin_products = [products[k * features : (k + 1) * features].toarray() for k in range(folds)]
    thin_thick = np.asarray(by_fold.T @ weighted_thick).reshape(folds, features, weighted_thick.shape[1])
    sums: Any = np.bincount(columns, weights=weighted.data, minlength=folds * features)
    return thin_products, thin_thick, sums.reshape(folds, features)
