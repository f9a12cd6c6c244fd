"""The whole flow where amounts stand on steps: evaluation, predictions with every amount, and where there are none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import purchasecast as pc
from purchasecast.errors import SettingsError
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from purchasecast import Model

pytestmark = pytest.mark.spark

UNITS = {"films": 11.9, "books": 380.0}
SCHEMA = Schema.from_dict(
    {
        "name": "stars",
        "money": "USD",
        "columns": [
            {"name": "customer", "kind": "nominal", "type": "string", "role": "customer"},
            {"name": "product", "kind": "nominal", "type": "string", "role": "product"},
            {"name": "category", "kind": "nominal", "type": "string", "of": "product"},
            {"name": "amounts", "kind": "numeric", "type": "number", "role": "target", "minimum": 0},
        ],
    }
)
GRID: dict[str, Any] = {"reg_param": (0.0, 0.1), "elastic_net_param": (0.0,)}
SETTINGS: dict[str, Any] = {"folds": 2, "refit": False, "offers": False, **GRID}


def purchases(count: int, seed: int) -> pd.DataFrame:
    """Draw purchases whose step is what customer and product say, and some noise; the target is called amounts."""
    random, truth = np.random.default_rng(seed), np.random.default_rng(0)
    generous, good = truth.normal(0, 0.7, 120), truth.normal(0, 0.7, 40)
    customer, product = random.integers(0, 120, count), random.integers(0, 40, count)
    step = np.clip(np.round(3 + generous[customer] + good[product] + 0.6 * random.normal(size=count)), 1, 5)
    category = np.array([*UNITS])[product % 2]
    unit = np.array([*UNITS.values()])[product % 2]
    return pd.DataFrame(
        {
            "customer": [f"c{k}" for k in customer],
            "product": [f"p{k}" for k in product],
            "category": category,
            "amounts": np.round(unit * (step + 0.2 * random.random(count)), 2),
        }
    )


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Model:
    out = tmp_path_factory.mktemp("ladder") / "model"
    return pc.train(purchases(4_000, seed=1), SCHEMA, out=out, session=spark, **SETTINGS)


def test_the_evaluation_says_how_good_sets_and_probabilities_are(trained: Model) -> None:
    evaluation = trained.evaluation
    assert evaluation is not None
    amounts = evaluation.amounts
    assert amounts is not None
    assert amounts.rows == evaluation.overall.rows
    assert amounts.coverage == pytest.approx(0.9, abs=0.04)
    assert amounts.mean_length < 0.5 * (evaluation.overall.mean_width or 0.0)
    assert sum(one.expected for one in amounts.reliability) == pytest.approx(amounts.rows)
    assert amounts.largest_gap < 0.1
    assert "sets at 90%" in repr(evaluation)
    document = json.loads((trained.path / "evaluation.json").read_text())
    assert document["amounts"]["coverage"] == amounts.coverage
    assert type(evaluation).from_dict(document).amounts == amounts


def test_predictions_list_every_amount_with_and_without_spark(
    trained: Model, spark: SparkSession, tmp_path: Path
) -> None:
    new = purchases(400, seed=2)
    unlabelled = new.drop(columns="amounts").assign(place=range(400))
    found = trained.predict(unlabelled.drop(columns="place"), amounts=True)
    on_spark = trained.predict(spark.createDataFrame(new.drop(columns="amounts")), amounts=True).toPandas()
    key = ["customer", "product", "prediction"]
    found, on_spark = (some.sort_values(key, ignore_index=True) for some in (found, on_spark))
    theirs = [list(row) for row in on_spark["amounts"]]
    assert [list(row) for row in found["amounts"]] == theirs
    assert {step["step"] for row in theirs for step in row} == {1, 2, 3, 4, 5}
    unit = found["category"].map(UNITS)
    low = [[step["low"] / step["step"] for step in row] for row in theirs]
    np.testing.assert_allclose(low, np.repeat(unit.to_numpy(float)[:, None], 5, axis=1), rtol=0.02)
    again = trained.evaluate(new, session=spark).amounts
    assert again is not None
    assert again.coverage == pytest.approx(0.9, abs=0.06)
    trained.predict_table(new.drop(columns="amounts"), tmp_path / "out.csv", amounts=True, session=spark)
    written = pd.read_csv(tmp_path / "out.csv")
    assert {len(json.loads(text)) for text in written["amounts"]} == {5}


@pytest.mark.slow  # a training of its own
def test_where_amounts_stand_on_no_steps_nothing_changes(spark: SparkSession, tmp_path: Path) -> None:
    rows = purchases(2_000, seed=3)
    smooth = rows.assign(amounts=(rows["amounts"] * np.random.default_rng(4).lognormal(0, 0.5, len(rows))).round(2))
    model = pc.train(smooth, SCHEMA, out=tmp_path / "model", session=spark, **SETTINGS)
    assert model.evaluation is not None
    assert model.evaluation.amounts is None
    assert not model.scorer.has_ladder
    with pytest.raises(SettingsError, match="amounts: expected a model of amounts that stand on steps"):
        model.predict(smooth, amounts=True)
