"""Weights from sums against SciPy's own on the whole design, where weights are held at 0 and where none is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from purchasecast.numerics.nonnegative import nonnegative_weights


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns that say much the same, and a target that some of them lead away from."""
    random = np.random.default_rng(seed)
    common = random.normal(5.0, 2.0, 300)
    design = np.column_stack([common + random.normal(0, spread, 300) for spread in (0.5, 1.0, 2.0, 4.0)])
    return design, design @ random.normal(0.3, 0.6, 4) + random.normal(0, 1.0, 300)


def test_sums_give_what_the_whole_design_gives() -> None:
    held = 0
    for seed in range(20):
        design, target = draw(seed)
        expected, _ = nnls(design, target)
        np.testing.assert_allclose(nonnegative_weights(design.T @ design, design.T @ target), expected, atol=1e-6)
        held += int((expected == 0).any())
    assert 5 < held < 20


def test_units_do_not_matter() -> None:
    design, target = draw(1)
    units = np.array([1e-7, 1.0, 1e4, 1e7])
    other = design * units
    found = nonnegative_weights(other.T @ other, other.T @ target)
    np.testing.assert_allclose(found * units, nonnegative_weights(design.T @ design, design.T @ target), atol=1e-6)


def test_equal_columns_share_a_weight() -> None:
    x = np.random.default_rng(1).normal(3.0, 1.0, 50)
    design = np.column_stack([x, x])
    assert nonnegative_weights(design.T @ design, design.T @ (2 * x)).sum() == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(10))
def test_a_column_of_zeros_has_no_weight(seed: int) -> None:
    design, target = draw(seed)
    padded = np.column_stack([design[:, :1], np.zeros(len(design)), design[:, 1:]])
    weights = nonnegative_weights(padded.T @ padded, padded.T @ target)
    expected = nonnegative_weights(design.T @ design, design.T @ target)
    np.testing.assert_allclose(weights, np.insert(expected, 1, 0.0))
