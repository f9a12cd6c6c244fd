"""Who buys what: planted probabilities are recovered, calibrated, and not found where there is nothing to find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse

from purchasecast.numerics.purchases.first_purchase import fit_first_purchase
from purchasecast.numerics.purchases.fit import FitSettings, fit_purchase_model
from purchasecast.numerics.purchases.hazard import fit_hazard
from purchasecast.numerics.purchases.history import History, Purchases, history_of, split_purchases
from purchasecast.numerics.purchases.item_ridge import fit_item_weights
from purchasecast.numerics.purchases.model import PurchaseModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

CUSTOMERS, PRODUCTS, TASTES = 1_500, 240, 4
NO_ATTRIBUTES = sparse.csr_matrix((CUSTOMERS, 0), dtype=np.float32)
SETTINGS = FitSettings(penalty=150.0)


@dataclass
class Shop:
    """Customers of six tastes, each of whom buys the products of one taste eight times as often."""

    purchases: Purchases
    coming: NDArray[np.bool_]  # bought in the period to come, and not before
    probability: NDArray[np.float64]  # of that, as planted
    category: NDArray[np.int64]


def plant(seed: int = 3) -> Shop:
    rng = np.random.default_rng(seed)
    taste, group = rng.integers(TASTES, size=CUSTOMERS), np.arange(PRODUCTS) % TASTES
    activity, popularity = rng.gamma(2.0, 0.5, CUSTOMERS), 1 / (1 + np.arange(PRODUCTS)) ** 0.6
    likes = np.where(taste[:, None] == group[None, :], 4.0, 0.5)
    ever = np.minimum(0.5 * activity[:, None] * popularity[None, :] * likes, 0.4)
    bought, late = rng.random(ever.shape) < ever, rng.random(ever.shape) < 0.3
    customer, product = np.nonzero(bought & ~late)
    probability = np.where(bought & ~late, 0.0, 0.3 * ever / (1 - 0.7 * ever))
    purchases = Purchases(customer, product, None, CUSTOMERS, PRODUCTS)
    return Shop(purchases, bought & late, probability, group.astype(np.int64))


@pytest.fixture(scope="module")
def shop() -> Shop:
    return plant()


@pytest.fixture(scope="module")
def fitted(shop: Shop) -> tuple[PurchaseModel, History]:
    return fit_purchase_model(shop.purchases, NO_ATTRIBUTES, shop.category, SETTINGS)


def all_probabilities(model: PurchaseModel, history: History, purchases: float) -> NDArray[np.float64]:
    customer, product = (axis.ravel() for axis in np.indices((history.customers, model.products)))
    found = model.probability_of(history, NO_ATTRIBUTES, customer, product, purchases=purchases)
    return found.reshape(history.customers, model.products)


def test_planted_probabilities_are_recovered_and_calibrated(shop: Shop, fitted: tuple[PurchaseModel, History]) -> None:
    told = all_probabilities(*fitted, purchases=float(shop.coming.sum()))
    fresh = told > 0
    assert told.sum() == pytest.approx(shop.coming.sum(), rel=0.01)
    assert np.corrcoef(told[fresh], shop.probability[fresh])[0, 1] > 0.8
    order = np.argsort(told[fresh])[-100_000:]
    for part in np.array_split(order, 10):
        planted = shop.probability[fresh][part].mean()
        assert told[fresh][part].mean() == pytest.approx(planted, rel=0.15, abs=0.004)


def test_best_products_are_bought_far_more_often_than_popular_ones(
    shop: Shop, fitted: tuple[PurchaseModel, History]
) -> None:
    model, history = fitted
    best = model.best(history, NO_ATTRIBUTES, 5, purchases=float(shop.coming.sum()))
    hits = shop.coming[best.customer, best.product]
    seen = history.matrix(PRODUCTS).toarray() > 0
    popular = np.where(seen, -1.0, seen.sum(axis=0)[None, :])
    top = np.argsort(-popular, axis=1)[:, :5]
    assert hits.mean() > 1.3 * np.take_along_axis(shop.coming, top, axis=1).mean()
    assert best.probability.sum() == pytest.approx(hits.sum(), rel=0.1)
    assert not seen[best.customer, best.product].any()


def test_without_taste_scores_add_nothing_to_popularity() -> None:
    shop = plant()
    rng = np.random.default_rng(5)
    # Who buys is drawn anew for every row: activity and popularity stay, all else is gone.
    shuffled = Purchases(rng.permutation(shop.purchases.customer), shop.purchases.product, None, CUSTOMERS, PRODUCTS)
    seen, hidden = split_purchases(shuffled, 0.3, 11)
    model, history = fit_purchase_model(seen, NO_ATTRIBUTES, shop.category, SETTINGS)
    bought = np.zeros((CUSTOMERS, PRODUCTS), dtype=bool)
    bought[hidden.customer, hidden.product] = True
    best = model.best(history, NO_ATTRIBUTES, 5, repeat=False)
    popular = np.where(
        history.matrix(PRODUCTS).toarray() > 0, -1, np.bincount(seen.product, minlength=PRODUCTS)[None, :]
    )
    top = np.argsort(-popular, axis=1, kind="stable")[:, :5]
    of_popular = np.take_along_axis(bought, top, axis=1).mean()
    assert bought[best.customer, best.product].mean() == pytest.approx(of_popular, rel=0.1)


def test_probabilities_scale_with_the_purchases_to_come(fitted: tuple[PurchaseModel, History]) -> None:
    model, history = fitted
    few, many = (all_probabilities(model, history, purchases=number) for number in (1_000.0, 5_000.0))
    assert (few.sum(), many.sum()) == (pytest.approx(1_000, rel=0.01), pytest.approx(5_000, rel=0.01))
    assert (many >= few).all()


def test_what_is_bought_again_and_again_is_expected_again() -> None:
    rng = np.random.default_rng(8)
    favourite = rng.integers(40, size=(200, 3))
    customer = np.repeat(np.arange(200), 60)
    product = np.where(
        rng.random(12_000) < 0.7, favourite[customer, rng.integers(3, size=12_000)], rng.integers(40, size=12_000)
    )
    time = rng.uniform(0, 100, 12_000)
    past = time < 80
    purchases = Purchases(customer, product, time, 200, 40)
    model, history = fit_purchase_model(
        purchases.take(past), sparse.csr_matrix((200, 0), dtype=np.float32), np.zeros(40, dtype=np.int64), SETTINGS
    )
    assert model.has_repeats
    coming = np.zeros((200, 40), dtype=bool)
    coming[customer[~past], product[~past]] = True
    best = model.best(history, sparse.csr_matrix((200, 0), dtype=np.float32), 3, purchases=float((~past).sum()))
    assert best.before.mean() > 0.95
    assert coming[best.customer, best.product].mean() > 0.8
    assert best.probability.sum() == pytest.approx(coming[best.customer, best.product].sum(), rel=0.1)
    fresh = model.best(history, sparse.csr_matrix((200, 0), dtype=np.float32), 3, repeat=False)
    assert not fresh.before.any()


def test_the_weights_are_those_of_separate_regressions() -> None:
    """Compare with a slow oracle: each product regressed on the others by the normal equations."""
    rng = np.random.default_rng(1)
    dense = (rng.random((80, 9)) < np.linspace(0.7, 0.2, 9)).astype(np.float64)
    found = fit_item_weights(sparse.csr_matrix(dense), penalty=3.0, head=9, kept=9)
    lengths = dense.sum(axis=1)
    weight = (np.maximum(lengths, 1) / lengths[lengths > 0].mean()) ** -0.5
    scale = (dense.sum(axis=0) / dense.sum(axis=0).mean()) ** -0.2
    scaled = dense * scale
    for j in range(9):
        others = [k for k in range(9) if k != j]
        gram = (scaled[:, others] * weight[:, None]).T @ scaled[:, others] + 3.0 * np.eye(8)
        expected = np.linalg.solve(gram, (scaled[:, others] * weight[:, None]).T @ scaled[:, j])
        assert found[others, j] == pytest.approx(expected * scale[others], abs=1e-4)
        assert found[j, j] == 0.0


def test_the_tail_is_predicted_from_the_head_and_kept_sparse() -> None:
    rng = np.random.default_rng(1)
    dense = (rng.random((80, 9)) < np.linspace(0.7, 0.2, 9)).astype(np.float64)
    found = fit_item_weights(sparse.csr_matrix(dense), penalty=3.0, head=5, kept=2)
    assert found.shape == (5, 9)
    assert (np.diff(found.tocsc().indptr) <= 2).all()


def test_a_model_survives_the_trip_through_bytes(fitted: tuple[PurchaseModel, History]) -> None:
    model, history = fitted
    again = PurchaseModel.from_bytes(model.to_bytes())
    told, retold = (all_probabilities(one, history, purchases=3_000.0) for one in (model, again))
    assert retold == pytest.approx(told, rel=0.01, abs=1e-5)


def test_margins_of_a_block_are_those_of_its_pairs(shop: Shop, fitted: tuple[PurchaseModel, History]) -> None:
    model, history = fitted
    part = history.rows(0, 100)
    scores = model.scores(part, NO_ATTRIBUTES[:100])
    found = model.new_block_margins(part, scores)
    fresh = np.isfinite(found)
    assert fresh.sum() == found.size - len(part.product)
    customer, product = np.nonzero(fresh)
    assert found[fresh] == pytest.approx(model.new_margins(part, scores, customer, product), abs=1e-4)


def test_the_order_of_the_rows_does_not_matter(shop: Shop, fitted: tuple[PurchaseModel, History]) -> None:
    order = np.random.default_rng(2).permutation(len(shop.purchases))
    rows = shop.purchases
    mixed = Purchases(rows.customer[order], rows.product[order], None, CUSTOMERS, PRODUCTS)
    again, _ = fit_purchase_model(mixed, NO_ATTRIBUTES, shop.category, SETTINGS)
    assert again.new == pytest.approx(fitted[0].new, rel=1e-4, abs=1e-4)


def test_hidden_purchases_are_the_latest_or_a_share_at_random() -> None:
    customer, product = np.repeat(np.arange(100), 100), np.tile(np.arange(100), 100)
    seen, hidden = split_purchases(Purchases(customer, product, None, 100, 100), 0.3, 7)
    assert len(hidden) == pytest.approx(3_000, rel=0.05)
    assert len(seen) + len(hidden) == 10_000
    dated = Purchases(customer, product, np.arange(10_000.0), 100, 100)
    _, late = split_purchases(dated, 0.3, 7)
    assert late.time is not None
    assert late.time.min() == pytest.approx(7_000, abs=2)


def test_the_history_counts_purchases_and_their_age() -> None:
    purchases = Purchases(np.array([0, 0, 0, 2]), np.array([1, 1, 0, 1]), np.array([0.0, 9.0, 4.0, 10.0]), 3, 2)
    history = history_of(purchases, now=10.0, period=5.0)
    assert history.indptr.tolist() == [0, 2, 2, 3]
    assert history.product.tolist() == [0, 1, 1]
    assert history.count.tolist() == [1, 2, 1]
    assert history.recent.tolist() == [0, 1, 1]
    assert history.age.tolist() == pytest.approx([1.2, 0.2, 0.0])


def test_the_regression_recovers_its_coefficients() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([np.ones(60_000), rng.normal(size=(60_000, 2))])
    planted = np.array([-3.0, 1.5, -0.7])
    bought = (rng.random(60_000) < -np.expm1(-np.exp(features @ planted))).astype(float)
    assert fit_hazard(features, bought, np.ones(60_000)) == pytest.approx(planted, abs=0.08)


def test_a_penalty_is_the_same_in_any_unit_and_shrinks() -> None:
    random = np.random.default_rng(5)
    features = np.column_stack([np.ones(400), random.normal(size=400), random.normal(size=400)])
    bought = (random.random(400) < 1 - np.exp(-np.exp(features @ [-1.0, 0.8, -0.5]))).astype(float)
    units = np.array([1.0, 1_000.0, 0.01])
    weak, strong = (fit_hazard(features, bought, np.ones(400), ridge=ridge) for ridge in (1.0, 200.0))
    other = fit_hazard(features * units, bought, np.ones(400), ridge=200.0)
    assert other * units == pytest.approx(strong, rel=1e-4)
    assert (np.abs(strong[1:]) < 0.7 * np.abs(weak[1:])).all()


def test_the_share_of_pairs_that_are_bought_in_the_period_is_recovered() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([np.ones(200_000), rng.normal(size=(200_000, 2))])
    planted = np.array([-2.0, 1.5, -0.7])
    bought = (rng.random(200_000) < 0.3 / (1 + np.exp(-features @ planted))).astype(float)
    kept = (bought > 0) | (rng.random(200_000) < 0.5)
    weight = np.where(bought > 0, 1.0, 2.0)[kept]
    coefficients, share = fit_first_purchase(features[kept], bought[kept], weight, np.zeros(3))
    assert share == pytest.approx(0.3, abs=0.02)
    assert coefficients == pytest.approx(planted, abs=0.1)


def test_without_evidence_coefficients_are_their_prior_and_a_known_share_is_kept() -> None:
    rng = np.random.default_rng(0)
    features = np.column_stack([np.ones(40), rng.normal(size=(40, 2))])
    bought = (np.arange(40) < 4).astype(float)
    prior = np.array([0.0, 1.0, -2.0])
    coefficients, share = fit_first_purchase(features, bought, np.ones(40), prior, ridge=1e6, share=0.4)
    assert share == pytest.approx(0.4)
    assert coefficients[1:] == pytest.approx(prior[1:], abs=1e-3)
