"""The command line: parse, call, print.

stdout carries the result, and with ``--json`` one JSON document and nothing else; progress and logs go to stderr.
Exit codes: 0 done, 1 a failure named in one sentence, 2 wrong usage, 3 a check did not hold.
"""

from __future__ import annotations

import logging
import sys

import click

from purchasecast import __version__
from purchasecast.cli import campaigns, data, model, results
from purchasecast.cli.interrupts import raise_again, speak_again
from purchasecast.errors import PurchasecastError
from purchasecast.files import cause

__all__ = ["cli", "main"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _InOrder(click.Group):
    """Commands in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)


_FIRST_STEPS = "First steps: `purchasecast demo`, or `purchasecast schema DATA > shop.toml` for a file of your own."


@click.group(cls=_InOrder, context_settings=_CONTEXT, epilog=_FIRST_STEPS)
@click.version_option(__version__, prog_name="purchasecast")
def cli() -> None:
    """Predict what each customer will spend on each product, and say what to do about it."""


for _command in (
    model.demo,
    data.generate,
    data.schema,
    data.validate,
    data.profile,
    model.train,
    model.evaluate,
    model.predict,
    results.insights,
    campaigns.plan,
    campaigns.measure,
    results.report,
    results.serve,
    results.monitor,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; the entry point of the console script."""
    sys.unraisablehook = raise_again
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
        _fail(f"{_first_line(error)} (--verbose shows where)", 1, error)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str, code: int, error: BaseException | None = None) -> None:
    if speak_again():
        click.echo(err=True)  # below the ^C of the terminal, as click does
    if error is not None and logging.getLogger("purchasecast").isEnabledFor(logging.DEBUG):
        logging.getLogger("purchasecast").debug("failed", exc_info=error)
    click.echo(f"purchasecast: {sentence}", err=True)
    sys.exit(code)


def _first_line(error: Exception) -> str:
    if "pyspark.errors" in sys.modules:  # --help must not load Spark
        from purchasecast.spark.failures import SPARK_FAILURES, reason

        if isinstance(error, SPARK_FAILURES):
            return reason(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {cause(error)}"
    lines = str(error).strip().splitlines()
    return f"a mistake of purchasecast itself: {type(error).__name__}: {lines[0] if lines else 'no message'}"
