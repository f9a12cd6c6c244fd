"""The bend toward the least purchase, against what was planted and its form in SQL and in the scorer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.numerics.soft_minimum import SoftMinimum, find_soft_minimum, solve_soft_minimum


def skewed(seed: int, rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return a line's values, many below 0, and skewed purchases."""
    random = np.random.default_rng(seed)
    values = random.normal(100.0, 150.0, rows)
    means = SoftMinimum(5.0, 20.0, 60.0).values(values)
    return values, 5.0 + (means - 5.0) * random.gamma(0.5, 2.0, rows)


def test_the_mean_is_kept_and_the_planted_bend_found() -> None:
    values, labels = skewed(1, 200_000)
    found = find_soft_minimum(values, labels, 5.0)
    assert found is not None
    assert found.values(values).mean() == pytest.approx(labels.mean(), rel=1e-6)
    assert found.values(values).min() > 5.0
    truth = SoftMinimum(5.0, 20.0, 60.0).values(values)
    assert np.sqrt(np.mean((found.values(values) - truth) ** 2)) < 2.0


def test_new_rows_err_less_than_cut_off_values_and_have_their_sum() -> None:
    values, labels = skewed(2)
    too_high = values.mean() - labels.mean()  # a regression has none of it
    found = find_soft_minimum(values - too_high, labels, 5.0)
    assert found is not None
    values, labels = skewed(3, 200_000)
    values = values - too_high
    bent, cut = found.values(values), np.maximum(values, 5.0)
    assert np.mean((bent - labels) ** 2) < np.mean((cut - labels) ** 2)
    assert abs(bent.mean() / labels.mean() - 1) < 0.03 < cut.mean() / labels.mean() - 1


def test_far_above_the_minimum_only_a_constant_is_taken_off() -> None:
    bend = SoftMinimum(5.0, 20.0, 10.0)
    assert np.allclose(bend.values(np.array([500.0, 90_000.0, 1e12])), np.array([485.0, 89_985.0, 1e12 - 15.0]))
    assert np.all(np.isfinite(bend.values(np.array([-1e9, 1e9]))))


def test_one_value_is_bent_as_many_are() -> None:
    bend, values = SoftMinimum(5.0, 20.0, 10.0), np.array([-1e9, -40.0, 20.0, 33.0, 1e9])
    np.testing.assert_allclose([bend.value(float(value)) for value in values], bend.values(values), rtol=1e-14)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.linspace(10, 20, 1_000), np.linspace(10, 20, 1_000)),  # none below
        (np.linspace(-1, 1, 1_000), np.zeros(1_000)),  # nothing sold
        (np.array([]), np.array([])),
        (np.linspace(-90, 110, 1_000), np.linspace(0, 20, 1_000)[::-1]),  # says nothing of the labels
    ],
)
def test_nothing_is_bent_where_nothing_needs_it(values: np.ndarray, labels: np.ndarray) -> None:
    assert find_soft_minimum(values, labels, 0.0) is None


def test_the_order_of_the_rows_changes_nothing() -> None:
    values, labels = skewed(4)
    order = np.random.default_rng(5).permutation(len(values))
    found = [
        pa.Table.from_batches(
            solve_soft_minimum(pa.table({"value": values[at], "label": labels[at]}).to_batches(), minimum=5.0)
        )
        for at in (np.arange(len(values)), order)
    ]
    assert found[0].equals(found[1])
