"""Out-of-fold predictions of a line, from the fits that the grid search has made on the way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as sf

from purchasecast.spark.columns import col
from purchasecast.spark.shipping import arrow_column

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import Column

__all__ = ["out_of_fold"]


def out_of_fold(lines: NDArray[np.float64], features: str, fold: str) -> Column:
    """Return each row's prediction by the line of its fold.

    Parameters
    ----------
    lines : ndarray of shape (folds, d + 1)
        Coefficients and, last, the intercept of the fit without each fold.
    features, fold : str
        Columns of vectors, sparse or dense, and of fold numbers.

    Returns
    -------
    Column
        One number a row.
    """
    vector = sf.unwrap_udt(col(features))
    indices = sf.coalesce(vector["indices"], sf.sequence(sf.lit(0), sf.size(vector["values"]) - 1))
    return arrow_column(partial(_predict, lines=lines), "double", indices, vector["values"], col(fold))


def _predict(indices: pa.Array, values: pa.Array, fold: pa.Array, *, lines: NDArray[np.float64]) -> pa.Array:
    """Predict sparse vectors, each by the line of its fold."""
    lengths = values.value_lengths().to_numpy(zero_copy_only=False)
    folds = fold.to_numpy(zero_copy_only=False)
    row = np.repeat(np.arange(len(lengths)), lengths)
    weights = lines[folds[row], indices.flatten().to_numpy(zero_copy_only=False)]
    terms = weights * values.flatten().to_numpy(zero_copy_only=False)
    return pa.array(np.bincount(row, terms, len(lengths)) + lines[folds, -1])
