"""Every command gives the same figures locally, on a standalone cluster and over Spark Connect.

The executors' Python has Spark's libraries, NumPy, SciPy and XGBoost, and no purchasecast.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [pytest.mark.spark, pytest.mark.cluster]

ROWS = 2_000
TRAINING = ["--folds", "2", "--grid", "regParam=0.1,10 elasticNetParam=0,1", "--target-transform", "none"]
OPTIONS = [
    *("--conf", "spark.driver.extraJavaOptions=-Xss4m -XX:TieredStopAtLevel=1"),
    *("--conf", "spark.executor.extraJavaOptions=-Xss4m -XX:TieredStopAtLevel=1"),
    *("--conf", "spark.sql.codegen.wholeStage=false", "--conf", "spark.driver.memory=1g"),
    *("--conf", "spark.sql.shuffle.partitions=3", "--conf", "spark.ui.enabled=false"),
]
LOCAL = ["--master", "local[2]", *OPTIONS]


def commands(shop: Path, out: Path, spark: Sequence[str], *names: str) -> dict[str, list[str]]:
    """Return commands on the shop by name; every command that needs Spark, or those that are named."""
    data, linear, boosted = str(shop / "data.csv"), str(out / "linear"), str(out / "boosted")
    found = {
        "train linear": ["train", data, "--out", linear, *TRAINING],
        "predict linear": ["predict", linear, data, "--out", str(out / "linear.csv")],
        "monitor linear": ["monitor", linear, data],
        "insights linear": ["insights", linear, data, "--out", str(out / "insights")],
        "train boosted": ["train", data, "--out", boosted, "--model", "boosted", *TRAINING],
        "evaluate boosted": ["evaluate", boosted, data],
        "predict boosted": ["predict", boosted, data, "--out", str(out / "boosted.csv")],
        "validate": ["validate", data],
        "profile": ["profile", data, "--out", str(out / "profile.html")],
    }
    return {name: [*found[name], "--json", "--quiet", *spark] for name in names or found}


def run(commands: dict[str, list[str]], python: Path = Path(sys.executable)) -> dict[str, Any]:
    """Run commands in a process of their own; return the JSON of each by name."""
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("run_commands.py"))],
        input=json.dumps(list(commands.values())),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    sys.stderr.write(done.stderr)
    return dict(zip(commands, json.loads(done.stdout), strict=True))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def local(shop: Path) -> dict[str, Any]:
    made = ["generate", "--rows", str(ROWS), "--out", str(shop / "data.csv"), "--json", "--quiet", *LOCAL]
    return run({"generate": made, **commands(shop, shop / "local", LOCAL)})


def test_a_standalone_cluster(shop: Path, local: dict[str, Any], standalone: str, executors: Path) -> None:
    spark = ["--master", standalone, "--conf", f"spark.pyspark.python={executors}", *OPTIONS]
    names = "train linear", "train boosted", "predict boosted"
    assert_same(run(commands(shop, shop / "standalone", spark, *names)), local)


@pytest.mark.slow  # not yet seen to pass: comes into `make test` once it is
def test_spark_connect(shop: Path, local: dict[str, Any], connect: str) -> None:
    names = "train linear", "predict linear", "monitor linear"
    assert_same(run(commands(shop, shop / "connect", ["--remote", connect], *names)), local)


@pytest.mark.slow  # not yet seen to pass as a whole
def test_the_oldest_spark(shop: Path, local: dict[str, Any], oldest_spark: Path) -> None:
    names = "train linear", "predict linear"
    assert_same(run(commands(shop, shop / "oldest", LOCAL, *names), oldest_spark), local)


@pytest.mark.slow
def test_a_model_that_the_newest_has_saved_is_read_by_the_oldest(
    shop: Path, local: dict[str, Any], oldest_spark: Path
) -> None:
    assert_same(run(commands(shop, shop / "local", LOCAL, "evaluate boosted"), oldest_spark), local)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["standalone", "connect", "oldest_spark"])
def test_every_command(kind: str, shop: Path, local: dict[str, Any], request: pytest.FixtureRequest) -> None:
    where = request.getfixturevalue(kind)
    python, spark = Path(sys.executable), LOCAL
    if kind == "standalone":
        executors = request.getfixturevalue("executors")
        spark = ["--master", where, "--conf", f"spark.pyspark.python={executors}", *OPTIONS]
    elif kind == "connect":
        spark = ["--remote", where]
    else:
        python = where
    assert_same(run(commands(shop, shop / f"every {kind}", spark), python), local)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, result in found.items():
        # XGBoost sums in single precision: another number of threads changes its trees a little.
        tolerance = 1e-3 if "boosted" in name else 1e-6
        assert list(differing(result, expected[name], tolerance, name)) == []


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
