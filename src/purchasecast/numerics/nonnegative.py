"""Non-negative least squares from the sums of a design alone; runs on the driver and on executors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["nonnegative_weights"]

_JITTER = 1e-12  # of the mean of the diagonal: columns that say the same must not stop the factorization


def nonnegative_weights(gram: Floats, moments: Floats) -> Floats:
    """Return the weights, none negative, whose combination of columns is closest to the target.

    Parameters
    ----------
    gram : ndarray of shape (k, k)
        Sums, or means, of the products of two columns.
    moments : ndarray of shape (k,)
        The same of each column and the target.

    Returns
    -------
    ndarray of shape (k,)
        Weights.

    Notes
    -----
    With the Cholesky factor ``gram = L L^T``, the error is ``|L^T w - L^-1 moments|`` squared, but for a constant.
    ``nnls(gram, moments)`` would weigh errors once more by `gram`, which shows where a weight is held at 0.

    Examples
    --------
    >>> nonnegative_weights(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 0.0])).round(6).tolist()
    [1.5, 0.0]
    """
    from scipy.optimize import nnls  # noqa: PLC0415  only where something is fitted

    unit = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    scaled = gram / np.outer(unit, unit) + _JITTER * np.eye(len(gram))
    lower = np.linalg.cholesky(scaled)
    found, _ = nnls(lower.T, np.linalg.solve(lower, moments / unit))
    weights: Floats = found / unit
    return weights
