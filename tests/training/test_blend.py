"""How members become one prediction: by their mean, unless the rows say clearly that something else is better."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

from purchasecast.progress import Steps
from purchasecast.recipes import Recipe
from purchasecast.schema import load_schema
from purchasecast.schema.reserved_columns import BOOSTED_PREDICTION, LABEL, LINEAR_PREDICTION
from purchasecast.training.blend import Blend, Losses, _choose_weights, weigh_and_calibrate
from purchasecast.training.members import FittedMember

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

LINEAR, BOOSTED, SIMPLE = LINEAR_PREDICTION, BOOSTED_PREDICTION, "_pc_product_mean"


@pytest.mark.parametrize("outputs", [["a"], ["a", "b"], ["a", "b", "c", "d"]])
def test_members_without_predictions_out_of_fold_weigh_alike(
    outputs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        members = [FittedMember(output, (), None) for output in outputs]
        blend = weigh_and_calibrate(
            members, object(), load_schema("black_friday"), Recipe("blend", (), None), [], Steps()
        )
    assert blend == Blend(dict.fromkeys(outputs, 1 / len(outputs)), None, None)
    assert ("weigh the same" in caplog.text) == (len(outputs) > 1)


def losses_of(**columns: NDArray[np.float64]) -> Losses:
    table = np.column_stack(list(columns.values()))
    return Losses(tuple(columns), len(table), table.mean(axis=0), table.T @ table / len(table))


def test_a_difference_counts_in_standard_errors_of_itself() -> None:
    random = np.random.default_rng(1)
    reference = random.exponential(10.0, 400)
    noise = random.normal(0.0, 1.0, 400)
    noise -= noise.mean()
    losses = losses_of(reference=reference, near=reference - 0.08 + noise, better=reference - 0.2 + noise)
    assert not losses.is_better("near", "reference", errors=2.0)  # a standard error is 0.05
    assert losses.is_better("near", "reference", errors=1.0)
    assert losses.better_than("reference", ["near", "better"], errors=2.0) == "better"
    assert losses.better_than("better", ["near", "reference"], errors=2.0) == "better"
    assert losses.is_as_good("reference", "near")  # 0.4 percent larger in the root
    assert not losses.is_as_good("reference", "better")


def held_out(spark: SparkSession, *, rows: int, noise: tuple[float, float], largest: float = 0.0) -> DataFrame:
    """Return a label, two predictions of it with errors of their own, and its mean; a few rows err hugely."""
    random = np.random.default_rng(2)
    label = random.normal(1_000.0, 300.0, rows)
    linear, boosted = (label + random.normal(0.0, sd, rows) for sd in noise)
    linear[:3] += largest
    columns = zip(*[values.tolist() for values in (label, linear, boosted, np.full(rows, 1_000.0))], strict=True)
    return spark.createDataFrame(list(columns), [LABEL, LINEAR, BOOSTED, SIMPLE])


@pytest.mark.spark
@pytest.mark.parametrize(
    ("model", "noise", "largest", "expected"),
    [
        ("blend", (10.0, 10.0), 0.0, {LINEAR: 0.5, BOOSTED: 0.5, SIMPLE: 0.0}),
        ("blend", (10.0, 10.0), 300.0, {LINEAR: 0.5, BOOSTED: 0.5, SIMPLE: 0.0}),  # three rows do not decide
        ("blend", (1e4, 1e4), 0.0, {LINEAR: 0.0, BOOSTED: 0.0, SIMPLE: 1.0}),
        ("auto", (1.0, 30.0), 0.0, {LINEAR: 1.0, BOOSTED: 0.0, SIMPLE: 0.0}),
        ("auto", (10.0, 10.0), 0.0, {LINEAR: 0.5, BOOSTED: 0.5, SIMPLE: 0.0}),
    ],
)
def test_weights_are_those_of_the_mean_unless_rows_clearly_say_else(
    spark: SparkSession, model: str, noise: tuple[float, float], largest: float, expected: dict[str, float]
) -> None:
    rows = held_out(spark, rows=1_000, noise=noise, largest=largest)
    recipe = Recipe(model, (), None, simple=(SIMPLE,))
    weights, choice = _choose_weights(rows, [LINEAR, BOOSTED, SIMPLE], recipe)
    assert weights == expected
    assert choice


@pytest.mark.spark
def test_fitted_weights_are_taken_where_they_are_clearly_better(spark: SparkSession) -> None:
    rows = held_out(spark, rows=4_000, noise=(10.0, 25.0))
    weights, choice = _choose_weights(rows, [LINEAR, BOOSTED, SIMPLE], Recipe("blend", (), None, simple=(SIMPLE,)))
    assert choice.startswith("fitted weights; root mean squared error on the folds +")
    # By the inverse of the variances, 1 / 100 and 1 / 625.
    assert weights[LINEAR] == pytest.approx(0.86, abs=0.03)
    assert weights[BOOSTED] == pytest.approx(0.14, abs=0.03)
