"""Singular vectors of who bought what, against NumPy's own decomposition."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.stages.purchase_patterns import passes
from purchasecast.stages.purchase_patterns.solver import ITEM, USER, PatternSettings, rotation_of, solve_patterns

CUSTOMERS, PRODUCTS = 60, 40


def pairs(seed: int = 3) -> np.ndarray:
    """Draw distinct pairs; each half of the customers prefers a half of the products, a few products are popular."""
    random = np.random.default_rng(seed)
    customer, product = np.arange(CUSTOMERS)[:, None], np.arange(PRODUCTS)[None, :]
    share = np.where(customer % 2 == product % 2, 0.4, 0.1) + 0.3 * (product < 5)
    return np.argwhere(random.random(share.shape) < share)


def solve(bought: np.ndarray, **how: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    settings = PatternSettings(**({"rank": 4, "rounds": 30, "power": 0.25, "seed": 7} | how))
    table = pa.table({"user": [f"c{c:02}" for c, _ in bought], "item": [f"p{p:02}" for _, p in bought]})
    found: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = ({}, {})
    for batch in solve_patterns(iter(table.to_batches(max_chunksize=100)), how=settings):
        for row in batch.to_pylist():
            found[row["side"]][row["user"] or row["item"]] = np.array(row["pattern"])
    return found


def stacked(patterns: dict[str, np.ndarray]) -> np.ndarray:
    return np.array([patterns[level] for level in sorted(patterns)])


def test_patterns_are_the_singular_vectors_of_the_scaled_incidence() -> None:
    bought = pairs()
    incidence = np.zeros((CUSTOMERS, PRODUCTS))
    incidence[tuple(bought.T)] = 1.0
    by_customer, by_product = incidence.sum(axis=1), incidence.sum(axis=0)
    left, _, right = np.linalg.svd(incidence / np.outer(by_customer, by_product) ** 0.25)
    found = solve(bought)
    for side, vectors, counts in ((USER, left, by_customer), (ITEM, right.T, by_product)):
        mine = stacked(found[side])
        for k in range(4):
            assert abs(np.corrcoef(mine[:, k], vectors[:, k])[0, 1]) > 1 - 1e-9
        np.testing.assert_allclose((mine[:, :4] ** 2).mean(axis=0), 1.0)
        logs = np.log1p(counts)
        np.testing.assert_allclose(mine[:, 4], (logs - logs.mean()) / logs.std())


def test_the_halves_that_were_planted_are_told_apart() -> None:
    users, items = solve(pairs())
    for side in (users, items):
        second = stacked(side)[:, 1]
        halves = np.sign(second) * np.where(np.arange(len(second)) % 2, 1, -1)
        assert abs(halves.mean()) > 0.9


def test_the_largest_element_of_a_products_vector_is_positive() -> None:
    for seed in range(3, 8):
        vectors = stacked(solve(pairs(seed))[ITEM])[:, :4]
        assert (vectors[np.abs(vectors).argmax(axis=0), np.arange(4)] > 0).all()


@pytest.mark.parametrize("repeated", [1, 2])
def test_order_and_repeated_pairs_change_nothing(repeated: int) -> None:
    bought = pairs()
    other = np.random.default_rng(1).permutation(np.concatenate([bought] * repeated))
    for mine, theirs in zip(solve(bought), solve(other), strict=True):
        np.testing.assert_array_equal(stacked(mine), stacked(theirs))


def test_vectors_beyond_the_rank_of_the_incidence_are_zero() -> None:
    users, items = solve(np.array([[0, 0], [1, 0], [1, 1]]), rank=5)
    for side in (users, items):
        vectors = stacked(side)
        assert vectors.shape == (2, 6)
        assert (np.abs(vectors[:, :2]) > 0.1).all()
        np.testing.assert_array_equal(vectors[:, 2:5], 0.0)


def test_what_rounding_leaves_of_a_direction_is_no_pattern() -> None:
    direction = np.array([[0.6], [0.8]])
    found = rotation_of(9.0 * direction @ direction.T + 1e-14 * np.eye(2), users=4, items=25, rank=2)
    assert np.abs(found.items[:, 0]) == pytest.approx(5 * direction[:, 0])
    assert np.abs(found.users[:, 0]) == pytest.approx(2 * direction[:, 0] / 3)
    assert not found.items[:, 1].any()
    assert not found.users[:, 1].any()


def test_buckets_of_customers_add_up_to_what_one_task_finds() -> None:
    """Run the tasks of the passes by hand, customers in three buckets."""
    how = PatternSettings(rank=4, rounds=5, power=0.25, seed=7)
    bought = pairs()
    customers, products = (np.unique(column) for column in bought.T)
    sold = np.bincount(bought[:, 1])
    buckets = []
    for bucket in range(3):
        mine = customers[customers % 3 == bucket]
        places = [np.searchsorted(products, np.sort(bought[bought[:, 0] == c, 1])) for c in mine]
        weights = [sold[products[place]] ** -how.power for place in places]
        lists = {"places": [place.astype(np.int32) for place in places], "weights": weights}
        buckets.append(pa.table({"user": [f"c{c:02}" for c in mine], **lists}))
    table = pa.Table.from_batches(passes._first(iter([pa.record_batch({"place": np.arange(len(products))})]), how=how))
    for _ in range(how.rounds):
        sums = [passes._by_bucket(users, table, how=how, transposed=True) for users in buckets]
        table = pa.Table.from_batches(passes._orthonormal(iter(pa.concat_tables(sums).to_batches(max_chunksize=16))))
    projected = pa.concat_tables([passes._by_bucket(users, table, how=how, transposed=False) for users in buckets])
    moments = next(passes._moments(iter(projected.combine_chunks().to_batches()))).column(0)[0].as_py()
    width = how.rank + 10
    rotation = rotation_of(np.reshape(moments, (width, width)), len(customers), len(products), how.rank)
    signs = next(passes._signs(iter(table.to_batches()), rotation=rotation.items)).column(0)[0].as_py()
    rotation = rotation.signed(np.array(signs))
    users, items = solve(bought, rounds=how.rounds)
    by_customer = dict(zip(projected["user"].to_pylist(), projected["directions"].to_pylist(), strict=True))
    mine = np.array([by_customer[level] for level in sorted(by_customer)]) @ rotation.users
    np.testing.assert_allclose(mine, stacked(users)[:, :4], atol=1e-9)
    directions = np.array(table["directions"].to_pylist())[np.argsort(table["place"].to_numpy())]
    np.testing.assert_allclose(directions @ rotation.items, stacked(items)[:, :4], atol=1e-9)
