"""Spark clusters of processes on this machine, whose executors' Python does not have purchasecast."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
# Small frames, many plans: neither Java's optimizing compiler nor Spark's own pays here.
JAVA_OPTIONS = "-Xss4m -XX:TieredStopAtLevel=1"
HERE = "127.0.0.1"


def built(name: str) -> Path:
    """Return the Python of an environment that `make environments` builds; without it skip, but not where all are."""
    python = ROOT / "build" / name / "bin" / "python"
    if not python.is_file():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {python}: run `make environments`")
    return python


@pytest.fixture(scope="session")
def executors() -> Path:
    """Return the Python of executors: Spark's libraries, NumPy, SciPy and XGBoost, and no purchasecast."""
    return built("executors")


@pytest.fixture(scope="session")
def oldest_spark() -> Path:
    """Return the Python of an environment with the oldest Spark that purchasecast runs on."""
    return built("spark-oldest")


@pytest.fixture(scope="session")
def standalone(executors: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a master and two workers of one core each."""
    folder, port = tmp_path_factory.mktemp("standalone"), free_port()
    url = f"spark://{HERE}:{port}"
    deploy = "org.apache.spark.deploy"
    master = ["spark-class", f"{deploy}.master.Master", "--host", HERE, "--port", str(port), "--webui-port", "0"]
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(running(master, folder / "master", port))
        for number in range(2):
            own = folder / f"worker{number}"
            listens = ["--host", HERE, "--port", str(free_port()), "--webui-port", "0", "--work-dir", str(own)]
            worker = ["spark-class", f"{deploy}.worker.Worker", *listens, "--cores", "1", "--memory", "1g", url]
            cleanup.enter_context(running(worker, own, int(listens[3])))
        yield url


@pytest.fixture(scope="session")
def connect(executors: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Spark Connect server whose workers run on the executors' Python."""
    folder, port = tmp_path_factory.mktemp("connect"), free_port()
    settings = {
        "spark.connect.grpc.binding.port": str(port),
        "spark.connect.grpc.binding.address": HERE,
        "spark.driver.bindAddress": HERE,
        "spark.driver.host": HERE,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "3",
        "spark.sql.codegen.wholeStage": "false",
    }
    server = ["spark-submit", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    server += ["--master", "local[2]", "--driver-memory", "1g", "--driver-java-options", JAVA_OPTIONS]
    server += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    with running([*server, "spark-internal"], folder / "server", port, PYSPARK_PYTHON=str(executors)):
        yield f"sc://{HERE}:{port}"


@contextlib.contextmanager
def running(command: list[str], folder: Path, port: int, **environment: str) -> Iterator[None]:
    """Run one of Spark's processes in a folder of its own, from when it listens to the end of the block."""
    import pyspark

    from purchasecast.spark.java import find_java

    folder.mkdir(exist_ok=True)
    home = Path(pyspark.__file__).parent
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYSPARK_PYTHON"}}
    own = {"JAVA_HOME": str(find_java().home), "SPARK_HOME": str(home), "SPARK_DAEMON_MEMORY": "256m"}
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [str(home / "bin" / command[0]), *command[1:]],
            stdout=stream,
            stderr=stream,
            cwd=folder,
            env=kept | own | environment,
        )
        try:
            wait_for(port, process, log)
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process listens to a port."""
    for _ in range(240):
        assert process.poll() is None, log.read_text()[-2_000:]
        with socket.socket() as probe:
            if probe.connect_ex((HERE, port)) == 0:
                return
        time.sleep(0.5)
    pytest.fail(f"nothing listens to {port}: {log.read_text()[-2_000:]}")


def free_port() -> int:
    """Return a port that nothing listens to."""
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])
