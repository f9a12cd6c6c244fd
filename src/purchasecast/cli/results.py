"""Commands that make something of a model: findings, a page, a server, an alarm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

import purchasecast as pc
from purchasecast.cli.options import Run, column_pair, common, rate_option, reader_options, rejects_option, source
from purchasecast.config import InsightSettings, MonitorSettings
from purchasecast.errors import SettingsError

__all__ = ["insights", "monitor", "report", "serve"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Results.")
@click.option("--demand", metavar="TABLE", help="Rows to come, without a target: their revenue is expected.")
@click.option("--by", multiple=True, metavar="COL,COL", help="Add expected revenue up by these; may be repeated.")
@click.option("--offers", default=5, show_default=True, metavar="N", help="Offers a customer.")
@click.option("--cap", default=1000, show_default=True, metavar="N", help="Most lines of a campaign's list.")
@click.option("--level", default=0.9, show_default=True, metavar="SHARE", help="Level of the intervals.")
@click.option("--false-discovery-rate", default=0.1, show_default=True, metavar="SHARE", help="Of tested findings.")
@click.option("--keep/--no-keep", default=True, show_default=True, help="Put the findings into MODEL, for its report.")
@source
@rate_option
@common
def insights(run: Run, model: Path, data: str | None, out: Path, demand: str | None, **options: Any) -> int:
    """Say what to do: findings, and target lists.

    DATA are past, labelled transactions. Without them only what MODEL itself knows is told. A DATA without a target
    counts as --demand.
    """
    settings = InsightSettings(
        by=tuple(column_pair(text) for text in options.pop("by")),
        **{name: options.pop(name) for name in ("offers", "cap", "level", "false_discovery_rate")},
    )
    chosen = {name: options.pop(name) for name in ("keep", "max_reject_rate")}
    arguments = {**chosen, **run.spark_and_steps, **reader_options(options)}
    result = pc.load(model).insights(data, demand=demand, out=out, settings=settings, **arguments)
    from purchasecast.insights import summary

    run.result(result.to_dict(), f"{summary(result)}\nfindings: {out / 'findings.json'}")
    return 0


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="Page."
)
@click.option("--insights", type=click.Path(path_type=Path), metavar="DIR", help="Folder that `insights` wrote.")
@click.option("--keep/--no-keep", default=True, show_default=True, help="Put the page into MODEL, for `serve`.")
@common
def report(run: Run, model: Path, out: Path, insights: Path | None, *, keep: bool) -> int:
    """Draw what MODEL holds as one HTML page; needs no Spark and no network."""
    page = pc.load(model).report(out, insights=insights, keep=keep, steps=run.steps)
    size = page.stat().st_size
    run.result({"page": str(page), "bytes": size, "seconds": run.steps.seconds}, f"page: {page} ({size / 1e6:.1f} MB)")
    return 0


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; a public one needs a token."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65_535), help="Port; 0 for a free one.")
@click.option(
    "--token-file", type=click.Path(path_type=Path), metavar="FILE", help="Bearer token; or PURCHASECAST_TOKEN."
)
@common
def serve(run: Run, model: Path, host: str, port: int, token_file: Path | None) -> int:
    """Serve MODEL: an HTTP API and a web page, without Java."""
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
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data")
@source
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="Page.")
@click.option("--threshold", type=float, default=0.2, show_default=True, help="Largest stability index of a column.")
@click.option(
    "--max-unseen", type=float, default=0.2, show_default=True, help="Largest share of unseen customers, or products."
)
@click.option(
    "--max-error-growth",
    type=float,
    default=0.1,
    show_default=True,
    help="Share the error may exceed the holdout's by.",
)
@click.option(
    "--max-coverage-loss", type=float, default=0.03, show_default=True, help="What coverage may lack to its level."
)
@rejects_option
@rate_option
@common
def monitor(run: Run, model: Path, data: str, out: Path | None, **options: Any) -> int:
    """Tell whether DATA are still like those that MODEL was trained on; exits with 3 where they are not."""
    gate = {name: options.pop(name) for name in ("max_reject_rate", "rejects")}
    reader = reader_options({name: options.pop(name) for name in ("source_format", "table", "option")})
    limits = MonitorSettings(**options)
    result = pc.monitor(pc.load(model), data, out=out, settings=limits, **gate, **run.spark_and_steps, **reader)
    lines = [f"{result.rows:,} rows compared, {result.rejected:,} more rejected"]
    lines += [f"  {'passed' if check.held else 'FAILED'}  {check.sentence}" for check in result.checks]
    lines += [f"page: {out}"] if out is not None else []
    run.result(result.to_dict(), "\n".join(lines))
    return 3 if result.alarms else 0
