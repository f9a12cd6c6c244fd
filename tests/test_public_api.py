"""The public face: every name resolves, importing it is light, and one script does the whole job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest

import purchasecast as pc

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parents[1]


def test_every_name_resolves_and_the_list_is_sorted() -> None:
    assert list(pc.__all__) == sorted(pc.__all__)
    for name in pc.__all__:
        assert getattr(pc, name) is not None
    assert set(pc.__all__) <= set(dir(pc))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        pc.trian  # noqa: B018


def test_importing_the_package_loads_neither_spark_nor_numpy() -> None:
    code = (
        "import sys, purchasecast; heavy = {'pyspark', 'numpy', 'pyarrow', 'pandas', 'scipy'} & set(sys.modules); "
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_loading_and_predicting_loads_no_spark(model_folder: Path, rows: list[dict[str, Any]]) -> None:
    code = (
        "import sys, json, purchasecast as pc; model = pc.load(sys.argv[1]); rows = json.loads(sys.argv[2]); "
        "result = model.predict(rows); assert len(result) == len(rows) and 'prediction' in result[0]; "
        "print(model.explain(rows[0])); sys.exit('pyspark' in sys.modules)"
    )
    import json

    done = subprocess.run(
        [sys.executable, "-c", code, str(model_folder), json.dumps(rows)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "average row" in done.stdout


@pytest.fixture(scope="session")
def shop_model(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[pc.Model, Path]:
    folder = tmp_path_factory.mktemp("api")
    shop = pc.datasets.generate_shop(spark, rows=2_500, seed=3)
    files = pc.datasets.write_shop(shop, str(folder / "shop.csv"), scoring=True)
    grid = {"reg_param": (0.01,), "elastic_net_param": (0.0,)}
    model = pc.train(files["transactions"], folds=2, refit=False, out=folder / "model", session=spark, **grid)
    return model, folder


@pytest.fixture(scope="session")
def model_folder(shop_model: tuple[pc.Model, Path]) -> Path:
    return shop_model[1] / "model"


@pytest.fixture(scope="session")
def table(shop_model: tuple[pc.Model, Path]) -> pd.DataFrame:
    scoring = pd.read_csv(shop_model[1] / "shop.scoring.csv", dtype=str).head(50)
    return scoring.where(scoring.notna(), None)


@pytest.fixture(scope="session")
def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table.to_dict("records")


@pytest.mark.spark
def test_a_model_gives_back_the_kind_of_table_it_gets(
    spark: SparkSession, shop_model: tuple[pc.Model, Path], table: pd.DataFrame
) -> None:
    import polars as pl

    model = shop_model[0]
    indexed = table.set_index(pd.Index(range(100, 100 + len(table))))
    scored = model.predict(indexed)
    assert isinstance(scored, pd.DataFrame)
    assert list(scored.index) == list(indexed.index)
    assert list(scored.columns) == [*table.columns, "prediction", "lower", "upper"]
    expected = scored["prediction"].tolist()
    of_polars, of_arrow = model.predict(pl.from_pandas(table)), model.predict(pa.Table.from_pandas(table))
    of_dicts = model.predict(table.to_dict("records"))
    assert isinstance(of_polars, pl.DataFrame)
    assert isinstance(of_arrow, pa.Table)
    assert of_polars["prediction"].to_list() == expected
    assert of_arrow["prediction"].to_pylist() == expected
    assert [row["prediction"] for row in of_dicts] == expected
    lazy = model.predict(spark.createDataFrame(table.astype(object).where(table.notna(), None)))
    assert type(lazy).__module__.startswith("pyspark.")
    key = ["User_ID", "Product_ID"]
    together = lazy.toPandas().merge(scored, on=key, suffixes=("_spark", ""))
    assert len(together) == len(table)
    assert together["prediction_spark"].tolist() == pytest.approx(together["prediction"].tolist(), rel=1e-12)


@pytest.mark.spark
def test_levels_widen_the_interval_for_one_call_only(shop_model: tuple[pc.Model, Path], table: pd.DataFrame) -> None:
    model = shop_model[0]
    width = lambda scored: float((scored["upper"] - scored["lower"]).sum())  # noqa: E731
    before, wide, after = (width(model.predict(table, level=level)) for level in (None, 0.99, None))
    assert wide > 1.2 * before
    assert after == before


@pytest.mark.spark
def test_an_explanation_sums_to_the_prediction(shop_model: tuple[pc.Model, Path], rows: list[dict[str, Any]]) -> None:
    explanation = shop_model[0].explain(rows[0])
    assert explanation.base + sum(value for _, value in explanation.parts) == pytest.approx(explanation.prediction)
    assert "prediction" in repr(explanation)
    assert explanation._repr_html_().startswith("<table>")


@pytest.mark.spark
def test_a_bad_row_is_an_error_or_marked(shop_model: tuple[pc.Model, Path], table: pd.DataFrame) -> None:
    bad = table.assign(Gender=["X", *table["Gender"][1:]])
    with pytest.raises(pc.errors.DataError, match="row 0, Gender"):
        shop_model[0].predict(bad)
    marked = shop_model[0].predict(bad, errors="mark")
    assert marked["prediction"].isna().tolist() == [True] + [False] * (len(bad) - 1)


@pytest.mark.spark
def test_the_whole_job_by_the_api_alone(spark: SparkSession, shop_model: tuple[pc.Model, Path], tmp_path: Path) -> None:
    model, folder = shop_model
    data = pd.read_csv(folder / "shop.csv", dtype=str)
    data = data.astype(object).where(data.notna(), None)
    assert pc.validate(data, session=spark).rejected == 0
    assert "product mean" in repr(model.evaluation)
    assert "<table>" in model.evaluation._repr_html_()
    trained = pc.train(data, folds=2, refit=False, reg_param=(0.01,), elastic_net_param=(0.0,), session=spark)
    assert trained.evaluation.overall.rmse == pytest.approx(model.evaluation.overall.rmse, rel=1e-6)
    saved = trained.save(tmp_path / "saved")
    assert saved.path == tmp_path / "saved"
    again = pc.load(tmp_path / "saved").evaluate(data, session=spark)
    assert again.overall.rows == len(data)
    insights = saved.insights(data, session=spark)
    assert insights.findings
    page = saved.report(tmp_path / "report.html")
    assert "<html" in page.read_text(encoding="utf-8")[:300]


def test_a_setting_that_is_none_is_named_with_a_guess() -> None:
    with pytest.raises(pc.errors.SettingsError, match="did you mean folds"):
        pc.TrainSettings.of(fold=3)
