"""Non-negative least squares from a Gram matrix; runs on the driver and on executors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["nonnegative_weights"]

_JITTER = 1e-12  # added to a diagonal of ones, so that identical columns do not stop the Cholesky factorization


def nonnegative_weights(gram: Floats, moments: Floats) -> Floats:
    """Return the non-negative weights whose combination of columns is closest to the target.

    Parameters
    ----------
    gram : ndarray of shape (k, k)
        Sums or means of the products of each two columns.
    moments : ndarray of shape (k,)
        Sums or means of the products of each column and the target.

    Returns
    -------
    ndarray of shape (k,)
        Weights of at least 0; 0 for a column of zeros.

    Notes
    -----
    With the Cholesky factor ``gram = L L^T``, the squared error is ``|L^T w - L^-1 moments|^2`` plus a constant.
    ``nnls(gram, moments)`` would minimise another error, weighted by `gram`, and differ where a weight is 0.

    Examples
    --------
    >>> nonnegative_weights(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 0.0])).round(6).tolist()
    [1.5, 0.0]
    """
    from scipy.optimize import nnls  # noqa: PLC0415  scoring imports this module, and SciPy takes half a second

    weights = np.zeros(len(gram))
    # A column of zeros has no weight: dividing by its length of 0 would turn rounding into an enormous one.
    used = np.flatnonzero(np.diag(gram) > 0)
    if len(used):
        unit = np.sqrt(np.diag(gram)[used])
        scaled = gram[np.ix_(used, used)] / np.outer(unit, unit) + _JITTER * np.eye(len(used))
        lower = np.linalg.cholesky(scaled)
        solution, _ = nnls(lower.T, np.linalg.solve(lower, moments[used] / unit))
        weights[used] = solution / unit
    return weights
