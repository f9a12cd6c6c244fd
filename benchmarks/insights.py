"""Time `insights` and `report` on the real data after training: findings, lists and the page.

The aims: insights and report together under 60 s; target lists of 5,891 customers and 3,631 products under 120 s.
Without a model one is trained first, in the same session, as `demo` and the notebook do; with one, the first run
pays for starting Spark's code, too, as a command does. How good the lists are, `offers.py` measures.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from _session import options, report, session

from purchasecast.bundle import load_bundle
from purchasecast.insights import find_insights
from purchasecast.io import read_table
from purchasecast.progress import Steps
from purchasecast.report import read_report, render_report, write_page
from purchasecast.schema import load_schema
from purchasecast.training import train


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--model", type=Path, help="a model of train.csv; without it one is trained in this session")
    given = parser.parse_args()
    spark, schema = session(), load_schema("black_friday")
    folder = Path(tempfile.mkdtemp())
    bundle = load_bundle(given.model) if given.model else trained(spark, schema, given.data, folder / "model")
    runs: list[dict[str, float]] = []
    for _ in range(given.repeats):
        steps = Steps()
        tables = {
            "data": read_table(spark, given.data / "train.csv", schema),
            "demand": read_table(spark, given.data / "test.csv", schema, target="optional"),
        }
        with steps.step("all"):
            found = find_insights(bundle, folder / "out", **tables, steps=steps)
        with steps.step("report"):
            write_page(render_report(read_report(bundle, insights=folder / "out")), folder / "report.html")
        runs.append({name: round(seconds, 1) for name, seconds in steps.seconds.items()})
    report(
        findings=len(found.findings),
        lists={campaign.name: campaign.rows for campaign in found.campaigns},
        trained_before=given.model is None,
        seconds_first=runs[0],
        seconds_later=min(runs[1:], key=lambda seconds: seconds["all"], default=None),
        report_bytes=(folder / "report.html").stat().st_size,
    )


def trained(spark: Any, schema: Any, data: Path, out: Path) -> Any:
    """Train a linear model with the default settings."""
    return train(read_table(spark, data / "train.csv", schema), schema, out).bundle


if __name__ == "__main__":
    main()
