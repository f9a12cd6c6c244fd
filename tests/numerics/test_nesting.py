"""Columns of a product are ordered by how they nest and what they tell of prices, as real catalogues need it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from purchasecast.numerics.nesting import order_levels

NAMES = ["brand", "department", "maker", "type", "category"]


def catalogue(price_of: str, products: int = 4_000, seed: int = 3) -> pd.DataFrame:
    """Return products of 200 types in 40 categories in 8 departments, crossed with 300 makers of three brands.

    Three products in a hundred have another category or department than most of its type, as in real catalogues.
    """
    random = np.random.default_rng(seed)
    kind, maker = random.integers(0, 200, products), random.integers(0, 300, products)
    category = np.where(random.random(products) < 0.03, random.integers(0, 40, products), kind % 40)
    department = np.where(random.random(products) < 0.03, random.integers(0, 8, products), category % 8)
    level = {"type": kind, "maker": maker}[price_of]
    price = random.normal(0.0, 1.0, 300)[level] + random.normal(0.0, 0.3, products)
    codes = {"brand": maker % 3, "department": department, "maker": maker, "type": kind, "category": category}
    made = pd.DataFrame({name: [f"{name} {code}" for code in codes[name]] for name in NAMES})
    return made.assign(rows=random.integers(1, 50, products), price=price)


def order(frame: pd.DataFrame, names: list[str] = NAMES) -> list[str]:
    (answer,) = order_levels(iter([pa.RecordBatch.from_pandas(frame, preserve_index=False)]), names=names)
    found: list[str] = answer["name"].to_pylist()
    return found


def test_the_chain_that_tells_the_price_is_found_despite_exceptions() -> None:
    # Counting pairs of levels takes brand and maker, the only two that nest without an exception.
    assert order(catalogue("type")) == ["department", "category", "type"]
    assert order(catalogue("maker")) == ["brand", "maker"]


def test_neither_the_order_of_the_rows_nor_that_of_the_columns_counts() -> None:
    frame = catalogue("type")
    shuffled = frame.sample(frac=1.0, random_state=1)
    assert order(shuffled, NAMES[::-1]) == order(frame)


@pytest.mark.parametrize("column", NAMES)
def test_a_level_may_be_null(column: str) -> None:
    frame = catalogue("type")
    frame.loc[frame.index % 30 == 0, column] = None
    assert order(frame) == ["department", "category", "type"]


def test_a_column_of_one_product_each_tells_nothing() -> None:
    frame = catalogue("type").assign(code=[f"code {i}" for i in range(4_000)])
    assert order(frame, [*NAMES, "code"]) == ["department", "category", "type"]


def test_products_without_a_price_still_have_levels() -> None:
    frame = catalogue("type", products=60).assign(price=np.nan)
    assert order(frame, ["type"]) == ["type"]
    assert set(order(frame)) <= set(NAMES)
