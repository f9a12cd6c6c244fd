"""Commands about data: check, describe, generate."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import click

from purchasecast.cli.options import Run, common, rate_option, reader_options, rejects_option, schema_option, source
from purchasecast.schema import load_schema

__all__ = ["generate", "profile", "validate"]


@click.command()
@click.argument("data")
@schema_option
@source
@rejects_option
@rate_option
@common
def validate(run: Run, data: str, schema: str, rejects: Path | None, max_reject_rate: float, **source: Any) -> int:
    """Check DATA row by row: what is wrong, and where."""
    described = load_schema(schema)
    from purchasecast.io import read_table
    from purchasecast.results.validation import check_reject_rate
    from purchasecast.validation import validate as check
    from purchasecast.validation import write_rejects

    raw = read_table(run.spark(), data, described, target="optional", **reader_options(source))
    target: Literal["required", "optional"] = "required" if described.target in raw.columns else "optional"
    with run.steps.step("validate") as step, check(raw, described, target=target) as checked:
        step.rows = checked.report.rows
        if rejects is not None:
            write_rejects(checked, rejects)
    report = checked.report
    lines = [f"{report.rows:,} rows = {report.accepted:,} accepted + {report.rejected:,} rejected"]
    lines += [f"  {count:>10,}  {reason}" for reason, count in report.reasons.items()]
    lines += [f"rejects and reasons: {rejects}"] if rejects else []
    run.result(report.to_dict(), "\n".join(lines))
    check_reject_rate(report, max_reject_rate)
    return 0


@click.command()
@click.argument("data")
@schema_option
@source
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="Page."
)
@rejects_option
@rate_option
@common
def profile(run: Run, data: str, schema: str, out: Path, **options: Any) -> int:
    """Describe DATA: the target, every feature, and how they go together."""
    described = load_schema(schema)
    from purchasecast.io import read_table
    from purchasecast.profiling import profile as describe
    from purchasecast.report import render_profile, write_page
    from purchasecast.results.validation import check_reject_rate
    from purchasecast.validation import validate as check
    from purchasecast.validation import write_rejects

    raw = read_table(run.spark(), data, described, **reader_options(options))
    run.steps.expect(4)
    with ExitStack() as cleanup:
        with run.steps.step("validate") as step:
            checked = cleanup.enter_context(check(raw, described, cache=True))
            step.rows = checked.report.rows
        if options["rejects"] is not None:
            write_rejects(checked, options["rejects"])
        check_reject_rate(checked.report, options["max_reject_rate"])
        found = describe(checked, described, steps=run.steps)
    with run.steps.step("draw"):
        page = write_page(render_profile(found, checked.report), out)
    lines = [
        f"{found.rows:,} rows described",
        *[f"  {warning.sentence}" for warning in found.warnings],
        f"page: {page}",
    ]
    run.result({"page": str(page), **checked.report.to_dict(), "profile": found.to_dict()}, "\n".join(lines))
    return 0


@click.command()
@click.option("--rows", required=True, type=click.IntRange(1), metavar="N", help="Labelled rows.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help=".csv or .parquet.")
@click.option("--seed", default=7, show_default=True, help="Seed of everything.")
@click.option("--truth", is_flag=True, help="Write the planted truth beside the data.")
@click.option("--scoring", is_flag=True, help="Write rows to score, with unseen products, beside the data.")
@click.option("--overwrite", is_flag=True, help="Replace what --out holds.")
@common
def generate(run: Run, rows: int, out: Path, seed: int, **options: Any) -> int:
    """Generate a realistic shop whose truth is known."""
    from purchasecast.datasets import generate as build
    from purchasecast.datasets import write_shop

    spark = run.spark()
    with run.steps.step("generate") as step:
        written = write_shop(build(spark, rows=rows, seed=seed), str(out), **options)
        step.rows = rows
    paths = {name: str(path) for name, path in written.items()}
    text = "\n".join(f"{name}: {path}" for name, path in paths.items())
    run.result({"rows": rows, "seed": seed, "files": paths}, text)
    return 0
