"""The whole flow on a generated shop, for a first look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import purchasecast as pc
from purchasecast.bundle import REPORT
from purchasecast.progress import Steps

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from purchasecast.prediction import PredictResult

__all__ = ["DemoResult", "run_demo"]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration made.

    Attributes
    ----------
    model : Model
        The trained model.
    scoring : PredictResult
        The scoring run.
    paths : dict of str to str
        Files and folders by name.
    """

    model: pc.Model
    scoring: PredictResult
    paths: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        training = self.model.training.to_dict() if self.model.training else {}
        return {"paths": self.paths, "training": training, "scoring": self.scoring.to_dict()}


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
        The model, and where the results are.
    """
    steps = steps or Steps()
    out.mkdir(parents=True, exist_ok=True)
    with steps.step("generate") as step:
        shop = pc.datasets.generate_shop(spark, rows=rows)
        files = pc.datasets.write_shop(shop, str(out / "transactions.csv"), scoring=True, overwrite=True)
        step.rows = rows
    common: dict[str, Any] = {"session": lambda: spark, "steps": steps}
    data, demand = files["transactions"], files["scoring"]
    # A second fit on all rows would add half a minute, and show nothing.
    model = pc.train(data, out=out / "model", refit=False, **common)
    scoring = model.predict_table(demand, out / "predictions.csv", overwrite=True, **common)
    model.insights(data, demand=demand, out=out / "insights", **common)
    page = model.report(out / REPORT, steps=steps)
    made = {"model": model.path, "predictions": scoring.out, "insights": out / "insights", "report": page}
    return DemoResult(model, scoring, {name: str(path) for name, path in {**files, **made}.items()})
