"""The interval of a list's revenue: both whether customers buy and what they pay are uncertain."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from purchasecast.insights.demand.measure import Noise
from purchasecast.insights.offers.lists import Offer, Offers


def test_the_deviation_of_a_list_is_that_of_simulated_lists() -> None:
    draw = np.random.default_rng(3)
    lines = 40
    uptake, predicted = draw.uniform(0.05, 0.9, lines), draw.uniform(5, 60, lines)
    category = draw.choice(["a", "b"], lines)
    noise = Noise({"a": 9.0}, of_any=25.0, bias=0.0, residual=0.0, customer=0.0, product=0.0, source="")
    table = pa.table({"uptake": uptake, "predicted": predicted, "category": category})
    offer = Offer("list", table)
    error = np.sqrt(np.where(category == "a", 9.0, 25.0))
    buys = draw.random((40_000, lines)) < uptake
    pays = predicted + error * draw.standard_normal((40_000, lines))
    simulated = (buys * pays).sum(axis=1).std()
    assert abs(Offers((offer,), noise, "category").deviation(offer) / simulated - 1) < 0.02
