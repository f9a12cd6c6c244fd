"""Splits depend on the rows alone: not on their order, their number or their partitions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.schema import Column, Schema
from purchasecast.schema.reserved_columns import FOLD
from purchasecast.training.split import holdout_split, with_folds

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = Schema(
    name="till",
    title="Till",
    key=("receipt",),
    columns=(
        Column("receipt", "nominal", role="row"),
        Column("customer", "nominal", role="customer"),
        Column("day", "date", role="time"),
        Column("spend", "numeric", role="target"),
    ),
)


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    days = sf.date_add(sf.lit("2024-01-01").cast("date"), (sf.col("id") % 100).cast("int"))
    return spark.range(20_000).select(
        sf.concat(sf.lit("r"), "id").alias("receipt"),
        (sf.col("id") % 50).cast("string").alias("customer"),
        days.alias("day"),
        sf.col("id").cast("double").alias("spend"),
    )


def receipts(frame: DataFrame) -> set[str]:
    return {row["receipt"] for row in frame.select("receipt").collect()}


def test_random_parts_are_disjoint_complete_and_of_the_asked_size(rows: DataFrame) -> None:
    split = holdout_split(rows, SCHEMA, share=0.2, by="random", seed=1)
    assert receipts(split.training) | receipts(split.holdout) == receipts(rows)
    assert not receipts(split.training) & receipts(split.holdout)
    assert abs(split.holdout.count() / 20_000 - 0.2) < 0.01


def test_parts_do_not_depend_on_order_partitions_or_other_rows(rows: DataFrame) -> None:
    held_out = holdout_split(rows, SCHEMA, share=0.2, by="random", seed=1).holdout
    again = holdout_split(
        rows.orderBy(sf.desc("receipt")).repartition(7), SCHEMA, share=0.2, by="random", seed=1
    ).holdout
    assert receipts(again) == receipts(held_out)
    some = rows.where("spend < 5000")
    of_some = holdout_split(some, SCHEMA, share=0.2, by="random", seed=1).holdout
    assert receipts(of_some) == receipts(held_out) & receipts(some)
    other = holdout_split(rows, SCHEMA, share=0.2, by="random", seed=2).holdout
    assert receipts(other) != receipts(held_out)


def test_a_time_column_holds_out_the_latest_days_whole(rows: DataFrame) -> None:
    split = holdout_split(rows, SCHEMA, share=0.2, seed=1)
    last = split.training.agg(sf.max("day")).collect()[0][0]
    first = split.holdout.agg(sf.min("day")).collect()[0][0]
    assert last < first
    assert split.share == pytest.approx(0.2, abs=0.01)
    assert split.holdout.count() == round(split.share * 20_000)


@pytest.mark.parametrize(
    ("rows_of_day", "held"),
    [
        ((3, 97), 97),  # there is no other border
        ((97, 3), 3),
        ((40, 45, 15), 15),  # 15 is nearer to 20 than 60
        ((70, 22, 8), 30),  # and 30 nearer than 8
        ((60, 20, 20), 20),
        ((1,) * 100, 20),
    ],
)
def test_the_border_is_the_one_nearest_to_the_share(
    spark: SparkSession, rows_of_day: tuple[int, ...], held: int
) -> None:
    days = [f"2024-{1 + day // 28:02d}-{1 + day % 28:02d}" for day, rows in enumerate(rows_of_day) for _ in range(rows)]
    frame = spark.createDataFrame([(day,) for day in days], "day string").select(sf.col("day").cast("date"))
    split = holdout_split(frame, SCHEMA, share=0.2)
    assert (split.share, split.holdout.count(), split.training.count()) == (held / 100, held, 100 - held)


def test_rows_of_one_day_have_no_latest(spark: SparkSession) -> None:
    frame = spark.range(50).select(sf.lit("2024-01-01").cast("date").alias("day"))
    with pytest.raises(DataError, match=r"expected at least two different values of day.*holdout_by"):
        holdout_split(frame, SCHEMA, share=0.2)


def test_folds_are_even_and_independent_of_the_holdout(rows: DataFrame) -> None:
    training = holdout_split(rows, SCHEMA, share=0.5, by="random", seed=1).training
    counts = {
        row[FOLD]: row["count"] for row in with_folds(training, SCHEMA, folds=4, seed=1).groupBy(FOLD).count().collect()
    }
    assert sorted(counts) == [0, 1, 2, 3]
    assert max(counts.values()) / min(counts.values()) < 1.1


def days_by_fold(frame: DataFrame, folds: int) -> list[tuple[int, int, int]]:
    """Return the first and last day, and the rows, of each fold by time."""
    made = with_folds(frame, SCHEMA, folds=folds, by="time").withColumn("n", sf.datediff("day", sf.lit("2024-01-01")))
    found = made.where("day IS NOT NULL").groupBy(FOLD).agg(sf.min("n"), sf.max("n"), sf.count("*")).orderBy(FOLD)
    rows = [tuple(row) for row in found.collect()]
    assert [row[0] for row in rows] == list(range(folds))
    return [row[1:] for row in rows]


def test_folds_by_time_are_blocks_of_as_many_rows(rows: DataFrame) -> None:
    blocks = days_by_fold(rows, 4)
    assert blocks == [(0, 24, 5_000), (25, 49, 5_000), (50, 74, 5_000), (75, 99, 5_000)]
    assert days_by_fold(rows.orderBy(sf.desc("receipt")).repartition(5), 4) == blocks


@pytest.mark.parametrize("heavy", [0, 3, 5])
def test_a_day_of_most_rows_stays_together_and_no_fold_is_empty(rows: DataFrame, heavy: int) -> None:
    day = sf.when(sf.col("spend") >= 600, heavy).otherwise((sf.col("spend") % 6).cast("int"))
    crowded = rows.withColumn("day", sf.date_add(sf.lit("2024-01-01").cast("date"), day))
    blocks = days_by_fold(crowded, 4)
    assert all(last < first for (_, last, _), (first, _, _) in itertools.pairwise(blocks))
    assert sum(count for _, _, count in blocks) == 20_000


def test_rows_without_a_time_are_in_the_first_block(rows: DataFrame) -> None:
    some = rows.withColumn("day", sf.when(sf.col("spend") >= 100, sf.col("day")))
    made = with_folds(some, SCHEMA, folds=3, by="time")
    assert {row[0] for row in made.where("day IS NULL").select(FOLD).distinct().collect()} == {0}


def test_what_cannot_be_split_is_refused(rows: DataFrame) -> None:
    with pytest.raises(SettingsError, match="holdout"):
        holdout_split(rows, SCHEMA, share=1.0)
    with pytest.raises(SettingsError, match="folds"):
        with_folds(rows, SCHEMA, folds=1)
    with pytest.raises(SettingsError, match="distinct times"):
        with_folds(rows.where("day < '2024-01-04'"), SCHEMA, folds=4, by="time")
    timeless = Schema(name="t", title="t", columns=tuple(c for c in SCHEMA.columns if c.role != "time"))
    with pytest.raises(SettingsError, match="time"):
        holdout_split(rows, timeless, share=0.2, by="time")
    with pytest.raises(SettingsError, match="time"):
        with_folds(rows, timeless, folds=3, by="time")
