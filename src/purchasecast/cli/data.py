"""Commands about data: draft a schema, check, describe, generate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import purchasecast as pc
from purchasecast.cli.options import (
    Run,
    common,
    described_by,
    page_option,
    rate_option,
    reader_options,
    rejects_option,
    schema_option,
    source,
)
from purchasecast.results import check_reject_rate

__all__ = ["generate", "profile", "schema", "validate"]


@click.command()
@click.argument("data")
@source
@common
def schema(run: Run, data: str, **source: Any) -> int:
    """Draft a schema of DATA, with reasons.

    Prints a TOML file, in which each guess has its reason; questions go to stderr.
    """
    draft = pc.draft_schema(data, **run.spark_and_steps(data), **reader_options(source))
    for question in draft.questions:
        click.echo(f"question: {question.text}", err=True)
    run.result(draft.to_dict(), draft.to_toml().rstrip("\n"))
    return 0


@click.command()
@click.argument("data")
@schema_option
@source
@rejects_option
@rate_option
@common
def validate(
    run: Run, data: str, schema: str | None, rejects: Path | None, max_reject_rate: float, **source: Any
) -> int:
    """Check every row of DATA."""
    described = described_by(schema, data, source)
    report = pc.validate(data, described, rejects=rejects, **run.spark_and_steps(data), **reader_options(source))
    lines = [report.counts]
    lines += [f"  {count:>10,}  {described.explain(reason)}" for reason, count in report.reasons.items()]
    lines += [f"rejects and reasons: {rejects}"] if rejects else []
    run.result(report.to_dict(), "\n".join(lines))
    check_reject_rate(report, max_reject_rate, schema=described)
    return 0


@click.command()
@click.argument("data")
@schema_option
@source
@page_option(required=True)
@rejects_option
@rate_option
@common
def profile(run: Run, data: str, schema: str | None, out: Path, **options: Any) -> int:
    """Describe every column of DATA."""
    gate = {name: options.pop(name) for name in ("rejects", "max_reject_rate")}
    described = described_by(schema, data, options)
    result = pc.profile(data, described, out=out, **gate, **run.spark_and_steps(data), **reader_options(options))
    lines = [f"{result.rows:,} rows described", *[f"  {warning.sentence}" for warning in result.warnings]]
    validation = result.validation.to_dict() if result.validation else {}
    document = {"page": str(out), **validation, "profile": result.to_dict()}
    run.result(document, "\n".join([*lines, f"page: {out}"]))
    return 0


@click.command()
@click.option("--rows", required=True, type=click.IntRange(1), metavar="N", help="Labelled rows.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help=".csv or .parquet.")
@click.option("--seed", default=7, show_default=True, help="Seed of everything that is random.")
@click.option(
    "--kind",
    default="black_friday",
    show_default=True,
    metavar="KIND",
    help="black_friday, or one with dates: grocery, additive, multiplicative, ladder, drift, promotion, heavy_tails, "
    "few_rows, no_quantity; their schema is written beside the data.",
)
@click.option("--truth", is_flag=True, help="Write the true effects beside the data.")
@click.option("--scoring", is_flag=True, help="Write transactions to come, with new products, beside the data.")
@click.option("--overwrite", is_flag=True, help="Replace what is at --out.")
@common
def generate(run: Run, rows: int, out: Path, seed: int, kind: str, **options: Any) -> int:
    """Generate a shop with known effects."""
    from purchasecast.datasets import generate_shop, write_shop

    spark = run.spark(few_rows=rows <= 100_000)
    with run.steps.step("generate") as step:
        written = write_shop(generate_shop(spark, rows=rows, seed=seed, kind=kind), str(out), **options)
        step.rows = rows
    paths = {name: str(path) for name, path in written.items()}
    text = "\n".join(f"{name}: {path}" for name, path in paths.items())
    run.result({"rows": rows, "seed": seed, "kind": kind, "files": paths}, text)
    return 0
