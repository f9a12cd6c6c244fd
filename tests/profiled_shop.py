"""A shop whose truth is known, profiled without Spark: the executors' functions run here, on parts of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from purchasecast.profiling.builder import ProfileBuilder
from purchasecast.profiling.level_sums import SUM_NAMES, level_sums
from purchasecast.profiling.passes import ColumnPlan, make_layout, read_distributions
from purchasecast.profiling.profile import choose_pairs, split_columns
from purchasecast.profiling.value_sums import reduce_levels, value_sums
from purchasecast.report import ReportData
from purchasecast.results import (
    Absent,
    Campaign,
    Candidate,
    Chart,
    Evaluation,
    Finding,
    Insights,
    SearchResult,
    Slice,
    Support,
    ValidationReport,
)
from purchasecast.schema import Column, Schema
from purchasecast.schema.reserved_columns import NULL_LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from purchasecast.results import Profile

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
    """Do what Spark would: the pass on parts of the rows, the packed ones by bucket, sums put together by pandas."""
    plan = ColumnPlan.of(schema, len(shop))
    counts = (len(plan.texts), len(plan.numbers))
    folded = pa.Table.from_batches(
        list(value_sums(_batches(shop, schema, plan, parts), *counts, plan.dates, plan.block_bits, plan.buckets))
    )
    is_packed = pc.is_valid(folded["packed"])
    found = folded.filter(pc.invert(is_packed)).drop_columns(["bucket", "packed"]).to_pandas()
    by_value = found.groupby(["column", "key", "value"], dropna=False, as_index=False).sum()
    batch = pa.RecordBatch.from_pandas(by_value.astype({"column": "int32"}), preserve_index=False)
    reduced = _gather(reduce_levels([batch], len(plan.texts)))
    distributions = read_distributions(reduced.groupby(["column", "measure", "value"], as_index=False).sum(), plan)
    few, few_found, many = split_columns(plan, distributions)
    pairs = choose_pairs(few, few_found)
    packed = folded.filter(is_packed).select(["bucket", "packed"]).sort_by("bucket").to_batches()
    sums = _gather(level_sums(packed, make_layout(plan, few, few_found, pairs)))
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
    read["customer"] = pd.util.hash_array(shop[plan.customer].to_numpy()).view("int64") if plan.customer else None
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


def part(by: str, level: str, rows: int, rmse: float, coverage: float | None = None) -> Slice:
    baselines = {"mean": 2 * rmse, "product_mean": 0.9 * rmse if level == "odd" else 1.2 * rmse}
    width = None if coverage is None else 50.0
    return Slice(by, level, rows, rmse, 0.7 * rmse, 0.5, -1.5, baselines, coverage, width)


def make_data(profile: Profile | None, schema: Any, **parts: Any) -> ReportData:
    candidates = tuple(
        Candidate(reg, ratio, (9.0, 11.0), 10.0 + reg + ratio, 1.0, 4.5)
        for reg in (0.001, 0.1, 10.0)
        for ratio in (0.0, 1.0)
    )
    search = SearchResult("rmse", False, candidates, 0, "best", 2, 3_000, 7, "one-pass", 5)
    slices = tuple(
        part(by, level, 100, rmse, 0.91)
        for by, level, rmse in (
            ("product", "seen", 20.0),
            ("product", "unseen", 30.0),
            ("Kind", "a", 15.0),
            ("Kind", "odd", 9.0),
        )
    )
    evaluation = Evaluation(part("all", "all", 600, 21.5, 0.9), slices, "Computed on rows of a test.")
    manifest = {
        "settings": {"seed": 7, "reg_param": []},
        "libraries": {"numpy": "2"},
        "data": {"rows": 3_000, "hash": "abc"},
    }
    values = {
        "validation": ValidationReport(3_010, 3_000, 10, {"Spend: negative": 10}, {"Kind": 300}),
        "profile": profile,
        "search": search,
        "evaluation": evaluation,
    }
    return ReportData(schema, manifest, **{**values, **parts})


def make_insights() -> Insights:
    charts = (
        Chart("bar", ("city", "gain"), (("A & B", 1_200.0), ("C", -300.0)), "A & B gains most", "gain", "city", "EUR"),
        Chart(
            "line",
            ("share of w", "share of revenue"),
            ((0.0, 0.0), (1.0, 1.0)),
            "Even",
            "share of w",
            "share of revenue",
        ),
        Chart(
            "interval",
            ("Region", "EUR per purchase", "low", "high", "series"),
            (("north", 5.0, 4.0, 6.0, "raw"), ("north", 3.0, 2.0, 4.0, "adjusted")),
            "North shrinks",
            "EUR per purchase",
            "Region",
        ),
        Chart("heatmap", ("x.y", "z", "units"), (("u", "v", 2.5e6), ("w", "v", 3.0)), "Most at u", "x.y", "z", "EUR"),
        Chart(
            "scatter",
            ("price", "reach", "product"),
            ((1.0, 2.0, "p1"), (3.0, 1.0, "p2")),
            "Dear is rare",
            "price",
            "reach",
        ),
        None,
    )
    findings = tuple(
        Finding(
            f"finding-{k}",
            "segment",
            f"Claim number {k} <b>",
            0.5,
            "share" if k else "EUR",
            (0.4, 0.6) if k else None,
            Support(900, 45 if k else None),
            "By counting.",
            f"Do number {k}.",
            12_345.0 if k else None,
            "No cause.",
            chart,
            0.02,
            "what is left over" if k else "",
            (10_000.0, 15_000.0) if k else None,
            "Marketing" if k else "",
            "within a week" if k else "",
            f"Claim {k} held on hidden rows." if k in (1, 3) else "",
            "Nobody buys more." if k else "",
        )
        for k, chart in enumerate(charts)
    )
    campaign = Campaign("offers", "Offers to all", ("offers.csv",), 90, 4_321.0)
    return Insights(
        findings, (Absent("pricing", "No product role, so no prices."),), (campaign,), "On test rows.", "EUR"
    )


@pytest.fixture(scope="session")
def report_data() -> Callable[..., ReportData]:
    return make_data


@pytest.fixture(scope="session")
def shop_insights() -> Insights:
    return make_insights()


@pytest.fixture(scope="session")
def shop_report(shop_profile: Profile) -> ReportData:
    return make_data(shop_profile, make_schema(), insights=make_insights())
