"""Transactions added up by customer and by product, against pandas: where attributes change, where pairs come again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from purchasecast.insights.sales import NO_LEVEL, own_name, read_sales
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

COLUMNS = {
    "who": {"kind": "nominal", "role": "customer"},
    "home.town": {"kind": "nominal", "of": "customer", "null": "unknown"},
    "what": {"kind": "nominal", "role": "product"},
    "aisle": {"kind": "nominal", "of": "product"},
    "weight": {"kind": "numeric", "of": "product"},
    "spend": {"kind": "numeric", "role": "target"},
}


def rows(*, again: bool) -> pd.DataFrame:
    """Draw purchases; of a customer and a product several times, if asked, and then also in another aisle."""
    random = np.random.default_rng(3)
    pairs = [(w, p) for w in range(12) for p in range(8) if random.random() < 0.6]
    pairs += pairs[::2] if again else []
    frame = pd.DataFrame({"who": [f"u{w}" for w, _ in pairs], "what": [f"p{p}" for _, p in pairs]})
    frame["home.town"] = [None if w % 4 == 0 else f"town {w % 3}" for w, _ in pairs]
    frame["aisle"] = [f"aisle {p % 3}" for _, p in pairs]
    if again:
        frame.loc[frame.index % 5 == 0, "aisle"] = "aisle 9"
    frame["weight"] = [float(p) for _, p in pairs]
    frame["spend"] = random.gamma(2.0, 30.0, len(pairs))
    return frame


@pytest.mark.parametrize("again", [False, True])
def test_sums_equal_those_of_pandas(spark: SparkSession, again: bool) -> None:
    frame = rows(again=again)
    schema = Schema.from_dict(
        {"name": "shop", "money": "EUR", "key": [] if again else ["who", "what"], "columns": COLUMNS}
    )
    sales = read_sales(spark.createDataFrame(frame.astype(object)), schema)
    try:
        assert sales.customers is not None
        assert sales.products is not None
        assert sales.customer_attributes is not None
        customers = sales.customers.toPandas().set_index("level").sort_index()
        products = sales.products.toPandas().set_index("level").sort_index()
        towns = sales.customer_attributes.toPandas()
    finally:
        sales.close()
    spend = frame.groupby("who")["spend"]
    assert customers["rows"].to_dict() == spend.count().to_dict()
    np.testing.assert_allclose(customers["total"], spend.sum())
    assert customers["a_0"].to_dict() == frame.groupby("who")["home.town"].first().fillna(NO_LEVEL).to_dict()
    assert sales.customer_count == len(customers) == 12
    assert set(towns[own_name("home.town")].dropna()) == set(frame["home.town"].dropna())
    by_product = frame.groupby("what")
    assert products["rows"].to_dict() == by_product["spend"].count().to_dict()
    assert products["buyers"].to_dict() == by_product["who"].nunique().to_dict()
    assert products["category"].to_dict() == by_product["aisle"].max().to_dict()
    np.testing.assert_allclose(products["total"], by_product["spend"].sum())
    squares = ((frame["spend"] - frame["spend"].mean()) ** 2).groupby(frame["what"]).sum()
    np.testing.assert_allclose(products["squares"], squares)
