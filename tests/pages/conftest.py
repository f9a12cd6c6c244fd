"""A shop whose truth is known, profiled without Spark: the executors' functions run here, on parts of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from purchasecast._profile_build import ProfileBuilder
from purchasecast._profile_partials import SUM_NAMES, level_sums, reduce_levels, value_sums
from purchasecast._profile_passes import NULL_LEVELS, ColumnPlan, make_layout, read_distributions
from purchasecast._schema_column import Column
from purchasecast.profile import choose_pairs, split_columns
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from purchasecast.profile import Profile

ROWS = 3_000
MEANS = {"north": 100.0, "south": 130.0, "west": 100.0}


def make_shop(seed: int = 5, rows: int = ROWS) -> pd.DataFrame:
    """Draw rows: the region and the category matter, the colour does not; one category comes last only."""
    random = np.random.default_rng(seed)
    customer, product = random.integers(0, 150, rows), random.integers(0, 60, rows)
    region = np.array(list(MEANS))[np.arange(150) % 3][customer]
    category = np.array(["a", "b", "c"])[product % 3]
    category[-60:] = "late"
    loyal = random.normal(0, 8, 150)[customer]
    spend = pd.Series(region).map(MEANS) + 40 * (category == "b") - 30 * (category == "late") + loyal
    weight = random.gamma(2, 3, rows)
    return pd.DataFrame(
        {
            "Who": [f"w{c}" for c in customer],
            "What": [f"p{p}" for p in product],
            "Region": region,
            "Size": np.array(["S", "M", "L"])[random.integers(0, 3, rows)],
            "Kind": pd.Series(category).where(random.random(rows) > 0.1, None),
            "Colour": random.choice(["red", "blue"], rows),
            "Weight": weight,
            "Day": pd.to_datetime("2024-01-15") + pd.to_timedelta(random.integers(0, 300, rows), "D"),
            "Spend": np.maximum(spend + 2 * weight + random.normal(0, 15, rows), 0.0),
            "position": np.arange(rows),
        }
    )


def make_schema(*, customer: bool = True, product: bool = True) -> Schema:
    columns = [
        Column("Who", "nominal", role="customer"),
        Column("What", "nominal", role="product"),
        Column("Region", "nominal", of="customer" if customer else None),
        Column("Size", "ordinal", order=("S", "M", "L")),
        Column("Kind", "nominal", null="level", of="product" if product else None),
        Column("Colour", "nominal"),
        Column("Weight", "numeric", unit="kg"),
        Column("Day", "date", role="time"),
        Column("Spend", "numeric", role="target"),
    ]
    left_out = {"Who": customer, "What": product}
    return Schema("shop", "A shop <with> a name", tuple(c for c in columns if left_out.get(c.name, True)), money="EUR")


def profile_here(shop: pd.DataFrame, schema: Schema, parts: int = 2) -> Profile:
    """Do what Spark would: every pass on parts of the rows, sums put together by pandas."""
    plan = ColumnPlan.of(schema, len(shop))
    found = _gather(
        value_sums(_batches(shop, schema, plan, parts), len(plan.texts), len(plan.numbers), plan.block_bits)
    )
    by_value = found.groupby(["column", "key", "value"], dropna=False, as_index=False).sum()
    batch = pa.RecordBatch.from_pandas(by_value.astype({"column": "int32"}), preserve_index=False)
    reduced = _gather(reduce_levels([batch], len(plan.texts)))
    distributions = read_distributions(reduced.groupby(["column", "measure", "value"], as_index=False).sum(), plan)
    few, few_found, many = split_columns(plan, distributions)
    pairs = choose_pairs(few, few_found)
    rows = shop.sort_values(schema.customer) if schema.customer else shop
    sums = _gather(level_sums(_batches(rows, schema, few, parts), make_layout(few, few_found, pairs)))
    by_level = sums.groupby(["column", "level"], dropna=False, as_index=False)[list(SUM_NAMES)].sum()
    return ProfileBuilder(schema, few, few_found, by_level, pairs).build(many)


def _gather(batches: Iterable[pa.RecordBatch]) -> pd.DataFrame:
    return pd.concat([batch.to_pandas() for batch in batches], ignore_index=True)


def _batches(shop: pd.DataFrame, schema: Schema, plan: ColumnPlan, parts: int) -> list[pa.RecordBatch]:
    read: dict[str, Any] = {"target": shop[schema.target], "position": shop["position"].astype("int64")}
    for i, column in enumerate(plan.texts):
        values = shop[column.name]
        text = values.dt.strftime("%Y-%m") if column.kind == "date" else values
        read[f"t{i}"] = text.fillna(NULL_LEVELS[column.null])
    read |= {f"n{j}": shop[column.name] for j, column in enumerate(plan.numbers)}
    if plan.customer:
        read["customer"] = shop[plan.customer]
    whole = pa.Table.from_pandas(pd.DataFrame(read), preserve_index=False).combine_chunks()
    step = -(-whole.num_rows // parts)
    return [batch for k in range(parts) for batch in whole.slice(k * step, step).to_batches()]


@pytest.fixture(scope="session")
def shop() -> pd.DataFrame:
    return make_shop()


@pytest.fixture(scope="session")
def shop_profile(shop: pd.DataFrame) -> Profile:
    return profile_here(shop, make_schema())


@pytest.fixture(scope="session")
def profiler() -> Callable[..., Profile]:
    return profile_here


@pytest.fixture(scope="session")
def shops() -> Callable[..., pd.DataFrame]:
    return make_shop


@pytest.fixture(scope="session")
def schemas() -> Callable[..., Schema]:
    return make_schema
