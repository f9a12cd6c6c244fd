"""The generated shop: exact, repeatable, realistic, and true to what it says was planted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf

from purchasecast.datasets import PlantedEffects, generate_shop, write_shop
from purchasecast.errors import SettingsError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

KEY = ["User_ID", "Product_ID"]
COLUMNS = {
    "User_ID": "int",
    "Product_ID": "string",
    "Gender": "string",
    "Age": "string",
    "Occupation": "int",
    "City_Category": "string",
    "Stay_In_Current_City_Years": "string",
    "Marital_Status": "int",
    "Product_Category_1": "int",
    "Product_Category_2": "int",
    "Product_Category_3": "int",
    "Purchase": "int",
}


class Collected:
    """A shop's frames in pandas, computed once for the tests that only look."""

    def __init__(self, spark: SparkSession, **arguments: object) -> None:
        shop = generate_shop(spark, **arguments)  # type: ignore[arg-type]
        self.transactions = sorted_frame(shop.transactions)
        self.scoring = sorted_frame(shop.scoring)
        self.rows = sorted_frame(shop.truth.rows)
        self.customers = shop.truth.customers.toPandas()
        self.products = shop.truth.products.toPandas()
        self.attributes = shop.truth.attributes.toPandas()
        self.labelled = self.rows[self.rows.part == "transactions"]


def sorted_frame(frame: DataFrame) -> pd.DataFrame:
    return frame.toPandas().sort_values(KEY, ignore_index=True)


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> Collected:
    return Collected(spark, rows=20_000, seed=7)


def test_columns_are_those_of_the_schema(spark: SparkSession) -> None:
    made = generate_shop(spark, rows=10)
    assert dict(made.transactions.dtypes) == COLUMNS
    assert list(made.transactions.columns) == list(COLUMNS)
    assert list(made.scoring.columns) == list(COLUMNS)[:-1]


@pytest.mark.parametrize("rows", [1, 2, 37, 1000, 20_000])
def test_there_are_exactly_the_rows_asked_for(spark: SparkSession, rows: int) -> None:
    made = generate_shop(spark, rows=rows)
    pairs = made.truth.rows.groupBy("part").agg(sf.count("*").alias("rows"), sf.count_distinct(*KEY).alias("pairs"))
    found = {row["part"]: (row["rows"], row["pairs"]) for row in pairs.collect()}
    scored = round(0.4 * rows)
    assert found == {"transactions": (rows, rows)} | ({"scoring": (scored, scored)} if scored else {})


def test_nobody_buys_a_product_twice(shop: Collected) -> None:
    assert not shop.rows.duplicated(KEY).any()
    assert (len(shop.transactions), len(shop.scoring)) == (20_000, 8_000)


def test_no_row_depends_on_partitions(spark: SparkSession, shop: Collected) -> None:
    names = (
        "spark.sql.shuffle.partitions",
        "spark.sql.leafNodeDefaultParallelism",
        "spark.sql.adaptive.enabled",
    )
    before = {name: spark.conf.get(name, None) for name in names}
    try:
        for name, value in zip(names, ("3", "11", "false"), strict=True):
            spark.conf.set(name, value)
        again = Collected(spark, rows=20_000, seed=7)
    finally:
        for name, value in before.items():
            spark.conf.unset(name) if value is None else spark.conf.set(name, value)
    for name in ("transactions", "scoring", "rows"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(shop, name), check_exact=True)


def test_another_seed_is_another_shop(spark: SparkSession, shop: Collected) -> None:
    other = Collected(spark, rows=20_000, seed=8)
    pairs = shop.transactions[KEY].merge(other.transactions[KEY], on=KEY)
    assert len(pairs) < 10_000
    joined = shop.customers.merge(other.customers, on="User_ID")
    assert abs(np.corrcoef(joined.customer_effect_x, joined.customer_effect_y)[0, 1]) < 0.2


def test_purchases_look_like_a_shop(shop: Collected) -> None:
    purchase = shop.transactions.Purchase
    assert purchase.min() > 0
    assert 8_300 < purchase.mean() < 9_900
    assert 4_300 < purchase.std() < 5_600
    residual = shop.labelled.Purchase - shop.labelled.expected
    assert 0.70 < 1 - residual.var() / shop.labelled.Purchase.var() < 0.80


def test_second_and_third_categories_are_missing_as_planned_and_nested(shop: Collected) -> None:
    frame = shop.transactions
    assert abs(frame.Product_Category_2.isna().mean() - 0.3) < 0.06
    assert abs(frame.Product_Category_3.isna().mean() - 0.7) < 0.06
    assert not (frame.Product_Category_2.isna() & frame.Product_Category_3.notna()).any()
    both = frame.dropna()
    assert (both.Product_Category_1 < both.Product_Category_2).all()
    assert (both.Product_Category_2 < both.Product_Category_3).all()
    attributes = frame.drop(columns=[*KEY[:1], "Purchase"]).filter(regex="Product")
    assert len(attributes.drop_duplicates()) == frame.Product_ID.nunique()


def test_a_customer_has_one_set_of_attributes(shop: Collected) -> None:
    own = shop.transactions[["User_ID", *list(COLUMNS)[2:8]]].drop_duplicates()
    assert len(own) == shop.transactions.User_ID.nunique()


def test_popularity_and_activity_are_skewed(spark: SparkSession) -> None:
    made = generate_shop(spark, rows=100_000)
    joined = made.transactions.join(made.truth.products, "Product_ID")
    sold = joined.groupBy("popularity_rank").count().orderBy("popularity_rank").toPandas()["count"]
    assert sold.iloc[: len(sold) // 10].sum() > 0.25 * sold.sum()
    # Zipf-Mandelbrot: 1 / count grows in a straight line with the rank until the tail.
    half = len(sold) // 2
    smooth = sold.rolling(25, center=True).mean().dropna().iloc[:half]
    assert np.corrcoef(smooth.index, 1 / smooth)[0, 1] > 0.97
    bought = made.transactions.groupBy("User_ID").count().toPandas()["count"]
    assert bought.max() > 4 * bought.mean()
    assert bought.median() < 0.8 * bought.mean()


def test_unseen_products_are_in_the_scoring_part_only(shop: Collected) -> None:
    unseen = set(shop.products.Product_ID[shop.products.unseen])
    assert unseen
    assert unseen <= set(shop.scoring.Product_ID)
    assert not unseen & set(shop.transactions.Product_ID)


def test_the_truth_explains_the_purchases(shop: Collected) -> None:
    slope, intercept = np.polyfit(shop.labelled.expected, shop.labelled.Purchase, 1)
    # 20,000 rows, noise 2,400, truth 4,200: the slope's standard error is 0.004.
    assert abs(slope - 1) < 0.02
    assert abs(intercept + (slope - 1) * 9_000) < 60


def test_the_truth_adds_up(shop: Collected) -> None:
    frame = shop.labelled.merge(shop.customers, on="User_ID").merge(shop.products, on="Product_ID")
    tasted = sum(frame[f"taste_{k}"] * frame[f"factor_{k}"] for k in (1, 2, 3))
    total = frame.level + frame.attribute_effect + frame.customer_effect + tasted
    np.testing.assert_allclose(total, frame.expected, rtol=1e-12)
    np.testing.assert_allclose(frame.category_level + frame.product_effect, frame.level, rtol=1e-12)
    effects = shop.attributes.set_index(["attribute", "level"]).effect
    by_hand = sum(
        shop.customers[name].astype(str).map(effects[name]) for name in effects.index.get_level_values(0).unique()
    )
    np.testing.assert_allclose(by_hand, shop.customers.attribute_effect, atol=1e-9)


def test_purchases_lie_near_multiples_of_the_price(shop: Collected) -> None:
    frame = shop.labelled.merge(shop.products, on="Product_ID")
    steps = frame.Purchase / frame.price
    assert ((steps - steps.round()).abs() < 0.05).mean() > 0.99
    assert steps.round().between(1, 12).all()


def test_without_effects_a_purchase_depends_on_nothing(spark: SparkSession) -> None:
    none = Collected(spark, rows=20_000, effects=False)
    assert none.products.price.nunique() == 1
    assert (none.attributes.effect == 0).all()
    assert none.labelled.expected.nunique() == 1
    for column in ("City_Category", "Product_Category_1", "Age", "Occupation"):
        groups = none.transactions.groupby(column).Purchase
        chi = ((groups.mean() - none.transactions.Purchase.mean()) ** 2 * groups.size()).sum()
        degrees = groups.ngroups - 1
        assert chi / none.transactions.Purchase.var() < degrees + 5 * np.sqrt(2 * degrees)


def test_an_effect_of_known_size_is_found_again(spark: SparkSession) -> None:
    made = Collected(spark, rows=20_000, effects=replace(PlantedEffects.none(), city=5.0))
    means = made.transactions.groupby("City_Category").Purchase.mean()
    errors = made.transactions.groupby("City_Category").Purchase.sem()
    # Planted -200, 0 and 300, five times as strong.
    for level, effect in (("A", -1000.0), ("C", 1500.0)):
        assert abs(means[level] - means["B"] - effect) < 4 * np.hypot(errors[level], errors["B"])


def test_a_shop_without_rows_is_refused(spark: SparkSession) -> None:
    with pytest.raises(SettingsError, match="expected at least 1, found 0"):
        generate_shop(spark, rows=0)


def test_a_written_shop_reads_back(spark: SparkSession, tmp_path: Path) -> None:
    made = generate_shop(spark, rows=300)
    written = write_shop(made, str(tmp_path / "shop.parquet"), truth=True, scoring=True)
    assert set(written) == {
        "transactions",
        "scoring",
        "truth_customers",
        "truth_products",
        "truth_attributes",
        "truth_rows",
    }
    counts = {name: spark.read.parquet(path).count() for name, path in written.items()}
    assert (counts["transactions"], counts["scoring"], counts["truth_rows"]) == (300, 120, 420)
    with pytest.raises(SourceError, match=r"shop\.parquet: cannot write it: Path .* already exists"):
        write_shop(made, str(tmp_path / "shop.parquet"))


def test_a_shop_is_written_by_a_suffix_that_says_how(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.csv or \.parquet, found \.txt"):
        write_shop(generate_shop(spark, rows=3), str(tmp_path / "shop.txt"))
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="cannot write"):
        write_shop(generate_shop(spark, rows=3), str(tmp_path / "file" / "shop"))


def test_a_written_csv_is_the_same_file_every_time(spark: SparkSession, tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        write_shop(generate_shop(spark, rows=300), str(tmp_path / f"{name}.csv"), scoring=True)
        texts.append((tmp_path / f"{name}.csv").read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert texts[0].count("\n") == 301
    assert texts[0].splitlines()[0].split(",") == list(COLUMNS)
    assert (tmp_path / "a.scoring.csv").is_file()
