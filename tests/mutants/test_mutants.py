"""That `make mutants` knows what it changes and which tests guard it; the changes themselves take minutes."""

from __future__ import annotations

import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from tests.mutants.__main__ import EACH, GUARDS, ROOT, SOURCE, SURVIVORS, chosen
from tests.mutants.mutate import import_mutated, mutants_of

if TYPE_CHECKING:
    from pathlib import Path

MODULE = '''
def total(values: list[float], start: int = 0) -> float:
    """Return 1 + 1."""
    if not values:
        raise ValueError("a" + "b")
    return start + sum(values) / len(values) if len(values) > 2 else f"{start + 1}"
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "planted_module.py"
    place.write_text(MODULE)
    return place


def test_what_computes_is_changed_and_what_speaks_is_not(file: Path) -> None:
    found = [(mutant.line, f"{mutant.before} -> {mutant.after}") for mutant in mutants_of("planted_module", file)]
    assert found == [
        (4, "not values -> values"),
        (6, "len(values) > 2 -> len(values) <= 2"),
        (6, "2 -> 3"),
        (6, "start + sum(values) / len(values) -> start - sum(values) / len(values)"),
        (6, "sum(values) / len(values) -> sum(values) * len(values)"),
        (6, "sum -> mean"),
    ]


def test_a_change_is_imported_and_the_file_stays(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = next(mutant for mutant in mutants_of("planted_module", file) if "start - " in mutant.after)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    import_mutated(change, file)
    import planted_module  # type: ignore[import-not-found]

    monkeypatch.delitem(sys.modules, "planted_module")
    assert planted_module.total([1.0, 2.0, 3.0], 5) == 3.0
    assert file.read_text() == MODULE


@pytest.mark.parametrize("module", list(GUARDS))
def test_guards_exist_and_explained_survivors_are_tried(module: str) -> None:
    assert all((ROOT / "tests" / name).is_file() for name in GUARDS[module])
    file = SOURCE / "purchasecast" / f"{module.replace('.', '/')}.py"
    names = {mutant.name for mutant in chosen(f"purchasecast.{module}", file, EACH)}
    explained = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivors"]
    of_module = {name for name in explained if name.startswith(f"purchasecast.{module}:")}
    assert of_module <= names
    assert all(len(explained[name]) > 20 for name in of_module)


def test_functions_that_run_on_spark_are_left_to_tests_with_spark(tmp_path: Path) -> None:
    file = tmp_path / "planted_module.py"
    file.write_text(
        "from pyspark.sql import functions as sf\ndef a():\n    return sf.col('x') + 1\ndef b():\n    return 1\n"
    )
    assert [mutant.where for mutant in mutants_of("planted_module", file)] == ["b"]
