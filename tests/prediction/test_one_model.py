"""A run scores all its rows with the model that it began with, whatever is put in the model's place meanwhile."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from tests.tiny_model import TinyShop

from purchasecast.bundle import load_bundle, pinned
from purchasecast.files import sealed
from purchasecast.io import read_table
from purchasecast.prediction import Output, predict, score

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from purchasecast.bundle import Bundle

pytestmark = pytest.mark.spark
ROWS = 400


class Case:
    """A model, another one to replace it with, and rows to score in eight partitions."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        first, self.second = TinyShop(seed=1), TinyShop(seed=2)
        drawn = {(row["Customer"], row["Product"]): row for row in first.random_rows(2 * ROWS)}
        rows = list(drawn.values())[:ROWS]  # distinct keys
        self.expected = [first.predict(row) for row in rows]
        self.place = first.save(folder / "model")
        self.bundle: Bundle = load_bundle(self.place)
        pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
        table = read_table(spark, folder / "rows.csv", self.bundle.schema, target="optional")
        self.rows: DataFrame = table.repartitionByRange(8, "_pc_position")
        self.raw: DataFrame = table

    def replace(self) -> None:
        self.second.save(self.place)
        assert load_bundle(self.place).identity != self.bundle.identity

    def predictions(self, frame: DataFrame) -> Any:
        table = frame.select("_pc_position", "prediction").toPandas().sort_values("_pc_position")
        return table["prediction"].tolist()


@pytest.fixture
def case(spark: SparkSession, tmp_path: Path) -> Case:
    return Case(spark, tmp_path)


def test_rows_are_scored_by_the_model_that_was_loaded(case: Case) -> None:
    scored = score(case.rows, case.bundle)
    case.replace()
    assert case.predictions(scored) == pytest.approx(case.expected, rel=1e-9)


def test_a_model_too_large_to_send_is_kept_beside_its_place(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "_CARRIED_BYTES", 0)
    with pinned(case.bundle) as fixed:
        scored = score(case.rows, fixed)
        case.replace()
        assert case.predictions(scored) == pytest.approx(case.expected, rel=1e-9)


def test_a_model_that_cannot_be_kept_ends_the_run_when_it_is_replaced(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "_CARRIED_BYTES", 0)
    scored = score(case.rows, case.bundle)
    case.replace()
    with pytest.raises(Exception, match="replaced or changed since; run it again"):
        case.predictions(scored)


def test_predict_writes_the_model_that_it_was_given_or_nothing(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = sys.modules["purchasecast.prediction.predict"]  # its name is also that of the function
    real = prediction.score

    def late(*arguments: Any, **options: Any) -> Any:
        case.replace()  # when the run has fixed its model
        return real(*arguments, **options)

    monkeypatch.setattr(prediction, "score", late)
    predict(case.raw, case.bundle, Output(str(tmp_path / "out.csv"), single_csv=True))
    written = pd.read_csv(tmp_path / "out.csv")["prediction"]
    assert written.tolist() == pytest.approx(case.expected, rel=1e-9)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="it was replaced since; load it again"):
        predict(case.raw, case.bundle, Output(str(tmp_path / "other.csv"), single_csv=True))
    assert not (tmp_path / "other.csv").exists()


def test_a_spreadsheet_finds_no_formula_in_predictions(spark: SparkSession, tmp_path: Path) -> None:
    shop = TinyShop(seed=1)
    products = ['=HYPERLINK("http://evil","x")', " =1+1", "@SUM(A1)", "-20", "plain"]
    rows = [row | {"Product": product} for row, product in zip(shop.random_rows(5), products, strict=True)]
    bundle = load_bundle(shop.save(tmp_path / "model"))
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    raw = read_table(spark, tmp_path / "rows.csv", bundle.schema, target="optional")
    escaped = ["'" + products[0], "'=1+1", "'@SUM(A1)", "-20", "plain"]  # blanks around a text are not part of it
    predict(raw, bundle, Output(str(tmp_path / "out.csv"), single_csv=True))
    assert pd.read_csv(tmp_path / "out.csv", dtype=str)["Product"].tolist() == escaped
    predict(raw, bundle, Output(str(tmp_path / "folder"), format="csv"))
    parts = [pd.read_csv(part, dtype=str) for part in sorted((tmp_path / "folder").glob("part-*"))]
    assert sorted(pd.concat(parts)["Product"]) == sorted(escaped)
    predict(raw, bundle, Output(str(tmp_path / "kept.parquet")))
    assert sorted(pd.read_parquet(tmp_path / "kept.parquet")["Product"]) == sorted(p.strip() for p in products)
