"""The command line: parse, call, print.

stdout carries the result, and with ``--json`` one JSON document and nothing else; progress and logs go to stderr.
Exit codes: 0 done, 1 a failure named in one sentence, 2 wrong usage, 3 a check did not hold.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from purchasecast import __version__
from purchasecast._terminal import TerminalWatcher, print_result
from purchasecast.config import PREDICTION_TENTH, TARGET_TRANSFORMS, TrainSettings
from purchasecast.errors import PurchasecastError, SettingsError
from purchasecast.progress import Steps
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

__all__ = ["cli", "main"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="purchasecast")
def cli() -> None:
    """Predict what each customer will spend on each product, and say what to do about it."""


def main() -> None:
    """Run the command line; the entry point of the console script."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        _fail("stopped", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except PurchasecastError as error:
        _fail(str(error), error.exit_code, error)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except Exception as error:  # noqa: BLE001  never a traceback without --verbose
        _fail(f"{type(error).__name__}: {_first_line(error)} (--verbose shows where)", 1, error)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str, code: int, error: BaseException | None = None) -> None:
    if error is not None and logging.getLogger("purchasecast").isEnabledFor(logging.DEBUG):
        logging.getLogger("purchasecast").debug("failed", exc_info=error)
    click.echo(f"purchasecast: {sentence}", err=True)
    sys.exit(code)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


class _Run:
    """What the common options set up: progress, logs and the way to Spark."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.json: bool = options.pop("as_json")
        self.quiet: bool = options.pop("quiet")
        self.verbose: bool = options.pop("verbose")
        self._master = options.pop("master")
        self._remote = options.pop("remote")
        self._conf = options.pop("conf")
        level = logging.DEBUG if self.verbose else logging.WARNING
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("purchasecast").setLevel(level)
        if not self.verbose:  # on Ctrl-C it logs the traceback of every conversation with Java that was cut short
            logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
        self.steps = Steps(None if self.quiet else TerminalWatcher.for_terminal())

    def spark(self, *, few_rows: bool = False) -> SparkSession:
        """Start or reach Spark; timed as a step."""
        from purchasecast.session import get_session, parse_conf

        with self.steps.step("start Spark"):
            conf = parse_conf(self._conf)
            return get_session(master=self._master, remote=self._remote, conf=conf, few_rows=few_rows)

    def result(self, document: dict[str, Any], text: str) -> None:
        """Print the result, as JSON or for people."""
        print_result(document, text, as_json=self.json)


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command has, and hand them over as one `_Run`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else, on stdout.")
    @click.option("--master", metavar="URL", help="Spark master; a local one with all cores by default.")
    @click.option("--remote", metavar="URL", help="Spark Connect server, sc://HOST:PORT.")
    @click.option("--conf", multiple=True, metavar="KEY=VALUE", help="Spark setting; may be repeated.")
    @click.option("--quiet", is_flag=True, help="No progress.")
    @click.option("--verbose", is_flag=True, help="Logs and tracebacks, on stderr.")
    @functools.wraps(command)
    def wrapped(**options: Any) -> Any:
        run = _Run(options)
        try:
            return command(run, **options)
        finally:
            if isinstance(run.steps.watcher, TerminalWatcher):
                run.steps.watcher.close()

    return wrapped


def _source(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to read DATA."""
    for option in (
        click.option("--option", "option", multiple=True, metavar="KEY=VALUE", help="Option of Spark's reader."),
        click.option("--table", metavar="NAME", help="Table behind a jdbc: URL."),
        click.option("--format", "source_format", metavar="NAME", help="Any format Spark reads; told by suffix."),
    ):
        command = option(command)
    return command


_schema_option = click.option(
    "--schema",
    default="black_friday",
    show_default=True,
    metavar="NAME|FILE",
    help="Schema: a shipped one or a TOML file.",
)
_rate_option = click.option(
    "--max-reject-rate",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Stop past this share of bad rows.",
)
_rejects_option = click.option(
    "--rejects",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write bad rows and reasons here.",
)


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise SettingsError(f"--option: expected KEY=VALUE, found {value!r}.")
        pairs[key] = rest
    return pairs


@cli.command()
@click.argument("data")
@_schema_option
@_source
@_rejects_option
@_rate_option
@_common
def validate(run: _Run, data: str, schema: str, rejects: Path | None, max_reject_rate: float, **source: Any) -> int:
    """Check DATA row by row: what is wrong, and where."""
    from purchasecast.sources import read_table
    from purchasecast.validate import check_reject_rate, write_rejects
    from purchasecast.validate import validate as check

    described = load_schema(schema)
    raw = read_table(run.spark(), data, described, target="optional", **_reader(source))
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


def _reader(source: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": source["source_format"],
        "table": source["table"],
        "options": _pairs(source["option"]),
    }


@cli.command()
@click.argument("data")
@_schema_option
@_source
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="Page."
)
@_rejects_option
@_rate_option
@_common
def profile(run: _Run, data: str, schema: str, out: Path, **options: Any) -> int:
    """Describe DATA: the target, every feature, and how they go together."""
    from purchasecast.profile import profile as describe
    from purchasecast.report import render_profile, write_page
    from purchasecast.sources import read_table
    from purchasecast.validate import check_reject_rate, write_rejects
    from purchasecast.validate import validate as check

    described = load_schema(schema)
    raw = read_table(run.spark(), data, described, **_reader(options))
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


@cli.command()
@click.argument("data")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="MODEL", help="Directory of the model.")
@_schema_option
@_source
@click.option(
    "--model", type=click.Choice(["linear", "boosted", "blend"]), default="linear", show_default=True, help="Recipe."
)
@click.option(
    "--folds", default=5, show_default=True, type=click.IntRange(2), help="Folds of cross-fitting and search."
)
@click.option(
    "--holdout",
    default=0.2,
    show_default=True,
    type=click.FloatRange(0, 1, max_open=True),
    help="Share held out; 0 for none.",
)
@click.option(
    "--holdout-by",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "random", "time"]),
    help="Latest share of time, or by hash.",
)
@click.option("--no-refit", is_flag=True, help="Save the model of the training rows, without the holdout.")
@click.option("--seed", default=7, show_default=True, help="Seed of split, folds and factors.")
@click.option(
    "--target-transform",
    default="auto",
    show_default=True,
    type=click.Choice(TARGET_TRANSFORMS),
    help="What the target is put through; auto: what errs least in money on the folds.",
)
@click.option(
    "--tune",
    default="",
    metavar="N|Mmin",
    help="Tune the trees: trials (20) or minutes (15min); goes on when run again.",
)
@click.option("--grid", metavar="TEXT|FILE", help="Grid: a TOML file, or 'regParam=0.01,0.1 elasticNetParam=0,1'.")
@_rejects_option
@_rate_option
@_common
def train(run: _Run, data: str, out: Path, schema: str, grid: str | None, no_refit: bool, **options: Any) -> int:
    """Train a model on DATA, measure it on rows it has not seen, and save it."""
    from purchasecast.search import parse_grid
    from purchasecast.sources import read_table
    from purchasecast.train import train as run_training

    reader = _reader({name: options.pop(name) for name in ("source_format", "table", "option")})
    rejects = options.pop("rejects")
    candidates = parse_grid(grid) if grid else None
    settings = TrainSettings(
        **options,
        refit=not no_refit,
        reg_param=candidates.reg_param if candidates else (),
        elastic_net_param=candidates.elastic_net_param if candidates else (),
    )
    described = load_schema(schema)
    raw = read_table(run.spark(), data, described, **reader)
    result = run_training(raw, described, out, settings, rejects=rejects, steps=run.steps)
    text = _training_text(result, described.money)
    run.result(result.to_dict(), text)
    return 0


def _training_text(result: Any, money: str | None) -> str:
    report = result.validation
    lines = [f"{report.rows:,} rows = {report.accepted:,} accepted + {report.rejected:,} rejected"]
    if result.evaluation:
        lines += [_evaluation_text(result.evaluation, money)]
    return "\n".join([*lines, f"model: {result.bundle.path}"])


def _evaluation_text(evaluation: Any, money: str | None) -> str:
    unit = f" {money}" if money else ""
    whole = evaluation.overall
    lines = [
        evaluation.computed_on,
        f"  {'':34}{'rows':>10}{'RMSE' + unit:>14}{'R2':>8}{'product mean':>14}{'coverage':>10}{'width':>8}",
    ]
    for part in (whole, *[part for part in evaluation.slices if part.by != PREDICTION_TENTH]):
        name = "all" if part.by == "all" else f"{part.by} {part.level}"
        r2 = "-" if part.r2 is None else f"{part.r2:.3f}"
        lines.append(
            f"  {name[:34]:34}{part.rows:>10,}{part.rmse:>14,.0f}{r2:>8}{part.baseline_rmse['product_mean']:>14,.0f}"
            + ("" if part.coverage is None else f"{part.coverage:>10.1%}{part.mean_width:>8,.0f}")
        )
    return "\n".join(lines)


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data")
@_source
@_rejects_option
@_rate_option
@_common
def evaluate(run: _Run, model: Path, data: str, max_reject_rate: float, rejects: Path | None, **source: Any) -> int:
    """Measure MODEL on the labelled rows of DATA."""
    from purchasecast.bundle import load_bundle
    from purchasecast.predict import evaluate_bundle
    from purchasecast.sources import read_table

    bundle = load_bundle(model)
    raw = read_table(run.spark(), data, bundle.schema, **_reader(source))
    found = evaluate_bundle(raw, bundle, max_reject_rate=max_reject_rate, rejects=rejects, steps=run.steps)
    run.result(found.to_dict(), _evaluation_text(found, bundle.schema.money))
    return 0


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html", help="Page."
)
@click.option("--insights", type=click.Path(path_type=Path), metavar="DIR", help="Folder that `insights` wrote.")
@click.option("--keep/--no-keep", default=True, show_default=True, help="Put the page into MODEL, for `serve`.")
@_common
def report(run: _Run, model: Path, out: Path, insights: Path | None, *, keep: bool) -> int:
    """Draw what MODEL holds as one HTML page; needs no Spark and no network."""
    from purchasecast.bundle import REPORT, add_file, load_bundle
    from purchasecast.report import read_report, render_report, write_page

    bundle = load_bundle(model)
    with run.steps.step("draw"):
        html = render_report(read_report(bundle, insights=insights))
        page = write_page(html, out)
    if keep:
        add_file(bundle, REPORT, html)
    size = page.stat().st_size
    run.result({"page": str(page), "bytes": size, "seconds": run.steps.seconds}, f"page: {page} ({size / 1e6:.1f} MB)")
    return 0


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--out", required=True, metavar="PATH", help="One .csv file, a folder, or a jdbc: URL.")
@_source
@click.option("--out-format", metavar="NAME", help="Any format Spark writes; told by suffix, else Parquet.")
@click.option("--out-table", metavar="NAME", help="Table behind a jdbc: URL in --out.")
@click.option("--overwrite", is_flag=True, help="Replace what --out holds.")
@click.option("--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Of the intervals; 0.9.")
@click.option("--explain", is_flag=True, help="Add what drives each prediction, column by column.")
@_rejects_option
@_rate_option
@_common
def predict(run: _Run, model: Path, data: str, out: str, **options: Any) -> int:
    """Score the rows of DATA with MODEL."""
    from purchasecast.bundle import load_bundle
    from purchasecast.predict import Output
    from purchasecast.predict import predict as score
    from purchasecast.sources import read_table

    bundle = load_bundle(model)
    raw = read_table(run.spark(), data, bundle.schema, target="optional", **_reader(options))
    output = Output(
        location=out,
        single_csv=out.endswith(".csv") and options["out_format"] is None,
        format=options["out_format"],
        table=options["out_table"],
        overwrite=options["overwrite"],
    )
    result = score(
        raw,
        bundle,
        output,
        level=options["level"],
        explain=options["explain"],
        max_reject_rate=options["max_reject_rate"],
        rejects=options["rejects"],
        steps=run.steps,
    )
    unseen = ", ".join(f"{count:,} of an unseen {role}" for role, count in result.unseen.items())
    run.result(
        result.to_dict(),
        f"{result.rows:,} rows scored, {result.rejected:,} rejected ({unseen})\npredictions: {result.out}",
    )
    return 0


@cli.command()
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
@_source
@_rate_option
@_common
def insights(run: _Run, model: Path, data: str | None, out: Path, demand: str | None, **options: Any) -> int:
    """Say what to do: findings, and target lists.

    DATA are past, labelled transactions. Without them only what MODEL itself knows is told. A DATA without a target
    counts as --demand.
    """
    from purchasecast.bundle import add_document, load_bundle
    from purchasecast.insights import InsightSettings, column_pair, find_insights, summary
    from purchasecast.sources import read_table

    settings = InsightSettings(
        by=tuple(column_pair(text) for text in options.pop("by")),
        **{name: options.pop(name) for name in ("offers", "cap", "level", "false_discovery_rate")},
    )
    bundle, reader, spark = load_bundle(model), _reader(options), run.spark()
    tables = {
        name: read_table(spark, place, bundle.schema, target="optional", **reader)
        for name, place in (("data", data), ("demand", demand))
        if place
    }
    rate = options["max_reject_rate"]
    found = find_insights(bundle, out, **tables, settings=settings, max_reject_rate=rate, steps=run.steps)
    if options["keep"]:
        add_document(bundle, "findings", found.to_dict())
    run.result(found.to_dict(), f"{summary(found)}\nfindings: {out / 'findings.json'}")
    return 0


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; a public one needs a token."
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65_535), help="Port; 0 for a free one.")
@click.option(
    "--token-file", type=click.Path(path_type=Path), metavar="FILE", help="Bearer token; or PURCHASECAST_TOKEN."
)
@_common
def serve(run: _Run, model: Path, host: str, port: int, token_file: Path | None) -> int:
    """Serve MODEL: an HTTP API and a web page, without Java."""
    from purchasecast.serve.settings import TOKEN_VARIABLE, ServeSettings, read_token

    try:
        from purchasecast.serve.logs import set_up_logs
        from purchasecast.serve.server import run_server
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


@cli.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data")
@_source
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
@_rejects_option
@_rate_option
@_common
def monitor(run: _Run, model: Path, data: str, out: Path | None, **options: Any) -> int:
    """Tell whether DATA are still like those that MODEL was trained on; exits with 3 where they are not."""
    from purchasecast.bundle import load_bundle
    from purchasecast.drift import MonitorSettings
    from purchasecast.monitor import monitor as compare
    from purchasecast.report import render_drift, write_page
    from purchasecast.sources import read_table

    gate = {name: options.pop(name) for name in ("max_reject_rate", "rejects")}
    reader = _reader({name: options.pop(name) for name in ("source_format", "table", "option")})
    settings, bundle = MonitorSettings(**options), load_bundle(model)
    raw = read_table(run.spark(), data, bundle.schema, target="optional", **reader)
    found = compare(raw, bundle, settings, **gate, steps=run.steps)
    lines = [f"{found.rows:,} rows compared, {found.rejected:,} more rejected"]
    lines += [f"  {'held    ' if check.held else 'NOT HELD'}  {check.sentence}" for check in found.checks]
    if out is not None:
        lines.append(f"page: {write_page(render_drift(found, bundle.schema), out)}")
    run.result(found.to_dict(), "\n".join(lines))
    return 3 if found.alarms else 0


@cli.command()
@click.option("--rows", required=True, type=click.IntRange(1), metavar="N", help="Labelled rows.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help=".csv or .parquet.")
@click.option("--seed", default=7, show_default=True, help="Seed of everything.")
@click.option("--truth", is_flag=True, help="Write the planted truth beside the data.")
@click.option("--scoring", is_flag=True, help="Write rows to score, with unseen products, beside the data.")
@click.option("--overwrite", is_flag=True, help="Replace what --out holds.")
@_common
def generate(run: _Run, rows: int, out: Path, seed: int, **options: Any) -> int:
    """Generate a realistic shop whose truth is known."""
    from purchasecast.generate import generate as build
    from purchasecast.generate import write_shop

    spark = run.spark()
    with run.steps.step("generate") as step:
        written = write_shop(build(spark, rows=rows, seed=seed), str(out), **options)
        step.rows = rows
    paths = {name: str(path) for name, path in written.items()}
    text = "\n".join(f"{name}: {path}" for name, path in paths.items())
    run.result({"rows": rows, "seed": seed, "files": paths}, text)
    return 0


@cli.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for everything.",
)
@click.option(
    "--rows",
    default=30_000,
    show_default=True,
    type=click.IntRange(2_000),
    metavar="N",
    help="Labelled rows of the shop.",
)
@_common
def demo(run: _Run, out: Path, rows: int) -> int:
    """Run the whole flow on a generated shop, and say where the report is."""
    from purchasecast.demo import run_demo

    result = run_demo(run.spark(few_rows=rows <= 100_000), out, rows=rows, steps=run.steps)
    text = "\n".join(
        [
            _evaluation_text(result.training.evaluation, "USD"),
            "",
            *[f"{name + ':':14}{path}" for name, path in result.paths.items()],
        ]
    )
    run.result(result.to_dict(), text)
    return 0
