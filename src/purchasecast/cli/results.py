"""Commands that make something of a model: findings, a page, a server, an alarm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

import purchasecast as pc
from purchasecast.cli.options import (
    Run,
    column_pair,
    common,
    model_argument,
    page_option,
    rate_option,
    reader_options,
    rejects_option,
    source,
)
from purchasecast.config import InsightSettings, MonitorSettings
from purchasecast.errors import SettingsError

__all__ = ["insights", "monitor", "report", "serve"]

_INSIGHT_SETTINGS = ("offers", "cap", "level", "false_discovery_rate", "response", "repeat", "purchases")
_ORDER_SETTINGS = ("service_level", "margin", "leftover_loss")


@click.command()
@model_argument
@click.argument("data", required=False)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for findings and lists.",
)
@click.option("--demand", metavar="TABLE", help="Transactions to come, without a target; their revenue is predicted.")
@click.option(
    "--by", multiple=True, metavar="COL,COL", help="Total the predicted revenue by these columns; may be repeated."
)
@click.option("--offers", default=5, show_default=True, metavar="N", help="Number of offers per customer.")
@click.option("--repeat/--no-repeat", default=None, help="Offer only what a customer has bought before, or never that.")
@click.option("--purchases", type=float, metavar="N", help="Purchases in the period to come; default: as in training.")
@click.option("--cap", default=1000, show_default=True, metavar="N", help="Largest number of lines in a target list.")
@click.option("--level", default=0.9, show_default=True, metavar="SHARE", help="Level of the intervals.")
@click.option(
    "--false-discovery-rate",
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Largest expected share of false findings among those that are tested.",
)
@click.option(
    "--response",
    default=0.05,
    show_default=True,
    metavar="SHARE",
    help="Share of a loss that a contact is assumed to prevent.",
)
@click.option("--service-level", type=float, metavar="SHARE", help="Probability that an order is enough; 0.95.")
@click.option("--margin", type=float, metavar="SHARE", help="Share of a price that is profit; sets the service level.")
@click.option(
    "--leftover-loss",
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Share of its cost that an unsold unit loses.",
)
@click.option("--keep/--no-keep", default=True, show_default=True, help="Store the findings in MODEL, for its report.")
@source
@rate_option
@common
def insights(run: Run, model: Path, data: str | None, out: Path, demand: str | None, **options: Any) -> int:
    """Find what to do, and write target lists.

    DATA are past transactions with the target. Without DATA, findings come only from what MODEL stores. If DATA has
    no target, it is used as --demand.
    """
    settings = InsightSettings(
        by=tuple(column_pair(text) for text in options.pop("by")),
        **{name: options.pop(name) for name in (*_INSIGHT_SETTINGS, *_ORDER_SETTINGS)},
    )
    chosen = {name: options.pop(name) for name in ("keep", "max_reject_rate")}
    arguments = {**chosen, **run.spark_and_steps(data, demand), **reader_options(options)}
    result = pc.load(model).insights(data, demand=demand, out=out, settings=settings, **arguments)
    from purchasecast.insights import summary

    run.result(result.to_dict(), f"{summary(result)}\nfindings: {out / 'findings.json'}")
    return 0


@click.command()
@model_argument
@page_option(required=True)
@click.option("--insights", type=click.Path(path_type=Path), metavar="DIR", help="Folder that `insights` wrote.")
@click.option("--keep/--no-keep", default=True, show_default=True, help="Store the page in MODEL, for `serve`.")
@common
def report(run: Run, model: Path, out: Path, insights: Path | None, *, keep: bool) -> int:
    """Write the report: one HTML page."""
    page = pc.load(model).report(out, insights=insights, keep=keep, steps=run.steps)
    size = page.stat().st_size
    run.result({"page": str(page), "bytes": size, "seconds": run.steps.seconds}, f"page: {page} ({size / 1e6:.1f} MB)")
    return 0


@click.command()
@model_argument
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; any but a local one needs a token."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65_535), help="Port; 0 for a free one.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with the token that clients must send; by default PURCHASECAST_TOKEN.",
)
@common
def serve(run: Run, model: Path, host: str, port: int, token_file: Path | None) -> int:
    """Serve an HTTP API and a web page."""
    try:
        from purchasecast.serve import run_server
        from purchasecast.serve.json_logs import set_up_logs
        from purchasecast.serve.settings import TOKEN_VARIABLE, ServeSettings, read_token
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"serve: expected the libraries of the extra `serve`, found no {error.name}; "
            "run `pip install 'purchasecast[serve]'`."
        ) from error

    token = read_token(token_file) if token_file else os.environ.get(TOKEN_VARIABLE) or None
    settings = ServeSettings(host=host, port=port, token=token)
    set_up_logs(verbose=run.verbose)
    run_server(model, settings, lambda url: run.result({"url": url, "model": str(model)}, url))
    return 0


@click.command()
@model_argument
@click.argument("data")
@source
@page_option(required=False)
@click.option(
    "--threshold", type=float, default=0.2, show_default=True, help="Largest population stability index of a column."
)
@click.option(
    "--max-unseen",
    type=float,
    default=0.2,
    show_default=True,
    help="Largest share of rows with a customer, or a product, that training has not seen.",
)
@click.option(
    "--max-error-growth",
    type=float,
    default=0.1,
    show_default=True,
    help="Largest growth of the error over that of the holdout, as a share.",
)
@click.option(
    "--max-coverage-loss",
    type=float,
    default=0.03,
    show_default=True,
    help="Largest distance of the coverage below its level.",
)
@rejects_option
@rate_option
@common
def monitor(run: Run, model: Path, data: str, out: Path | None, **options: Any) -> int:
    """Compare new data with the training data.

    Exits with 3 if a limit is exceeded.
    """
    gate = {name: options.pop(name) for name in ("max_reject_rate", "rejects")}
    reader = reader_options({name: options.pop(name) for name in ("source_format", "table", "option")})
    limits = MonitorSettings(**options)
    result = pc.monitor(pc.load(model), data, out=out, settings=limits, **gate, **run.spark_and_steps(data), **reader)
    lines = [f"{result.rows:,} rows compared, {result.rejected:,} more rejected"]
    lines += [f"  {'passed' if check.held else 'FAILED'}  {check.sentence}" for check in result.checks]
    lines += [f"page: {out}"] if out is not None else []
    run.result(result.to_dict(), "\n".join(lines))
    return 3 if result.alarms else 0
