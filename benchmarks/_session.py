"""What the benchmarks share: the real data's place, and one warm session."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purchasecast.session import get_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "black_friday"


def options(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows where the data are."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of train.csv and test.csv")
    parser.add_argument("--repeats", type=int, default=3, help="counted runs of each, after one that warms the JVM")
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
    """Print one JSON line, with the machine."""
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({**figures, "machine": machine}))
