"""Unit prices fitted inside a task agree with the row-by-row oracle; no Spark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.stages.test_unit_price import FOLDS, KEYS, Oracle, draw_shop, may_train, records

from purchasecast.stages.unit_price.in_task import START, solve_unit_prices

CONSTANTS = {"level": 3.0, "slope": 5.0, "product": 0.1, "attribute": 2.0, "distance": 4.0, "limit": 1.5}
CONSTANTS |= {"prior_rows": 2.0, "prior_variance": 0.04, "half_life": 1 / 30, "recent": 0.2}
Tables = dict[str, dict[tuple[Any, ...], list[list[float | None]]]]
NAMES = ("department", "type", "product", "maker", "store")


def columns_of(first: str, second: str) -> list[str]:
    return [first, *{"": [], "@quantity": ["bin"]}.get(second, [second])]


def solved(*, forward: bool) -> Tables:
    rows = records(draw_shop())
    x = [np.log(row["quantity"]) if may_train(row) else None for row in rows]
    y = [np.log(row["amount"]) if may_train(row) else None for row in rows]
    columns: dict[str, Any] = {name: pa.array([row[name] for row in rows]) for name in NAMES}
    columns["bin"] = pa.array([None if value is None else int(np.floor(2 * value + 0.5)) for value in x])
    columns["w"] = pa.array([float(row["weight"]) for row in rows])
    columns |= {"x": pa.array(x), "y": pa.array(y), "t": pa.array([row["moment"] for row in rows], pa.float64())}
    sees = [[row["fold"] < k if forward else row["fold"] != k for k in range(FOLDS)] for row in rows]
    columns["r"] = pa.array(
        [[value if seen else None for seen in [*fits, True]] for value, fits in zip(y, sees, strict=True)]
    )
    batches = pa.RecordBatch.from_pydict(columns)
    keys = {f"level_{i}": [name] for i, name in enumerate(KEYS["levelCols"])} | {"product": ["product"]}
    for part in ("attribute", "effect"):
        pairs = zip(KEYS[f"{part}Cols"], KEYS[f"{part}CrossCols"], strict=True)
        keys |= {f"{part}_{i}": columns_of(*pair) for i, pair in enumerate(pairs)}
    slices = iter([batches.slice(0, 150), batches.slice(150)])
    shrinkages = KEYS["effectShrinkages"]
    answers = solve_unit_prices(slices, keys=keys, shrinkages=shrinkages, fits=FOLDS + 1, constants=CONSTANTS)
    found: Tables = {}
    for answer in answers:
        for row in answer.to_pylist():
            key = tuple(row[name] for name in ("level", "cross") if row[name] is not None)
            found.setdefault(row["part"], {})[key] = [row[f"v_{v}"] for v in range(9) if row[f"v_{v}"] is not None]
    return found


def agree(found: list[list[float | None]], expected: list[float], fit: int) -> None:
    np.testing.assert_allclose([values[fit] for values in found], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("forward", [False, True])
def test_every_table_is_what_the_formulas_say(forward: bool) -> None:
    found = solved(forward=forward)
    training = [row for row in records(draw_shop()) if may_train(row)]
    for fit in range(FOLDS + 1):
        seen = [row for row in training if fit == FOLDS or (row["fold"] < fit if forward else row["fold"] != fit)]
        if seen:
            check(found, Oracle(seen), fit)
        else:
            assert found[START][("",)][0][fit] == 0.0


def check(found: Tables, oracle: Oracle, fit: int) -> None:
    agree(found[START][("",)][1:3], [oracle.middle, oracle.start], fit)
    for i, level in enumerate(KEYS["levelCols"]):
        for key, line in oracle.lines[level].items():
            agree(found[f"level_{i}"][key][:4], list(line), fit)
    for key, one in oracle.products.items():
        expected = [one["n"], one["m"], one["u"], one["spread"], one["u"] + one["low"], one["u"] + one["high"]]
        agree(found["product"][key][:6], expected, fit)
        agree(found["product"][key][8:], [one["recent"]], fit)
    for part, (_, expected_values) in oracle.tables.items():
        counts = part.startswith("effect_rows")
        for key, value in expected_values.items():
            ours = found[part.replace("_rows", "")][tuple(map(str, key))]
            agree(ours[int(counts) :][:1], [np.expm1(value) if counts else value], fit)


def test_a_level_that_no_row_trains_is_there_with_no_rows() -> None:
    found = solved(forward=True)
    rows, middle, height, slope, low, *_ = found["level_1"][("t0",)]
    assert (rows[0], height[0], slope[0]) == (0.0, 0.0, 0.0)
    assert middle[0] is None
    assert low[0] is None


def test_rows_without_a_null_in_one_batch_are_fitted_too() -> None:
    """Arrow then hands out its own memory, which is read-only."""
    x, y = [0.0, 0.0, np.log(2.0)], [np.log(5.0), np.log(5.0), np.log(10.0)]
    columns = {
        "product": ["a", "a", "b"],
        "bin": [0, 0, 1],
        "w": [1.0] * 3,
        "t": [0.0] * 3,
        "x": x,
        "y": y,
        "r": [[v, v] for v in y],
    }
    batch = pa.RecordBatch.from_pydict(columns)
    answers = solve_unit_prices(
        iter([batch]), keys={"product": ["product"]}, shrinkages=[], fits=2, constants={**CONSTANTS, "product": 0.0}
    )
    products = list(answers)[1].to_pylist()
    assert [row["level"] for row in products] == ["a", "b"]
    np.testing.assert_allclose([row["v_2"][1] for row in products], np.log(5.0))
