"""Check, before a long run, that executors on other machines have what it needs: libraries, and a folder they share."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.errors import SourceError, SparkUnavailableError
from purchasecast.spark.failures import SPARK_FAILURES, reason
from purchasecast.spark.session import parallel_slots, runs_here
from purchasecast.spark.shipping import text_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import SparkSession

__all__ = ["LIBRARIES", "check_executors"]

LIBRARIES = ("numpy", "scipy", "pyarrow", "pandas")
_ANOTHER_PYTHON = (
    "or name another Python by the Spark setting spark.pyspark.python (over Spark Connect: "
    "by PYSPARK_PYTHON of the server)"
)


def check_executors(
    spark: SparkSession,
    libraries: Sequence[str] = LIBRARIES,
    *,
    reads: Path | None = None,
    writes: Path | None = None,
) -> None:
    """Check the executors of a cluster by one small job; in local mode there is nothing to check.

    Parameters
    ----------
    spark : SparkSession
        Spark session.
    libraries : sequence of str, default `LIBRARIES`
        Modules that their Python must have.
    reads : Path, optional
        A file on this machine that they must see.
    writes : Path, optional
        A folder of this machine, there or not yet, that they must be able to write to.

    Raises
    ------
    SparkUnavailableError
        If their Python cannot start, has another version, or lacks a library.
    SourceError
        If they do not share the file or the folder with this machine.
    """
    if runs_here(spark):
        return
    seen = {str(reads): (reads.stat().st_size, False)} if reads else {}
    if writes is None:
        _judge(_ask(spark, libraries, seen), libraries)
        return
    above = next(folder for folder in (writes, *writes.parents) if folder.is_dir())
    with tempfile.NamedTemporaryFile(prefix=".purchasecast-", dir=above) as file:
        file.write(b"?")
        file.flush()
        Path(file.name).chmod(0o644)
        _judge(_ask(spark, libraries, {**seen, file.name: (1, True)}), libraries)


def _ask(spark: SparkSession, libraries: Sequence[str], files: dict[str, tuple[int, bool]]) -> list[dict[str, Any]]:
    """Return what the tasks of a small job find: their Python, and what they lack."""
    tasks = parallel_slots(spark)
    # Without Arrow, which may be what is missing.
    found = text_column(partial(_probe, libraries=tuple(libraries), files=files), sf.col("id"))
    try:
        answers = spark.range(0, 4 * tasks, 1, tasks).select(found.alias("found")).distinct().collect()
    except SPARK_FAILURES as error:
        raise SparkUnavailableError(
            f"executors: expected Python {_version()} with {', '.join(libraries)}, found an error: {reason(error)}; "
            f"install it there, {_ANOTHER_PYTHON}."
        ) from error
    return [json.loads(answer["found"]) for answer in answers]


def _probe(_: int, *, libraries: tuple[str, ...], files: dict[str, tuple[int, bool]]) -> str:
    """Return as JSON what this executor lacks; runs there."""
    unseen = [
        name
        for name, (size, is_written) in files.items()
        if not Path(name).is_file()
        or Path(name).stat().st_size != size
        or (is_written and not os.access(Path(name).parent, os.W_OK))
    ]
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    return json.dumps({"host": socket.gethostname(), "python": sys.executable, "missing": missing, "unseen": unseen})


def _judge(answers: list[dict[str, Any]], libraries: Sequence[str]) -> None:
    for answer in answers:
        where = f"{answer['python']} on {answer['host']}"
        if answer["missing"]:
            missing = ", ".join(answer["missing"])
            raise SparkUnavailableError(
                f"executors: expected Python {_version()} with {', '.join(libraries)}, found {where} without "
                f"{missing}; install {missing} there, {_ANOTHER_PYTHON}."
            )
        if answer["unseen"]:
            raise SourceError(
                f"{Path(answer['unseen'][0]).parent}: expected a folder that this machine shares with all executors, "
                f"found that {answer['host']} does not see it or may not write there; choose one on a disk they share."
            )


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
