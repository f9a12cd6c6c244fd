"""Sums of lists against a slow oracle, and by buckets as in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse

from purchasecast.numerics.purchases.fit import FitSettings, fit_purchase_model
from purchasecast.numerics.purchases.history import History, Purchases
from purchasecast.numerics.purchases.list_quality import CALIBRATION_BORDERS, SUMS, Coming, list_sums

if TYPE_CHECKING:
    from purchasecast.numerics.purchases.model import PurchaseModel

CUSTOMERS, PRODUCTS = 150, 40
NO_ATTRIBUTES = sparse.csr_matrix((CUSTOMERS, 0), dtype=np.float32)


@pytest.fixture(scope="module")
def fitted() -> tuple[PurchaseModel, History, np.ndarray]:
    rng = np.random.default_rng(2)
    bought = rng.random((CUSTOMERS, PRODUCTS)) < np.linspace(0.5, 0.05, PRODUCTS)
    late = rng.random(bought.shape) < 0.3
    customer, product = np.nonzero(bought & ~late)
    rows = Purchases(customer, product, None, CUSTOMERS, PRODUCTS)
    model, history = fit_purchase_model(rows, NO_ATTRIBUTES, np.zeros(PRODUCTS, np.int64), FitSettings(penalty=20.0))
    return model, history, bought & late


def test_the_sums_are_those_of_a_loop_over_customers(fitted: tuple[PurchaseModel, History, np.ndarray]) -> None:
    model, history, late = fitted
    customer, product = np.nonzero(late)
    price = np.linspace(1.0, 90.0, PRODUCTS)
    coming = Coming(customer, product, price[product])
    found = list_sums(model, history, NO_ATTRIBUTES, coming, price, float(len(customer)))
    best = model.best(history, NO_ATTRIBUTES, 5, purchases=float(len(customer)))
    hits, revenue, recall, ndcg, active = 0, 0.0, 0.0, 0.0, 0
    for who in range(CUSTOMERS):
        wanted = set(np.flatnonzero(late[who]))
        if not wanted:
            continue
        offered = [int(what) for what in best.product[best.customer == who]]
        taken = [what in wanted for what in offered]
        active, hits = active + 1, hits + sum(taken)
        revenue += sum(price[what] for what, took in zip(offered, taken, strict=True) if took)
        recall += sum(taken) / len(wanted)
        gain = sum(took / np.log2(place + 2) for place, took in enumerate(taken))
        ndcg += gain / sum(1 / np.log2(place + 2) for place in range(min(5, len(wanted))))
    sums = dict(zip(SUMS, found.lists["probability", 5], strict=True))
    assert (sums["customers"], sums["hits"]) == (active, hits)
    assert [sums["recall"], sums["ndcg"], sums["revenue"]] == pytest.approx([recall, ndcg, revenue])
    assert set(found.products["probability", 5]) <= set(range(PRODUCTS))
    assert sums["expected"] == pytest.approx(best.probability.sum(), rel=1e-4)
    assert found.calibration.shape == (len(CALIBRATION_BORDERS), 3)
    assert found.calibration[:, 1].sum() == pytest.approx(len(customer), rel=0.01)
    assert found.calibration[:, 2].sum() == len(customer)
    assert "bought before" not in {ranking for ranking, _ in found.lists}


def test_buckets_add_up(fitted: tuple[PurchaseModel, History, np.ndarray]) -> None:
    model, history, late = fitted
    customer, product = np.nonzero(late)
    price, purchases = np.ones(PRODUCTS), float(len(customer))
    whole = list_sums(model, history, NO_ATTRIBUTES, Coming(customer, product, price[product]), price, purchases)
    parts = []
    for start, stop in ((0, 60), (60, CUSTOMERS)):
        own = (customer >= start) & (customer < stop)
        coming = Coming(customer[own] - start, product[own], price[product[own]])
        part = list_sums(model, history.rows(start, stop), NO_ATTRIBUTES[start:stop], coming, price, purchases)
        parts.append(part.lists["expected revenue", 10])
    assert sum(parts) == pytest.approx(whole.lists["expected revenue", 10])
