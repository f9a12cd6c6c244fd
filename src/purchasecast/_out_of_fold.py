"""Out-of-fold predictions of a line, from the fits that the grid search has made on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as sf
from pyspark.sql.pandas.functions import arrow_udf

from purchasecast._columns import col

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pyarrow as pa
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
    line = arrow_udf(_line_function(lines), "double")  # type: ignore[call-overload]  # any columns
    made: Column = line(indices, vector["values"], col(fold))
    return made


def _line_function(lines: NDArray[np.float64]) -> Callable[..., pa.Array]:
    """Return a function of Arrow columns, self-contained so that executors need NumPy and Arrow only."""

    def predicted(indices: pa.Array, values: pa.Array, fold: pa.Array) -> pa.Array:
        import numpy as np  # noqa: PLC0415  runs on the executors
        import pyarrow as pa  # noqa: PLC0415

        lengths = values.value_lengths().to_numpy(zero_copy_only=False)
        folds = fold.to_numpy(zero_copy_only=False)
        row = np.repeat(np.arange(len(lengths)), lengths)
        weights = lines[folds[row], indices.flatten().to_numpy(zero_copy_only=False)]
        terms = weights * values.flatten().to_numpy(zero_copy_only=False)
        return pa.array(np.bincount(row, terms, len(lengths)) + lines[folds, -1])

    predicted.__annotations__ = {}  # names that only a type checker knows; Spark would try to resolve them
    return predicted
