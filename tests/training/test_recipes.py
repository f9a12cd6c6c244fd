"""The recipes beyond linear: members, blend, intervals and explanations, on one small generated shop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from pyspark.ml import PipelineModel
from pyspark.sql import functions as sf
from tests.planted_shop import FOLDS

from purchasecast.cli import cli
from purchasecast.config import TrainSettings
from purchasecast.datasets import generate_shop, write_shop
from purchasecast.errors import SettingsError
from purchasecast.io import read_table
from purchasecast.schema import load_schema
from purchasecast.scorer import load
from purchasecast.stages import BoostedTreesModel, BoostedTreesRegressor, LevelStatisticsEncoder
from purchasecast.training import TrainResult, train
from purchasecast.validation import validate

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession
    from tests.planted_shop import PlantedShop

pytestmark = pytest.mark.spark

SETTINGS = TrainSettings(model="blend", folds=2, reg_param=(0.1, 10.0), elastic_net_param=(0.0,))
SCORES = ["prediction", "lower", "upper"]


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Return a generated shop as `read_table` would."""
    shop = generate_shop(spark, rows=8_000, seed=5).transactions
    return shop.select(
        "*", sf.lit(None).cast("string").alias("_pc_corrupt"), sf.monotonically_increasing_id().alias("_pc_position")
    ).cache()


@pytest.fixture(scope="module")
def trained(rows: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(rows, load_schema("black_friday"), tmp_path_factory.mktemp("blend") / "model", SETTINGS)


@pytest.fixture(scope="module")
def scored(trained: TrainResult, rows: DataFrame) -> pd.DataFrame:
    """Return a part of the rows, and some of unseen products and customers, as the saved pipeline scores them."""
    model = PipelineModel.load((trained.bundle.path / "pipeline").as_uri())
    accepted = validate(rows, trained.bundle.schema).accepted.drop("_pc_position")
    part = accepted.where("pmod(xxhash64(User_ID, Product_ID), 10) = 0")
    some = accepted.where("pmod(xxhash64(User_ID, Product_ID), 200) = 1")
    part = part.unionByName(some.withColumn("Product_ID", sf.lit("P-new")))
    part = part.unionByName(some.withColumn("User_ID", sf.lit(9_999_999).cast(some.schema["User_ID"].dataType)))
    return model.transform(part).select(*part.columns, *SCORES).toPandas()


def test_members_are_weighed_and_reported(trained: TrainResult) -> None:
    assert trained.search is not None
    assert trained.boosting is not None
    assert trained.boosting["rounds"] >= 1
    assert trained.boosting["error"] > 0
    assert set(trained.members) == {"_pc_linear", "_pc_boosted", "_pc_product_mean", "_pc_product_median"}
    assert all(weight >= 0 for weight in trained.members.values())
    assert sum(trained.members.values()) == pytest.approx(1.0, abs=0.05)


def test_the_holdout_is_predicted_covered_and_calibrated(trained: TrainResult) -> None:
    evaluation = trained.evaluation
    assert evaluation is not None
    whole = evaluation.overall
    assert evaluation.level == 0.9
    assert whole.rmse < whole.baseline_rmse["product_mean"]
    assert whole.coverage == pytest.approx(0.9, abs=0.04)  # 1,600 rows: a standard error of 0.0075
    assert whole.mean_width is not None
    assert whole.interval_score is not None
    assert whole.interval_score > whole.mean_width
    assert whole.mean_prediction is not None
    assert abs(whole.bias) < 0.03 * whole.mean_prediction
    tenths = [part for part in evaluation.slices if part.by == "prediction tenth"]
    assert [part.level for part in tenths] == [str(k) for k in range(1, 11)]
    assert sum(part.rows for part in tenths) == whole.rows
    means = [part.mean_prediction for part in tenths]
    assert means == sorted(means)  # type: ignore[type-var]


def test_bounds_hold_the_prediction_and_the_schemas_minimum(scored: pd.DataFrame) -> None:
    assert (scored["lower"] <= scored["prediction"]).all()
    assert (scored["prediction"] <= scored["upper"]).all()
    assert (scored["lower"] >= 0).all()
    assert scored["upper"].sub(scored["lower"]).nunique() > len(scored) / 10


def test_the_scorer_gives_what_spark_gives_and_explains_it(trained: TrainResult, scored: pd.DataFrame) -> None:
    scorer = load(trained.bundle.path)
    found = scorer.predict(scored.drop(columns=[*SCORES, "Purchase"]), explain=True)
    for name in SCORES:
        np.testing.assert_allclose(getattr(found, name), scored[name], rtol=1e-6, atol=1e-3)
    assert found.contributions is not None
    total = found.contributions.base + sum(found.contributions.parts.values())
    np.testing.assert_allclose(total, found.prediction, rtol=1e-9)
    assert found.unseen["product"].sum() > 10
    assert found.unseen["customer"].sum() > 10
    named = {name for source in found.contributions.parts for name in source if name}
    assert named == {column.name for column in trained.bundle.schema.columns if column.role != "target"}
    one = scorer.predict_one(scored.drop(columns=[*SCORES, "Purchase"]).iloc[0].to_dict())
    assert one.lower == pytest.approx(scored["lower"][0], rel=1e-6)


def test_an_unseen_product_has_a_wider_interval(trained: TrainResult, scored: pd.DataFrame) -> None:
    scorer = load(trained.bundle.path)
    row = scored.drop(columns=[*SCORES, "Purchase"]).iloc[0].to_dict()
    known, new = scorer.predict_one(row), scorer.predict_one({**row, "Product_ID": "P-new"})
    assert known.upper is not None
    assert new.upper is not None
    assert new.upper - new.prediction > known.upper - known.prediction


def test_boosted_is_the_same_on_other_partitions_and_explains_unseen_rows(spark: SparkSession, tmp_path: Path) -> None:
    """One fit by the command line, one of the same rows in another order; purchases go through a square root."""
    write_shop(generate_shop(spark, rows=1_500, seed=6), str(tmp_path / "shop.csv"))
    asked = ["--model", "boosted", "--folds", "2", "--target-transform", "sqrt", "--json"]
    done = CliRunner().invoke(cli, ["train", str(tmp_path / "shop.csv"), "--out", str(tmp_path / "first"), *asked])
    assert done.exit_code == 0, done.output
    schema = load_schema("black_friday")
    settings = TrainSettings(model="boosted", folds=2, target_transform="sqrt")
    raw = read_table(spark, tmp_path / "shop.csv", schema).orderBy("Purchase").repartition(5)
    train(raw, schema, tmp_path / "second", settings)
    table = pd.read_csv(tmp_path / "shop.csv").head(200)
    table.loc[:20, "Product_ID"], table.loc[10:30, "User_ID"] = "P-new", 9_999_999
    first, second = (load(tmp_path / name).predict(table, explain=True) for name in ("first", "second"))
    np.testing.assert_allclose(first.prediction, second.prediction, rtol=1e-3)
    assert first.contributions is not None
    total = first.contributions.base + sum(first.contributions.parts.values())
    np.testing.assert_allclose(total, first.prediction, rtol=1e-9)
    manifest = json.loads((tmp_path / "first" / "manifest.json").read_text())
    assert manifest["target_transform"]["chosen"] == "sqrt"
    assert first.prediction.mean() == pytest.approx(table["Purchase"].mean(), rel=0.1)  # money, not its root


def test_counts_out_of_fold_are_what_they_will_be_at_scoring(spark: SparkSession, shop: PlantedShop) -> None:
    frame = shop.frame(spark)
    encoder = LevelStatisticsEncoder(
        inputCols=["product"], outputCols=["p"], statistics=["count"], labelCol="spend", numFolds=FOLDS
    )
    model = encoder.fit(frame)
    mean = [model.transform(rows).agg(sf.avg("p_count")).collect()[0][0] for rows in (frame, frame.drop("fold"))]
    assert mean[0] == pytest.approx(mean[1], rel=0.03)


def trees(**params: object) -> BoostedTreesRegressor:
    return BoostedTreesRegressor(
        inputCols=["group", "fold"], labelCol="spend", orderCol="key", numRounds=20, maxLeaves=8, **params
    )


def test_trees_do_not_depend_on_order_and_survive_a_file(
    spark: SparkSession, shop: PlantedShop, tmp_path: Path
) -> None:
    frame = shop.frame(spark).withColumn("key", sf.xxhash64("customer", "product"))
    model = trees(validationFold=1, everyFold=True, predictionCol="p").fit(frame)
    again = trees(validationFold=1, predictionCol="p").fit(frame.orderBy("spend").repartition(5))
    assert model.booster_json() == again.booster_json()
    by_fold = model.out_of_fold(frame).groupBy("fold").agg(sf.sum("p").alias("p")).toPandas().set_index("fold")["p"]
    assert len(by_fold) == FOLDS
    for fold, total in by_fold.items():
        alone = model.without_folds[fold].transform(frame.where(sf.col("fold") == fold))
        assert alone.agg(sf.sum("p")).collect()[0][0] == pytest.approx(total)
        assert model.without_folds[fold].booster_json() != model.booster_json()
    model.save(str(tmp_path / "trees"))
    loaded = BoostedTreesModel.load(str(tmp_path / "trees"))
    expected = model.transform(frame).agg(sf.sum("p")).collect()[0][0]
    assert loaded.transform(frame).agg(sf.sum("p")).collect()[0][0] == pytest.approx(expected)
    assert loaded.rounds == model.rounds


def test_more_workers_than_slots_are_an_error_at_once(spark: SparkSession, shop: PlantedShop) -> None:
    frame = shop.frame(spark).withColumn("key", sf.lit(1))
    with pytest.raises(SettingsError, match="numWorkers: expected 0 to 2"):
        trees(numWorkers=3).fit(frame)
