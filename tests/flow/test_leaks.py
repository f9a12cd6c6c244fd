"""What would go up if a label leaked: the whole flow on targets that nothing can predict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as sf

from purchasecast.config import TrainSettings
from purchasecast.datasets import generate_shop
from purchasecast.errors import DataError
from purchasecast.schema import Column, load_schema
from purchasecast.training import train

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from purchasecast.schema import Schema

pytestmark = pytest.mark.spark

SETTINGS = TrainSettings(folds=2, refit=False)
SMALL_GRID = replace(SETTINGS, reg_param=(0.1, 10.0, 100.0), elastic_net_param=(0.0, 1.0))


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Return a generated shop as `read_table` would."""
    shop = generate_shop(spark, rows=20_000, seed=11).transactions
    return shop.select(
        "*", sf.lit(None).cast("string").alias("_pc_corrupt"), sf.monotonically_increasing_id().alias("_pc_position")
    ).cache()


def holdout_r2(rows: DataFrame, schema: Schema, out: Path) -> float:
    evaluation = train(rows, schema, out, SMALL_GRID).evaluation
    assert evaluation is not None
    assert evaluation.overall.r2 is not None
    return evaluation.overall.r2


@pytest.mark.slow  # a whole training, with offers
def test_a_target_without_any_cause_is_not_predicted(rows: DataFrame, tmp_path: Path) -> None:
    noise = (sf.pmod(sf.xxhash64("User_ID", "Product_ID", sf.lit("noise")), sf.lit(20_000))).cast("int")
    r2 = holdout_r2(rows.withColumn("Purchase", noise), load_schema("black_friday"), tmp_path / "model")
    assert abs(r2) <= 0.005


def test_a_target_that_never_varies_is_refused_in_one_sentence(rows: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a Purchase that varies, found 0 in every training row; check"):
        holdout_r2(rows.withColumn("Purchase", sf.lit(0)), load_schema("black_friday"), tmp_path / "model")


def test_folds_show_no_cause_where_there_is_none(rows: DataFrame, tmp_path: Path) -> None:
    """Prior means out of fold and indicators of the same attributes would tell a line the mean of each fold."""
    few = rows.where("_pc_position % 8 = 0")
    noise = (sf.pmod(sf.xxhash64("User_ID", "Product_ID", sf.lit("noise")), sf.lit(20_000))).cast("int")
    settings = TrainSettings(holdout=0.0, refit=False, offers=False, target_transform="none")
    found = train(few.withColumn("Purchase", noise), load_schema("black_friday"), tmp_path / "model", settings).search
    assert found is not None
    spread = few.agg(sf.stddev(noise)).collect()[0][0]
    assert found.best.average >= 0.99 * spread


@pytest.mark.slow  # two training runs, one with as many levels as rows
def test_a_near_unique_id_does_not_raise_the_holdout_score(rows: DataFrame, tmp_path: Path) -> None:
    plain = load_schema("black_friday")
    ticket = Column("Ticket", kind="nominal")
    tickets = rows.withColumn(
        "Ticket", sf.concat("User_ID", sf.lit("-"), sf.pmod(sf.xxhash64("Product_ID"), sf.lit(500)))
    )
    assert tickets.select("Ticket").distinct().count() > 0.9 * rows.count()
    with_ticket = replace(plain, columns=(*plain.columns[:-1], ticket, plain.columns[-1]))
    without = holdout_r2(rows, plain, tmp_path / "without")
    assert without > 0.5
    assert holdout_r2(tickets, with_ticket, tmp_path / "with") <= without + 0.005
