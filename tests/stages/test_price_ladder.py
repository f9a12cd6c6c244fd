"""Price ladders as a stage, and what the profile says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from purchasecast.io import read_table
from purchasecast.profiling import profile
from purchasecast.schema import Schema
from purchasecast.stages import PriceLadder
from purchasecast.validation import validate

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

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
            {"name": "stars", "kind": "ordinal", "type": "string", "order": ["1", "2", "3", "4", "5"]},
            {"name": "spend", "kind": "numeric", "type": "number", "role": "target", "minimum": 0},
        ],
    }
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Return purchases on a ladder in two categories, and on none in a third; `stars` is the step."""
    random = np.random.default_rng(4)
    count = 3_000
    product = random.integers(0, 30, count)
    category = np.array([*UNITS, "wine"])[product % 3]
    stars = random.integers(1, 6, count)
    unit = pd.Series(category).map(UNITS).to_numpy(dtype=float)
    spend = np.where(category == "wine", random.lognormal(3, 0.5, count), unit * (stars + 0.2 * random.random(count)))
    return pd.DataFrame(
        {
            "customer": [f"c{k}" for k in random.integers(0, 100, count)],
            "product": [f"p{k}" for k in product],
            "category": category,
            "stars": stars.astype(str),
            "spend": np.round(spend, 2),
        }
    )


@pytest.fixture(scope="module")
def frame(spark: SparkSession, rows: pd.DataFrame) -> DataFrame:
    return spark.createDataFrame(rows).repartition(3).cache()


def test_each_category_gets_its_unit_and_one_without_a_ladder_none(frame: DataFrame) -> None:
    stage = PriceLadder(levelCol="category", labelCol="spend")
    model = stage.fit(frame)
    ladders = {row["level"]: row for row in model.ladders().collect()}
    assert {level: row["unit"] for level, row in ladders.items()} == pytest.approx(UNITS, rel=0.01)
    assert {row["steps"] for row in ladders.values()} == {5}
    units = {
        row["category"]: row["unit"] for row in model.transform(frame).select("category", "unit").distinct().collect()
    }
    assert units["wine"] is None
    assert units["films"] == ladders["films"]["unit"]
    other = stage.fit(frame.orderBy("spend").repartition(5)).ladders().collect()
    assert {row["level"]: row["unit"] for row in other} == pytest.approx(
        {level: row["unit"] for level, row in ladders.items()}, rel=1e-9
    )


def test_an_unseen_level_has_no_unit_and_no_row_is_lost(frame: DataFrame, spark: SparkSession) -> None:
    model = PriceLadder(levelCol="category", labelCol="spend").fit(frame)
    new = spark.createDataFrame([("tea",), (None,), ("books",)], "category string")
    found = model.transform(new).toPandas()
    assert list(found["unit"].isna()) == [True, True, False]


def warnings_of(spark: SparkSession, rows: pd.DataFrame, path: Path) -> dict[str, str]:
    rows.to_csv(path, index=False)
    with validate(read_table(spark, path, SCHEMA), SCHEMA, cache=True) as checked:
        return {warning.kind: warning.sentence for warning in profile(checked, SCHEMA).warnings}


def test_the_profile_says_where_amounts_stand_on_steps_and_what_gives_them_away(
    spark: SparkSession, rows: pd.DataFrame, tmp_path: Path
) -> None:
    ladder = rows[rows["category"] != "wine"]
    found = warnings_of(spark, ladder, tmp_path / "stars.csv")
    assert "stands on steps: 100" in found["price ladder"]
    assert "2 levels of category" in found["price ladder"]
    assert "stars within category determines the target" in found["leak suspect"]
    shuffled = ladder.assign(stars=np.random.default_rng(1).permutation(ladder["stars"]))
    assert "leak suspect" not in warnings_of(spark, shuffled, tmp_path / "shuffled.csv")
    smooth = ladder.assign(spend=np.random.default_rng(2).lognormal(3, 1, len(ladder)).round(2))
    assert "price ladder" not in warnings_of(spark, smooth, tmp_path / "smooth.csv")
