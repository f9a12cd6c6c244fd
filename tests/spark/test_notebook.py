"""The notebook runs, cell by cell, as Jupyter would run it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.slow]  # a whole training run

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "flow.ipynb"


def test_the_notebook_walks_through_the_flow(spark: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []  # the notebook is kept without results, which would grow stale
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)  # noqa: S102  our own notebook
    try:
        assert names["whole"].rmse < names["whole"].baseline_rmse["product_mean"]
        assert 10_000 < (names["out"] / "report.html").stat().st_size < 3_000_000
        assert (names["out"] / "profile.html").stat().st_size > 10_000
        assert "explains" in capsys.readouterr().out
    finally:
        shutil.rmtree(names["out"])
