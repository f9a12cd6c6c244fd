"""Columns of many levels are watched too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from purchasecast.config import MonitorSettings
from purchasecast.io import take_table
from purchasecast.monitoring import OTHERS, _compare
from purchasecast.profiling import profile
from purchasecast.results import ColumnDrift, Profile
from purchasecast.schema import Schema
from purchasecast.validation import validate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

SCHEMA = Schema.from_dict(
    {
        "name": "shop",
        "key": ["line"],
        "columns": {
            "line": {"kind": "nominal", "type": "integer", "role": "row"},
            "customer": {"kind": "nominal", "role": "customer"},
            "shelf": {"kind": "nominal", "null": "level"},
            "paid": {"kind": "numeric", "role": "target"},
        },
    }
)
ROWS = 4_000


def lines(seed: int) -> pd.DataFrame:
    """Return lines with 400 shelves, the first of which have most of the rows, and some without one."""
    random = np.random.default_rng(seed)
    shelf = pd.Series([f"s{level}" for level in (400 * random.random(ROWS) ** 3).astype(int)])
    return pd.DataFrame(
        {
            "line": np.arange(ROWS),
            "customer": [f"c{c}" for c in random.integers(0, 500, ROWS)],
            "shelf": shelf.where(random.random(ROWS) > 0.02),
            "paid": random.lognormal(size=ROWS),
        }
    )


def test_a_column_of_more_than_a_hundred_levels_moves(spark: SparkSession) -> None:
    with validate(take_table(lines(1), SCHEMA, lambda: spark), SCHEMA, cache=True) as checked:
        before = Profile.from_dict(profile(checked, SCHEMA).to_dict())
    (shelves,) = [one for one in before.concentrations if one.name == "shelf"]
    expected = lines(1)["shelf"].fillna("(none)").value_counts()
    assert [rows for _, rows in shelves.common] == expected.tolist()[:100]
    assert dict(shelves.common).items() <= expected.to_dict().items()

    def compared(rows: pd.DataFrame) -> ColumnDrift:
        with validate(take_table(rows, SCHEMA, lambda: spark), SCHEMA, cache=True) as checked:
            found = _compare(checked, before, SCHEMA, labelled=True)
        return next(one for one in found if one.name == "shelf")

    same = compared(lines(2))
    assert same.index < max(same.chance, MonitorSettings().threshold)
    closed = lines(3)
    closed["shelf"] = closed["shelf"].where(~closed["shelf"].isin(["s0", "s1", "s2"]), "a new shelf")
    moved = compared(closed)
    assert moved.index > max(moved.chance, MonitorSettings().threshold)
    others = next(level for level in moved.levels if level.level == OTHERS)
    assert others.after > others.before + 0.1
