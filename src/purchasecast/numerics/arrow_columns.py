"""Arrow columns as NumPy arrays and back, for solvers that run inside tasks.

Spark ships this module to its executors by value, so it imports nothing of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["list_column", "read_levels", "read_lists"]


def read_levels(column: pa.ChunkedArray) -> tuple[NDArray[np.intp], pa.Array]:
    """Return a code for each row, and the level of each code.

    Parameters
    ----------
    column : ChunkedArray
        Levels of any type that has an order; may hold nulls.

    Returns
    -------
    tuple of (ndarray of int, Array)
        Codes from 0; null has the code after the last level. Levels are sorted, so that the codes do not depend on the
        order of the rows.
    """
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):  # combine_chunks keeps text of more than 2 GB in chunks
        encoded = encoded.combine_chunks()
    levels = encoded.dictionary
    order = pc.sort_indices(levels).to_numpy()
    rank = np.empty(len(levels) + 1, dtype=np.intp)
    rank[order] = np.arange(len(levels))
    rank[-1] = len(levels)
    codes = encoded.indices.fill_null(len(levels)).to_numpy(zero_copy_only=False)
    return rank[codes], levels.take(pa.array(order))


def read_lists(column: pa.ChunkedArray, width: int) -> NDArray[np.float64]:
    """Return lists of `width` numbers as a matrix, one row a list, with NaN for null."""
    values: NDArray[np.float64] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return values


def list_column(values: NDArray[np.float64]) -> pa.ListArray:
    """Return the rows of a matrix as lists of numbers."""
    rows, width = values.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))
