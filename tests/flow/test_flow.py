"""The main job by the command line, on a generated shop: generate, validate, train, evaluate, predict."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from purchasecast.bundle import load_bundle
from purchasecast.bundle.pipeline import load_level_stages, load_pipeline
from purchasecast.cli import main
from purchasecast.io import read_table
from purchasecast.prediction import Output, predict, scoring
from purchasecast.scorer import load
from purchasecast.spark import shipping
from purchasecast.stages import ConformalIntervalsModel, CrossedEffectsModel, LatentFactorModel

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

ROWS = 4_000


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process, so that it finds the session; return exit code, stdout and stderr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["purchasecast", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
    shown = capsys.readouterr()
    return int(stopped.value.code or 0), shown.out, shown.err


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a generated shop, and train on it, once for all tests; return the folder."""
    from purchasecast.config import TrainSettings
    from purchasecast.datasets import generate_shop, write_shop
    from purchasecast.io import read_table
    from purchasecast.schema import load_schema
    from purchasecast.training import train

    folder = tmp_path_factory.mktemp("shop")
    write_shop(generate_shop(spark, rows=ROWS, seed=3), str(folder / "data.csv"), scoring=True)
    schema = load_schema("black_friday")
    result = train(read_table(spark, folder / "data.csv", schema), schema, folder / "model", TrainSettings())
    (folder / "train.json").write_text(json.dumps(result.to_dict()))
    return folder


@pytest.fixture
def trained(shop: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shop / "train.json").read_text())
    return found


def test_training_reports_what_the_contract_names(trained: dict[str, Any]) -> None:
    evaluation = trained["evaluation"]
    assert trained["rows"] == trained["accepted"] == ROWS
    assert {"rows", "rmse", "mae", "r2", "baseline_rmse", "coverage", "mean_width", "slices", "seconds"} <= set(
        evaluation
    )
    assert set(evaluation["baseline_rmse"]) == {"mean", "median", "product_mean", "product_median"}
    assert set(evaluation["baseline_mae"]) == set(evaluation["baseline_rmse"])
    assert evaluation["rmse"] < min(evaluation["baseline_rmse"].values())
    assert {part["by"] for part in evaluation["slices"]} >= {"product", "customer activity", "Product_Category_1"}
    assert trained["search"]["candidates"] == 60
    assert 0.15 < evaluation["rows"] / ROWS < 0.25


def test_slices_of_one_kind_add_up(trained: dict[str, Any]) -> None:
    evaluation = trained["evaluation"]
    for by in {part["by"] for part in evaluation["slices"]}:
        parts = [part for part in evaluation["slices"] if part["by"] == by]
        assert sum(part["rows"] for part in parts) == evaluation["rows"]
        squares = sum(part["rows"] * part["rmse"] ** 2 for part in parts)
        assert np.isclose(squares, evaluation["rows"] * evaluation["rmse"] ** 2)


def test_the_bundle_holds_what_it_should(shop: Path) -> None:
    bundle = load_bundle(shop / "model")
    assert bundle.manifest["data"]["rows"] == ROWS
    assert bundle.manifest["trained_on"] == "all rows"
    assert len(bundle.document("search")["candidates"]) == 60  # type: ignore[index]
    assert bundle.document("evaluation")["r2"] == bundle.manifest["metrics"]["r2"]  # type: ignore[index]
    assert not list(shop.glob("model/**/*.pkl"))


def test_evaluate_agrees_with_pandas(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "evaluate", shop / "model", shop / "data.csv", "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found["target_transform"]["rmse"]) == {"none", "log1p", "sqrt"}  # the choice, and why
    code, out, _ = call(
        capsys, "predict", shop / "model", shop / "data.csv", "--out", shop / "again.csv", "--overwrite", "--json"
    )
    assert json.loads(out)["rows"] == ROWS
    data, again = pd.read_csv(shop / "data.csv"), pd.read_csv(shop / "again.csv")
    error = again["prediction"] - data["Purchase"]  # the same order, row by row
    assert np.isclose(found["rmse"], np.sqrt((error**2).mean()), rtol=1e-9)
    assert np.isclose(found["mae"], error.abs().mean(), rtol=1e-9)
    assert np.isclose(found["r2"], 1 - (error**2).sum() / ((data["Purchase"] - data["Purchase"].mean()) ** 2).sum())
    means = data.groupby("Product_ID")["Purchase"].transform("mean")
    assert np.isclose(found["baseline_rmse"]["product_mean"], np.sqrt(((means - data["Purchase"]) ** 2).mean()))


def test_predictions_come_in_the_order_of_the_input(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(
        capsys, "predict", shop / "model", shop / "data.scoring.csv", "--out", shop / "p.csv", "--overwrite", "--json"
    )
    assert code == 0
    result = json.loads(out)
    given, scored = pd.read_csv(shop / "data.scoring.csv"), pd.read_csv(shop / "p.csv")
    pd.testing.assert_frame_equal(given[["User_ID", "Product_ID"]], scored[["User_ID", "Product_ID"]])
    assert list(scored.columns) == ["User_ID", "Product_ID", "prediction", "lower", "upper"]
    assert np.isfinite(scored["prediction"]).all()
    assert (scored["prediction"] >= 0).all()
    known = set(pd.read_csv(shop / "data.csv")["Product_ID"])
    assert result["unseen"]["product"] == (~given["Product_ID"].isin(known)).sum() > 0
    assert result["unseen"]["customer"] == 0


def test_predict_writes_a_folder_too_and_never_over_something(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", shop / "model", shop / "data.scoring.csv", "--out", tmp_path / "scored"]
    assert call(capsys, *arguments)[0] == 0
    folder = pd.read_parquet(tmp_path / "scored")
    assert len(folder) == len(pd.read_csv(shop / "data.scoring.csv"))
    code, _, err = call(capsys, *arguments, "--quiet")
    assert code == 1
    assert err.count("\n") == 1
    assert "expected no such folder, found one" in err


@pytest.mark.parametrize(
    ("out", "more", "told", "exit_code"),
    [
        ("data.scoring.csv", ["--overwrite"], "another place than that of the rows to score", 1),
        (".", ["--overwrite"], "another place than that of the rows to score", 1),
        ("p.csv", ["--out-table", "t"], "a jdbc: URL only", 2),
        ("p.csv.gz", [], "the suffix of a compressed file", 2),
        ("nowhere/p.csv", [], "expected a folder to write to", 1),
        ("data.csv", [], "choose another name, or overwrite it", 1),
    ],
)
def test_an_output_that_cannot_be_is_refused(
    shop: Path, capsys: pytest.CaptureFixture[str], out: str, more: list[str], told: str, exit_code: int
) -> None:
    before = (shop / "data.scoring.csv").read_bytes()
    arguments = [shop / "model", shop / "data.scoring.csv", "--json", "--out", shop / out, *more]
    code, printed, err = call(capsys, "predict", *arguments)
    assert (code, printed) == (exit_code, "")
    assert told in err
    assert (shop / "data.scoring.csv").read_bytes() == before


@pytest.mark.parametrize("out", ["nothing.csv", "nothing"])
def test_a_table_without_rows_gives_predictions_without_rows(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    header = (shop / "data.scoring.csv").read_text().splitlines()[0]
    (tmp_path / "empty.csv").write_text(header + "\n")
    code, printed, err = call(
        capsys, "predict", shop / "model", tmp_path / "empty.csv", "--json", "--out", tmp_path / out
    )
    assert code == 0, err
    assert json.loads(printed)["rows"] == 0
    written = pd.read_csv(tmp_path / out) if out.endswith(".csv") else pd.read_parquet(tmp_path / out)
    assert list(written.columns) == ["User_ID", "Product_ID", "prediction", "lower", "upper"]
    assert written.empty


def test_bad_rows_stop_a_run_with_3_and_are_told(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (shop / "data.csv").read_text().splitlines()
    broken = [rows[0], *[line.replace(",F,", ",X,").replace(",M,", ",X,") for line in rows[1:101]], *rows[101:]]
    path = tmp_path / "broken.csv"
    path.write_text("\n".join(broken) + "\n")
    code, out, err = call(capsys, "validate", path, "--json", "--rejects", tmp_path / "rejects")
    report = json.loads(out)
    assert code == 3
    assert (report["rejected"], report["reasons"]) == (100, {"Gender: not in domain": 100})
    assert "100" in err
    with (tmp_path / "rejects" / "rejects.csv").open() as stream:
        assert sum(1 for _ in csv.DictReader(stream)) == 100
    code, out, _ = call(capsys, "predict", shop / "model", path, "--out", tmp_path / "p.csv", "--json")
    assert (code, out) == (3, "")
    assert not (tmp_path / "p.csv").exists()
    code, out, _ = call(
        capsys, "predict", shop / "model", path, "--out", tmp_path / "p.csv", "--json", "--max-reject-rate", "0.1"
    )
    assert (code, json.loads(out)["rows"], json.loads(out)["rejected"]) == (0, ROWS - 100, 100)


def test_a_table_of_other_columns_is_refused(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_csv(shop / "data.csv").rename(columns={"Gender": "Sex"})
    frame.to_csv(tmp_path / "other.csv", index=False)
    code, out, err = call(capsys, "predict", shop / "model", tmp_path / "other.csv", "--out", tmp_path / "p.csv")
    assert (code, out) == (1, "")
    assert "Gender" in err
    assert "Sex" in err


def test_a_changed_bundle_is_refused(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(shop / "model", tmp_path / "model")
    (tmp_path / "model" / "search.json").write_text("{}")
    code, _, err = call(capsys, "predict", tmp_path / "model", shop / "data.csv", "--out", tmp_path / "p.csv")
    assert code == 1
    assert "search.json was changed" in err


def test_tasks_score_as_the_pipeline_does(shop: Path, spark: SparkSession, tmp_path: Path) -> None:
    """A bundle without a portable model is scored by its pipeline: the same numbers, the same unseen rows."""
    bundle = load_bundle(shop / "model")
    slow = dataclasses.replace(bundle, path=tmp_path / "model")
    shutil.copytree(shop / "model", slow.path, ignore=shutil.ignore_patterns("scorer"))
    results = []
    for name, model in (("fast", bundle), ("slow", slow)):
        raw = read_table(spark, shop / "data.scoring.csv", bundle.schema, target="optional")
        output = Output(str(tmp_path / f"{name}.csv"), single_csv=True)
        results.append((predict(raw, model, output).unseen, pd.read_csv(tmp_path / f"{name}.csv")))
    (fast_unseen, fast_rows), (slow_unseen, slow_rows) = results
    assert fast_unseen == slow_unseen
    assert fast_unseen["product"] > 0
    pd.testing.assert_frame_equal(fast_rows, slow_rows, rtol=1e-9)


def test_the_stages_that_know_levels_are_those_of_the_pipeline(shop: Path, spark: SparkSession) -> None:
    bundle = load_bundle(shop / "model")
    kinds = (CrossedEffectsModel, LatentFactorModel, ConformalIntervalsModel)
    whole = [stage for stage in load_pipeline(bundle).stages if isinstance(stage, kinds)]
    found = load_level_stages(bundle).stages
    assert [(type(stage), stage.uid) for stage in found] == [(type(stage), stage.uid) for stage in whole]
    assert {type(stage) for stage in found} == set(kinds)
    for stage, other in zip(found, whole, strict=True):
        for name, table in stage.to_portable().get("tables", {}).items():
            same = other.to_portable()["tables"][name]
            assert table.exceptAll(same).count() == same.exceptAll(table).count() == 0
            assert table.count() > 0


def test_tasks_score_without_this_package(shop: Path, tmp_path: Path) -> None:
    """What executors are sent runs where purchasecast cannot be imported."""
    bundle = load_bundle(shop / "model")
    rows = pd.read_csv(shop / "data.scoring.csv", dtype=str, keep_default_na=False).head(50)
    table = pa.Table.from_pandas(rows.replace("", None), preserve_index=False)
    files = bundle.scorer_files.carried(without="offers")
    work = scoring._Work(files, (), (), None, explain=False, amounts=False, errors="raise")
    (tmp_path / "work").write_bytes(shipping._pickled(work.score))
    with pa.ipc.new_file(str(tmp_path / "rows.arrow"), table.schema) as writer:
        writer.write_table(table)
    code = (
        "import sys; sys.modules['purchasecast'] = None\n"
        "import pyarrow as pa; from pyspark import cloudpickle\n"
        "work, rows = sys.argv[1:]\n"
        "score = cloudpickle.loads(open(work, 'rb').read())\n"
        "batches = pa.ipc.open_file(rows).read_all().to_batches()\n"
        "for batch in score(iter(batches)):\n"
        "    print(*batch.column('prediction').to_pylist())\n"
    )
    places = [str(tmp_path / "work"), str(tmp_path / "rows.arrow")]
    done = subprocess.run([sys.executable, "-c", code, *places], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.array(done.stdout.split(), float), load(bundle.path).predict(table).prediction)


def test_rows_like_those_of_the_training_raise_no_alarm(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "drift.html"
    code, out, err = call(capsys, "monitor", shop / "model", shop / "data.csv", "--out", page, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["rows"] == ROWS
    assert found["labelled"]
    assert not found["drifted"]
    assert max(column["index"] for column in found["columns"]) < 1e-9  # the very same rows
    assert {check["name"] for check in found["checks"]} >= {"error", "coverage", "unseen:product", "column:Age"}
    assert "All checks passed" in page.read_text()


def test_what_moved_is_named_and_exits_with_3(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pd.read_csv(shop / "data.csv", dtype=str)
    after = before[(before["City_Category"] == "C") | (before.index % 5 == 0)].copy()
    after["Purchase"] = (after["Purchase"].astype(float) * 2).astype(int).astype(str)
    is_new = after.index % 2 == 0
    after.loc[is_new, "Product_ID"] = after["Product_ID"].str.replace("P0", "P9")
    after.to_csv(tmp_path / "new.csv", index=False)
    code, out, _ = call(capsys, "monitor", shop / "model", tmp_path / "new.csv", "--json")
    assert code == 3
    found = json.loads(out)
    alarms = {check["name"] for check in found["checks"] if not check["held"]}
    assert alarms >= {"column:City_Category", "column:Purchase", "unseen:product", "error", "coverage"}
    assert "column:Gender" not in alarms
    assert found["unseen"]["product"] == is_new.sum()
    city = next(column for column in found["columns"] if column["name"] == "City_Category")
    shares = [table["City_Category"].value_counts(normalize=True) for table in (before, after)]
    for level in city["levels"]:
        for side, share in zip(("before", "after"), shares, strict=True):
            assert level[side] == pytest.approx(share.get(level["level"], 0.0))
    predicted = np.sqrt(np.mean((after["Purchase"].astype(float) - found["mean_prediction"]) ** 2))
    assert found["figures"]["rmse"] < predicted  # no worse than one number for all rows


def test_rows_without_a_target_are_watched_too(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "monitor", shop / "model", shop / "data.scoring.csv", "--json")
    found = json.loads(out)
    assert code == (3 if found["drifted"] else 0)
    assert not found["labelled"]
    assert found["figures"] == {}
    assert "Purchase" not in {column["name"] for column in found["columns"]}
    products = pd.read_csv(shop / "data.scoring.csv")["Product_ID"]
    known = pd.read_csv(shop / "data.csv")["Product_ID"]
    assert found["unseen"]["product"] == (~products.isin(known)).sum() > 0
