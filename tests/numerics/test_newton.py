"""Newton's method: the minimum is found, also where a full step would jump over it."""

from __future__ import annotations

import numpy as np
import pytest

from purchasecast.numerics.newton import minimize, ridge_penalty


def test_the_minimum_of_a_quadratic_is_one_step_away():
    curvature, wanted = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([-1.0, 4.0])
    found = minimize(
        np.zeros(2),
        lambda x: float((x - wanted) @ curvature @ (x - wanted)),
        lambda x: x - wanted,
    )
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("start", [-6.0, 1.5, 3.0])
def test_steps_that_lead_away_are_halved(start):
    # Full steps of Newton's method on this loss, log(cosh), diverge from starts beyond 1.09.
    found = minimize(
        np.array([start]),
        lambda x: float(np.logaddexp(x, -x)[0]),
        lambda x: np.sinh(np.clip(2 * x, -50, 50)) / 2,
    )
    assert abs(found[0]) < 1e-3


def test_a_step_that_never_helps_leaves_the_coefficients():
    found = minimize(np.array([2.0]), lambda x: float(x[0] ** 2), lambda x: np.full_like(x, -1.0))
    assert found.tolist() == [2.0]


def test_penalties_are_in_units_of_the_variance_and_spare_the_constant():
    features = np.column_stack([np.ones(4), [1.0, 3.0, 1.0, 3.0], [0.0, 0.0, 0.0, 0.0]])
    assert ridge_penalty(features, np.array([1.0, 1.0, 2.0, 2.0]), 0.5).tolist() == [0.0, 0.5, 5e-13]
