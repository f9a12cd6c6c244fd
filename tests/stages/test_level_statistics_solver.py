"""The statistics of one fit against pandas, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from purchasecast.stages.level_statistics.solver import (
    QUANTILES,
    add_places,
    code_levels,
    solve_levels,
    solve_statistics,
    statistics_of_fit,
)

KAPPA = 4.0


@pytest.fixture
def rows() -> pd.DataFrame:
    random = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "customer": random.integers(0, 12, 300),
            "product": random.integers(0, 7, 300),
            "spend": random.integers(0, 40, 300) * 100.0,  # with ties
            "seen": random.random(300) < 0.8,
        }
    )
    frame.loc[frame["customer"] == 11, "seen"] = False  # a level that this fit has no row of
    return frame


def solve(rows: pd.DataFrame) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
    columns = [(rows["customer"].to_numpy(), 12), (rows["product"].to_numpy(), 7)]
    tables, parts = code_levels(columns, [(0, -1), (1, -1), (0, 1)])
    label = rows["spend"].to_numpy()
    by_label = np.argsort(label, kind="stable")
    overall, found = statistics_of_fit(label, by_label, rows["seen"].to_numpy(), tables, 1, KAPPA)
    return overall, found, [first * 7 + second for first, second in parts]


def shrunken(rows: pd.DataFrame, prior: np.ndarray) -> np.ndarray:
    n, values = len(rows), rows["spend"]
    own = [values.mean(), values.var(ddof=0), *values.quantile(list(QUANTILES)), rows["z"].mean(), rows["rank"].mean()]
    toward = [prior[0], prior[1] ** 2, *prior[2:]]
    mixed = (n * np.array(own) + KAPPA * np.array(toward)) / (n + KAPPA)
    mixed[1] = np.sqrt(mixed[1])
    return mixed


def test_statistics_agree_with_pandas(rows: pd.DataFrame) -> None:
    overall, found, pairs = solve(rows)
    seen = rows[rows["seen"]].copy()
    by_product = seen.groupby("product")["spend"]
    seen["rank"] = (by_product.rank(method="average") - 0.5) / by_product.transform("size")
    n, mean, variance = by_product.transform("size"), by_product.transform("mean"), by_product.transform("var", ddof=0)
    mean = (n * mean + KAPPA * seen["spend"].mean()) / (n + KAPPA)
    variance = (n * variance + KAPPA * seen["spend"].var(ddof=0)) / (n + KAPPA)
    seen["z"] = (seen["spend"] - mean) / np.sqrt(variance)
    np.testing.assert_allclose(overall[0], seen["spend"].mean())
    np.testing.assert_allclose(overall[-1], seen["rank"].mean())
    for customer, group in seen.groupby("customer"):
        np.testing.assert_allclose(found[0][1][customer], shrunken(group, overall))
        assert found[0][0][customer] == len(group)
    for (customer, product), group in seen.groupby(["customer", "product"]):
        place = int(np.flatnonzero(pairs[2] == customer * 7 + product)[0])
        expected = shrunken(group, found[0][1][customer])
        np.testing.assert_allclose(found[2][1][place], expected)


def test_a_level_without_rows_in_a_fit_has_what_its_parent_has(rows: pd.DataFrame) -> None:
    overall, found, _ = solve(rows)
    assert found[0][0][11] == 0
    np.testing.assert_array_equal(found[0][1][11], overall)


def test_row_order_changes_nothing(rows: pd.DataFrame) -> None:
    shuffled = rows.sample(frac=1.0, random_state=2)
    for (n, s), (m, t) in zip(solve(rows)[1], solve(shuffled)[1], strict=True):
        np.testing.assert_array_equal(n, m)
        np.testing.assert_allclose(s, t, rtol=1e-12)


def test_the_mean_rank_finds_who_takes_the_dear_variant() -> None:
    """Customers take the low or the high price of every product; products cost anything."""
    customer = np.repeat(np.arange(40), 30)
    product = np.tile(np.arange(30), 40)
    random = np.random.default_rng(1)
    spend = random.uniform(100, 20_000, 30)[product] * np.where(customer < 20, 0.9, 1.1)
    tables, _ = code_levels([(customer, 40), (product, 30)], [(0, -1), (1, -1)])
    everything = np.ones(len(spend), dtype=bool)
    _, found = statistics_of_fit(spend, np.argsort(spend, kind="stable"), everything, tables, 1, 0.0)
    z, rank = found[0][1][:, -2:].T
    np.testing.assert_allclose(z[:20], -1.0)
    np.testing.assert_allclose(z[20:], 1.0)
    np.testing.assert_allclose(rank[:20], 0.25)
    np.testing.assert_allclose(rank[20:], 0.75)


def test_many_tasks_give_what_one_gives(rows: pd.DataFrame) -> None:
    folds, keys = 3, {0: (0, -1), 1: (1, -1), 2: (0, 1)}
    frame = rows.drop(columns="seen").rename(columns={"customer": "c_0", "product": "c_1", "spend": "label"})
    frame["fold"] = np.arange(len(frame), dtype=np.int32) % folds
    fits = range(folds + 1)
    seen = [[None if row.fold == k else row.label for k in fits] for row in frame.itertuples()]
    whole = pa.RecordBatch.from_pandas(frame.drop(columns="fold").assign(residuals=seen), preserve_index=False)
    settings = {"coded": 2, "shrinkage": KAPPA}
    one = solve_statistics(iter([whole]), fits=fits, tables=list(keys.values()), rank_within=1, **settings)
    expected = pa.Table.from_batches(one).to_pandas()
    overall = expected[expected["tab"] == -1].sort_values("fit")["s"].tolist()

    def by_level(table: pd.DataFrame, column: str) -> list[pa.RecordBatch]:
        parts = [table[table[column] % 3 == part] for part in range(3)]
        return [pa.RecordBatch.from_pandas(part, preserve_index=False) for part in parts]

    placed = []
    for part in by_level(frame, "c_1"):
        placed += add_places(iter([part]), column=1, overall=overall, shrinkage=KAPPA)
    ranked, found = pa.Table.from_batches(placed).to_pandas(), []
    for column in (0, 1):
        own = {number: key for number, key in keys.items() if key[0] == column}
        for part in by_level(ranked, f"c_{column}"):
            found += solve_levels(iter([part]), tables=own, overall=overall, **settings)
    order = ["fit", "tab", "l_0", "l_1"]
    many = pa.Table.from_batches(found).to_pandas().sort_values(order, ignore_index=True)
    expected = expected[expected["tab"] >= 0].sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(many[[*order, "n"]], expected[[*order, "n"]])
    np.testing.assert_allclose(np.stack(many["s"]), np.stack(expected["s"]), rtol=1e-12)
    assert list(solve_levels(iter([]), tables=keys, overall=overall, **settings)) == []
