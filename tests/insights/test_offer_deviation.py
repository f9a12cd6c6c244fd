"""The interval of a list's revenue: whether customers buy, what they pay, and the calibration are uncertain."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from purchasecast.insights.demand.measure import Noise
from purchasecast.insights.offers.lists import Offer, Offers


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
