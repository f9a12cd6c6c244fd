"""What the executors do for offers; Spark ships this module to them by value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["second_moments"]


def second_moments(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the sums of products of factors, each row by its weight, as one list: weight first, then the factors."""
    whole = None
    for batch in batches:
        weight, *factors = (np.nan_to_num(column.to_numpy(zero_copy_only=False)) for column in batch.columns)
        stacked = np.stack(factors)
        sums = (stacked * weight) @ stacked.T
        whole = sums if whole is None else whole + sums
    if whole is not None:
        yield pa.RecordBatch.from_pydict({"moments": pa.array([whole.ravel().tolist()], pa.list_(pa.float64()))})
