"""Price ladders as a stage, and what the profile says of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as sf

from purchasecast.files import SealedFiles
from purchasecast.io import read_table
from purchasecast.profiling import profile
from purchasecast.schema import Schema
from purchasecast.scorer.batch import Batch
from purchasecast.scorer.inputs import Encoded
from purchasecast.scorer.steps import KINDS
from purchasecast.scorer.steps.base import Context
from purchasecast.stages import PriceLadder, PriceLadderModel
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


@pytest.fixture(scope="module")
def predicted(frame: DataFrame, rows: pd.DataFrame, spark: SparkSession) -> DataFrame:
    """Return the purchases with predictions that miss the step by up to two, and the spread around them."""
    random = np.random.default_rng(8)
    unit = rows["category"].map(UNITS).fillna(20.0)
    spread = random.choice([0.4, 0.9], len(rows))
    step = rows["stars"].astype(int) + spread * random.normal(size=len(rows))
    return spark.createDataFrame(rows.assign(prediction=unit * step, spread=unit * spread)).repartition(3).cache()


def with_steps(**params: str) -> PriceLadder:
    return PriceLadder(levelCol="category", labelCol="spend", predictionCol="prediction", **params)


def in_order(scored: DataFrame) -> pd.DataFrame:
    return scored.toPandas().sort_values(["customer", "product", "spend", "prediction"], ignore_index=True)


def test_every_step_gets_its_probability_also_once_saved_and_without_spark(
    predicted: DataFrame, tmp_path: Path
) -> None:
    predicted = predicted.withColumns({"lower": sf.lit(-1.0), "upper": sf.lit(9_999.0)})
    model = with_steps(spreadCol="spread", lowerCol="lower", upperCol="upper").fit(predicted)
    assert model.has_probabilities
    assert model.share(predicted.count()) == pytest.approx(2 / 3, abs=0.03)
    found = in_order(model.transform(predicted))
    assert list(found["amounts"].isna()) == list(found["category"] == "wine")
    mine = found[found["category"] != "wine"]
    for row in mine.itertuples():
        assert [step["step"] for step in row.amounts] == [1, 2, 3, 4, 5]
        assert sum(step["probability"] for step in row.amounts) == pytest.approx(1.0)
    came = [row.amounts[int(row.stars) - 1] for row in mine.itertuples()]
    assert np.mean([step["in_set"] for step in came]) == pytest.approx(0.9, abs=0.02)
    assert np.mean([step["low"] <= spend <= step["high"] for step, spend in zip(came, mine["spend"], strict=True)]) == 1
    model.save(str(tmp_path / "ladder"))
    loaded = PriceLadderModel.load(str(tmp_path / "ladder"))
    again = in_order(loaded.transform(predicted))
    assert list(map(str, again["amounts"])) == list(map(str, found["amounts"]))
    wider = in_order(loaded.setLevel(0.99).transform(predicted))
    sizes = [[sum(step["in_set"] for step in row) for row in some["amounts"].dropna()] for some in (found, wider)]
    assert np.mean(sizes[1]) > np.mean(sizes[0]) + 0.3
    step = KINDS["price_ladder"](json.loads(json.dumps(model.to_portable())), Context(SealedFiles(""), (), {}))
    batch = Batch(len(found), {"category": encoded(found["category"])}, (), lists_amounts=True)
    batch.columns = {name: found[name].to_numpy() for name in ("prediction", "spread")}
    batch.columns |= {"lower": np.full(len(found), -1.0), "upper": np.full(len(found), 9_999.0)}
    step.batch(batch)
    for name in ("lower", "upper"):
        np.testing.assert_allclose(found[name], batch.columns[name], rtol=1e-9)
    assert set(found.loc[found["category"] == "wine", "upper"]) == {9_999.0}
    assert mine["spend"].between(mine["lower"], mine["upper"]).mean() == pytest.approx(0.9, abs=0.02)
    assert batch.amounts is not None
    for ours, theirs in zip(batch.amounts.to_pylist(), found["amounts"], strict=True):
        assert (ours is None) == (theirs is None)
        for one, other in zip([] if ours is None else ours, [] if theirs is None else theirs, strict=True):
            assert one == pytest.approx(dict(other), rel=1e-9)


def encoded(column: pd.Series[str]) -> Encoded:
    codes, levels = pd.factorize(column)
    return Encoded(codes, list(levels))


def test_a_single_ladder_needs_no_levels_and_without_one_there_are_no_steps(predicted: DataFrame) -> None:
    books = predicted.where("category = 'books'")
    model = PriceLadder(levelCol="", labelCol="spend", predictionCol="prediction").fit(books)
    row = model.transform(books).select("unit", "amounts").first()
    assert row is not None
    assert row["unit"] == pytest.approx(UNITS["books"], rel=0.01)
    assert len(row["amounts"]) == 5
    smooth = with_steps().fit(predicted.where("category = 'wine'"))
    assert not smooth.has_probabilities
    assert smooth.share(1_000) == 0.0
    assert smooth.transform(predicted).columns == [*predicted.columns, "unit"]


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
