"""What every stage of ours must keep, one suite for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import functions as sf
from tests.planted_shop import FOLDS

from purchasecast.errors import ColumnMismatchError, DataError, SettingsError
from purchasecast.stages import (
    CrossedEffectsEncoder,
    LatentFactorEncoder,
    LevelStatisticsEncoder,
    PurchasePatternEncoder,
    UnitPriceEncoder,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession
    from tests.planted_shop import PlantedShop

pytestmark = pytest.mark.spark


@dataclass
class Case:
    """A stage on the planted shop, fitted once for all tests of the suite."""

    stage: Any
    outputs: list[str]
    unseen: dict[str, float]
    bad_params: list[dict[str, Any]]
    tolerance: float
    frame: DataFrame | None = None
    model: Any = None
    encoded: pd.DataFrame = field(default_factory=pd.DataFrame)


def crossed_effects(**params: int) -> Case:
    stage = CrossedEffectsEncoder(
        inputCols=["customer", "product"],
        outputCols=["a", "b"],
        countCols=["na", "nb"],
        labelCol="spend",
        attributeCols=["group"],
        numFolds=FOLDS,
        maxIter=3,
        **params,
    )
    return Case(
        stage,
        outputs=["a", "b", "na", "nb", "baseline", "fitted", "fits"],
        unseen={"a": 0.0, "b": 0.0, "na": 0.0, "nb": 0.0},
        bad_params=[{"outputCols": ["a"]}, {"maxIter": 0}, {"tol": -1.0}, {"numFolds": 1}],
        tolerance=1e-9,
    )


def latent_factors(**params: int) -> Case:
    stage = LatentFactorEncoder(
        userCol="customer",
        itemCol="product",
        labelCol="spend",
        offsetCol="level",
        scaleCol="scale",
        userFactorsPrefix="u",
        itemFactorsPrefix="v",
        itemAttributeCols=["group"],
        rank=2,
        maxIter=3,
        numFolds=FOLDS,
        **params,
    )
    return Case(
        stage,
        outputs=["interaction", "scale", "u_0", "u_1", "v_0", "v_1"],
        unseen={},  # an unseen level has what its attributes say: test_latent_factors
        bad_params=[{"rank": 0}, {"maxIter": 0}, {"scalePrior": -1.0}, {"numFolds": 1}],
        tolerance=1e-9,
    )


def purchase_patterns(**params: int) -> Case:
    stage = PurchasePatternEncoder(userCol="customer", itemCol="product", rank=3, maxIter=4, **params)
    return Case(
        stage,
        outputs=["user_pattern", "item_pattern"],
        unseen={f"{side}_pattern_{k}": 0.0 for side in ("user", "item") for k in range(4)},
        bad_params=[{"rank": 0}, {"maxIter": 0}, {"countPower": -0.1}, {"countPower": 1.1}],
        tolerance=1e-9,
    )


def level_statistics(**params: int) -> Case:
    stage = LevelStatisticsEncoder(
        inputCols=["customer", "product", "customer"],
        crossCols=["", "", "group"],
        outputCols=["c", "p", "cg"],
        statistics=["count", "mean", "q90", "lift"],
        rankWithinCol="product",
        scaleCol="level",
        labelCol="spend",
        numFolds=FOLDS,
        **params,
    )
    return Case(
        stage,
        outputs=[
            *("c_count", "c_mean", "c_q90", "c_lift", "p_count", "p_mean", "p_q90"),
            *("cg_count", "cg_mean", "cg_q90", "cg_lift"),
        ],
        unseen={"c_count": 0.0, "c_lift": 0.0, "p_count": 0.0, "cg_count": 0.0, "cg_lift": 0.0},
        bad_params=[
            {"outputCols": ["c"]},
            {"crossCols": [""]},
            {"statistics": ["median"]},
            {"scaleCol": ""},
            {"shrinkage": -1.0},
            {"numFolds": 1},
        ],
        tolerance=1e-9,
    )


def unit_price() -> Case:
    stage = UnitPriceEncoder(
        labelCol="spend",
        productCol="product",
        quantityCol="level",
        levelCols=["group"],
        effectCols=["product", "customer", "customer"],
        effectCrossCols=["@quantity", "", "group"],
        attributeCols=["group"],
        numFolds=FOLDS,
    )
    outputs = list(stage.output_names().values())
    rows = [name for name in outputs if "_rows_" in name]
    effects = [name for name in outputs if "_effect_" in name]
    return Case(
        stage,
        outputs=outputs,
        unseen=dict.fromkeys([*effects, *[n for n in rows if not n.endswith("_0")]], 0.0),
        bad_params=[
            {"effectShrinkages": [1.0]},
            {"effectCrossCols": [""]},
            {"attributeCols": ["@quantity"]},
            {"slopeShrinkage": 0.0},
            {"productShrinkage": -1.0},
            {"amountCol": "unit_price_line"},
            {"numFolds": 1},
        ],
        tolerance=1e-9,
    )


MAKERS = {
    "unit price": unit_price,
    "crossed effects in tasks": crossed_effects,
    "crossed effects by passes": partial(crossed_effects, maxTaskRows=0),
    "latent factors in tasks": latent_factors,
    "level statistics in tasks": level_statistics,
    "level statistics by passes": partial(level_statistics, maxTaskRows=0),
    "latent factors by passes": partial(latent_factors, maxTaskRows=0),
    "purchase patterns in a task": purchase_patterns,
    "purchase patterns by passes": partial(purchase_patterns, maxTaskRows=0),
}


def with_level(frame: DataFrame) -> DataFrame:
    """Add what the latent factors are fitted beside."""
    return frame.withColumn("level", sf.lit(9_000.0))


def collect(frame: DataFrame, outputs: list[str]) -> pd.DataFrame:
    """Return the outputs, sorted by the key, arrays as columns."""
    rows = frame.select("customer", "product", *outputs).toPandas().sort_values(["customer", "product"])
    for name in outputs:
        if len(rows) and isinstance(rows[name].iloc[0], (list, np.ndarray)):
            arrays = np.stack(rows.pop(name).to_list())
            rows = rows.assign(**{f"{name}_{k}": arrays[:, k] for k in range(arrays.shape[1])})
    return rows.reset_index(drop=True)


@pytest.fixture(scope="module", params=sorted(MAKERS))
def case(request: pytest.FixtureRequest, spark: SparkSession, shop: PlantedShop) -> Case:
    """Fit each stage once."""
    found = MAKERS[request.param]()
    found.frame = with_level(shop.frame(spark)).cache()
    found.model = found.stage.fit(found.frame)
    found.encoded = collect(found.model.transform(found.frame), found.outputs)
    return found


def test_is_built_without_arguments_and_documents_every_param(case: Case) -> None:
    fresh = type(case.stage)()
    assert fresh.uid != case.stage.uid
    assert all(param.doc for param in fresh.params)
    assert not fresh.isSet("foldCol")


def test_transform_adds_its_columns_and_keeps_rows_and_columns(case: Case) -> None:
    out = case.model.transform(case.frame)
    assert out.columns == [*case.frame.columns, *case.outputs]
    before = case.frame.toPandas().sort_values(["customer", "product"]).reset_index(drop=True)
    after = out.select(case.frame.columns).toPandas().sort_values(["customer", "product"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(before, after)
    assert np.isfinite(case.encoded.select_dtypes("number").to_numpy()).all()


def test_row_order_and_partitions_change_nothing(case: Case) -> None:
    other = case.frame.orderBy(sf.xxhash64("product", "customer")).repartition(5)
    again = collect(type(case.stage).fit(case.stage, other).transform(case.frame), case.outputs)
    scale = case.encoded.select_dtypes("number").abs().max()
    gap = (again.select_dtypes("number") - case.encoded.select_dtypes("number")).abs().max()
    assert (gap <= case.tolerance * scale.clip(lower=1.0)).all()


def test_a_row_is_encoded_without_its_own_label(case: Case) -> None:
    """The labels of a fold may be anything: the encodings of that fold's rows do not move."""
    changed = sf.when(sf.col("fold") == 1, sf.rand(3) * 1e6).otherwise(sf.col("spend"))
    poisoned = case.stage.fit(case.frame.withColumn("spend", changed)).transform(case.frame)
    kept = [name for name in case.outputs if name != "fits"]  # the other fits may see fold 1
    ours = collect(case.model.transform(case.frame).where("fold = 1"), kept)
    theirs = collect(poisoned.where("fold = 1"), kept)
    pd.testing.assert_frame_equal(ours, theirs, rtol=case.tolerance, atol=case.tolerance)
    others = collect(poisoned.where("fold <> 1"), kept)
    mine = collect(case.model.transform(case.frame).where("fold <> 1"), kept)
    assert not np.allclose(others.select_dtypes("number"), mine.select_dtypes("number"))


def test_null_and_unseen_levels_follow_the_policy(case: Case, spark: SparkSession) -> None:
    schema = "customer string, product string, group double, level double"
    strangers = spark.createDataFrame([("nobody", "nothing", 1.0, 9e3), (None, None, None, 9e3)], schema)
    for row in case.model.transform(strangers).collect():
        assert {name: row[name] for name in case.unseen} == case.unseen
    assert case.model.transform(strangers).count() == 2


def test_scoring_rows_get_the_fit_on_all_rows(case: Case, spark: SparkSession) -> None:
    pair = case.encoded[["customer", "product"]].iloc[[0]].assign(group=0.0, level=9e3)
    scored = case.model.transform(spark.createDataFrame(pair)).collect()
    assert len(scored) == 1
    assert "fits" not in scored[0]


def test_save_and_load_give_the_same_encodings(case: Case, tmp_path: Path) -> None:
    case.stage.save(str(tmp_path / "stage"))
    loaded_stage = type(case.stage).load(str(tmp_path / "stage"))
    assert loaded_stage.extractParamMap().keys() == case.stage.extractParamMap().keys()
    pipeline = Pipeline(stages=[case.stage])
    model = PipelineModel([case.model])
    pipeline.save(str(tmp_path / "pipeline"))
    model.save(str(tmp_path / "model"))
    loaded = PipelineModel.load(str(tmp_path / "model"))
    assert [type(stage) for stage in loaded.stages] == [type(case.model)]
    pd.testing.assert_frame_equal(collect(loaded.transform(case.frame), case.outputs), case.encoded)
    unfolded = case.frame.drop("fold")
    kept = [name for name in case.outputs if name != "fits"]
    strangers = unfolded.limit(20).withColumn("product", sf.lit("nothing"))
    for frame in (unfolded, strangers):
        pd.testing.assert_frame_equal(
            collect(loaded.transform(frame), kept), collect(case.model.transform(frame), kept)
        )


def test_bad_params_and_frames_are_refused_in_one_sentence(case: Case) -> None:
    for params in case.bad_params:
        with pytest.raises(SettingsError, match="expected"):
            case.stage.copy().fit(case.frame, params={case.stage.getParam(k): v for k, v in params.items()})
    with pytest.raises(ColumnMismatchError, match="customer"):
        case.stage.fit(case.frame.drop("customer"))
    with pytest.raises(DataError, match="fold"):
        case.stage.fit(case.frame.withColumn("fold", sf.col("fold") + 1))


def test_portable_form_holds_the_fit_on_all_rows(case: Case) -> None:
    portable = case.model.to_portable()
    assert portable["kind"]
    for table in portable["tables"].values():
        assert table.count() == table.select("level").distinct().count() > 0
