"""The notebook runs, cell by cell, as Jupyter would run it."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "flow.ipynb"


def test_the_notebook_walks_through_the_flow(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []  # the notebook is kept without results, which would grow stale
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)  # noqa: S102  our own notebook
    try:
        whole = names["model"].evaluation.overall
        assert whole.rmse < whole.baseline_rmse["product_mean"]
        page = (names["out"] / "report.html").read_text(encoding="utf-8")
        assert 10_000 < len(page.encode()) < 3_000_000
        assert html.escape(names["insights"].findings[0].claim) in page
        assert (names["out"] / "profile.html").stat().st_size > 10_000
        assert (names["out"] / "insights" / "offers-by-customer.parquet").exists()
        told = capsys.readouterr().out
        assert "explains" in told
        assert names["insights"].findings[0].action in told
    finally:
        shutil.rmtree(names["out"])
