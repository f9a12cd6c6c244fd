"""The steps of a fit by passes, by hand and without Spark, give what one task gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.stages.latent_factors import passes
from purchasecast.stages.latent_factors.blocks import FIRST_ROUNDS
from purchasecast.stages.latent_factors.solver import ITEM, ITEM_MEANS, USER, USER_MEANS, Factorization, solve_factors

FITS = 3
HOW = Factorization(
    rank=3, iterations=4, scale_prior=20.0, seed=7, fits=FITS, user_sizes=(3,), item_sizes=(4, 2), user_width=2
)


@pytest.fixture
def rows() -> pa.Table:
    random = np.random.default_rng(2)
    user, item = random.integers(0, 40, 900), random.integers(0, 25, 900)
    item[random.random(900) < 0.02] = 25  # an item of few rows
    fold = random.integers(0, FITS - 1, 900)
    residuals = np.where(fold[:, None] == np.arange(FITS), np.nan, random.normal(0, 100, (900, FITS)))
    columns = {
        "user": [f"u{u}" for u in user],
        "item": [f"i{i}" for i in item],
        "user_attributes": [[int(u) % 3] for u in user],
        "item_attributes": [[int(i) % 4, int(i) % 2] for i in item],
        "residuals": [[None if np.isnan(x) else x for x in row] for row in residuals.tolist()],
        "user_vector": pa.nulls(900, pa.list_(pa.float64())),
    }
    vectors = {
        "user": [f"u{u}" for u in range(40)],
        "item": pa.nulls(40, pa.string()),
        "user_attributes": [[-1]] * 40,
        "item_attributes": [[-1, -1]] * 40,
        "residuals": [[None] * FITS] * 40,
        "user_vector": random.normal(0, 1, (40, 2)).tolist(),
    }
    table = pa.table(columns)
    return pa.concat_tables([table, pa.table(vectors, schema=table.schema)])


def one_task(rows: pa.Table) -> dict[tuple[int, int], np.ndarray]:
    solved = pa.Table.from_batches(solve_factors(iter(rows.to_batches()), fits=range(FITS), how=HOW)).to_pandas()
    return {key: np.stack(group["factors"]) for key, group in solved.groupby(["side", "fit"])}


def by_passes(rows: pa.Table, places: int) -> dict[tuple[int, int], np.ndarray]:
    frame = rows.to_pandas()
    sold = frame[frame["item"].notna()]
    residuals = np.stack(sold["residuals"].to_list()).astype(float)
    of_item = sold["item"].to_numpy()
    items = sorted(set(of_item))
    by_item = pa.table(
        {
            "item": items,
            "item_attributes": [sold["item_attributes"][of_item == item].iloc[0] for item in items],
            "q": [np.nansum(residuals[of_item == item] ** 2, axis=0) for item in items],
            "n": [(~np.isnan(residuals[of_item == item])).sum(axis=0).astype(float) for item in items],
        }
    )
    started = pa.Table.from_batches(passes._first_estimates(iter(by_item.to_batches()), how=HOW))
    estimates = started.filter(pa.compute.greater_equal(started["fit"], 0)).select(["fit", "estimates"])
    scales = np.stack(started.filter(pa.compute.less(started["fit"], 0))["scales"].to_pylist())
    number = np.array([items.index(item) if item is not None else -1 for item in frame["item"]])
    scaled = [
        list(np.array(row, dtype=float) / scales[n]) if n >= 0 else None
        for n, row in zip(number, frame["residuals"], strict=True)
    ]
    placed = pa.table(
        {
            "place": pa.array([int(user[1:]) % places for user in frame["user"]], pa.int32()),
            "user": rows["user"],
            "number": pa.array([n if n >= 0 else None for n in number.tolist()], pa.int32()),
            "user_attributes": rows["user_attributes"],
            "ratings": pa.array(scaled, pa.list_(pa.float64()), from_pandas=True),
            "user_vector": rows["user_vector"],
        }
    )
    blocks = [pa.Table.from_batches([batch]) for batch in passes._pack(iter(placed.to_batches()), how=HOW)]
    assert len(blocks) > 1

    def with_tables(function: object) -> pa.Table:
        copies = pa.Table.from_batches(passes._copies(iter(estimates.to_batches()), places=list(range(len(blocks)))))
        found = []
        for place, block in enumerate(blocks):
            own = copies.filter(pa.compute.equal(copies["place"], place))
            found.append(passes._of_block(block, own, function=function))
        return pa.concat_tables(found)

    for _ in range(FIRST_ROUNDS + HOW.iterations):
        sums, advanced = with_tables(passes._block_sums), []
        for k in range(FITS):
            of_fit = sums.filter(pa.compute.equal(sums["fit"], k))
            parts = sorted(set(of_fit["part"].to_pylist()))
            added = [passes._add_up(of_fit.filter(pa.compute.equal(of_fit["part"], part))) for part in parts]
            before = estimates.filter(pa.compute.equal(estimates["fit"], k))
            advanced.append(passes._advance(pa.concat_tables(added), before))
        estimates = pa.concat_tables(advanced)
    users = with_tables(passes._user_factors).to_pandas().sort_values("level")
    results = pa.Table.from_batches(passes._results(iter(estimates.to_batches()))).to_pandas()
    by_side = {key: np.stack(group["factors"]) for key, group in results.groupby(["side", "fit"])}
    of_users = np.stack([np.stack(row) for row in users["f"]])
    scale_means = dict(zip(started["fit"].to_pylist(), started["scales"].to_pylist(), strict=False))
    found = {}
    for k in range(FITS):
        means = by_side[3, k].reshape(-1, HOW.rank)
        found |= {(USER, k): of_users[:, k], (ITEM, k): by_side[1, k], (USER_MEANS, k): by_side[2, k]}
        found[ITEM_MEANS, k] = np.column_stack([means, scale_means[k]]).reshape(1, -1)
    return found


@pytest.mark.parametrize("part", [4_096, 10])
def test_passes_give_what_one_task_gives(rows: pa.Table, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "_PART", part)
    expected, found = one_task(rows), by_passes(rows, 3)
    assert found.keys() == expected.keys()
    for key, factors in expected.items():
        np.testing.assert_allclose(found[key], factors, rtol=1e-7, atol=1e-9, err_msg=str(key))
