"""Train recipes on random 80 % of the labelled rows, and measure them on the rest, which `train` never gets to see.

The rows are drawn outside of the package, by seeds that are given, or drawn anew and printed. Each recipe is trained
with ``holdout=0`` and measured as `purchasecast evaluate` does. With `--hide-products`, so many products are kept from
training whole and measured apart. With `--repeat-check`, the first split is trained again: as it is, and with its rows
in another order and number of partitions; the largest difference of a prediction says what seed and partitions leave
open. Progress goes to stderr, one JSON line to stdout.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.csv as pa_csv
from _session import options, report, session
from pyspark.sql import functions as sf

from purchasecast.config import TrainSettings
from purchasecast.io import read_table
from purchasecast.prediction import evaluate_bundle
from purchasecast.progress import Steps
from purchasecast.schema import load_schema
from purchasecast.scorer import load
from purchasecast.training import train

if TYPE_CHECKING:
    import argparse

    from pyspark.sql import DataFrame, SparkSession

    from purchasecast.bundle import Bundle
    from purchasecast.results import Evaluation

MODELS = ("linear", "boosted", "blend")
LARGE = 1_000  # rows of a first category whose coverage counts
OTHER_PARTITIONS = 7


def main() -> None:
    given = parsed()
    seeds = given.seeds or [secrets.randbelow(2**31) for _ in range(given.splits)]
    say(f"seeds {seeds}")
    spark, splits, repeats = session(), [], {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            split_file(given.data / "train.csv", folder, seed, given.rows, given.hide_products)
            found = {model: run(spark, folder, model, seed) for model in given.models}
            splits.append({"seed": seed, "models": found})
            if given.repeat_check and seed == seeds[0]:
                repeats = {model: repeat(spark, folder, model) for model in given.models}
    means = {model: mean_of([split["models"][model] for split in splits]) for model in given.models}
    report(rows=given.rows, hidden_products=given.hide_products, splits=splits, means=means, repeats=repeats)


def parsed() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", help="seeds of the splits; drawn where none is given")
    parser.add_argument("--splits", type=int, default=3, help="how many seeds to draw")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS, help="recipes")
    parser.add_argument("--rows", type=int, default=0, help="draw so many rows first; 0 takes all")
    parser.add_argument("--hide-products", type=int, default=0, help="products that training does not see")
    parser.add_argument("--repeat-check", action="store_true", help="train the first split two times more")
    return parser.parse_args()


def split_file(source: Path, folder: Path, seed: int, rows: int, hidden: int) -> None:
    """Write the lines of a CSV file to ``train.csv``, ``test.csv`` and, of hidden products, ``hidden.csv``."""
    header, *lines = source.read_text(encoding="utf-8").splitlines()
    random = np.random.default_rng(seed)
    if rows:
        lines = [lines[place] for place in np.sort(random.choice(len(lines), min(rows, len(lines)), replace=False))]
    place = header.split(",").index("Product_ID")
    products = np.array([line.split(",", place + 1)[place] for line in lines])
    left_out = np.isin(products, random.choice(np.unique(products), hidden, replace=False))
    part = np.where(left_out, 2, (random.random(len(lines)) < 0.2).astype(int))
    for number, name in enumerate(("train", "test", "hidden")):
        chosen = [lines[k] for k in np.flatnonzero(part == number)]
        if chosen:
            (folder / f"{name}.csv").write_text("\n".join([header, *chosen, ""]), encoding="utf-8")


def run(spark: SparkSession, folder: Path, model: Any, seed: int) -> dict[str, Any]:
    start = time.perf_counter()
    bundle, steps = fitted(read_table(spark, folder / "train.csv", load_schema("black_friday")), folder / model, model)
    seconds = time.perf_counter() - start
    found = figures(evaluation(spark, bundle, folder / "test.csv"))
    found |= {"seconds_train": round(seconds, 1), "steps": steps, "members": bundle.manifest["members"]}
    if (folder / "hidden.csv").exists():
        whole = evaluation(spark, bundle, folder / "hidden.csv").overall
        found["hidden"] = {name: getattr(whole, name) for name in ("rows", "rmse", "coverage", "mean_width", "bias")}
    say(f"split {seed}, {model}: RMSE {found['rmse']:,.1f}, R2 {found['r2']:.4f}, {seconds:.0f} s")
    return found


def fitted(raw: DataFrame, out: Path, model: Any) -> tuple[Bundle, dict[str, float]]:
    steps = Steps()
    settings = TrainSettings(model=model, holdout=0.0)
    return train(raw, load_schema("black_friday"), out, settings, steps=steps).bundle, dict(steps.seconds)


def evaluation(spark: SparkSession, bundle: Bundle, rows: Path) -> Evaluation:
    return evaluate_bundle(read_table(spark, rows, bundle.schema), bundle)


def figures(found: Evaluation) -> dict[str, Any]:
    whole, category = found.overall, "Product_Category_1"
    large = [part.coverage for part in found.slices if part.by == category and part.rows >= LARGE]
    made = {name: getattr(whole, name) for name in ("rows", "rmse", "r2", "mae", "bias", "coverage", "mean_width")}
    mean_target = whole.mean_prediction - whole.bias
    return made | {
        "bias_share": whole.bias / mean_target,
        "narrower_than_constant": 1 - whole.mean_width / whole.constant_width,
        "winkler": whole.interval_score,
        "category_coverage": [min(large, default=None), max(large, default=None)],
        "unseen_product": next(
            ([part.rows, part.coverage] for part in found.slices if (part.by, part.level) == ("product", "unseen")),
            None,
        ),
    }


def mean_of(found: list[dict[str, Any]]) -> dict[str, float]:
    """Return the means over the splits of all figures that are single numbers."""
    means = {name: fmean(one[name] for one in found) for name, value in found[0].items() if isinstance(value, float)}
    if "hidden" in found[0]:
        means |= {f"hidden_{name}": fmean(one["hidden"][name] for one in found) for name in ("rmse", "coverage")}
    return means


def repeat(spark: SparkSession, folder: Path, model: str) -> dict[str, float]:
    """Return the largest differences of predictions from the first fit, in money and as shares."""
    schema = load_schema("black_friday")
    rows = pa_csv.read_csv(folder / "test.csv")
    first = load(folder / model).predict(rows).prediction
    raw = read_table(spark, folder / "train.csv", schema)
    shuffled = raw.repartition(OTHER_PARTITIONS, sf.xxhash64("User_ID", "Product_ID"))
    partitions = spark.conf.get("spark.sql.shuffle.partitions")
    found = {}
    for name, again, shuffles in (("same", raw, partitions), ("other_partitions", shuffled, str(OTHER_PARTITIONS))):
        spark.conf.set("spark.sql.shuffle.partitions", shuffles)
        bundle, _ = fitted(again, folder / f"{model} {name}", model)
        gap = np.abs(load(bundle.path).predict(rows).prediction - first)
        found |= {f"{name}_money": float(gap.max()), f"{name}_share": float((gap / np.maximum(first, 1.0)).max())}
    spark.conf.set("spark.sql.shuffle.partitions", partitions)
    say(f"{model} again: {found}")
    return found


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
