"""Simple predictors: against pandas, out of fold without a leak, and in the portable model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from purchasecast.errors import SettingsError
from purchasecast.stages import ScaledColumns, SimplePredictors, SimplePredictorsModel

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

FOLDS = 3
OUTPUTS = ["product_mean", "product_median", "unit_price_amount"]


def shop(seed: int = 1, rows: int = 600) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    product = random.integers(0, 12, rows)
    quantity = random.integers(1, 9, rows).astype(float)
    label = quantity * (1.0 + product) * random.lognormal(0.0, 0.2, rows)
    return pd.DataFrame(
        {
            "row": np.arange(rows),
            "product": [f"p{p}" for p in product],
            "quantity": quantity,
            "label": label,
            "fold": random.integers(0, FOLDS, rows).astype("int32"),
        }
    )


def predictors(**changed: object) -> SimplePredictors:
    given = {"productCol": "product", "quantityCol": "quantity", "numFolds": FOLDS, **changed}
    return SimplePredictors(**given)


def oracle(known: pd.DataFrame, row: pd.Series) -> list[float]:
    """Return the three predictions of one row from the rows that may be seen."""
    mine = known[known["product"] == row["product"]]
    mine = mine if len(mine) else known
    price = mine["label"].sum() / mine["quantity"].sum()
    return [mine["label"].mean(), mine["label"].median(), row["quantity"] * price]


def test_new_rows_get_what_pandas_computes_and_unseen_products_that_of_all_rows(spark: SparkSession) -> None:
    rows = shop()
    model = predictors().fit(spark.createDataFrame(rows))
    new = pd.DataFrame({"row": [0, 1, 2], "product": ["p3", "new", None], "quantity": [1.0, 5.0, 2.0]})
    result = model.transform(spark.createDataFrame(new)).toPandas().sort_values("row")
    for place, row in new.iterrows():
        expected = oracle(rows, row)
        assert result[OUTPUTS].iloc[place].tolist() == pytest.approx(expected, rel=0.02)  # medians of even counts
        assert result["product_mean"].iloc[place] == pytest.approx(expected[0], rel=1e-12)
        assert result["unit_price_amount"].iloc[place] == pytest.approx(expected[2], rel=1e-12)


def test_a_row_is_predicted_from_other_folds_only(spark: SparkSession) -> None:
    rows = shop()
    model = predictors().fit(spark.createDataFrame(rows))
    result = model.transform(spark.createDataFrame(rows)).toPandas().sort_values("row").reset_index(drop=True)
    for place in range(0, len(rows), 37):
        others = rows[rows["fold"] != rows["fold"].iloc[place]]
        expected = oracle(others, rows.iloc[place])
        assert result["product_mean"].iloc[place] == pytest.approx(expected[0], rel=1e-12)
        assert result["unit_price_amount"].iloc[place] == pytest.approx(expected[2], rel=1e-12)
    changed = rows.assign(label=np.where(rows["fold"] == 1, rows["label"] * 1_000.0, rows["label"]))
    after = predictors().fit(spark.createDataFrame(changed)).transform(spark.createDataFrame(changed)).toPandas()
    mine = result["fold"] == 1
    same = after.sort_values("row").reset_index(drop=True)
    np.testing.assert_allclose(same.loc[mine, OUTPUTS], result.loc[mine, OUTPUTS], rtol=1e-12)


def test_order_and_partitions_change_nothing_and_a_loaded_model_is_the_same(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = shop()
    model = predictors().fit(spark.createDataFrame(rows))
    shuffled = spark.createDataFrame(rows.sample(frac=1.0, random_state=3)).repartition(7)
    other = predictors().fit(shuffled)
    model.write().save(str(tmp_path / "model"))
    loaded = SimplePredictorsModel.load(str(tmp_path / "model"))
    first, *others = [
        one.transform(spark.createDataFrame(rows)).toPandas().sort_values("row")[OUTPUTS].to_numpy()
        for one in (model, other, loaded)
    ]
    for result in others:
        np.testing.assert_allclose(result, first, rtol=1e-12)


def test_without_product_and_quantity_the_values_are_those_of_all_rows(spark: SparkSession) -> None:
    rows = shop()
    model = predictors(productCol="", quantityCol="").fit(spark.createDataFrame(rows.drop(columns="fold")))
    result = model.transform(spark.createDataFrame(rows.head(1))).toPandas()
    assert result["product_mean"][0] == pytest.approx(rows["label"].mean())
    assert result["unit_price_amount"][0] == pytest.approx(rows["label"].mean())


def test_scaled_columns_keep_to_their_range(spark: SparkSession) -> None:
    frame = spark.createDataFrame(pd.DataFrame({"a": [-1.0, 0.5, 9.0], "b": [1.0, 1.0, 1.0], "s": [10.0, 20.0, 30.0]}))
    stage = ScaledColumns(inputCols=["a", "b"], outputCols=["x", "y"], scaleCol="s", lower=0.0, upper=3.0)
    result = stage.transform(frame).toPandas()
    assert result["x"].tolist() == [0.0, 10.0, 90.0]
    assert result["y"].tolist() == [10.0, 20.0, 30.0]
    with pytest.raises(SettingsError, match="expected 2 names and a range, found 1"):
        ScaledColumns(inputCols=["a", "b"], outputCols=["x"], scaleCol="s").transform(frame)
