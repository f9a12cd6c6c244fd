"""The whole flow on a generated shop, for a first look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from purchasecast.bundle import REPORT, add_document, add_file
from purchasecast.config import TrainSettings
from purchasecast.datasets import generate, write_shop
from purchasecast.insights import find_insights
from purchasecast.io import read_table
from purchasecast.prediction import Output, PredictResult, predict
from purchasecast.progress import Steps
from purchasecast.report import read_report, render_report, write_page
from purchasecast.schema import load_schema
from purchasecast.training import TrainResult, train

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

__all__ = ["DemoResult", "run_demo"]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration made.

    Attributes
    ----------
    training : TrainResult
        The training run.
    scoring : PredictResult
        The scoring run.
    paths : dict of str to str
        Where the results are, by name.
    """

    training: TrainResult
    scoring: PredictResult
    paths: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {"paths": self.paths, "training": self.training.to_dict(), "scoring": self.scoring.to_dict()}


def run_demo(spark: SparkSession, out: Path, *, rows: int, steps: Steps | None = None) -> DemoResult:
    """Generate a shop, train on it, score new rows, find what to do, and draw the report.

    Parameters
    ----------
    spark : SparkSession
        The session.
    out : Path
        Folder for data, model and predictions; what an earlier demonstration left there is replaced.
    rows : int
        Labelled rows of the shop.
    steps : Steps, optional
        Times the steps and tells a watcher.

    Returns
    -------
    DemoResult
        The runs, and where their results are.
    """
    steps = steps or Steps()
    out.mkdir(parents=True, exist_ok=True)
    schema = load_schema("black_friday")
    with steps.step("generate") as step:
        shop = generate(spark, rows=rows)
        files = write_shop(shop, str(out / "transactions.csv"), scoring=True, overwrite=True)
        step.rows = rows
    raw = read_table(spark, files["transactions"], schema)
    # A second fit on all rows would add half a minute, and show nothing.
    training = train(raw, schema, out / "model", TrainSettings(refit=False), steps=steps)
    to_score = read_table(spark, files["scoring"], schema, target="optional")
    output = Output(str(out / "predictions.csv"), single_csv=True, overwrite=True)
    scoring = predict(to_score, training.bundle, output, steps=steps)
    insights = find_insights(training.bundle, out / "insights", data=raw, demand=to_score, steps=steps)
    bundle = add_document(training.bundle, "findings", insights.to_dict())
    with steps.step("draw"):
        html = render_report(read_report(bundle))
        page = write_page(html, out / REPORT)
        bundle = add_file(bundle, REPORT, html)
    made = {"model": bundle.path, "predictions": scoring.out, "insights": out / "insights", "report": page}
    return DemoResult(training, scoring, {name: str(path) for name, path in {**files, **made}.items()})
