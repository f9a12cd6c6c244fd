"""Dated shops: exact, repeatable, and on average what they say is expected, whatever the rows are grouped by."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from purchasecast.datasets import SHOP_KINDS, GeneratedShop, dated_shop_schema, generate_shop, write_shop
from purchasecast.datasets.dated_shop import KINDS
from purchasecast.errors import SettingsError
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

ROWS = 6_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_kinds_schema_names_what_its_table_has(kind: str) -> None:
    schema = dated_shop_schema(kind)
    assert (schema.customer, schema.product, schema.time, schema.target) == (
        "customer_id",
        "product_id",
        "day",
        "amount",
    )
    assert ("quantity" in schema.names) == (kind not in {"ladder", "no_quantity"})
    assert ("discount" in schema.names) == (kind in {"promotion", "grocery"})


def test_the_help_of_the_command_names_every_kind() -> None:
    from click.testing import CliRunner

    from purchasecast.cli.data import generate

    told = re.sub(r"\s+", " ", CliRunner().invoke(generate, ["--help"], env={"COLUMNS": "400"}).output)
    assert [kind for kind in SHOP_KINDS if kind not in told] == []


@cache
def made(spark: SparkSession, kind: str) -> GeneratedShop:
    return generate_shop(spark, kind=kind, rows=ROWS, seed=7)


@cache
def truth(spark: SparkSession, kind: str) -> pd.DataFrame:
    """Return the true rows, with the table's other columns beside them."""
    shop = made(spark, kind)
    names = ["line_id", "visit_id", "segment", "region", "department", "category"]
    table = shop.transactions.select(names).unionByName(shop.scoring.select(names)).toPandas()
    return shop.truth.rows.toPandas().merge(table, on="line_id", validate="one_to_one")


def misfit(rows: pd.DataFrame, by: pd.Series) -> float:
    """Return by how many standard deviations the groups' sums of errors are too far from 0, all together."""
    error = rows.amount - rows.expected
    groups = (error / error.std()).groupby(by, observed=True)
    squares = groups.sum() ** 2 / groups.size()
    return float((squares.sum() - len(squares)) / np.sqrt(2 * len(squares)))


@pytest.mark.spark
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind == "grocery" else pytest.mark.slow) for kind in KINDS]
)
def test_rows_are_as_many_as_asked_for_and_amounts_are_what_is_expected(spark: SparkSession, kind: str) -> None:
    rows = truth(spark, kind)
    assert rows.part.value_counts().to_dict() == {"transactions": ROWS, "scoring": round(0.4 * ROWS)}
    assert rows.line_id.is_unique
    assert rows.amount.min() > 0
    assert rows.notna().all().all()
    if kind == "heavy_tails":
        # A few rows are most of every sum: look at the ratio, without the few that are out of proportion.
        rows = rows[rows.amount < 5 * rows.expected]
        ratio = rows.amount / rows.expected * (1 - 0.002) / (1 - 0.002 * 15)
        assert abs(ratio.mean() - 1) < 4 * ratio.sem()
        assert rows.quantity.max() > 100
        return
    # Errors are larger where more is expected: divide by the expectation.
    scaled = rows.assign(amount=rows.amount / rows.expected, expected=1.0)
    by = {
        "all": pd.Series(0, rows.index),
        "expected": pd.qcut(rows.expected, 10),
        "month": pd.to_datetime(rows.day).dt.to_period("M"),
        "discount": rows.discount,
        **{name: rows[name] for name in ("part", "customer_id", "product_id", "segment", "region", "category")},
    }
    if kind != "no_quantity":
        by["quantity"] = rows.quantity.clip(upper=3)
    assert {name: round(misfit(scaled, groups), 1) for name, groups in by.items() if misfit(scaled, groups) > 4} == {}


@pytest.mark.spark
def test_days_are_of_the_year_and_of_the_weeks_after(spark: SparkSession) -> None:
    rows = truth(spark, "grocery")
    labelled, scored = rows[rows.part == "transactions"], rows[rows.part == "scoring"]
    assert date(2023, 1, 2) <= labelled.day.min() < date(2023, 1, 9)
    assert labelled.day.max() < date(2024, 1, 1) <= scored.day.min()
    assert scored.day.max() < date(2024, 5, 27)
    weekday = pd.to_datetime(labelled.day).dt.dayofweek.value_counts()
    assert weekday[5] > 2 * weekday[6]  # shops are full on Saturdays
    assert rows.groupby("visit_id").day.nunique().max() == 1
    assert rows.groupby("visit_id").customer_id.nunique().max() == 1


@pytest.mark.spark
def test_who_left_does_not_come_back(spark: SparkSession) -> None:
    rows = truth(spark, "grocery")
    last = pd.to_datetime(rows.day)[rows.part == "transactions"].groupby(rows.customer_id).max()
    scored = set(rows[rows.part == "scoring"].customer_id)
    gone = [customer for customer in last.index if customer not in scored]
    assert 0.05 < len(gone) / len(last) < 0.2
    assert last[gone].mean() < last[~last.index.isin(gone)].mean()


@pytest.mark.spark
def test_lines_are_of_products_as_often_as_the_truth_says(spark: SparkSession) -> None:
    rows = truth(spark, "grocery")
    rows = rows[rows.part == "scoring"]
    unseen = set(made(spark, "grocery").truth.products.where("unseen").toPandas().product_id)
    assert unseen & set(rows.product_id)
    rows = rows[~rows.product_id.isin(unseen)]
    pairs = made(spark, "grocery").truth.pairs
    assert pairs is not None
    told = pairs.toPandas()
    np.testing.assert_allclose(told.groupby("customer_id").probability.sum(), 1.0, rtol=1e-9)
    told["expected"] = told.probability * told.customer_id.map(rows.customer_id.value_counts()).fillna(0)
    counts = rows.groupby(["customer_id", "product_id"]).size().rename("lines").reset_index()
    told = told.merge(counts, how="left").fillna({"lines": 0})
    assert told.lines.sum() == len(rows)
    tenths = told.groupby(pd.qcut(told.expected.rank(method="first"), 10), observed=True)[["expected", "lines"]].sum()
    assert (abs(tenths.lines - tenths.expected) < 4 * np.sqrt(tenths.expected) + 1).all(), tenths
    assert tenths.lines.iloc[-1] > 0.5 * len(rows)  # most lines are repeats


@pytest.mark.spark
def test_prices_drift_and_promotions_discount_as_planted(spark: SparkSession) -> None:
    rows = truth(spark, "drift")
    steady = truth(spark, "multiplicative")
    assert steady.groupby("product_id").unit_price.nunique().max() == 1
    products = made(spark, "drift").truth.products.toPandas().set_index("product_id")
    day = (pd.to_datetime(rows.day) - pd.Timestamp("2023-01-02")).dt.days
    own = products.loc[rows.product_id].reset_index(drop=True)
    changed = np.where(day >= own.change_day, own.price_change, 0.0)
    np.testing.assert_allclose(rows.unit_price, own.price * np.exp(0.03 * day / 364 + changed), rtol=1e-12)
    assert set(own.price_change) == {0.35, -0.35}
    promoted = truth(spark, "promotion")
    assert sorted(promoted.discount.unique()) == [0.0, 0.1, 0.2, 0.3]
    week = (pd.to_datetime(promoted.day) - pd.Timestamp("2023-01-02")).dt.days // 7
    assert promoted.groupby(["product_id", week]).discount.nunique().max() == 1
    assert promoted[promoted.discount == 0.3].quantity.mean() > 1.15 * promoted[promoted.discount == 0].quantity.mean()


@pytest.mark.spark
def test_a_ladder_stands_on_whole_multiples_and_few_rows_are_few(spark: SparkSession) -> None:
    ladder = truth(spark, "ladder")
    steps = ladder.amount / ladder.unit_price
    assert (abs(steps - steps.round()) < 0.01).all()
    assert steps.round().between(1, 7).all()
    sizes = [truth(spark, kind).product_id.value_counts().median() for kind in ("few_rows", "multiplicative")]
    assert sizes[0] <= 4
    assert sizes[1] > 10 * sizes[0]


@pytest.mark.spark
def test_no_line_depends_on_partitions(spark: SparkSession) -> None:
    before = truth(spark, "grocery").sort_values("line_id", ignore_index=True)
    names = {"spark.sql.shuffle.partitions": "3", "spark.sql.leafNodeDefaultParallelism": "5"}
    old = {name: spark.conf.get(name, None) for name in names}
    try:
        for name, value in names.items():
            spark.conf.set(name, value)
        again = generate_shop(spark, kind="grocery", rows=ROWS, seed=7).truth.rows.toPandas()
    finally:
        for name, value in old.items():
            spark.conf.unset(name) if value is None else spark.conf.set(name, value)
    again = again.sort_values("line_id", ignore_index=True)
    pd.testing.assert_frame_equal(again, before[again.columns], check_exact=True)


@pytest.mark.spark
@pytest.mark.parametrize(("kind", "suffix"), [("grocery", "csv"), ("no_quantity", "parquet")])
def test_a_written_shop_is_what_its_written_schema_says(
    spark: SparkSession, tmp_path: Path, kind: str, suffix: str
) -> None:
    from purchasecast.io import read_table
    from purchasecast.validation import validate

    shop = generate_shop(spark, kind=kind, rows=300)
    written = write_shop(shop, str(tmp_path / f"shop.{suffix}"), scoring=True)
    schema = load_schema(written["schema"])
    assert schema == dated_shop_schema(kind) == shop.schema
    with validate(read_table(spark, written["transactions"], schema), schema) as checked:
        assert (checked.report.accepted, checked.report.reasons) == (300, {})


@pytest.mark.spark
@pytest.mark.parametrize("rows", [1, 2, 37])
def test_a_small_shop_has_exactly_its_rows(spark: SparkSession, rows: int) -> None:
    shop = generate_shop(spark, kind="grocery", rows=rows)
    assert (shop.transactions.count(), shop.scoring.count()) == (rows, round(0.4 * rows))


@pytest.mark.spark
def test_a_wrong_kind_is_refused(spark: SparkSession) -> None:
    with pytest.raises(SettingsError, match=r"expected one of black_friday, .*, found grocry; did you mean grocery\?"):
        generate_shop(spark, kind="grocry", rows=3)
    with pytest.raises(SettingsError, match="expected the kind black_friday, found grocery"):
        generate_shop(spark, kind="grocery", rows=3, effects=False)
