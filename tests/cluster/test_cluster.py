"""Every command gives the same figures locally, on a standalone cluster and over Spark Connect.

The executors' Python has Spark's libraries, NumPy, SciPy and XGBoost, and no purchasecast.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [pytest.mark.spark, pytest.mark.cluster, pytest.mark.slow]

ROWS = 2_000
TRAINING = ["--folds", "2", "--grid", "regParam=0.1,10 elasticNetParam=0,1", "--target-transform", "none"]
LOCAL_OPTIONS = [
    *("--conf", "spark.driver.extraJavaOptions=-Xss4m -XX:TieredStopAtLevel=1"),
    *("--conf", "spark.executor.extraJavaOptions=-Xss4m -XX:TieredStopAtLevel=1"),
    *("--conf", "spark.sql.codegen.wholeStage=false", "--conf", "spark.driver.memory=1g"),
    *("--conf", "spark.sql.shuffle.partitions=3", "--conf", "spark.ui.enabled=false"),
]


def commands(shop: Path, out: Path, spark: Sequence[str]) -> list[list[str]]:
    """Return every command that needs Spark, on the shop."""
    data = str(shop / "data.csv")
    linear, boosted = str(out / "linear"), str(out / "boosted")
    found = [
        ["train", data, "--out", linear, *TRAINING],
        ["insights", linear, data, "--out", str(out / "insights")],
        ["train", data, "--out", boosted, "--model", "boosted", *TRAINING],
        ["evaluate", boosted, data],
        ["predict", boosted, data, "--out", str(out / "predictions.csv")],
        ["monitor", boosted, data],
        ["validate", data],
        ["profile", data, "--out", str(out / "profile.html")],
    ]
    return [[*command, "--json", "--quiet", *spark] for command in found]


def run(commands: list[list[str]], python: Path = Path(sys.executable), **environment: str) -> list[dict[str, Any]]:
    """Run commands in a process of their own; return the JSON of each."""
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("run_commands.py"))],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=dict(os.environ) | environment,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    sys.stderr.write(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def local(shop: Path) -> list[dict[str, Any]]:
    made = ["generate", "--rows", str(ROWS), "--out", str(shop / "data.csv"), "--json", "--quiet", *LOCAL_OPTIONS]
    return run([made, *commands(shop, shop / "local", ["--master", "local[2]", *LOCAL_OPTIONS])])[1:]


def test_a_standalone_cluster(shop: Path, local: list[dict[str, Any]], standalone: str, executors: Path) -> None:
    spark = ["--master", standalone, "--conf", f"spark.pyspark.python={executors}", *LOCAL_OPTIONS]
    assert_same(run(commands(shop, shop / "standalone", spark)), local)


def test_the_oldest_spark(shop: Path, local: list[dict[str, Any]], oldest_spark: Path) -> None:
    spark = ["--master", "local[2]", *LOCAL_OPTIONS]
    oldest = run(commands(shop, shop / "oldest", spark), oldest_spark)
    assert_same(oldest, local)
    # A model that one of them has saved is read by the other.
    data, options = str(shop / "data.csv"), ["--json", "--quiet", *spark]
    (backward,) = run([["evaluate", str(shop / "local" / "linear"), data, *options]], oldest_spark)
    (forward,) = run([["evaluate", str(shop / "oldest" / "linear"), data, *options]])
    assert list(differing(backward, forward, 1e-6, "evaluate")) == []


def test_spark_connect(shop: Path, local: list[dict[str, Any]], connect: str) -> None:
    assert_same(run(commands(shop, shop / "connect", ["--remote", connect])), local)


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for command, ours, theirs in zip(commands(Path(), Path(), []), found, expected, strict=True):
        # XGBoost sums in single precision: another number of threads changes its trees a little.
        tolerance = 1e-3 if any("boosted" in word for word in command) else 1e-6
        differences = list(differing(ours, theirs, tolerance, command[0]))
        assert differences == []


def differing(ours: Any, theirs: Any, tolerance: float, place: str) -> Iterator[str]:
    """Yield the places where two JSON documents differ, but for seconds and paths."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys([*ours, *theirs]):
            if key not in {"seconds", "model", "out", "page"}:
                yield from differing(ours.get(key), theirs.get(key), tolerance, f"{place}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (own, their) in enumerate(zip(ours, theirs, strict=True)):
            yield from differing(own, their, tolerance, f"{place}[{number}]")
    elif isinstance(ours, float) or isinstance(theirs, float):
        if ours != pytest.approx(theirs, rel=tolerance, abs=tolerance):
            yield f"{place}: {ours} and {theirs}"
    elif ours != theirs:
        yield f"{place}: {ours} and {theirs}"
