"""Posterior factors against a slow oracle of the same equations, and against planted taste."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from purchasecast.stages.latent_factors import blocks
from purchasecast.stages.latent_factors.blocks import (
    FIRST_ROUNDS,
    Block,
    Fit,
    Items,
    Sums,
    from_bytes,
    indicators,
    sparse_ratings,
    to_bytes,
)

if TYPE_CHECKING:
    import pytest
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

USERS, ITEMS, RANK = 90, 50, 2


@dataclass(frozen=True)
class Posterior:
    users: Floats
    items: Floats
    item_means: Floats


def draw(seed: int, rows: int, *, taste: float = 1.0) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp], Floats]:
    """Return ratings, users, items and the true interaction of every pair; attributes carry half of the taste."""
    random = np.random.default_rng(seed)
    group, kind = np.arange(USERS) % 3, np.arange(ITEMS) % 4
    u = random.normal(0, 1, (3, RANK))[group] + random.normal(0, 0.7, (USERS, RANK))
    v = random.normal(0, 1, (4, RANK))[kind] + random.normal(0, 0.7, (ITEMS, RANK))
    pairs = random.choice(USERS * ITEMS, rows, replace=False)
    user, item = pairs // ITEMS, pairs % ITEMS
    truth = taste * u @ v.T
    return truth[user, item] + random.normal(0, 1.0, rows), user, item, truth


def designs(*, attributes: bool = True) -> tuple[sp.csr_array, sp.csr_array]:
    numbers = [(np.arange(size)[:, None] % kinds, [kinds]) for size, kinds in ((USERS, 3), (ITEMS, 4))]
    users, items = (indicators(*((some, sizes) if attributes else (some[:, :0], []))) for some, sizes in numbers)
    return users, items


def solve(
    ratings: Floats,
    user: NDArray[np.intp],
    item: NDArray[np.intp],
    *,
    attributes: bool = True,
    rounds: int = 40,
    parts: int = 1,
) -> Posterior:
    of_users, of_items = designs(attributes=attributes)
    return solve_by_blocks(sparse_ratings(ratings, user, item, (USERS, ITEMS)), of_users, of_items, rounds, parts)


def solve_by_blocks(
    ratings: sp.csr_array, of_users: sp.csr_array, of_items: sp.csr_array, rounds: int, parts: int = 1
) -> Posterior:
    """Solve with the users dealt out to some blocks, all of which is sent as bytes."""
    of_blocks = [Block(ratings[part::parts], of_users[part::parts]) for part in range(parts)]
    counts = np.bincount(ratings.indices, minlength=ratings.shape[1]).astype(float)
    squares = float(ratings.data @ ratings.data)
    fit = Fit.first(of_items, counts, squares, of_users.shape[1], RANK, np.random.default_rng(1))
    for _ in range(FIRST_ROUNDS + rounds):
        items = from_bytes(Items, to_bytes(fit.items()))
        total = Sums.none(items)
        for block in of_blocks:
            total.add(from_bytes(Sums, to_bytes(block.sums(items))))
        fit.advance(total)
        fit = from_bytes(Fit, to_bytes(fit))
    users = np.empty((ratings.shape[0], RANK))
    for part, block in enumerate(of_blocks):
        users[part::parts] = block.factors(fit.items())
    return Posterior(users, fit.final_factors(), fit.means)


def least_squares(
    ratings: Floats, user: NDArray[np.intp], item: NDArray[np.intp], rounds: int, ridge: float
) -> tuple[Floats, Floats]:
    """Alternate between the ridge equations of users and items, one level at a time."""
    factors = [np.zeros((USERS, RANK)), np.random.default_rng(1).normal(0.0, 0.1, (ITEMS, RANK))]
    for _ in range(rounds):
        for k, (own, others) in enumerate(((user, item), (item, user))):
            for level in range(len(factors[k])):
                x = factors[1 - k][others[own == level]]
                gram = x.T @ x + ridge * max(len(x), 1) * np.eye(RANK)
                factors[k][level] = np.linalg.solve(gram, x.T @ ratings[own == level])
    return factors[0], factors[1]


def error(users: Floats, items: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((users @ items.T - truth) ** 2)))


def error_of(found: Posterior, truth: Floats) -> float:
    return error(found.users, found.items, truth)


def oracle(ratings: Floats, user: NDArray[np.intp], item: NDArray[np.intp], rounds: int) -> tuple[Floats, Floats]:
    """Write the updates down one level and one rating at a time, with dense attributes."""
    small = blocks._FIRST_VARIANCE * np.eye(RANK)
    means = list(least_squares(ratings, user, item, FIRST_ROUNDS, 0.1))
    covariances, of_levels = [], []
    for size, kinds in ((USERS, 3), (ITEMS, 4)):
        covariances.append(np.array([small] * size))
        of_levels.append(np.column_stack([np.ones(size), np.eye(kinds)[np.arange(size) % kinds]]))
    precisions = [np.linalg.inv(mean.T @ mean / len(mean) + small) for mean in means]
    expected = [np.zeros_like(mean) for mean in means]
    variance = float(np.mean(ratings**2))
    for done in range(rounds + 1):
        for k, (own, others) in enumerate(((user, item), (item, user))):
            if done == rounds and k:  # users once more
                break
            step = blocks._RELAXATION if done and k else 1.0
            for level in range(len(means[k])):
                gram, right = precisions[k].copy(), precisions[k] @ expected[k][level]
                for t in np.flatnonzero(own == level):
                    m, c = means[1 - k][others[t]], covariances[1 - k][others[t]]
                    gram += (np.outer(m, m) + c) / variance
                    right = right + ratings[t] * m / variance
                covariances[k][level] = np.linalg.inv(gram)
                means[k][level] += step * (covariances[k][level] @ right - means[k][level])
            x = of_levels[k]
            ridge = blocks._ATTRIBUTE_RIDGE * np.eye(x.shape[1])
            expected[k] = x @ np.linalg.solve(x.T @ x + ridge, x.T @ means[k])
            apart = means[k] - expected[k]
            precisions[k] = np.linalg.inv((apart.T @ apart + covariances[k].sum(axis=0)) / len(apart))
            left = 0.0
            for t, (a, b) in enumerate(zip(user, item, strict=True)):
                square = np.trace(
                    (np.outer(means[0][a], means[0][a]) + covariances[0][a])
                    @ (np.outer(means[1][b], means[1][b]) + covariances[1][b])
                )
                left += ratings[t] ** 2 - 2 * ratings[t] * means[0][a] @ means[1][b] + square
            variance = left / len(ratings)
    return means[0], means[1]


def test_the_updates_are_those_of_the_slow_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    ratings, user, item, _ = draw(3, 700)
    monkeypatch.setattr(blocks, "_BLOCK", 7)  # several blocks, the last of them short
    mine, theirs = solve(ratings, user, item, rounds=4), oracle(ratings, user, item, 4)
    np.testing.assert_allclose(mine.users, theirs[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(mine.items, theirs[1], rtol=1e-6, atol=1e-7)


def test_planted_taste_is_found_better_than_by_least_squares_and_better_with_attributes() -> None:
    ratings, user, item, truth = draw(4, 600)
    best_als = min(error(*least_squares(ratings, user, item, 20, penalty), truth) for penalty in (0.02, 0.05, 0.1, 0.2))
    without, with_them = (error_of(solve(ratings, user, item, attributes=some), truth) for some in (False, True))
    assert without < best_als
    assert with_them < 0.95 * without


def test_ratings_of_noise_alone_give_almost_nothing() -> None:
    ratings, user, item, truth = draw(5, 1_200, taste=0.0)
    assert error_of(solve(ratings, user, item), truth) < 0.2  # of a noise of 1


def test_a_level_without_ratings_gets_what_its_attributes_say() -> None:
    ratings, user, item, truth = draw(6, 3_000)
    kept = item != 0
    found = solve(ratings[kept], user[kept], item[kept])
    u, v = found.users, found.items
    alike, others = v[4::4].mean(axis=0), np.delete(v, np.s_[::4], axis=0).mean(axis=0)  # items of its kind, and not
    assert np.linalg.norm(v[0] - alike) < 0.5 * np.linalg.norm(others - alike)
    assert np.corrcoef(u @ v[0], truth[:, 0])[0, 1] > 0.5
    np.testing.assert_allclose(v[0], found.item_means[0] + found.item_means[1], rtol=1e-12)


def test_levels_without_ratings_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of attributes comes from levels that were rated; others would only repeat it."""
    ratings, user, item, _ = draw(8, 900)
    kept = item >= 10
    with_them = solve(ratings[kept], user[kept], item[kept])
    of_users, of_items = designs()
    ratings_of_ten = sparse_ratings(ratings[kept], user[kept], item[kept], (USERS, ITEMS))
    # The same first factors of the items that are left.
    first = Fit.first

    def of_the_rest(attributes: sp.csr_array, counts: Floats, *others: Any) -> Fit:
        fit = first(of_items, np.concatenate([np.zeros(10), counts]), *others)
        return replace(
            fit,
            attributes=attributes,
            counts=counts,
            factors=fit.factors[10:],
            moments=fit.moments[10:],
            expected=fit.expected[10:],
        )

    monkeypatch.setattr(Fit, "first", of_the_rest)
    without = solve_by_blocks(ratings_of_ten[:, 10:], of_users, of_items[10:], 40)
    np.testing.assert_allclose(with_them.users, without.users, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(with_them.item_means, without.item_means, rtol=1e-6, atol=1e-9)


def test_many_blocks_give_what_one_gives() -> None:
    ratings, user, item, _ = draw(9, 1_500)
    one, many = (solve(ratings, user, item, rounds=20, parts=parts) for parts in (1, 4))
    np.testing.assert_allclose(many.users, one.users, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(many.items, one.items, rtol=1e-9, atol=1e-12)


def test_attributes_become_indicators_and_a_constant() -> None:
    made = indicators(np.array([[0, 2], [1, -1], [-1, 0]]), [2, 3])
    assert isinstance(made, sp.csr_array)
    np.testing.assert_array_equal(made.toarray(), [[1, 1, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0], [1, 0, 0, 1, 0, 0]])
    assert indicators(np.empty((2, 0), int), []).toarray().tolist() == [[1.0], [1.0]]
