"""Rows are predicted by the line of their own fold, not by that of another."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from purchasecast.training.out_of_fold import _predict


def test_every_row_is_predicted_by_the_line_of_its_fold() -> None:
    lines = np.array([[1.0, 10.0, 0.5], [2.0, 20.0, -0.5], [3.0, 30.0, 7.0]])  # the last is the intercept
    indices = pa.array([[0], [1], [0, 1], [], [1]], pa.list_(pa.int32()))
    values = pa.array([[2.0], [3.0], [1.0, 1.0], [], [4.0]], pa.list_(pa.float64()))
    folds = [2, 0, 1, 2, 1]
    found = _predict(indices, values, pa.array(folds), lines=lines).to_pylist()
    assert found == [3 * 2 + 7.0, 10 * 3 + 0.5, 2 + 20 - 0.5, 7.0, 20 * 4 - 0.5]
