"""No test is forgotten: each runs in `make test`, or is slow, in `make test-all`, whose files `make test` reads, too.

pytest chooses by marks only after it has read all files, so that a file that has rotted fails `make test`, whatever its
tests are marked with.
"""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MARKS = ("spark", "slow", "site", "cluster")
RECIPES = dict(re.findall(r"^([a-z-]+):[^\n]*\n((?:\t[^\n]*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE))


def runs_of_pytest(target: str) -> list[list[str]]:
    """Return the arguments of each run of pytest in a target."""
    lines = [line for line in RECIPES[target].splitlines() if "/pytest" in line]
    return [shlex.split(line.partition("/pytest")[2].replace("$(PARALLEL)", "")) for line in lines]


def chooses(arguments: list[str], marks: set[str]) -> bool:
    """Tell whether a run chooses a test with these marks."""
    expression = arguments[arguments.index("-m") + 1] if "-m" in arguments else "True"
    return bool(eval(expression, {}, {mark: mark in marks for mark in MARKS}))  # noqa: S307  of our own Makefile


def test_the_server_runs_make_test() -> None:
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test"


@pytest.mark.parametrize("marks", [set(found) for k in range(5) for found in itertools.combinations(MARKS, k)])
def test_every_test_runs_in_make_test_or_is_slow(marks: set[str]) -> None:
    runs = [*runs_of_pytest("test"), *runs_of_pytest("docs")]
    assert len(runs) == 3
    if "slow" not in marks:
        assert any(chooses(arguments, marks) for arguments in runs)
    assert runs_of_pytest("test-all") == [[]]  # everything


def test_runs_read_all_files() -> None:
    settings = (ROOT / "pyproject.toml").read_text()
    assert 'testpaths = ["tests"]' in settings
    assert not re.search(r"norecursedirs|python_files|collect_ignore|--ignore", settings)
    assert not [file for file in (ROOT / "tests").rglob("conftest.py") if "collect_ignore" in file.read_text()]
    for arguments in runs_of_pytest("test"):
        paths = [word for word in arguments if "/" in word or word == "tests"]
        assert not paths or "tests" in paths


def test_tests_of_the_built_site_are_where_the_target_looks() -> None:
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if "mark.site" in file.read_text()]
    assert {file.parent.name for file in files if file != Path(__file__)} == {"docs"}
    assert runs_of_pytest("docs") == [["-m", "site", "tests/docs"]]


def test_marks_are_known_here() -> None:
    declared = re.findall(r'^  "(\w+): ', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(declared) == set(MARKS)
