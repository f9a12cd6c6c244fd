r"""Item-to-item ridge regression: each product predicted from all others that a customer has bought.

With :math:`X` the indicator of who bought what, rows weighted by :math:`w_i = (n_i / \bar n)^{-1/2}` so that customers
with many purchases do not decide alone, and columns scaled by a power of their buyers :math:`m_j`, so that popular
products do not,

.. math:: \min_B \sum_i w_i \lVert z_i - z_i B \rVert^2 + \lambda \lVert B \rVert^2, \quad \operatorname{diag} B = 0,
          \quad z_{ij} = x_{ij} (m_j / \bar m)^{-0.2},
          \qquad B_{ij} = -\frac{P_{ij}}{P_{jj}}, \quad P = (Z^T W Z + \lambda I)^{-1}.

Only the most popular products, the head, predict. A product of the tail is predicted from the head by the same
inverse, :math:`B_j = P\, Z^T W z_j`, so that one factorization serves assortments of any size. Customers without
purchases have the scores of a regression on their attributes. (Attributes as further columns of :math:`Z` made the
scores of all others worse.)

References
----------
H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019. https://doi.org/10.1145/3308558.3313710
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit_attribute_weights", "fit_item_weights"]

_ROW_POWER, _COLUMN_POWER = 0.5, 0.2  # chosen on hidden purchases: decision 22
_CHUNK = 2_000  # products of the tail that are solved together


def fit_item_weights(
    bought: sparse.csr_matrix, *, penalty: float, head: int, kept: int
) -> NDArray[np.float32] | sparse.csr_matrix:
    """Fit the weights that predict each product from the head.

    Parameters
    ----------
    bought : csr_matrix of shape (customers, products)
        Indicator of what was bought; the most popular products first.
    penalty : float
        Ridge penalty.
    head : int
        Largest number of products that predict.
    kept : int
        Weights kept for each product, the largest ones, where there are more products than `head`.

    Returns
    -------
    ndarray or csr_matrix of shape (min(products, head), products)
        Weights; sparse where there are more products than `head`.
    """
    products = bought.shape[1]
    first = min(head, products)
    scaled, weight, scale = _scaled(bought)
    predictors = scaled[:, :first]
    weighted = (weight @ predictors).T.tocsr()
    inverse = _inverse((weighted @ predictors).toarray(), penalty)
    own = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(own, 0.0)
    # The weights apply to the indicators themselves, so that nobody has to scale purchases again.
    applied = scale[:first].astype(np.float32)[:, None]
    own *= applied
    if products <= head:
        return np.ascontiguousarray(own, dtype=np.float32)
    parts = [_largest(own, kept)]
    for start in range(first, products, _CHUNK):
        together = (weighted @ scaled[:, start : start + _CHUNK]).toarray()
        parts.append(_largest(applied * (inverse @ together), kept))
    return sparse.hstack(parts, format="csr", dtype=np.float32)


def fit_attribute_weights(
    bought: sparse.csr_matrix, attributes: sparse.csr_matrix, *, penalty: float
) -> NDArray[np.float32]:
    """Fit the weights that predict each product from the attributes of a customer alone.

    Parameters
    ----------
    bought : csr_matrix of shape (customers, products)
        Indicator of what was bought.
    attributes : csr_matrix of shape (customers, levels)
        Indicator of the attributes; may have no column.
    penalty : float
        Ridge penalty.

    Returns
    -------
    ndarray of shape (levels, products)
        Weights.
    """
    if not attributes.shape[1]:
        return np.zeros((0, bought.shape[1]), dtype=np.float32)
    scaled, weight, _ = _scaled(bought)
    weighted = (weight @ attributes).T.tocsr()
    inverse = _inverse((weighted @ attributes).toarray(), penalty)
    found: NDArray[np.float32] = (inverse @ (weighted @ scaled).toarray()).astype(np.float32)
    return found


def _scaled(bought: sparse.csr_matrix) -> tuple[sparse.csr_matrix, sparse.dia_matrix, NDArray[np.float64]]:
    """Return the matrix with scaled columns, the weights of its rows, and the scale of the columns."""
    lengths = np.asarray(bought.sum(axis=1)).ravel()
    mean = lengths[lengths > 0].mean() if lengths.any() else 1.0
    weight = sparse.diags((np.maximum(lengths, 1.0) / mean) ** -_ROW_POWER).astype(np.float32)
    buyers = np.asarray(bought.sum(axis=0)).ravel()
    scale = (np.maximum(buyers, 1.0) / max(buyers.mean(), 1e-9)) ** -_COLUMN_POWER
    return (bought @ sparse.diags(scale)).tocsr().astype(np.float32), weight, scale


def _inverse(gram: NDArray[np.float32], penalty: float) -> NDArray[np.float32]:
    """Return the inverse of the Gram matrix plus the penalty, in single precision: the penalty conditions it well."""
    matrix = np.asfortranarray(gram, dtype=np.float32)
    matrix[np.diag_indices(len(matrix))] += np.float32(penalty)
    factor, failed = lapack.spotrf(matrix, lower=1, overwrite_a=1)
    half, singular = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or singular:
        raise np.linalg.LinAlgError("the Gram matrix is singular")
    lower = np.tril(half)
    whole: NDArray[np.float32] = lower + np.tril(half, -1).T
    return whole


def _largest(weights: NDArray[np.float32], kept: int) -> sparse.csc_matrix:
    """Return the `kept` largest weights of each column, sparse."""
    if weights.shape[0] > kept:
        border = np.partition(np.abs(weights), -kept, axis=0)[-kept]
        weights = np.where(np.abs(weights) >= border[None, :], weights, 0.0)
    return sparse.csc_matrix(weights, dtype=np.float32)
