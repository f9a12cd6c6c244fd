"""The recipe of shops with a quantity: amounts scale, new products are predicted, nothing sees its future."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import purchasecast as pc
from purchasecast.config import TrainSettings
from purchasecast.recipes import resolve_recipe
from purchasecast.schema.reserved_columns import BASE_AMOUNT

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

SCHEMA = {
    "name": "grocery",
    "money": "EUR",
    "key": ["line"],
    "columns": {
        "line": {"kind": "nominal", "type": "integer", "role": "row"},
        "day": {"kind": "date", "role": "time"},
        "customer": {"kind": "nominal", "role": "customer"},
        "product": {"kind": "nominal", "role": "product"},
        "kind": {"kind": "nominal", "of": "product"},
        "department": {"kind": "nominal", "of": "product"},
        "pieces": {"kind": "numeric", "role": "quantity", "minimum": 0},
        "paid": {"kind": "numeric", "role": "target", "minimum": 0},
    },
}


def grocery(seed: int = 4, rows: int = 3_000) -> pd.DataFrame:
    """Return lines whose amount is pieces x price, with prices from 0.5 to 5,000 and one product of exactly 8,880."""
    random = np.random.default_rng(seed)
    products = 60
    price = np.exp(random.uniform(np.log(0.5), np.log(5_000.0), products))
    price[0], price[1] = 8_880.0, 15.0
    product = random.integers(0, products, rows)
    pieces = np.ceil(random.lognormal(0.5, 1.0, rows))
    noise = np.where(product < 2, 1.0, random.lognormal(0.0, 0.05, rows))
    return pd.DataFrame(
        {
            "line": np.arange(rows),
            "day": np.sort(pd.Timestamp("2026-01-01") + pd.to_timedelta(random.integers(0, 200, rows), "D")).astype(
                str
            ),
            "customer": [f"c{c}" for c in random.integers(0, 80, rows)],
            "product": [f"p{p}" for p in product],
            "kind": [f"k{p % 12}" for p in product],
            "department": [f"d{p % 12 % 3}" for p in product],
            "pieces": pieces,
            "paid": np.round(pieces * price[product] * noise, 2),
        }
    ).assign(day=lambda frame: frame["day"].str[:10])


@pytest.fixture(scope="module")
def schema() -> pc.Schema:
    return pc.Schema.from_dict(SCHEMA)


@pytest.fixture(scope="module")
def model(spark: SparkSession, schema: pc.Schema) -> pc.Model:
    return pc.train(grocery(), schema, "blend", refit=True, session=spark)


def ask(model: pc.Model, product: str, pieces: float, kind: str = "k1") -> float:
    row = {"line": 1, "day": "2026-07-20", "customer": "c1", "product": product, "kind": kind, "pieces": pieces}
    return float(model.predict([{**row, "department": f"d{int(kind[1:]) % 3}"}])[0]["prediction"])


def test_amounts_scale_with_the_quantity(model: pc.Model) -> None:
    assert ask(model, "p1", 1.0) == pytest.approx(15.0, rel=0.03)
    assert ask(model, "p1", 100.0) == pytest.approx(1_500.0, rel=0.05)
    assert ask(model, "p0", 1.0, "k0") == pytest.approx(8_880.0, rel=0.03)


def test_the_blend_is_about_as_good_as_the_true_model(model: pc.Model) -> None:
    whole = model.evaluation.overall
    assert whole.baseline_rmse["unit_price"] < whole.baseline_rmse["product_mean"]
    # Prices are constant here, so that this line is the best there is: 600 rows tell no more apart than a fifth.
    assert whole.rmse <= 1.2 * whole.baseline_rmse["unit_price"]
    assert whole.mae <= 1.2 * whole.baseline_mae["unit_price"]


def test_the_portable_model_agrees_with_the_pipeline(spark: SparkSession, model: pc.Model) -> None:
    from purchasecast.bundle.pipeline import load_pipeline

    rows = grocery(seed=9, rows=200)
    rows.loc[:20, "product"] = "new"
    rows.loc[30:33, "pieces"] = 0.0
    typed = rows.assign(day=pd.to_datetime(rows["day"]).dt.date).drop(columns="paid")
    by_spark = load_pipeline(model.bundle).transform(spark.createDataFrame(typed)).toPandas().set_index("line")
    portable = model.predict(rows.drop(columns="paid"), explain=True).set_index("line")
    for name in ("prediction", "lower", "upper"):
        np.testing.assert_allclose(portable[name], by_spark.loc[portable.index, name], rtol=1e-6, atol=1e-6)
    parts = portable[[name for name in portable.columns if name == "base" or name.startswith("from ")]].sum(axis=1)
    np.testing.assert_allclose(parts, portable["prediction"], rtol=1e-6, atol=1e-6)
    one = model.scorer.predict_one(rows.drop(columns="paid").iloc[50].to_dict())
    assert one.prediction == pytest.approx(portable["prediction"].loc[50], rel=1e-9)


def test_columns_of_the_product_are_ordered_by_nesting(spark: SparkSession, schema: pc.Schema) -> None:
    lines = grocery().assign(day=pd.Timestamp("2026-01-01"))
    # Five products of a kind cost about as much, and no kind about as much as another one of its department.
    price = lines["kind"].str[1:].astype(int).map(lambda kind: np.exp(1.0 + kind * 5 % 12)) * (
        1.0 + lines["product"].str[1:].astype(int) / 100.0
    )
    rows = spark.createDataFrame(lines.assign(paid=lines["pieces"] * price))
    recipe = resolve_recipe(rows, schema, TrainSettings())
    prices = next(stage for stage in recipe.stages if type(stage).__name__ == "UnitPriceEncoder")
    assert prices.getLevelCols() == ["department", "kind"]
    assert recipe.is_priced
    assert prices.getAmountCol() == BASE_AMOUNT
    assert prices.getForward()


@pytest.mark.slow
def test_auto_leaves_out_trees_that_its_minutes_do_not_allow(spark: SparkSession, schema: pc.Schema) -> None:
    model = pc.train(grocery(rows=1_500), schema, "auto", minutes=0.001, session=spark)
    assert "_pc_boosted" not in model.members
    assert sum(weight > 0 for weight in model.members.values()) == 1  # one regression, or a simple prediction
    assert model.choice
    assert ask(model, "p1", 1.0) == pytest.approx(15.0, rel=0.05)


def test_a_saved_model_predicts_the_same(spark: SparkSession, model: pc.Model, tmp_path: Path) -> None:
    rows = grocery(seed=5, rows=50).drop(columns="paid")
    before = model.predict(rows)["prediction"]
    copied = pc.load(model.path)
    assert copied.predict(rows)["prediction"].tolist() == before.tolist()
