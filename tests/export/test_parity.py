"""The portable model against Spark: stage by stage and end to end, on seen levels, unseen ones and nulls.

One shop has every kind of column, so that one pipeline shows every stage; one job scores all of its rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from purchasecast.schema import Schema
from purchasecast.schema.reserved_columns import made_name
from purchasecast.scorer import Scorer, load
from purchasecast.scorer.batch import Batch

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

ROWS = 1_200
SCHEMA = {
    "name": "corner shop",
    "columns": [
        {"name": "Customer.no", "kind": "nominal", "type": "integer", "role": "customer"},
        {"name": "Product", "kind": "nominal", "role": "product"},
        {"name": "Age", "kind": "ordinal", "order": ["young", "middle", "old"], "of": "customer"},
        {"name": "City.tier", "kind": "nominal", "of": "customer", "null": "unknown"},
        {"name": "Category", "kind": "nominal", "type": "integer", "null": "level", "of": "product"},
        {"name": "Quantity`s", "kind": "numeric", "type": "integer", "minimum": 1, "null": "unknown"},
        {"name": "Discount", "kind": "numeric"},
        {
            "name": "Day.of",
            "kind": "date",
            "calendar": ["year", "quarter", "month", "week", "dayofmonth", "dayofweek", "dayofyear"],
            "null": "unknown",
        },
        {"name": "Spend", "kind": "numeric", "role": "target"},
    ],
}


@dataclass(frozen=True)
class Trained:
    """A trained shop: the scorer, the rows to score, and every column that Spark makes of them."""

    scorer: Scorer
    rows: pa.Table
    spark: pd.DataFrame
    model: Path


def draw(rows: int, seed: int, *, unseen: int = 0) -> pd.DataFrame:
    """Draw rows of a shop; levels above the usual ones are unseen in training."""
    random = np.random.default_rng(seed)
    customer = random.integers(0, 60 + unseen, rows)
    product = random.integers(0, 40 + unseen, rows)
    quantity = np.where(random.random(rows) < 0.2, None, random.integers(1, 9, rows))  # type: ignore[call-overload]
    days = [date(2023, 1, 1).toordinal() + int(k) for k in random.integers(0, 800, rows)]
    city = np.array(["A", "B", "C", "D"], dtype=object)[(customer + (random.random(rows) < unseen / 100)) % 3]
    table = pd.DataFrame(
        {
            "Customer.no": [str(1000 + c) for c in customer],
            "Product": [f"P {p}'s" for p in product],
            "Age": np.array(["young", "middle", "old"])[customer % 3],
            "City.tier": np.where(random.random(rows) < 0.1, None, city),
            "Category": [None if p % 4 == 0 else str(p % 4 + (9 if p >= 40 else 0)) for p in product],
            "Quantity`s": pd.array(quantity, dtype="Float64").to_numpy(dtype=float, na_value=np.nan),
            "Discount": random.random(rows),
            "Day.of": [None if random.random() < 0.1 else date.fromordinal(day) for day in days],
        }
    )
    taste = np.sin(customer * 1.7) * np.cos(product * 2.3)
    noise = random.normal(0, 20, rows)
    table["Spend"] = np.maximum(50 + 30 * np.sin(customer) + 60 * np.cos(product) + 40 * taste + noise, 0.0)
    return table


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    from purchasecast.bundle import load_bundle
    from purchasecast.bundle.pipeline import load_pipeline
    from purchasecast.config import TrainSettings
    from purchasecast.io import read_table
    from purchasecast.training import train

    folder = tmp_path_factory.mktemp("parity")
    schema = Schema.from_dict(SCHEMA)
    draw(ROWS, 1).to_parquet(folder / "train.parquet", index=False)
    settings = TrainSettings(folds=2, holdout=0.0, reg_param=(0.01,), elastic_net_param=(0.0,))
    train(read_table(spark, str(folder / "train.parquet"), schema), schema, folder / "model", settings)
    rows = draw(400, 2, unseen=10).drop(columns="Spend")
    table = pa.Table.from_pandas(rows, preserve_index=False)
    numbered = table.append_column("_row", pa.array(range(len(table)), pa.int32()))
    scored = load_pipeline(load_bundle(folder / "model")).transform(spark.createDataFrame(numbered))
    kept = [f"`{name}`" for name, kind in scored.dtypes if kind in {"double", "int"} and name.startswith(("_", "pred"))]
    found = scored.select(*kept).toPandas().sort_values("_row").reset_index(drop=True)
    return Trained(load(folder / "model"), table, found, folder / "model")


def close(mine: Any, sparks: Any) -> None:
    np.testing.assert_allclose(mine, sparks, rtol=1e-9, atol=1e-9)


def test_every_stage_makes_what_spark_makes(trained: Trained) -> None:
    inputs, problems = trained.scorer._reader.table(trained.rows)
    assert not problems
    batch = Batch(len(trained.rows), inputs, trained.scorer._levels)
    compared = set()
    for step in trained.scorer._steps:
        step.batch(batch)
    for name in trained.spark.columns:
        if name in batch.columns:
            close(batch.columns[name], trained.spark[name])
            compared.add(name)
    made_by = {made_name("_pc_i_", "City.tier"), made_name("_pc_x_", "Quantity`s"), made_name("_pc_x_", "Day.of week")}
    made_by |= {"_pc_baseline", "_pc_fitted", "_pc_e_Product"}
    made_by |= {"_pc_customer_rows", "_pc_taste", "_pc_linear", "prediction"}
    assert made_by <= compared
    assert set(trained.spark.columns) - compared <= {"_row"}


def test_tables_and_rows_end_where_spark_ends(trained: Trained) -> None:
    sparks = trained.spark["prediction"].to_numpy()
    close(trained.scorer.predict(trained.rows).prediction, sparks)
    rows = trained.rows.to_pylist()
    close(trained.scorer.predict(rows).prediction, sparks)
    close([trained.scorer.predict_one(row).prediction for row in rows], sparks)


def test_the_rows_had_all_that_can_go_wrong(trained: Trained) -> None:
    sparks = trained.spark
    assert (sparks["_pc_customer_rows"] == 0).any()
    assert (sparks["_pc_product_rows"] == 0).any()
    new = (sparks["_pc_customer_rows"] == 0) | (sparks["_pc_product_rows"] == 0)
    assert (sparks["_pc_taste"][new].abs() > 0.1).any()  # taste that attributes alone give
    assert (sparks["_pc_linear"] < 0).any()
    assert trained.rows["Category"].null_count
    assert trained.rows["Quantity`s"].to_pandas().isna().any()
    assert trained.rows["Day.of"].null_count


def test_parts_sum_to_sparks_prediction(trained: Trained) -> None:
    parts = trained.scorer.predict(trained.rows, explain=True).contributions
    assert parts is not None
    close(parts.base + sum(parts.parts.values()), trained.spark["prediction"])
    # Around the average, the parts of the training rows cancel out.
    assert abs(np.mean(parts.parts["Product",])) < 30


def test_the_scorer_knows_the_shop(trained: Trained) -> None:
    data = draw(ROWS, 1)
    catalogue = trained.scorer.catalogue
    assert catalogue.size("customer") == data["Customer.no"].nunique()
    known = catalogue.find("product", "P 5's")
    own = data[data["Product"] == "P 5's"]
    assert known is not None
    assert known.rows == len(own)
    assert known.mean == pytest.approx(own["Spend"].mean())
    assert known.attributes == {"Category": 1}
    assert set(catalogue.typical({})) == {"Quantity`s", "Discount", "Day.of"}


def test_a_stage_without_a_portable_form_leaves_no_scorer(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import Binarizer

    from purchasecast.export import write_scorer

    model = PipelineModel([Binarizer(inputCol="a", outputCol="b")])
    assert not write_scorer(model, Schema.from_dict(SCHEMA), spark.range(1), tmp_path / "scorer")
    assert not (tmp_path / "scorer").exists()
    assert "found Binarizer" in caplog.text


@pytest.mark.slow
def test_real_rows_agree_too(spark: SparkSession, black_friday: Path, tmp_path: Path) -> None:
    from purchasecast.bundle import load_bundle
    from purchasecast.bundle.pipeline import load_pipeline
    from purchasecast.config import TrainSettings
    from purchasecast.io import read_table
    from purchasecast.schema import load_schema
    from purchasecast.training import train
    from purchasecast.validation import validate

    schema = load_schema("black_friday")
    raw = read_table(spark, str(black_friday / "train.csv"), schema)
    settings = TrainSettings(folds=2, holdout=0.0, reg_param=(0.01,), elastic_net_param=(0.0,))
    train(raw, schema, tmp_path / "model", settings)
    scorer, model = load(tmp_path / "model"), load_pipeline(load_bundle(tmp_path / "model"))
    test = read_table(spark, str(black_friday / "test.csv"), schema, target="optional")
    with validate(test, schema, target="optional") as checked:
        scored = model.transform(checked.accepted).select(*scorer.columns, "prediction").toArrow()
    close(scorer.predict(scored.select(scorer.columns)).prediction, scored["prediction"].to_numpy())


def test_the_model_tests_itself_on_many_customers_unseen_levels_nulls_and_bounds(trained: Trained) -> None:
    tests = json.loads((trained.model / "scorer" / "scorer.json").read_text(encoding="utf-8"))["self_test"]
    usual = [test for test in tests if not test.get("unusual")]
    assert len({test["row"]["Customer.no"] for test in usual}) >= 8
    assert trained.scorer.examples == tuple(test["row"] for test in usual)
    unseen = [trained.scorer.predict_one(test["row"]).unseen for test in tests if test.get("unusual")]
    assert {("customer",), ("product",)} <= set(unseen)
    empty = [test["row"] for test in tests if test["row"]["Day.of"] is None and test["row"]["Category"] is None]
    assert empty
    assert all(test["lower"] <= test["prediction"] <= test["upper"] for test in tests)
