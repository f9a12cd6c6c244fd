"""The claims of the README: its figures are the measured ones, its output is what the program prints, its code runs."""

from __future__ import annotations

import re
import struct
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from purchasecast import search, stages
from purchasecast.results import Evaluation, Slice

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return the text of a section of the README."""
    return re.split(r"^## ", README.split(f"## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def as_number(text: str) -> float:
    """Return the number of a cell."""
    return float(text.replace(",", ""))


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of all tables, by the first cell of their row."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


def test_the_compared_errors_are_the_measured_ones():
    ours, measured = table_rows(section("How it compares")), table_rows(BENCHMARKS.split("## Other ways to predict")[1])
    models = [name for name in ours if name in measured and name not in {"Model", "---"}]
    assert len(models) == 8
    for name in models:
        error, explained, _, seconds = measured[name]  # the third is the mean absolute error
        assert ours[name] == [error, explained, seconds]


@pytest.mark.parametrize("task", ["Search 60 penalties on 5 folds, 550,068 rows", "Score one row, median"])
def test_the_compared_times_are_the_measured_ones(task):
    cells = table_rows(section("How it compares"))[task]
    figures = re.findall(r"(\d[\d,.]* m?s)\b", " ".join(cells))
    assert len(figures) == 3
    assert [figure for figure in figures if figure not in BENCHMARKS] == []


def read_slice(line: str, baselines: dict[str, list[float]]) -> Slice:
    """Return the slice that a line of the shown table was written from."""
    name, rows, rmse, mae, r2, product_mean, coverage, width = re.split(r"\s{2,}", line.strip())
    by, _, level = name.rpartition(" ")
    return Slice(
        by=by or "all",
        level=level,
        rows=int(rows.replace(",", "")),
        rmse=as_number(rmse),
        mae=as_number(mae),
        r2=float(r2),
        bias=0.0,
        baseline_rmse={name: rmse for name, (rmse, _) in baselines.items()} | {"product_mean": as_number(product_mean)},
        coverage=float(coverage.rstrip(" %")) / 100,
        mean_width=as_number(width),
        baseline_mae={name: mae for name, (_, mae) in baselines.items()},
    )


def test_the_shown_output_is_what_training_prints():
    """The README leaves out the lines of the categories, and says so; all other lines are as printed."""
    table, comparison = section("Real output").split("```text\n")[1].split("```")[0].split("\n\n")
    counts, sentence, header, *lines, more = table.splitlines()
    _, this_model, *references, model = comparison.splitlines()
    assert re.fullmatch(r"([\d,]+) rows = \1 accepted \+ 0 rejected", counts)
    assert model == "model: model"

    cells = [re.split(r"\s{2,}", line) for line in references]
    baselines = {name.replace(" ", "_"): [as_number(rmse), as_number(mae)] for name, rmse, mae in cells}
    whole, *slices = [read_slice(line, baselines) for line in lines]
    by, count = re.fullmatch(r"(\w+): (\d+) more", more).groups()
    hidden = [replace(whole, by="categories", level="all but the smallest", rows=1)]
    hidden += [replace(whole, by=by, level=str(level), rows=1, mean_width=10_000.0) for level in range(10 + int(count))]
    evaluation = Evaluation(whole, (*slices, *hidden), sentence, level=0.9, money="USD")
    printed = [line for line in repr(evaluation).splitlines() if not line.startswith(("categories ", f"{by} "))]
    assert printed == [sentence, header, *lines, more, "", *comparison.splitlines()[:-1]]

    measured = table_rows(BENCHMARKS.split("## Other ways to predict")[1])
    assert f"{whole.rows:,}" in BENCHMARKS
    for line, name in ((this_model, "`linear`"), (references[1], "mean of the product")):
        rmse, _, mae, _ = measured[name]
        assert re.split(r"\s{2,}", line)[1:] == [rmse.strip("*"), mae.strip("*")]


def test_the_stages_shown_are_public_and_described_on_the_linked_page():
    shown = re.findall(r"\[`(\w+)`\]\(([^)#]+)#?([^)]*)\)", section("Parts for your own pipeline"))
    assert len(shown) >= 4
    for name, page, anchor in shown:
        assert name in {*stages.__all__, *search.__all__}
        text = (ROOT / page).read_text(encoding="utf-8")
        assert name in text
        assert not anchor or re.search(rf"^#+ {anchor}$", text, re.MULTILINE | re.IGNORECASE)


def test_version_and_licence_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={re.search(r'Python ([0-9.]+) or later', README)[1]}"
    assert f"Licence: {project['license']}." in README


def test_the_picture_is_small_and_there():
    path = re.search(r"!\[[^\]]+\]\(([^)]+)\)", README)[1]
    content = (ROOT / path).read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert (width, height) >= (1_000, 500)
    assert len(content) < 300_000


@pytest.mark.spark
def test_the_five_lines_run(spark, tmp_path, monkeypatch):
    import purchasecast as pc

    shop = pc.datasets.generate_shop(spark, rows=2_000, seed=7)
    pc.datasets.write_shop(shop, str(tmp_path / "train.csv"))
    monkeypatch.chdir(tmp_path)  # Java keeps the folder that it was started in
    code = re.search(r"```python\n(.*?)```", section("Five lines of Python"), re.DOTALL)[1]
    first = shop.transactions.select("User_ID", "Product_ID").first()
    code = code.replace("1000001", str(first[0])).replace("P00069042", first[1])
    code = code.replace('"train.csv"', repr(str(tmp_path / "train.csv")))
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102  that it runs is what is tested
    assert names["model"].evaluation.overall.rmse < names["model"].evaluation.overall.baseline_rmse["mean"]
    assert "</html>" in (tmp_path / "report.html").read_text(encoding="utf-8")
