"""Time `predict` on test.csv against Spark reading that CSV and writing it as CSV again, in one run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from _session import options, report, seconds_of, session

from purchasecast.bundle import load_bundle
from purchasecast.io import read_table
from purchasecast.prediction import Output, predict
from purchasecast.progress import Steps
from purchasecast.schema import load_schema


def main() -> None:
    given = options(__doc__, model=True).parse_args()
    spark, schema = session(), load_schema("black_friday")
    test = str(given.data / "test.csv")
    folder = Path(tempfile.mkdtemp())
    bundle = load_bundle(given.model)
    text = spark.read.csv(test, header=True).schema
    results = []

    def copy() -> None:
        spark.read.csv(test, header=True, schema=text).write.mode("overwrite").csv(str(folder / "copy"), header=True)

    def score() -> None:
        raw = read_table(spark, test, schema, target="optional")
        steps = Steps()
        output = Output(str(folder / "p.csv"), single_csv=True, overwrite=True)
        results.append((predict(raw, bundle, output, steps=steps), steps.seconds))

    pairs = [(seconds_of(copy), seconds_of(score)) for _ in range(given.repeats + 1)][1:]
    result, steps = results[-1]
    scoring = [s["score and write"] + s["validate"] for _, s in results[1:]]
    copies = [copied for copied, _ in pairs]
    report(
        rows=result.rows,
        rejected=result.rejected,
        unseen=result.unseen,
        seconds_copy=round(median(copies), 2),
        seconds_predict=round(median(scored for _, scored in pairs), 2),
        seconds_validate_and_score=round(median(scoring), 2),
        steps=steps,
        ratio=round(median(s / c for s, c in zip(scoring, copies, strict=True)), 2),
        ratio_with_loading=round(median(scored / copied for copied, scored in pairs), 2),
    )


if __name__ == "__main__":
    main()
