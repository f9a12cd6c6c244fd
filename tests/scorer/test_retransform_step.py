"""Back to money from a transformed target, without Spark: the smearing estimate by its definition, and exact parts."""

from __future__ import annotations

import numpy as np
import pytest

from purchasecast.scorer.batch import INTERCEPT, Batch, Row
from purchasecast.scorer.steps.amounts import Retransform
from purchasecast.scorer.steps.base import Context

INVERSE = {"log1p": np.expm1, "sqrt": np.square}


def make_step(transform: str, residuals: np.ndarray) -> Retransform:
    second = np.exp(residuals) if transform == "log1p" else residuals**2
    entry = {"input": "v", "output": "y", "transform": transform, "smearing": [residuals.mean(), second.mean()]}
    return Retransform(entry, Context(files=None, levels=(), vectors={}))  # type: ignore[arg-type]


@pytest.mark.parametrize("transform", ["log1p", "sqrt"])
def test_it_is_the_mean_over_the_residuals(transform: str) -> None:
    random = np.random.default_rng(1)
    residuals, values = random.normal(0.1, 0.4, 300), random.uniform(2.0, 9.0, 50)
    batch = Batch(len(values), {}, (), columns={"v": values})
    make_step(transform, residuals).batch(batch)
    expected = INVERSE[transform](values[:, None] + residuals).mean(axis=1)
    np.testing.assert_allclose(batch.columns["y"], expected, rtol=1e-12)
    row = Row({"v": float(values[0])}, ())
    make_step(transform, residuals).row(row)
    assert row.values["y"] == pytest.approx(expected[0], rel=1e-12)


@pytest.mark.parametrize("transform", ["log1p", "sqrt"])
def test_parts_sum_to_the_money(transform: str) -> None:
    random = np.random.default_rng(2)
    parts = {INTERCEPT: np.full(20, 5.0), ("a",): random.normal(0, 1, 20), ("b",): random.normal(0, 2, 20)}
    parts[("a",)][0] = parts[("b",)][0] = 0.0  # nothing but the intercept: no chord to follow
    batch = Batch(20, {}, (), explains=True, columns={"v": sum(parts.values())}, parts={"v": parts})
    make_step(transform, random.normal(0, 0.3, 100)).batch(batch)
    np.testing.assert_allclose(sum(batch.parts["y"].values()), batch.columns["y"], rtol=1e-12)
    assert batch.parts["y"][("a",)][0] == 0.0
    ratio = batch.parts["y"][("a",)][1:] / parts[("a",)][1:]
    assert (ratio > 0).all()  # a part that raises the sum raises the money
