"""Steps of the recipes beyond linear: a batch and a row give the same, and what the formulas say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.errors import BundleCorruptError, SettingsError
from purchasecast.files import SealedFiles
from purchasecast.numerics.step_fit import fit_steps
from purchasecast.scorer.batch import Batch, KeyedLevels, Row
from purchasecast.scorer.inputs import Encoded
from purchasecast.scorer.levels import LevelTable
from purchasecast.scorer.steps import KINDS
from purchasecast.scorer.steps.amounts import Blend
from purchasecast.scorer.steps.base import Context
from purchasecast.scorer.steps.boosted_trees import BoostedTrees, _read_trees
from purchasecast.scorer.steps.interval import Interval
from purchasecast.scorer.steps.level_statistics import LevelStatistics
from purchasecast.scorer.steps.price_ladder import PriceLadder

ROWS: list[dict[str, Any]] = [
    {"customer": "a", "category": "1"},
    {"customer": "a", "category": "2"},  # a pair that is unseen: the customer's
    {"customer": "b", "category": "1"},  # a customer that is unseen: that of all rows
    {"customer": None, "category": "1"},
]


def table(keys: list[str], rank: list[float]) -> LevelTable:
    return LevelTable(pa.array(keys), {"statistics rank": pa.array(rank)})


LEVELS = (
    KeyedLevels(("customer",), table(["a"], [0.7, 0.5])),
    KeyedLevels(("customer", "category"), table(["a\x1f1"], [0.9, 0.5])),
)
CONTEXT = Context(SealedFiles(""), LEVELS, {})


def batch(columns: dict[str, Any], *, explains: bool = False) -> Batch:
    inputs: dict[str, Any] = {
        name: Encoded(np.arange(len(ROWS)), [row[name] for row in ROWS]) for name in ("customer", "category")
    }
    made = Batch(len(ROWS), inputs, LEVELS, explains=explains)
    made.columns = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    made.sources = {name: (name,) for name in columns}
    return made


def by_row(step: Any, columns: dict[str, Any], name: str) -> list[float]:
    found = []
    for place, values in enumerate(ROWS):
        row = Row({**values, **{column: float(numbers[place]) for column, numbers in columns.items()}}, LEVELS)
        step.row(row)
        found.append(row.values[name])
    return found


def test_an_unseen_pair_has_its_parents_statistic_and_a_lift_is_in_money() -> None:
    outputs = [{"output": name, "levels": 1, "parent": 0, "name": name} for name in ("rank", "lift")]
    step = LevelStatistics({"scale": "spread", "outputs": outputs}, CONTEXT)
    columns = {"spread": [100.0, 100.0, 200.0, 200.0]}
    many = batch(columns)
    step.batch(many)
    np.testing.assert_allclose(many.columns["rank"], [0.9, 0.7, 0.5, 0.5])
    np.testing.assert_allclose(many.columns["lift"], [40.0, 20.0, 0.0, 0.0])
    assert many.sources["lift"] == ("customer", "category", "spread")
    for name in ("rank", "lift"):
        np.testing.assert_allclose(by_row(step, columns, name), many.columns[name])


def test_a_blend_adds_up_members_and_their_parts() -> None:
    step = Blend({"members": {"x": 0.25, "y": 0.75}, "output": "out"}, CONTEXT)
    columns = {"x": [4.0, 8.0, 0.0, 1.0], "y": [4.0, 0.0, 8.0, 1.0]}
    many = batch(columns, explains=True)
    step.batch(many)
    np.testing.assert_allclose(many.columns["out"], [4.0, 2.0, 6.0, 1.0])
    np.testing.assert_allclose(sum(many.parts["out"].values()), many.columns["out"])
    np.testing.assert_allclose(by_row(step, columns, "out"), many.columns["out"])


def interval(**changed: Any) -> Interval:
    steps = np.linspace(-2.0, 2.0, 201)
    entry = {
        "prediction": "p",
        "spread": "s",
        "counts": ["n"],
        "shrinkages": [4.0],
        "variance": 1_600.0,
        "group": "category",
        "level": 0.9,
        "minimum": 0.0,
        "weights": [100.0, 1.0, 1.0, 0.0],
        "least": 1.0,
        "rows": 100_000,
        "grid": list(steps),
        "groups": {"2": {"borders": [400.0], "rows": [100_000] * 2, "grids": [list(9 * steps), list(2 * steps)]}},
        **changed,
    }
    return Interval(entry, CONTEXT)


COLUMNS = {"p": [500.0, 500.0, 500.0, 10.0], "s": [30.0, 30.0, 30.0, 30.0], "n": [1e9, 1e9, 0.0, 1e9]}


def test_bounds_follow_scale_group_and_minimum() -> None:
    step = interval()
    many = batch(COLUMNS)
    step.batch(many)
    scale = np.sqrt(100.0 + 900.0 + np.array([0.0, 0.0, 400.0, 0.0]))
    quantile = np.array([1.8, 3.6, 1.8, 1.8])
    np.testing.assert_allclose(many.columns["upper"], many.columns["p"] + quantile * scale, rtol=1e-4)
    np.testing.assert_allclose(
        many.columns["lower"], np.maximum(many.columns["p"] - quantile * scale, 0.0), rtol=1e-3, atol=1e-9
    )
    for name in ("lower", "upper"):
        np.testing.assert_allclose(by_row(step, COLUMNS, name), many.columns[name])


def test_no_variance_is_smaller_than_the_least_also_of_unseen_levels() -> None:
    step = interval(weights=[0.0, 0.0, 0.0, 0.0], least=25.0)
    many = batch(COLUMNS)
    step.batch(many)
    np.testing.assert_allclose(many.columns["upper"][[0, 2]], 500.0 + 1.8 * 5.0, rtol=1e-4)
    np.testing.assert_allclose(by_row(step, COLUMNS, "upper"), many.columns["upper"])


def test_another_level_comes_from_the_same_calibration() -> None:
    step, many = interval(), batch(COLUMNS)
    step.set_level(0.5)
    step.batch(many)
    np.testing.assert_allclose(many.columns["upper"][0], 500.0 + 1.0 * np.sqrt(1_000.0), rtol=1e-4)
    with pytest.raises(SettingsError, match="level: expected"):
        step.set_level(1.0)


def trees(folder: Path, **changed: Any) -> BoostedTrees:
    """Return the step of a booster that was grown on rows with values missing, so that it sends them both ways."""
    import xgboost

    random = np.random.default_rng(1)
    x = random.normal(size=(900, 2)).astype(np.float32)
    label = 5 * x[:, 0] - x[:, 1] ** 2
    x[random.random((900, 2)) < 0.2] = np.nan
    params = {"max_depth": 5, "base_score": 7.5, "nthread": 1, **changed}
    xgboost.train(params, xgboost.DMatrix(x, label, nthread=1), 60).save_model(folder / "booster.json")
    entry = {"file": "booster.json", "inputs": ["x", "y"], "output": "out"}
    return BoostedTrees(entry, Context(SealedFiles(str(folder)), LEVELS, {}))


def test_trees_predict_the_same_bits_by_row_and_by_table(tmp_path: Path) -> None:
    step, sides = trees(tmp_path), set()
    random = np.random.default_rng(2)
    for _ in range(50):
        drawn = random.normal(size=(2, len(ROWS)))
        drawn[random.random(drawn.shape) < 0.3] = np.nan
        columns = {"x": list(drawn[0]), "y": list(drawn[1])}
        many = batch(columns)
        step.batch(many)
        assert by_row(step, columns, "out") == many.columns["out"].tolist()
    for tree in json.loads((tmp_path / "booster.json").read_text())["learner"]["gradient_booster"]["model"]["trees"]:
        inner = np.array(tree["left_children"]) >= 0
        sides |= set(np.array(tree["default_left"])[inner].tolist())
    assert sides == {0, 1}


def test_parts_of_trees_sum_to_their_prediction(tmp_path: Path) -> None:
    columns = {"x": [0.1, 1.0, -1.0, 0.0], "y": [0.0, 2.0, 0.5, -1.0]}
    step, many = trees(tmp_path), batch(columns, explains=True)
    step.batch(many)
    np.testing.assert_allclose(sum(many.parts["out"].values()), many.columns["out"], rtol=1e-9)
    assert set(many.parts["out"]) == {("x",), ("y",), ()}


def test_a_booster_that_a_row_cannot_walk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleCorruptError, match="squared error"):
        trees(tmp_path, objective="reg:absoluteerror")
    trees(tmp_path)
    document = json.loads((tmp_path / "booster.json").read_text())
    document["learner"]["objective"].pop("name")
    with pytest.raises(BundleCorruptError, match=r"booster\.json"):
        _read(tmp_path, document)


def _read(folder: Path, document: Any) -> None:
    (folder / "booster.json").write_text(json.dumps(document))
    _read_trees((folder / "booster.json").read_bytes(), "booster.json", 2)


def test_every_kind_of_step_is_described() -> None:
    described = (Path(__file__).parents[2] / "docs" / "reference" / "portable-format.md").read_text()
    assert set(re.findall(r"^\| `([a-z_]+)` \|", described, re.MULTILINE)) >= set(KINDS)


def test_a_ladder_replaces_bounds_where_amounts_stand_on_it() -> None:
    random = np.random.default_rng(1)
    count = 3_000
    known, spread = random.normal(3.0, 1.0, count), random.choice([0.3, 1.0], count)
    step = np.clip(np.round(known + spread * random.normal(size=count)), 1, 5)
    label = 7.0 * (step + 0.2 * random.random(count))
    ladders = {"1": {"unit": 7.0, "start": -0.01, "end": 0.21}}
    level = np.zeros(count, dtype=np.intp)
    fitted = fit_steps(label, 7.0 * known, 7.0 * spread, level, ["1"], ladders, min_rows=100)
    names = {"group": "category", "prediction": "p", "spread": "s", "lower": "lower", "upper": "upper"}
    ladder = PriceLadder({**names, "level": 0.9, "fitted": json.loads(json.dumps(fitted))}, CONTEXT)
    columns = {"p": [9.0, 21.0, 30.0, 90.0], "s": [3.0, 0.0, 7.0, 2.0], "lower": [1.0] * 4, "upper": [99.0] * 4}
    for share in (0.9, 0.5, 0.999_9):
        ladder.set_level(share)
        many = batch(columns)
        ladder.batch(many)
        assert many.amounts is None
        for name in ("lower", "upper"):
            np.testing.assert_allclose(by_row(ladder, columns, name), many.columns[name], rtol=1e-12)
            assert many.columns[name][1] == columns[name][1]  # category 2 has no ladder
        assert (many.columns["upper"] - many.columns["lower"])[[0, 2]].max() < 40.0
    lists = batch(columns)
    lists.lists_amounts = True
    ladder.batch(lists)
    assert lists.amounts is not None
    assert [None if steps is None else len(steps) for steps in lists.amounts.to_pylist()] == [5, None, 5, 5]
    with pytest.raises(SettingsError, match="level: expected a share above 0 and below 1, found 1"):
        ladder.set_level(1.0)
