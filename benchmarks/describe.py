"""Time `profile`, its check of the rows included, against Spark counting the rows of that CSV, in one run."""

from __future__ import annotations

from statistics import median

from _session import options, report, seconds_of, session

from purchasecast.io import read_table
from purchasecast.profiling import profile
from purchasecast.progress import Steps
from purchasecast.schema import load_schema
from purchasecast.validation import validate


def main() -> None:
    given = options(__doc__).parse_args()
    spark, schema = session(), load_schema("black_friday")
    data = str(given.data / "train.csv")
    steps: list[dict[str, float]] = []

    def describe() -> None:
        timed = Steps()
        with timed.step("validate"):
            checked = validate(read_table(spark, data, schema), schema, cache=True)
        with checked:
            profile(checked, schema, steps=timed)
        steps.append({name: round(seconds, 2) for name, seconds in timed.seconds.items()})

    def count() -> None:
        spark.read.csv(data, header=True).count()

    describe()
    count()
    pairs = [(seconds_of(count), seconds_of(describe)) for _ in range(given.repeats)]
    profiles = [sum(found.values()) - found["validate"] for found in steps[1:]]
    report(
        seconds_count=round(median(bare for bare, _ in pairs), 2),
        seconds_validate_and_profile=round(median(whole for _, whole in pairs), 2),
        steps=steps[-1],
        ratio=round(median(whole / bare for bare, whole in pairs), 2),
        ratio_without_validation=round(median(own / bare for (bare, _), own in zip(pairs, profiles, strict=True)), 2),
    )


if __name__ == "__main__":
    main()
