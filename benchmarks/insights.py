"""Time `insights` and `report` on the real data after training: findings, lists and the page.

The aims: insights and report together under 60 s; target lists of 5,891 customers and 3,631 products under 120 s.
Without a model one is trained first, in the same session, as `demo` and the notebook do; with one, the first run
pays for starting Spark's code, too, as a command does. Also asks how good the candidates are: for a few customers every
product is scored, and the lists are compared.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from _session import options, report, session
from pyspark.sql import functions as sf

from purchasecast.bundle import load_bundle
from purchasecast.bundle.pipeline import load_pipeline
from purchasecast.insights import find_insights
from purchasecast.io import read_table
from purchasecast.progress import Steps
from purchasecast.report import read_report, render_report, write_page
from purchasecast.schema import load_schema
from purchasecast.schema.reserved_columns import PREDICTION
from purchasecast.training import train
from purchasecast.validation import validate


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--model", type=Path, help="a model of train.csv; without it one is trained in this session")
    parser.add_argument("--customers", type=int, default=20, help="customers whose every product is scored")
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
    raw = {name: read_table(spark, given.data / f"{name}.csv", schema, target="optional") for name in ("train", "test")}
    report(
        findings=len(found.findings),
        lists={campaign.name: campaign.rows for campaign in found.campaigns},
        trained_before=given.model is None,
        seconds_first=runs[0],
        seconds_later=min(runs[1:], key=lambda seconds: seconds["all"], default=None),
        report_bytes=(folder / "report.html").stat().st_size,
        **compare_with_all_products(raw, bundle, folder / "out" / "offers-by-customer.parquet", given.customers),
    )


def trained(spark: Any, schema: Any, data: Path, out: Path) -> Any:
    """Train a linear model with the default settings."""
    return train(read_table(spark, data / "train.csv", schema), schema, out).bundle


def compare_with_all_products(raw: dict[str, Any], bundle: Any, offers: Path, count: int) -> dict[str, Any]:
    """Score every product for a few customers; return how much of the best offers' value the lists hold."""
    schema = bundle.schema
    customer, product = schema.customer, schema.product
    with validate(raw["train"], schema, cache=True) as past, validate(raw["test"], schema, target="optional") as coming:
        rows, written = past.accepted, raw["train"].sparkSession.read.parquet(str(offers))
        bought = rows.select(customer, product).unionByName(coming.accepted.select(customer, product))
        known = written.join(bought, [customer, product], "left_semi").count()
        few = rows.select(sf.col(customer).alias("customer")).distinct().orderBy(sf.xxhash64("customer")).limit(count)
        pairs = few.crossJoin(rows.select(sf.col(product).alias("product")).distinct())
        free = pairs.toDF(customer, product).join(bought, [customer, product], "left_anti")
        for entity, of in ((customer, "customer"), (product, "product")):
            attributes = [column.name for column in schema.columns if column.of == of]
            free = free.join(rows.select(entity, *attributes).dropDuplicates([entity]), entity)
        scored = load_pipeline(bundle).transform(free)
        place = f"row_number() over (partition by {customer} order by {PREDICTION} desc) as place"
        best = scored.selectExpr(PREDICTION, place)
        value = best.where("place <= 5").agg(sf.sum(PREDICTION)).collect()[0][0]
        own = written.where(sf.col(customer).isin([row[0] for row in few.collect()]))
        return {
            "bought_pairs_in_lists": known,
            "value_of_lists_to_best": round(own.agg(sf.sum("predicted_spend")).collect()[0][0] / value, 4),
        }


if __name__ == "__main__":
    main()
