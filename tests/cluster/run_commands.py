"""Run commands of purchasecast in one process, and so in one Spark session.

Reads a JSON list of commands on standard input, and prints a JSON object: the last word of each command's place in the
list, and what it printed. A command that fails ends the run with its sentence.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time

from purchasecast.cli import cli
from purchasecast.errors import PurchasecastError


def main() -> None:
    """Run the commands that standard input holds."""
    results = []
    for arguments in json.load(sys.stdin):
        started, printed = time.monotonic(), io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                cli.main(arguments, standalone_mode=False)
        except PurchasecastError as error:
            sys.exit(f"{arguments[0]}: {error}")
        sys.stderr.write(f"{arguments[0]}: {time.monotonic() - started:.1f} s\n")
        results.append(json.loads(printed.getvalue()))
    json.dump(results, sys.stdout)
    with contextlib.suppress(ImportError):
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        if session is not None:
            session.stop()  # else pyspark 4.3 waits for ever, at exit, for a Connect server's answer to a deletion


if __name__ == "__main__":
    main()
