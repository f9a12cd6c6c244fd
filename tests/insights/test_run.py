"""The whole run: planted truth is found, nothing is found where nothing is, and what a table lacks drops out."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from purchasecast.bundle import load_bundle, save_bundle
from purchasecast.bundle.pipeline import save_propensity
from purchasecast.cli.options import column_pair
from purchasecast.config import InsightSettings, TrainSettings
from purchasecast.errors import DataError, SettingsError
from purchasecast.insights import find_insights, summary
from purchasecast.prediction import score_offers
from purchasecast.results import Insights
from purchasecast.schema import Schema, load_schema
from purchasecast.training.offers import propensity_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from purchasecast.bundle import Bundle

EVALUATION = {
    "rows": 1_000,
    "rmse": 40.0,
    "mae": 30.0,
    "r2": 0.5,
    "bias": 0.0,
    "baseline_rmse": {},
    "coverage": None,
    "mean_width": None,
    "computed_on": "",
    "slices": [],
    "seconds": {},
}
CORNER_SHOP = {
    "name": "corner shop",
    "money": "EUR",
    "key": ["who", "what"],
    "columns": {
        "who": {"kind": "nominal", "role": "customer"},
        "town": {"kind": "nominal", "of": "customer"},
        "what": {"kind": "nominal", "role": "product"},
        "aisle": {"kind": "nominal", "of": "product"},
        "paid by": {"kind": "nominal"},
        "pieces": {"kind": "numeric", "unit": "pieces"},
        "spend": {"kind": "numeric", "role": "target"},
    },
}
# A model that needs no training: dearer by the product's number, and a little by the customer's.
PREDICTED = "10 * int(substring(`what`, 2)) + int(substring(`who`, 2)) % 7 + 0 * length(`paid by`) * `pieces`"


def schema_without(*names: str) -> Schema:
    columns = {name: fields for name, fields in CORNER_SHOP["columns"].items() if name not in names}  # type: ignore[attr-defined]
    key = [name for name in ("who", "what") if name not in names]
    return Schema.from_dict({**CORNER_SHOP, "columns": columns, "key": key if len(key) == 2 else []})


def bundle_of(
    path: Path,
    schema: Schema,
    prediction: str,
    evaluation: dict[str, Any] | None = None,
    past: DataFrame | None = None,
) -> Bundle:
    """Write a bundle whose pipeline is one SQL expression; with past purchases it knows who buys what."""
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import SQLTransformer

    statement = f"SELECT *, double({prediction}) AS prediction FROM __THIS__"  # noqa: S608  the test's own text

    def write_parts(folder: Path) -> None:
        PipelineModel([SQLTransformer(statement=statement)]).write().save((folder / "pipeline").as_uri())
        if past is not None:
            save_propensity(propensity_of(schema, TrainSettings()).fit(past), folder)

    documents = {"evaluation": evaluation} if evaluation else {}
    save_bundle(path, write_parts=write_parts, documents=documents, manifest={"schema": schema.to_dict()})
    return load_bundle(path)


def corner_shop(customers: int = 60, products: int = 30) -> pd.DataFrame:
    """Let every customer buy about half of the products, the aisle of the dearest by few."""
    random = np.random.default_rng(4)
    who, what = np.nonzero(random.random((customers, products)) < np.where(np.arange(products) < 25, 0.5, 0.3))
    return pd.DataFrame(
        {
            "who": [f"c{i}" for i in who],
            "town": [f"t{i % 2}" for i in who],
            "what": [f"p{j}" for j in what],
            "aisle": [f"a{j % 3}" for j in what],
            "paid by": np.where(who % 2, "card", "cash"),
            "pieces": 1.0,
            "spend": np.maximum(10.0 * what + who % 7 + random.normal(0, 5, len(who)), 0),
        }
    )


def raw(spark: SparkSession, table: pd.DataFrame) -> DataFrame:
    """Return a table as `read_table` does."""
    from pyspark.sql import functions as sf

    from purchasecast.schema.reserved_columns import CORRUPT, POSITION

    frame = spark.createDataFrame(table).repartition(2)
    return frame.withColumns({CORRUPT: sf.lit(None).cast("string"), POSITION: sf.monotonically_increasing_id()})


def kinds(found: Insights) -> set[str]:
    return {finding.kind for finding in found.findings}


def test_settings_are_checked() -> None:
    for wrong in ({"level": 1.0}, {"false_discovery_rate": 0.0}, {"offers": 0}, {"cap": 0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            InsightSettings(**wrong)  # type: ignore[arg-type]
    assert column_pair(" a ,b") == ("a", "b")
    for text in ("a", "a,b,c", "a,"):
        with pytest.raises(SettingsError, match="by: expected two columns"):
            column_pair(text)


@pytest.mark.spark
def test_offers_are_the_best_that_nobody_has_bought(spark: SparkSession, tmp_path: Path) -> None:
    table = corner_shop()
    coming = table.drop(columns="spend").head(40).assign(what="p29", aisle="a2").drop_duplicates(["who", "what"])
    coming = coming[~coming["who"].isin(table[table["what"] == "p29"]["who"])]
    past = raw(spark, table)
    bundle = bundle_of(tmp_path / "model", schema_without(), PREDICTED, EVALUATION, past)
    settings = InsightSettings(offers=3, cap=25, by=(("aisle", "paid by"),), purchases=200)
    found = find_insights(
        bundle, tmp_path / "out", data=raw(spark, table), demand=raw(spark, coming), settings=settings
    )
    offers = pd.read_parquet(tmp_path / "out" / "offers-by-customer.parquet")
    taken = set(zip(table["who"], table["what"], strict=True)) | set(zip(coming["who"], coming["what"], strict=True))
    assert len(coming)
    for who in table["who"].unique():
        own = offers[offers["who"] == who].sort_values("place")
        assert list(own["place"]) == [1, 2, 3]
        assert own["probability"].is_monotonic_decreasing
        assert not {(who, what) for what in own["what"]} & taken
    number = offers["what"].str[1:].astype(int)
    assert np.allclose(offers["predicted_spend"], 10 * number + offers["who"].str[1:].astype(int) % 7)
    assert not offers["bought_before"].any()
    lists = [c for c in found.campaigns if c.name.startswith("offers-category")]
    assert {c.name for c in lists} == {"offers-category-a0", "offers-category-a1", "offers-category-a2"}
    for campaign in lists:
        lines = pd.read_csv(tmp_path / "out" / campaign.files[0])
        assert len(lines) == campaign.rows <= 25
        assert not set(zip(lines["who"], lines["what"], strict=True)) & taken
        assert lines["expected_revenue"].is_monotonic_decreasing
        assert lines["expected_revenue"].sum() == pytest.approx(campaign.expected_revenue)
        assert np.allclose(lines["expected_revenue"], lines["predicted_spend"] * lines["probability"])
        pd.testing.assert_frame_equal(lines, pd.read_parquet(tmp_path / "out" / campaign.files[1]), check_dtype=False)
    assert {"concentration", "inventory", "pricing", "offer"} <= kinds(found)
    (stock,) = [f for f in found.findings if f.id == "inventory:aisle*paid by"]
    assert stock.value == pytest.approx(sum(290 + int(who[1:]) % 7 for who in coming["who"]))
    assert stock.interval == pytest.approx(
        (stock.value - 1.645 * 40 * np.sqrt(len(coming)), stock.value + 1.645 * 40 * np.sqrt(len(coming))), rel=1e-3
    )
    assert Insights.from_dict(json.loads((tmp_path / "out" / "findings.json").read_text())) == found
    assert found.findings[0].claim in summary(found)
    offered = score_offers(raw(spark, table), bundle, per_customer=4, purchases=200, columns=["town"]).toPandas()
    assert offered.groupby("who").size().max() == 4
    assert np.allclose(offered["expected_revenue"], offered["probability"] * offered["amount"])
    assert dict(zip(offered["who"], offered["town"], strict=True)) == dict(
        zip(table["who"], table["town"], strict=True)
    )
    with pytest.raises(SettingsError, match="did you mean town"):
        score_offers(past, bundle, columns=["towns"])
    with pytest.raises(DataError, match="spend"):
        find_insights(bundle, tmp_path / "out", data=raw(spark, coming), demand=raw(spark, coming))


@pytest.mark.spark
@pytest.mark.parametrize(
    ("missing", "absent", "there"),
    [
        (("what",), {"pricing", "reach", "offer"}, {"concentration", "inventory"}),
        (("who", "town"), {"segment", "segment-mix", "customers", "reach", "offer"}, {"concentration", "pricing"}),
        (("town",), {"segment", "segment-mix", "offer"}, {"concentration", "pricing", "inventory"}),
    ],
)
def test_what_a_table_lacks_drops_out_with_a_sentence(
    spark: SparkSession, tmp_path: Path, missing: tuple[str, ...], absent: set[str], there: set[str]
) -> None:
    schema = schema_without(*missing)
    bundle = bundle_of(tmp_path / "model", schema, "100", None)
    found = find_insights(bundle, tmp_path / "out", data=raw(spark, corner_shop(30, 24).drop(columns=list(missing))))
    assert {a.kind for a in found.absent} == absent | {"trend", "leaving"}  # the shop has no dates
    assert all(a.reason.endswith(".") for a in found.absent)
    assert there <= kinds(found)
    stock = next(f for f in found.findings if f.kind == "inventory" and f.id != "inventory:orders")
    assert stock.interval is None  # a model that says nothing of its errors


@pytest.mark.spark
def test_planted_effects_are_found_and_none_where_there_are_none(spark: SparkSession, tmp_path: Path) -> None:
    from purchasecast.datasets import PlantedEffects, generate_shop

    bundle = bundle_of(tmp_path / "model", load_schema("black_friday"), "9000", None)
    planted = PlantedEffects(gender=0, age=0, occupation=0, city=4, stay=0, marital=0, customer=0.3, interaction=0)
    rate, found = 0.1, {}
    for name, effects in (("planted", planted), ("none", PlantedEffects.none())):
        rows = generate_shop(spark, rows=4_000, seed=11, effects=effects).transactions.toPandas()
        found[name] = find_insights(bundle, tmp_path / name, data=raw(spark, rows)).findings
    towns = {f.id: f for f in found["planted"] if f.kind == "segment"}
    low, high = towns["segment:City_Category=C"].interval or (0.0, 0.0)
    assert 0 < low < 1_200 + 0.4 * 800 < high + 200  # to the others: A lies 800 below B, C 1,200 above
    assert towns["segment:City_Category=A"].value < 0
    assert {name.split("=")[0] for name in towns} == {"segment:City_Category"}
    tested = [f for f in found["none"] if f.q_value is not None]
    assert len(tested) <= rate * 10  # nothing is there: at 0.1 hardly any shop has a claim


@pytest.mark.spark
@pytest.mark.slow
def test_the_command_after_training(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from purchasecast.cli import main
    from purchasecast.config import TrainSettings
    from purchasecast.datasets import generate_shop, write_shop
    from purchasecast.io import read_table
    from purchasecast.training import train

    write_shop(generate_shop(spark, rows=4_000, seed=3), str(tmp_path / "data.csv"), scoring=True)
    schema = load_schema("black_friday")
    settings = TrainSettings(folds=2, refit=False, reg_param=(0.01,), elastic_net_param=(0.0,))
    train(read_table(spark, tmp_path / "data.csv", schema), schema, tmp_path / "model", settings)

    def call(*arguments: object) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["purchasecast", "insights", *map(str, arguments), "--json"])
            with pytest.raises(SystemExit) as stopped:
                main()
        assert not stopped.value.code
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    model, out = tmp_path / "model", tmp_path / "out"
    found = call(model, tmp_path / "data.csv", "--demand", tmp_path / "data.scoring.csv", "--out", out)
    assert load_bundle(model).document("findings") == found
    assert {f["kind"] for f in found["findings"]} >= {"concentration", "pricing", "inventory", "offer"}
    offers = pd.read_parquet(out / "offers-by-customer.parquet")
    parts = [pd.read_csv(tmp_path / name)[["User_ID", "Product_ID"]] for name in ("data.csv", "data.scoring.csv")]
    taken = set(pd.concat(parts).astype(str).itertuples(index=False, name=None))
    assert not taken & set(offers[["User_ID", "Product_ID"]].astype(str).itertuples(index=False, name=None))
    assert offers["User_ID"].nunique() > 0.95 * parts[0]["User_ID"].nunique()

    alone = call(model, "--out", tmp_path / "alone", "--no-keep")
    same = {f["id"]: f for f in found["findings"]}
    for finding in alone["findings"]:
        assert finding["kind"] == "concentration"
        assert finding["value"] == pytest.approx(same[finding["id"]]["value"], abs=0.02)  # of the training part
    assert {"offer", "segment", "inventory"} <= {a["kind"] for a in alone["absent"]}
    assert load_bundle(model).document("findings") == found
    coming = call(model, tmp_path / "data.scoring.csv", "--out", tmp_path / "coming", "--no-keep")
    assert {f["kind"] for f in coming["findings"]} == {"concentration", "inventory"}
