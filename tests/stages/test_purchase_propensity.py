"""`PurchasePropensity` on Spark: the same as in NumPy, with histories, repeats, cold customers and products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from purchasecast.errors import ColumnMismatchError, SettingsError
from purchasecast.numerics.purchases.model import PurchaseModel
from purchasecast.stages import PurchasePropensity

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark
CUSTOMERS, PRODUCTS = 300, 60


def planted() -> pd.DataFrame:
    """Return purchases of customers of two tastes, which their group tells; products of group A are for group A."""
    rng = np.random.default_rng(4)
    likes = (np.arange(CUSTOMERS) % 2)[:, None] == (np.arange(PRODUCTS) % 2)[None, :]
    bought = rng.random(likes.shape) < np.where(likes, 0.4, 0.04)
    customer, product = np.nonzero(bought)
    return pd.DataFrame(
        {
            "customer": customer,
            "product": [f"P{number:02d}" for number in product],
            "kind": np.where(product % 2, "B", "A"),
            "group": np.where(customer % 2, "b", "a"),
        }
    )


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(planted()).repartition(3).cache()


@pytest.fixture(scope="module")
def model(rows: DataFrame) -> Any:
    return PurchasePropensity(categoryCol="kind", attributeCols=["group"], penalty=20.0).fit(rows)


def test_the_best_products_are_new_ones_of_the_customers_taste(model: Any, rows: DataFrame) -> None:
    best = model.recommend(5).toPandas()
    assert (best.groupby("customer").size() == 5).mean() > 0.95
    assert str(best["customer"].dtype) == "int64"
    own = (best["product"].str[1:].astype(int) % 2) == (best["customer"] % 2)
    assert own.mean() > 0.95
    assert not best["bought_before"].any()
    assert best.merge(rows.toPandas(), on=["customer", "product"]).empty
    assert best["probability"].between(0, 1).all()


def test_transform_adds_the_same_probability_and_keeps_the_rows(model: Any, spark: SparkSession) -> None:
    best = model.recommend(3).toPandas()
    frame = best.rename(columns={"probability": "told"}).assign(kind="A", group="a")
    frame = frame.merge(planted().drop_duplicates("product")[["product", "kind"]], on="product", suffixes=("_", ""))
    frame["group"] = np.where(frame["customer"] % 2, "b", "a")
    told = model.transform(spark.createDataFrame(frame)).toPandas()
    assert len(told) == len(frame)
    assert told["probability"].to_numpy() == pytest.approx(told["told"].to_numpy(), rel=1e-6)


def test_new_customers_and_products_have_what_is_known_of_them(model: Any, spark: SparkSession) -> None:
    asked = pd.DataFrame(
        {
            "customer": [9_001, 9_001, 9_002, 9_002, 0, 1, None],
            "product": ["P00", "P01", "P00", "P01", "new", "new", "P00"],
            "kind": ["A", "B", "A", "B", "A", "A", "A"],
            "group": ["a", "a", "b", "b", "a", "b", "a"],
        }
    )
    told = model.transform(spark.createDataFrame(asked)).toPandas()
    known = told[told["customer"] > 9_000].set_index(["customer", "product"])["probability"]
    assert known[9_001, "P00"] > 1.5 * known[9_001, "P01"]
    assert known[9_002, "P01"] > 1.5 * known[9_002, "P00"]
    assert known.between(0.01, 0.3).all()  # a product is bought by 22 % of the customers
    new = told[told["product"] == "new"].set_index("customer")["probability"]
    assert new[0] > new[1] > 0  # the category is that of the first customer's taste
    assert told[told["customer"].isna()]["probability"].isna().all()


def test_purchases_and_history_can_be_others(model: Any, rows: DataFrame, spark: SparkSession) -> None:
    usual, double = model.recommend(60).toPandas(), model.with_purchases(2_000).recommend(60).toPandas()
    assert double["probability"].sum() == pytest.approx(2_000, rel=0.02)
    assert usual["probability"].sum() == pytest.approx(len(planted()) * 0.3, rel=0.05)
    few = rows.where("customer < 10 and product != 'P00'")
    again = model.with_history(few).recommend(60).toPandas()
    assert set(again["customer"]) == set(range(10))
    with pytest.raises(SettingsError, match="above 0"):
        model.with_purchases(0)


def test_the_portable_form_is_the_model(model: Any) -> None:
    portable = model.to_portable()
    assert PurchaseModel.from_bytes(portable["content"]).products == PRODUCTS
    assert portable["vocabulary"] == ["group=a", "group=b"]
    assert portable["tables"]["customers"].count() == CUSTOMERS
    assert model.hidden_purchases == PurchaseModel.from_bytes(portable["content"]).first_pairs > 0


def test_dates_make_repeats(spark: SparkSession) -> None:
    rng = np.random.default_rng(2)
    customer = np.repeat(np.arange(120), 50)
    usual = rng.integers(30, size=(120, 3))
    product = np.where(
        rng.random(6_000) < 0.7, usual[customer, rng.integers(3, size=6_000)], rng.integers(30, size=6_000)
    )
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(200, size=6_000), unit="D")
    frame = spark.createDataFrame(pd.DataFrame({"customer": customer, "product": product, "day": day}))
    model = PurchasePropensity(timeCol="day", penalty=20.0).fit(frame)
    best = model.recommend(3).toPandas()
    assert best["bought_before"].mean() > 0.9
    assert [usual[row.customer].tolist().count(row.product) > 0 for row in best.itertuples()].count(True) > 0.85 * len(
        best
    )
    assert not model.recommend(3, repeat=False).toPandas()["bought_before"].any()


def test_bad_settings_and_missing_columns_are_told(rows: DataFrame) -> None:
    with pytest.raises(SettingsError, match="hiddenShare"):
        PurchasePropensity(hiddenShare=1.0).fit(rows)
    with pytest.raises(ColumnMismatchError, match="time"):
        PurchasePropensity(timeCol="time").fit(rows)
