"""The profile on Spark: its figures are those that pandas computes from the same file."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from purchasecast.io import read_table
from purchasecast.profiling import profile
from purchasecast.report import ReportData, render_report
from purchasecast.results import Profile
from purchasecast.schema import load_schema
from purchasecast.validation import validate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from purchasecast.schema import Schema

pytestmark = pytest.mark.spark

SUPERSTORE = Path(__file__).resolve().parents[2] / "examples" / "superstore.toml"


def describe(spark: SparkSession, path: Path, schema: Schema) -> Profile:
    with validate(read_table(spark, path, schema), schema, cache=True) as checked:
        return profile(checked, schema)


def ten_figures(rows: pd.DataFrame, schema: Schema) -> dict[str, float]:
    """Compute ten figures of a table of the default schema with pandas."""
    target = schema.target
    spend = rows[target]
    city = rows.groupby("City_Category")[target].mean()
    return {
        "total": spend.sum(),
        "mean": spend.mean(),
        "sd": spend.std(),
        "median": spend.median(),
        "city A": city["A"],
        "city B": city["B"],
        "city C": city["C"],
        "share of men": (rows["Gender"] == "M").mean(),
        "nulls": rows["Product_Category_3"].isna().sum(),
        "correlation ratio of category 1": np.sqrt(
            rows.groupby("Product_Category_1")[target].transform("mean").var() / spend.var()
        ),
        "top fifth of customers": top_fifth(rows.groupby("User_ID")[target].sum()),
        "top fifth of products": top_fifth(rows.groupby("Product_ID")[target].sum()),
    }


def top_fifth(totals: pd.Series[float]) -> float:
    return float(totals.nlargest(len(totals) // 5).sum() / totals.sum())


def same_figures(found: Profile) -> dict[str, float]:
    """Read the same figures off a profile."""
    features = {feature.name: feature for feature in found.features}
    city = {level.level: level.mean for level in features["City_Category"].levels}
    men = next(level for level in features["Gender"].levels if level.level == "M")
    customers, products = found.concentration("customer"), found.concentration("product")
    assert customers is not None
    assert products is not None
    return {
        "total": found.target.total,
        "mean": found.target.numbers.mean,
        "sd": found.target.numbers.sd,
        "median": found.target.numbers.quantiles["0.5"],
        **{f"city {name}": mean for name, mean in city.items()},
        "share of men": men.share_of_rows,
        "nulls": features["Product_Category_3"].nulls,
        "correlation ratio of category 1": features["Product_Category_1"].correlation_ratio,
        "top fifth of customers": customers.top_fifth,
        "top fifth of products": products.top_fifth,
    }


def told(figures: dict[str, float], rows: int) -> dict[str, str]:
    """Write figures of pandas as the page should have them."""
    total = figures["total"]
    size, word = (1e9, "billion") if total >= 1e9 else (1e6, "million")
    return {
        "total": f"{total / size:,.4g} {word} USD",
        "mean": f"Mean {figures['mean']:,.0f} USD",
        "median": f"median {figures['median']:,.0f}",
        "sd": f"standard deviation {figures['sd']:,.0f}",
        **{name: f"{figures[name]:,.0f}" for name in ("city A", "city B", "city C")},
        "share of men": f"{100 * figures['share of men']:.1f}%",
        "nulls": f"{100 * figures['nulls'] / rows:.1f}% of the rows have no value",
        "top fifth of customers": f"{100 * figures['top fifth of customers']:.1f}% of the total; ",
        "top fifth of products": f"{100 * figures['top fifth of products']:.1f}% of the total; ",
    }


def words_of(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from purchasecast.datasets import generate_shop, write_shop

    path = tmp_path_factory.mktemp("profile") / "shop.csv"
    write_shop(generate_shop(spark, rows=3_000, seed=4), str(path))
    return path


def test_figures_are_those_of_pandas(spark: SparkSession, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command line, so that the page is drawn too."""
    from purchasecast.cli import main

    schema, page = load_schema("black_friday"), shop.with_suffix(".html")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["purchasecast", "profile", str(shop), "--out", str(page), "--json", "--quiet"])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 0
    document = json.loads(capsys.readouterr().out)
    found = Profile.from_dict(document["profile"])
    expected = ten_figures(pd.read_csv(shop), schema)
    assert same_figures(found) == pytest.approx(expected, rel=1e-4)
    assert document["accepted"] == found.rows == 3_000
    words = words_of(page.read_text())
    assert {name: text for name, text in told(expected, 3_000).items() if text not in words} == {}


def test_partitions_and_order_change_nothing(spark: SparkSession, shop: Path) -> None:
    schema = load_schema("black_friday")
    found = describe(spark, shop, schema)
    raw = read_table(spark, shop, schema).repartition(5)
    with validate(raw, schema) as checked:
        other = profile(checked, schema)
    assert same_figures(other) == pytest.approx(same_figures(found), rel=1e-12)
    levels, others = found.features[0].levels, other.features[0].levels
    assert [one.high for one in others] == pytest.approx([one.high for one in levels], rel=1e-9)
    assert [w.sentence for w in other.warnings] == [w.sentence for w in found.warnings]


def test_another_shop_in_its_own_words(spark: SparkSession, superstore: Path) -> None:
    schema = load_schema(SUPERSTORE)
    found = describe(spark, superstore, schema)
    rows = pd.read_csv(superstore)
    discount = found.feature("Discount")
    assert found.money == "USD"
    assert found.target.label == "Sales"
    assert found.rows == 9_988  # the rest is rejected
    assert discount is not None
    assert discount.numbers is not None
    good = rows.loc[rows["Discount"] <= 1, "Discount"]  # what is beyond is rejected
    assert discount.numbers.maximum == pytest.approx(good.max(), rel=1e-12)
    dates = found.feature("Order Date")
    assert dates is not None
    assert [level.level for level in dates.levels] == sorted(level.level for level in dates.levels)
    assert sum(level.rows for level in dates.levels) == found.rows
    assert found.target.transformation.advice == "log"


@pytest.mark.slow
def test_ten_figures_of_the_real_table(spark: SparkSession, black_friday: Path) -> None:
    schema, path = load_schema("black_friday"), black_friday / "train.csv"
    found, expected = describe(spark, path, schema), ten_figures(pd.read_csv(path), schema)
    figures = same_figures(found)
    assert figures == pytest.approx(expected, rel=1e-5)
    report = render_report(ReportData(schema, {}, profile=found))
    assert {name: text for name, text in told(expected, found.rows).items() if text not in words_of(report)} == {}
    assert figures["total"] == 5_095_812_742
    known = {"city A": 8_911.9, "city B": 9_151.3, "city C": 9_719.9}
    assert {name: round(figures[name], 1) for name in known} == known
    shares = {"top fifth of customers": 0.553, "top fifth of products": 0.733}
    assert {name: round(figures[name], 3) for name in shares} == shares
