"""What the commands have in common: options, progress, logs, and the way to Spark."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purchasecast.cli.interrupts import Interrupts
from purchasecast.cli.terminal import TerminalWatcher, print_result
from purchasecast.errors import ColumnMismatchError, PurchasecastError, SettingsError
from purchasecast.io import has_few_rows, peek_names
from purchasecast.progress import Steps
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

    from purchasecast.schema import Schema

__all__ = [
    "Run",
    "column_pair",
    "common",
    "described_by",
    "in_options",
    "model_argument",
    "page_option",
    "pairs",
    "rate_option",
    "reader_options",
    "rejects_option",
    "schema_option",
    "source",
]


class Run:
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
        self.steps = Steps(None if self.quiet else TerminalWatcher.for_stderr())
        self.interrupts = Interrupts(quiet=not self.verbose)
        self._session: SparkSession | None = None

    def spark(self, *, few_rows: bool = False) -> SparkSession:
        """Start or reach Spark; timed as a step."""
        from purchasecast.spark import get_session, parse_conf

        conf = parse_conf(self._conf)
        with self.steps.step("start Spark"):
            self._session = get_session(master=self._master, remote=self._remote, conf=conf, few_rows=few_rows)
        self.interrupts.renew()
        self.interrupts.check()
        return self._session

    def spark_and_steps(self, *tables: str | Path | None) -> dict[str, Any]:
        """Return arguments of the library's functions: how to start Spark for some tables, and whom to tell of steps.

        A command is one run of Spark, which compiles less where all its tables are small.
        """
        return {"session": functools.partial(self.spark, few_rows=has_few_rows(*tables)), "steps": self.steps}

    def cancel(self) -> None:
        """Cancel what a Connect server still does; a Spark of our own has ended."""
        if self._session is not None and self._remote:
            with contextlib.suppress(Exception):  # what matters is that the run ends
                self._session.interruptAll()

    def result(self, document: dict[str, Any], text: str) -> None:
        """Print the result, as JSON or for people."""
        print_result(document, text, as_json=self.json)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command has, and hand them over as one `Run`."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, and nothing else.")
    @click.option("--master", metavar="URL", help="Spark master; by default this machine with all cores.")
    @click.option("--remote", metavar="URL", help="Spark Connect server, such as sc://HOST:15002.")
    @click.option("--conf", multiple=True, metavar="KEY=VALUE", help="Setting of Spark; may be repeated.")
    @click.option("--quiet", is_flag=True, help="Show no progress.")
    @click.option("--verbose", is_flag=True, help="Show logs and tracebacks on stderr.")
    @functools.wraps(command)
    def wrapped(**options: Any) -> Any:
        run = Run(options)
        try:
            return command(run, **options)
        except KeyboardInterrupt:
            run.cancel()
            raise
        except Exception as error:
            run.interrupts.check()  # what a library made of it
            if isinstance(error, PurchasecastError) and error.args:
                error.args = (in_options(str(error), click.get_current_context().command), *error.args[1:])
            raise
        finally:
            run.interrupts.close()
            if isinstance(run.steps.watcher, TerminalWatcher):
                run.steps.watcher.close()

    return wrapped


def in_options(message: str, command: click.Command) -> str:
    """Name the options of a command in a message that names arguments, as the library's errors do.

    Examples
    --------
    >>> command = click.Command("train", params=[click.Option(["--max-reject-rate"]), click.Option(["--holdout-by"])])
    >>> in_options('raise max_reject_rate=, or take holdout_by="random"', command)
    'raise --max-reject-rate, or take --holdout-by random'
    >>> in_options("max_reject_rate: expected a share from 0 to 1, found 2.", command)
    '--max-reject-rate: expected a share from 0 to 1, found 2.'
    """
    options = {param.name: max(param.opts, key=len) for param in command.params if isinstance(param, click.Option)}

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        return " ".join(filter(None, (options[name], value))) if name in options else match.group(0)

    message = re.sub(r'\b([a-z_]+)=(?!\w)(?:"([^"]*)")?', option, message)
    return re.sub(r"^([a-z_]+)()(?=: )", option, message)


def source(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to read DATA."""
    for option in (
        click.option(
            "--option", "option", multiple=True, metavar="KEY=VALUE", help="Option of Spark's reader; may be repeated."
        ),
        click.option("--table", metavar="NAME", help="Table to read, if DATA is a jdbc: URL."),
        click.option(
            "--format",
            "source_format",
            metavar="NAME",
            help="Format of DATA, any that Spark reads; by default told from the suffix.",
        ),
    ):
        command = option(command)
    return command


_USUAL_SCHEMA = "black_friday"

model_argument = click.argument("model", type=click.Path(path_type=Path))
schema_option = click.option(
    "--schema",
    metavar="NAME|FILE",
    help=f"Name of a shipped schema, or a TOML file; by default {_USUAL_SCHEMA}, if DATA has its columns.",
)
rate_option = click.option(
    "--max-reject-rate",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Stop with exit code 3 if a larger share of the rows is bad.",
)
rejects_option = click.option(
    "--rejects",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the bad rows and their reasons.",
)


def page_option(*, required: bool) -> Callable[..., Any]:
    """Return the option that says where a page goes."""
    place = click.Path(dir_okay=False, path_type=Path)
    return click.option("--out", required=required, type=place, metavar="FILE.html", help="Page to write.")


def pairs(values: tuple[str, ...], name: str = "option") -> dict[str, str]:
    """Return texts of the form ``KEY=VALUE`` as a mapping; `name` is that of the option that they come from."""
    result = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise SettingsError(f"{name}: expected KEY=VALUE, found {value!r}; write for example header=true.")
        result[key] = rest
    return result


def reader_options(source: dict[str, Any]) -> dict[str, Any]:
    """Return what `source` has taken as arguments of `read_table`."""
    return {
        "format": source["source_format"],
        "table": source["table"],
        "options": pairs(source["option"]),
    }


def described_by(schema: str | None, data: str, source: dict[str, Any]) -> Schema:
    """Return the schema of DATA.

    Parameters
    ----------
    schema : str or None
        What ``--schema`` said.
    data : str
        The table. Without a schema it should be one of the usual columns, which is looked up before Spark starts.
    source : dict
        What `source` has taken.

    Returns
    -------
    Schema
        The schema.

    Raises
    ------
    ColumnMismatchError
        If there is no schema and the table is another shop's.
    """
    if schema is not None:
        return load_schema(schema)
    usual = load_schema(_USUAL_SCHEMA)
    if source["table"] is not None or source["source_format"] not in {None, "csv", "parquet"}:
        return usual
    names = peek_names(data)
    expected = set(usual.required_columns(with_target=False))
    # With half of the columns there, it is that table with a mistake in it, and what differs is worth more.
    if names is None or len(expected & set(names)) >= len(expected) / 2:
        return usual
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    draft = f"purchasecast schema {shlex.quote(data)} > {shlex.quote(f'{_stem(data)}.toml')}"
    raise ColumnMismatchError(
        f"{data}: expected --schema, because its columns ({shown}) are not those of {_USUAL_SCHEMA}, found none; "
        f"draft one with `{draft}`, look at it, and add --schema {shlex.quote(f'{_stem(data)}.toml')}."
    )


def _stem(data: str) -> str:
    return Path(data.rstrip("/")).name.partition(".")[0].strip("*?") or "shop"


def column_pair(text: str) -> tuple[str, str]:
    """Read two columns from a text with a comma between them.

    Parameters
    ----------
    text : str
        Such as ``Category,Region``; blanks around the names do not count.

    Returns
    -------
    (str, str)
        The two names.

    Raises
    ------
    SettingsError
        If there are not two.

    Examples
    --------
    >>> column_pair("Category, Region")
    ('Category', 'Region')
    """
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise SettingsError(f"by: expected two columns with a comma between them, found {text!r}; write COL,COL.")
    return (names[0], names[1])
