"""What the benchmarks share: rows, a model of them, one warm session, and how figures are printed.

Rows are the real ones where they are at hand (`../shared/data/black_friday` beside the checkout), else those of a
generated shop as large. Rows and model are made once a run of `make bench`, in the folder that PURCHASECAST_BENCH
names, and once a script where it names none.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purchasecast.spark import get_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark.sql import SparkSession

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "black_friday"
ROWS = int(os.environ.get("PURCHASECAST_BENCH_ROWS", "550068"))
_made: list[str] = []


class _Parser(argparse.ArgumentParser):
    """Make the rows and, for a script that needs one at the start, the model that were not named."""

    needs_model = False

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        given = super().parse_args(args, namespace)
        if given.data is None:
            given.data = REAL if REAL.is_dir() else _generated()
        if self.needs_model and given.model is None:
            given.model = _trained(given.data)
        return given


def options(description: str | None, *, model: bool = False) -> argparse.ArgumentParser:
    """Return a parser that knows where the rows are and, where asked for, a model of them."""
    parser = _Parser(description=description)
    parser.add_argument("--data", type=Path, help="folder of train.csv and test.csv")
    parser.add_argument("--repeats", type=int, default=3, help="counted runs of each, after one that warms the JVM")
    parser.needs_model = model
    if model:
        parser.add_argument("--model", type=Path, help="a bundle of train.csv; without it one is trained first")
    return parser


def session() -> SparkSession:
    """Return the session that a user of the command line gets."""
    return get_session()


def seconds_of(run: Callable[[], Any]) -> float:
    """Return the wall seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def report(**figures: Any) -> None:
    """Print one JSON line, with the machine and, where they are not the real ones, which rows these were."""
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    made = {"made_first": _made} if _made else {}
    print(json.dumps({**figures, **made, "machine": machine}))


@cache
def _folder() -> Path:
    named = os.environ.get("PURCHASECAST_BENCH")
    if named:
        return Path(named)
    folder = Path(tempfile.mkdtemp(prefix="purchasecast-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _generated() -> Path:
    """Return the folder of a generated shop's train.csv and test.csv."""
    _made.append(f"a generated shop of {ROWS} rows")
    folder = _folder() / "data"
    if not (folder / "test.csv").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _run("generate", "--rows", str(ROWS), "--out", str(folder / "train.csv"), "--scoring", "--overwrite")
        (folder / "train.scoring.csv").rename(folder / "test.csv")
    return folder


def _trained(data: Path) -> Path:
    """Return a bundle of the linear recipe, trained on four fifths of the rows with one candidate."""
    _made.append("a model: linear, --no-refit, one candidate")
    model = _folder() / "model"
    if not model.is_dir():
        one = "regParam=0.001 elasticNetParam=0"
        _run("train", str(data / "train.csv"), "--out", str(model), "--no-refit", "--grid", one)
    return model


def _run(*arguments: str) -> None:
    """Run a command in a process of its own: the script's session stays as cold as it would be."""
    print(f"purchasecast {' '.join(arguments)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "purchasecast", *arguments], check=True, stdout=subprocess.DEVNULL)
