"""The reference and the gallery: every public name has its entry, every example answers a question by a result."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import purchasecast
from purchasecast import results

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
CHARTS = ROOT / "docs" / "_extensions" / "gallery_charts.py"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FACES = ["datasets", "errors", "results", "scorer", "search", "stages"]


def entries_of(page: Path) -> list[str]:
    """Return the names in the lists of a page."""
    lists = re.findall(r"^\.\. autosummary::\n(?:   :.*\n)*\n((?:   \S.*\n)+)", page.read_text("utf-8"), re.MULTILINE)
    return [line.strip() for names in lists for line in names.splitlines()]


@pytest.mark.parametrize("face", FACES)
def test_the_reference_has_every_class_of_a_face_once_and_nothing_else_than_the_face_has(face):
    public = importlib.import_module(f"purchasecast.{face}").__all__
    classes = [name for name in public if name[0].isupper() and not name.isupper()]
    entries = entries_of(REFERENCE / f"{face}.rst")
    assert sorted(entry for entry in entries if entry in classes) == sorted(classes)
    assert set(entries) <= set(public)


def test_the_reference_has_every_name_of_the_package():
    elsewhere = {*FACES, *results.__all__}  # modules have pages of their own, and so have the results
    assert sorted(entries_of(REFERENCE / "python.rst")) == sorted(set(purchasecast.__all__) - elsewhere)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_asks_a_question_and_ends_in_a_result(path):
    code = ast.parse(path.read_text(encoding="utf-8"))
    title = (ast.get_docstring(code) or "").splitlines()[0]
    assert title.endswith("?")
    assert isinstance(code.body[-1], ast.Expr), "the last line is shown, so it is a chart or a table"


def test_the_gallery_has_examples_in_a_stated_order():
    order = ast.literal_eval(re.search(r"ORDER = (\[.*?\])", CHARTS.read_text("utf-8"), re.DOTALL).group(1))
    assert sorted(order) == [path.stem.removeprefix("plot_") for path in EXAMPLES]
    assert len(order) >= 8
