"""Commands that make and use a model: train, evaluate, predict, and all of it for a first look."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

import purchasecast as pc
from purchasecast.cli.options import (
    Run,
    common,
    described_by,
    model_argument,
    pairs,
    rate_option,
    reader_options,
    rejects_option,
    schema_option,
    source,
)
from purchasecast.config import TARGET_TRANSFORMS, ModelName, TrainSettings

__all__ = ["demo", "evaluate", "predict", "train"]


@click.command()
@click.argument("data")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="MODEL", help="Directory for the model.")
@schema_option
@source
@click.option(
    "--model",
    type=click.Choice(get_args(ModelName)),
    default="linear",
    show_default=True,
    help="What to train; auto chooses on the folds.",
)
@click.option(
    "--minutes",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Longest time that auto should take; it leaves out the trees where they would take longer.",
)
@click.option(
    "--folds",
    default=5,
    show_default=True,
    type=click.IntRange(2),
    help="Number of folds for cross-fitting and the grid search.",
)
@click.option(
    "--holdout",
    default=0.2,
    show_default=True,
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of the rows to measure the model on; 0 for none.",
)
@click.option(
    "--holdout-by",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "random", "time"]),
    help="Hold out random rows or the latest ones; auto: the latest, if the schema has a time column.",
)
@click.option("--no-refit", is_flag=True, help="Save the model that was measured; do not fit it again on all rows.")
@click.option("--seed", default=7, show_default=True, help="Seed of everything that is random.")
@click.option(
    "--target-transform",
    default="auto",
    show_default=True,
    type=click.Choice(TARGET_TRANSFORMS),
    help="Scale to fit the target on; auto: the one with the smallest error in money on the folds.",
)
@click.option(
    "--tune",
    default="",
    metavar="N|Mmin",
    help="Tune the trees for a number of trials (20) or minutes (15min); an interrupted run continues.",
)
@click.option(
    "--grid", metavar="TEXT|FILE", help="Penalties to try: a TOML file, or 'regParam=0.01,0.1 elasticNetParam=0,1'."
)
@click.option(
    "--pairs",
    metavar="DATA",
    help="Rows to score: purchase patterns may know who buys what there, never an amount; neither is known otherwise.",
)
@click.option(
    "--max-task-rows",
    default=5_000_000,
    show_default=True,
    type=click.IntRange(1),
    help="Rows up to which a fit runs inside one task; above it, in many.",
)
@click.option("--no-offers", is_flag=True, help="Do not learn who buys what; the model then has no lists of offers.")
@rejects_option
@rate_option
@common
def train(run: Run, data: str, out: Path, schema: str | None, grid: str | None, **options: Any) -> int:
    """Train a model on DATA, measure it, and save it.

    It is measured on a holdout, rows that the training has not seen, and then fitted again on all rows.
    """
    source = {name: options.pop(name) for name in ("source_format", "table", "option")}
    gate = {name: options.pop(name) for name in ("rejects", "pairs")}
    candidates = None
    if grid:
        from purchasecast.search import parse_grid

        candidates = parse_grid(grid)
    refit, offers = not options.pop("no_refit"), not options.pop("no_offers")
    settings = TrainSettings(
        **options,
        refit=refit,
        offers=offers,
        reg_param=candidates.reg_param if candidates else (),
        elastic_net_param=candidates.elastic_net_param if candidates else (),
    )
    described, reader = described_by(schema, data, source), reader_options(source)
    spark_and_steps = run.spark_and_steps(data, gate["pairs"])
    model = pc.train(data, described, out=out, settings=settings, **gate, **spark_and_steps, **reader)
    counts = model.validation.counts if model.validation else ""
    choice = f"prediction: {model.choice}" if model.choice else ""
    text = [counts, choice, repr(model.evaluation or ""), f"model: {model.path}"]
    run.result(model.training.to_dict() if model.training else {}, "\n".join(filter(None, text)))
    return 0


@click.command()
@model_argument
@click.argument("data")
@source
@rejects_option
@rate_option
@common
def evaluate(run: Run, model: Path, data: str, max_reject_rate: float, rejects: Path | None, **source: Any) -> int:
    """Measure MODEL on rows with a known target."""
    gate: dict[str, Any] = {"max_reject_rate": max_reject_rate, "rejects": rejects}
    evaluation = pc.load(model).evaluate(data, **gate, **run.spark_and_steps(data), **reader_options(source))
    run.result(evaluation.to_dict(), repr(evaluation))
    return 0


@click.command()
@model_argument
@click.argument("data")
@click.option("--out", required=True, metavar="PATH", help="A .csv file, a folder (Parquet), or a jdbc: URL.")
@source
@click.option(
    "--out-format",
    metavar="NAME",
    help="Format to write, any that Spark writes; by default told from the suffix, else Parquet.",
)
@click.option("--out-table", metavar="NAME", help="Table to write, if --out is a jdbc: URL.")
@click.option("--out-option", multiple=True, metavar="KEY=VALUE", help="Option of Spark's writer; may be repeated.")
@click.option("--overwrite", is_flag=True, help="Replace what is at --out.")
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of purchases that the intervals should contain; by default 0.9.",
)
@click.option("--explain", is_flag=True, help="Add how much each input contributes to each prediction.")
@click.option("--amounts", is_flag=True, help="Add the probability of each amount, where amounts stand on steps.")
@rejects_option
@rate_option
@common
def predict(run: Run, model: Path, data: str, out: str, **options: Any) -> int:
    """Predict spend for each row of DATA."""
    names = ("out_format", "out_table", "overwrite", "level", "explain", "amounts", "max_reject_rate", "rejects")
    chosen = {name: options.pop(name) for name in names}
    chosen["out_options"] = pairs(options.pop("out_option"), "out_option")
    result = pc.load(model).predict_table(data, out, **chosen, **run.spark_and_steps(data), **reader_options(options))
    lines = [f"{result.rows:,} rows scored, {result.rejected:,} rejected"]
    lines += [f"  {count:>10,}  with an unseen {name}" for name, count in result.unseen.items() if count]
    run.result(result.to_dict(), "\n".join([*lines, f"predictions: {result.out}"]))
    return 0


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for data, model, lists and report.",
)
@click.option(
    "--rows",
    default=30_000,
    show_default=True,
    type=click.IntRange(2_000),
    metavar="N",
    help="Number of transactions.",
)
@common
def demo(run: Run, out: Path, rows: int) -> int:
    """Run all steps on a generated shop."""
    from purchasecast.cli.demo import run_demo

    result = run_demo(run.spark(few_rows=rows <= 100_000), out, rows=rows, steps=run.steps)
    text = "\n".join(
        [
            repr(result.model.evaluation),
            "",
            *[f"{name + ':':14}{path}" for name, path in result.paths.items()],
        ]
    )
    run.result(result.to_dict(), text)
    return 0
