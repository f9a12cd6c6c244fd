"""The interval of a list's revenue: whether customers buy, what they pay, and the calibration are uncertain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from tests.numerics.test_purchases import NO_ATTRIBUTES, PRODUCTS, SETTINGS, plant

from purchasecast.insights.demand.measure import Noise
from purchasecast.insights.offers.lists import Offer, Offers, calibration_error
from purchasecast.insights.significance import normal_interval
from purchasecast.numerics.purchases.fit import fit_purchase_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from purchasecast.numerics.purchases.model import Offers as Best

SHOPS = range(3, 9)


def test_revenues_of_lists_lie_in_their_intervals_as_often_as_told() -> None:
    """Fit planted shops, make lists of each category and of each quarter of the customers, and see what comes."""
    inside = []
    noise = Noise({}, of_any=100.0, bias=0.0, residual=0.0, customer=0.0, product=0.0, source="")
    for seed in SHOPS:
        shop, draw = plant(seed), np.random.default_rng(seed)
        model, history = fit_purchase_model(shop.purchases, NO_ATTRIBUTES, shop.category, SETTINGS)
        best = model.best(history, NO_ATTRIBUTES, 20, purchases=float(shop.coming.sum()))
        amount = draw.uniform(20, 200, PRODUCTS)[best.product]
        revenue = best.probability * amount
        paid = np.where(shop.coming[best.customer, best.product], amount + draw.normal(0, 10, len(amount)), 0.0)
        error = calibration_error(model.first_pairs)
        for lines in _lists(best, shop.category, revenue):
            columns = {"probability": best.probability[lines], "amount": amount[lines]}
            offer = Offer(
                "list", pa.table({**columns, "expected_revenue": revenue[lines], "category": [""] * len(lines)})
            )
            deviation = Offers((offer,), noise, None, error=error).deviation(offer)
            low, high = normal_interval(offer.expected, deviation, 0.9, minimum=0.0)
            inside.append(low < paid[lines].sum() < high)
    assert len(inside) >= 30
    assert 0.8 <= np.mean(inside) <= 0.97


def _lists(best: Best, category: NDArray[np.int64], revenue: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Return the lines with the highest expected revenue of each category, and the five best of some customers."""
    own = [np.flatnonzero(category[best.product] == level) for level in np.unique(category)]
    lists = [lines[np.argsort(-revenue[lines])[:150]] for lines in own]
    place = np.arange(len(best.customer)) - np.searchsorted(best.customer, best.customer)
    return lists + [np.flatnonzero((best.customer % 4 == quarter) & (place < 5)) for quarter in range(4)]


def test_the_deviation_of_a_list_is_that_of_simulated_lists() -> None:
    draw = np.random.default_rng(3)
    lines = 40
    probability, amount = draw.uniform(0.05, 0.8, lines), draw.uniform(5, 60, lines)
    category = draw.choice(["a", "b"], lines)
    noise = Noise({"a": 9.0}, of_any=25.0, bias=0.0, residual=0.0, customer=0.0, product=0.0, source="")
    columns = {"probability": probability, "amount": amount, "category": category}
    offer = Offer("list", pa.table({**columns, "expected_revenue": probability * amount}))
    error = np.sqrt(np.where(category == "a", 9.0, 25.0))
    # All probabilities of a list are too high or too low together, by 5 %.
    off = 1 + 0.05 * draw.standard_normal((40_000, 1))
    buys = draw.random((40_000, lines)) < probability * off
    pays = amount + error * draw.standard_normal((40_000, lines))
    simulated = (buys * pays).sum(axis=1).std()
    assert abs(Offers((offer,), noise, "category").deviation(offer) / simulated - 1) < 0.02
