"""Quantity times unit price without Spark: every column as Spark makes it, in a batch and row by row, and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from purchasecast.schema import Schema
from purchasecast.scorer.batch import Batch, Row
from purchasecast.scorer.format import ScorerWriter
from purchasecast.scorer.model import Scorer, read_scorer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

KINDS = {"department": "nominal", "type": "nominal", "product": "nominal", "maker": "nominal", "store": "nominal"}
SCHEMA = {
    "name": "market",
    "columns": [
        *[
            {"name": name, "kind": kind, "null": "unknown", **({"role": "product"} if name == "product" else {})}
            for name, kind in KINDS.items()
        ],
        {"name": "quantity", "kind": "numeric", "null": "unknown"},
        {"name": "amount", "kind": "numeric", "role": "target"},
    ],
}
NUMBER = "_pc_x_quantity"


@dataclass(frozen=True)
class Exported:
    """The scorer, the rows, and what Spark makes of them."""

    scorer: Scorer
    rows: pa.Table
    spark: pd.DataFrame
    outputs: list[str]


def draw(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    product = random.integers(0, 50, rows)
    quantity = np.round(np.exp(random.normal(1, 1, rows)), 2)
    quantity[random.random(rows) < 0.1] = 0.0
    quantity[random.random(rows) < 0.1] = np.nan
    table = pd.DataFrame(
        {
            "department": [f"d{p % 2}" for p in product],
            "type": [f"t{p % 6}" for p in product],
            "product": [f"p {p}" for p in product],
            "maker": [f"m{p % 5}" for p in product],
            "store": [f"s{s}" for s in random.integers(0, 5, rows)],
            "quantity": quantity,
            "amount": np.nan_to_num(quantity) * (1 + product) * np.exp(random.normal(0, 0.3, rows)),
        }
    ).astype(dict.fromkeys(KINDS, object))
    for name in KINDS:
        table.loc[random.random(rows) < 0.05, name] = None
    return table


def fitted(frame: Any, quantity: str, product: str) -> Any:
    from pyspark.ml import Pipeline

    from purchasecast.stages import ColumnPreparation, ScaledColumns, UnitPriceEncoder

    stages = [
        ColumnPreparation(numberCols=["quantity"], numberOutputCols=[NUMBER], numberParts=[""]),
        UnitPriceEncoder(
            labelCol="amount",
            quantityCol=quantity,
            productCol=product,
            levelCols=["department", "type"],
            timeCol="day",
            effectCols=["product", "store", "product"],
            effectCrossCols=["@quantity", "", "store"],
            attributeCols=["type", "maker"],
            attributeCrossCols=["maker", ""],
            numFolds=2,
        ),
        # The counts stand for a regression's ratios; the limits hold those of small and of unseen types.
        ScaledColumns(
            inputCols=["unit_price_rows_1"], outputCols=["prediction"], scaleCol="base_amount", lower=1.0, upper=4.95
        ),
    ]
    return Pipeline(stages=stages).fit(frame)


@pytest.fixture(scope="module", params=["quantity and product", "neither"])
def exported(request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    from purchasecast.export.pipeline import _Export

    folder = tmp_path_factory.mktemp("unit_price")
    both = request.param != "neither"
    lines = draw(900, 1).assign(day=pd.date_range("2026-01-01", periods=900, freq="8h").date)
    model = fitted(spark.createDataFrame(lines), NUMBER if both else "", "product" if both else "")
    writer = ScorerWriter(Schema.from_dict(SCHEMA))
    _Export(model, writer).run()
    writer.write(folder)
    rows = draw(300, 2).drop(columns="amount")
    rows.loc[rows.index % 6 == 0, "product"] = "unseen"
    rows.loc[rows.index % 9 == 0, "type"] = "unseen"
    table = pa.Table.from_pandas(rows, preserve_index=False)
    numbered = table.append_column("_row", pa.array(range(len(table)), pa.int32()))
    outputs = [*model.stages[1].output_names().values(), "prediction"]
    scored = model.transform(spark.createDataFrame(numbered)).select("_row", *outputs).toPandas()
    return Exported(read_scorer(folder), table, scored.sort_values("_row").reset_index(drop=True), outputs)


def scored(exported: Exported, *, explains: bool = False) -> Batch:
    inputs, problems = exported.scorer._reader.table(exported.rows)
    assert not problems
    batch = Batch(len(exported.rows), inputs, exported.scorer._levels, explains=explains)
    for step in exported.scorer._steps:
        step.batch(batch)
    return batch


def test_a_batch_is_what_spark_makes(exported: Exported) -> None:
    batch = scored(exported)
    for name in exported.outputs:
        np.testing.assert_allclose(batch.columns[name], exported.spark[name], rtol=1e-9, atol=1e-9, err_msg=name)
    assert exported.spark[exported.outputs].nunique().min() > 1 or "unit_price_spread" not in exported.outputs


def test_a_row_is_what_spark_makes(exported: Exported) -> None:
    reader = exported.scorer._reader
    for k, given in enumerate(exported.rows.to_pylist()):
        values: dict[str, Any] = {name: parse(given[name]) for name, parse in reader.plan}
        row = Row(values, exported.scorer._levels)
        for step in exported.scorer._steps:
            step.row(row)
        found = [values[name] for name in exported.outputs]
        np.testing.assert_allclose(found, exported.spark.loc[k, exported.outputs].astype(float), rtol=1e-9, atol=1e-9)


def test_parts_sum_to_the_amount_the_line_and_the_prediction(exported: Exported) -> None:
    batch = scored(exported, explains=True)
    for name in ("base_amount", "unit_price_line", "prediction"):
        parts = batch.parts[name]
        total = np.sum(list(parts.values()), axis=0)
        np.testing.assert_allclose(total, batch.columns[name], rtol=1e-9, atol=1e-9 * np.abs(total).max())
    amount = batch.parts["base_amount"]
    if "unit_price_spread" in exported.outputs:
        quantity = np.nan_to_num(exported.rows["quantity"].to_numpy())
        excess = batch.columns["unit_price_log_quantity_excess"]
        more = (quantity > 0) & (excess > 0)
        assert (amount[("quantity",)][more] > 0).all()
        assert (amount[("quantity",)][quantity == 0.0] <= 0).sum() > 10
        assert np.abs(amount[("product",)]).max() > 0
        assert batch.sources["unit_price_effect_0"] == ("product", "quantity")
    assert np.abs(amount[("type",)]).max() > 0
