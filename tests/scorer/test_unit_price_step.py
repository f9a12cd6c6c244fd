"""Quantity times unit price in the scorer: by hand, by batch and by row, and in exact parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.files import SealedFiles
from purchasecast.scorer.batch import RANGE, Batch, KeyedLevels, Row
from purchasecast.scorer.inputs import Encoded
from purchasecast.scorer.levels import LevelTable
from purchasecast.scorer.steps.base import Context
from purchasecast.scorer.steps.unit_price import UnitPrice

NAN = math.nan
LOG2 = math.log(2.0)
# Bread: 2 a piece, usually 1 to 4 of them, 2 to 8 in money. The lamp costs 15.
SHOWN = ["low_price", "high_price", "low_amount", "high_amount"]
TYPE = {"rows": [50.0, 0.0], "log_quantity": [LOG2, NAN], "height": [0.5, 0.0], "slope": [0.9, 0.0]}
TYPE |= dict(zip(SHOWN, [[LOG2, NAN], [LOG2, NAN], [LOG2, NAN], [3 * LOG2, NAN]], strict=True))
LAMP = {"rows": [10.0, 0.0], "log_quantity": [0.0, NAN], "log_price": [math.log(15), NAN], "spread": [0.1, 0.2]}
LAMP |= {"recent": [0.25, 0.0]}
LAMP |= dict(zip(SHOWN, [[2.6, NAN], [2.8, NAN], [2.6, NAN], [2.8, NAN]], strict=True))
LEVELS = (
    KeyedLevels(("type",), LevelTable(pa.array(["bread"]), {k: pa.array(v) for k, v in TYPE.items()})),
    KeyedLevels(("product",), LevelTable(pa.array(["lamp"]), {k: pa.array(v) for k, v in LAMP.items()})),
    KeyedLevels(
        ("product", "bin"),
        LevelTable(pa.array(["lamp\x1f0"]), {"effect": pa.array([0.3, 0.0]), "rows": pa.array([4.0, 0.0])}),
    ),
)
START = {"rows": 60.0, "log_quantity": 0.5, "height": 1.5, "slope": 0.0}
START |= dict(zip(SHOWN, [0.0, 0.0, 0.0, 0.5], strict=True))
OUTPUTS = [
    "line",
    "log_quantity",
    "rows_0",
    "line_excess",
    "newness",
    "log_quantity_excess",
    "rows_product",
    "spread",
    "low",
    "high",
    "recent",
]
OUTPUTS += ["effect_0", "effect_rows_0", "amount"]
ENTRY: dict[str, Any] = {
    "quantity": "q",
    "bin": "bin",
    "start": START,
    "levels": [{"levels": 0, "values": {name: name for name in TYPE}}],
    "product": {"levels": 1, "values": {name: name for name in LAMP}},
    "effects": [{"levels": 2, "values": {"effect": "effect", "rows": "rows"}}],
    "attributes": [],
    "outputs": {name: name for name in OUTPUTS},
}
ROWS: list[tuple[str | None, str | None, float]] = [
    ("bread", "lamp", 100.0),  # a product is known: its type does not matter
    ("bread", "new", 4.0),
    ("bread", "new", 4_000.0),  # further than the slope is followed
    ("bread", None, NAN),
    ("toy", "new", 3.0),
    (None, "lamp", NAN),
    ("bread", "lamp", 0.0),
    (None, None, -2.0),
    ("toy", "new", 1.0),  # held to twice the largest amount
]


@pytest.fixture
def batch() -> Batch:
    inputs: dict[str, Any] = {
        name: Encoded(np.arange(len(ROWS)), [row[place] for row in ROWS])
        for place, name in enumerate(("type", "product"))
    }
    made = Batch(len(ROWS), inputs, LEVELS, explains=True)
    made.columns["q"], made.sources["q"] = np.array([row[2] for row in ROWS]), ("pieces",)
    UnitPrice(ENTRY, Context(SealedFiles(""), LEVELS, {})).batch(made)
    return made


def test_amounts_are_quantity_times_unit_price_or_follow_the_line(batch: Batch) -> None:
    expected = [
        1_500.0,
        math.exp(2.0 + 0.9 * LOG2),
        math.exp(2.0 + 0.9 * 4.0),
        math.exp(2.0),
        math.exp(1.5),
        15.0,
        0.0,
        0.0,
        2.0 * math.exp(0.5),
    ]
    np.testing.assert_allclose(batch.columns["amount"], expected, rtol=1e-12)
    np.testing.assert_allclose(batch.columns["effect_0"], [0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.3, 0.0, 0.0])
    np.testing.assert_allclose(batch.columns["spread"], [0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.2, 0.2])


def test_a_row_gives_what_a_batch_gives(batch: Batch) -> None:
    step = UnitPrice(ENTRY, Context(SealedFiles(""), LEVELS, {}))
    for place, (kind, product, quantity) in enumerate(ROWS):
        row = Row({"type": kind, "product": product, "q": quantity}, LEVELS)
        step.row(row)
        for name in OUTPUTS:
            assert row.values[name] == pytest.approx(batch.columns[name][place], rel=1e-12, abs=1e-12), name


def test_parts_sum_and_say_what_is_the_product_and_what_the_quantity(batch: Batch) -> None:
    for name in ("amount", "line"):
        np.testing.assert_allclose(np.sum(list(batch.parts[name].values()), axis=0), batch.columns[name], atol=1e-9)
    parts = batch.parts["amount"]
    assert parts[("pieces",)][0] > 0 == parts[("type",)][0]
    assert parts[("product",)][1] == 0.0 < parts[("type",)][1]
    assert parts[RANGE][8] < 0.0 == np.abs(parts[RANGE][:6]).max()
    assert parts[("pieces",)][6] == -math.exp(1.5)
    assert batch.sources["effect_0"] == ("product", "pieces")
    assert batch.sources["low"] == ("product",)
