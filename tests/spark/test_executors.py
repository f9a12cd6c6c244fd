"""What executors are asked before a run, and how their answers are told; clusters are in tests/cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from purchasecast.errors import SourceError, SparkUnavailableError
from purchasecast.spark.executors import _judge, _probe
from purchasecast.spark.failures import reason
from purchasecast.spark.session import _python_of_executors

if TYPE_CHECKING:
    from pathlib import Path


def test_the_probe_finds_libraries_and_files(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("?")
    files = {str(there): (1, True), str(tmp_path / "gone"): (1, False), str(there) + "x": (2, True)}
    answer = json.loads(_probe(0, libraries=("json", "no_such_library"), files=files))
    assert answer["missing"] == ["no_such_library"]
    assert answer["unseen"] == [str(tmp_path / "gone"), str(there) + "x"]
    assert json.loads(_probe(0, libraries=(), files={str(there): (2, False)}))["unseen"] == [str(there)]


def test_a_missing_library_is_named_in_one_sentence() -> None:
    answer = {"host": "node7", "python": "/usr/bin/python3", "missing": ["scipy"], "unseen": []}
    with pytest.raises(SparkUnavailableError) as caught:
        _judge([answer], ["numpy", "scipy"])
    assert "found /usr/bin/python3 on node7 without scipy; install scipy there, or name another" in str(caught.value)


def test_a_folder_that_executors_do_not_see_is_named() -> None:
    answer = {"host": "node7", "python": "python3", "missing": [], "unseen": ["/home/ann/models/.purchasecast-1"]}
    with pytest.raises(SourceError, match=r"/home/ann/models: expected a folder .* found that node7 does not see it"):
        _judge([answer], [])


@pytest.mark.parametrize(
    ("url", "given", "variable", "python"),
    [
        ("local[2]", {}, None, "here"),
        ("local-cluster[2,1,1024]", {}, None, "here"),
        ("spark://host:7077", {}, None, None),
        ("yarn", {"spark.pyspark.python": "/opt/python"}, "/other", "/opt/python"),
        ("yarn", {}, "/other", "/other"),
        ("local[2]", {}, "/other", "/other"),
    ],
)
def test_no_path_of_this_machine_is_forced_on_executors(
    url: str,
    given: dict[str, str],
    variable: str | None,
    python: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "here")
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    if variable:
        monkeypatch.setenv("PYSPARK_PYTHON", variable)
    assert _python_of_executors(url, given) == python


def test_an_error_in_a_python_worker_is_told_by_its_last_line() -> None:
    from pyspark.errors import PySparkException

    traceback = (
        "An exception was thrown from the Python worker:\nTraceback (most recent call last):\n"
        '  File "/x/worker.py", line 3, in run\n    __import__(name)\n'
    )
    error = PySparkException(traceback + "ModuleNotFoundError: No module named 'xgboost'\n\n")
    assert reason(error) == (
        "the executors' Python has no xgboost; install it there, or name another by the Spark setting "
        "spark.pyspark.python"
    )
    assert reason(PySparkException(traceback + "ValueError: too long: 3\n")) == "ValueError: too long: 3"
