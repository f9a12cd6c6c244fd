"""Spreads of items, and rows of the result, by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from purchasecast.stages.latent_factors.solver import _SCALE_RIDGE, ITEM, USER, _factor_rows, spreads

SQUARES, COUNTS = np.array([8.0, 0.0, 50.0, 2.0]), np.array([2.0, 0.0, 5.0, 1.0])


def test_a_spread_is_shrunk_toward_that_of_all_and_told_by_attributes_where_no_residual_is() -> None:
    constant = sp.csr_array(np.ones((4, 1)))
    scale, of_levels, means = spreads(SQUARES, COUNTS, 3.0, constant)
    overall = 60.0 / 8.0
    expected = np.sqrt((SQUARES + 3.0 * overall) / (COUNTS + 3.0))
    assert scale == pytest.approx(expected)
    usual = np.log(expected[[0, 2, 3]])
    around = np.log(overall) / 2
    assert means == pytest.approx([around + (usual - around).sum() / (3 + _SCALE_RIDGE)])
    assert of_levels == pytest.approx([expected[0], np.exp(means[0]), expected[2], expected[3]])


def test_residuals_of_nothing_do_not_divide_by_zero() -> None:
    constant = sp.csr_array(np.ones((3, 1)))
    scale, of_levels, means = spreads(np.zeros(3), np.array([1.0, 2.0, 0.0]), 3.0, constant)
    assert (scale > 0).all()
    assert np.isfinite(of_levels).all()
    assert np.isfinite(means).all()
    scale, _, _ = spreads(np.zeros(3), np.zeros(3), 0.0, constant)
    assert (scale > 0).all()


def test_rows_of_one_side_have_the_types_of_both() -> None:
    types = (pa.int64(), pa.string())
    of_user = _factor_rows(1, USER, pa.array([7, 8]), types, np.ones((2, 3)))
    of_item = _factor_rows(1, ITEM, pa.array(["a", "b"]), types, np.ones((2, 3)), np.array([2.0, 3.0]))
    for batch in (of_user, of_item):
        assert [batch.schema.field(name).type for name in ("user", "item")] == list(types)
        assert batch["fit"].to_pylist() == [1, 1]
    assert (of_user["user"].to_pylist(), of_user["item"].to_pylist()) == ([7, 8], [None, None])
    assert (of_item["user"].to_pylist(), of_item["item"].to_pylist()) == ([None, None], ["a", "b"])
    assert (of_user["scale"].to_pylist(), of_item["scale"].to_pylist()) == ([0.0, 0.0], [2.0, 3.0])
