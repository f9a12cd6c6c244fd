"""The same run on a local session, on a cluster of processes and over Spark Connect gives the same figures."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.spark, pytest.mark.cluster, pytest.mark.slow]  # minutes each: `make test-all`

ROWS = 2_000
OPTIONS = ["--folds", "2", "--no-refit", "--grid", "regParam=0.1,10 elasticNetParam=0,1", "--json"]
# Small frames, many plans: neither Java's optimizing compiler nor Spark's own pays here.
JAVA_OPTIONS = "-Xss4m -XX:TieredStopAtLevel=1"
SETTINGS = [
    *("--conf", f"spark.driver.extraJavaOptions={JAVA_OPTIONS}", "--conf", "spark.sql.codegen.wholeStage=false"),
    *("--conf", f"spark.executor.extraJavaOptions={JAVA_OPTIONS}", "--conf", "spark.driver.memory=1g"),
]


def purchasecast(*arguments: object, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run the command line in a process of its own; return its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "purchasecast", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    purchasecast("generate", "--rows", ROWS, "--out", folder / "data.csv", "--json", *SETTINGS)
    return folder


@pytest.fixture(scope="module")
def local(shop: Path) -> dict[str, Any]:
    return purchasecast("train", shop / "data.csv", "--out", shop / "local", *OPTIONS, *SETTINGS)["evaluation"]


@pytest.fixture(scope="module")
def connect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Spark Connect server on a free loopback port, and stop it afterwards."""
    import pyspark

    from purchasecast.spark.java import find_java

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("connect")
    home = Path(pyspark.__file__).parent
    command = [
        str(home / "bin" / "spark-submit"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--master", "local[2]", "--driver-memory", "1g", "--driver-java-options", JAVA_OPTIONS),
        *(
            "--conf",
            f"spark.connect.grpc.binding.port={port}",
            "--conf",
            "spark.connect.grpc.binding.address=127.0.0.1",
        ),
        *("--conf", "spark.ui.enabled=false", "--conf", "spark.sql.shuffle.partitions=3"),
        *("--conf", "spark.sql.codegen.wholeStage=false"),
        *("--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.driver.bindAddress=127.0.0.1"),
        "spark-internal",
    ]
    environment = {
        **os.environ,
        "JAVA_HOME": str(find_java().home),
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_NO_DAEMONIZE": "1",
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        try:
            _wait_for(port, server, folder / "log")
            yield f"sc://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=60)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(120):
        assert server.poll() is None, log.read_text()[-2_000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(1)
    pytest.fail(f"no Connect server: {log.read_text()[-2_000:]}")


def assert_same_figures(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["rows"] == expected["rows"]
    for name in ("rmse", "mae", "r2"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6)
    ours = {(part["by"], part["level"]): part["rmse"] for part in found["slices"]}
    theirs = {(part["by"], part["level"]): part["rmse"] for part in expected["slices"]}
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_cluster_of_two_workers_gives_the_same_figures(shop: Path, local: dict[str, Any]) -> None:
    arguments = ["train", shop / "data.csv", "--out", shop / "cluster", *OPTIONS, "--master", "local-cluster[2,1,1024]"]
    found = purchasecast(*arguments, *SETTINGS, "--conf", "spark.sql.shuffle.partitions=3")["evaluation"]
    assert_same_figures(found, local)


def test_spark_connect_gives_the_same_figures(shop: Path, local: dict[str, Any], connect_server: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "JAVA_HOME"}
    arguments = ["train", shop / "data.csv", "--out", shop / "connect", *OPTIONS, "--remote", connect_server]
    assert_same_figures(purchasecast(*arguments, environment=environment)["evaluation"], local)
    scored = purchasecast(
        *("predict", shop / "connect", shop / "data.csv", "--out", shop / "p.csv", "--json", "--remote", connect_server)
    )
    assert scored["rows"] == ROWS


SEARCH = """
import json, os, sys
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import functions as sf
from purchasecast.search.estimator import LinearRegressionGridSearch
from purchasecast.spark.session import get_session

spark = get_session(remote=sys.argv[1]) if len(sys.argv) > 1 else get_session()
rows = spark.range(500).select(
    *[(sf.pmod(sf.xxhash64(sf.lit(j), "id"), sf.lit(1000)) / 1000).alias(f"x{j}") for j in range(4)],
    sf.pmod(sf.xxhash64("id"), sf.lit(3)).cast("int").alias("fold"),
)
rows = rows.withColumn("label", 3 * sf.col("x0") - 2 * sf.col("x1") + 0.1 * sf.sin(100 * sf.col("x2")))
table = VectorAssembler(inputCols=["x0", "x1", "x2", "x3"], outputCol="features").transform(rows)
search = LinearRegressionGridSearch(regParam=[0.001, 0.1], elasticNetParam=[0.0, 1.0], foldCol="fold", numFolds=3)
model = search.fit(table)
predicted = model.transform(table).agg(sf.sum("prediction")).collect()[0][0]
print(json.dumps([*model.avgMetrics, *model.bestModel.coefficients, predicted]))
spark.stop()  # else pyspark 4.3 waits for ever, at exit, for an answer to its deletion of the model
"""


def test_the_search_gives_the_same_over_spark_connect(connect_server: str) -> None:
    found = []
    for arguments in ([], [connect_server]):
        environment = {key: value for key, value in os.environ.items() if not (arguments and key == "JAVA_HOME")}
        done = subprocess.run(
            [sys.executable, "-c", SEARCH, *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr[-2_000:]
        found.append(json.loads(done.stdout))
    local, remote = found
    assert len(local) == 4 + 4 + 1
    assert remote == pytest.approx(local, rel=1e-9)
