"""Which column follows from which: repeats, chance, visits, and too few rows to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.drafting.oracle import whole_sample

from purchasecast.drafting.dependencies import explained_share, measure_dependence

if TYPE_CHECKING:
    from purchasecast.drafting.sample import Sample


def sample(**columns: list[object]) -> Sample:
    return whole_sample({n: [None if v is None else str(v) for v in values] for n, values in columns.items()})


def test_an_attribute_is_told_from_a_column_of_rows() -> None:
    random = np.random.default_rng(1)
    customer = random.integers(0, 50, 800)
    s = sample(customer=list(customer), age=list(customer % 4), shop=list(random.integers(0, 4, 800)))
    age, shop = measure_dependence(s, "age", "customer"), measure_dependence(s, "shop", "customer")
    assert (age.agreement, age.holds()) == (1.0, True)
    assert shop.agreement < 0.5
    assert shop.beyond_chance == pytest.approx(0, abs=0.1)
    assert not shop.holds()


def test_a_small_share_of_exceptions_is_tolerated() -> None:
    random = np.random.default_rng(2)
    customer = random.integers(0, 40, 2_000)
    city = np.where(random.random(2_000) < 0.02, 9, customer % 5)
    s = sample(customer=list(customer), city=list(city))
    assert measure_dependence(s, "city", "customer").holds()
    moved = sample(customer=list(customer), city=list(np.where(random.random(2_000) < 0.15, 9, customer % 5)))
    assert not measure_dependence(moved, "city", "customer").holds()


def test_a_column_that_is_nearly_always_the_same_is_nobodys_attribute() -> None:
    """Ninety-eight of a hundred rows say no: so do they within any customer."""
    random = np.random.default_rng(3)
    s = sample(customer=list(random.integers(0, 60, 3_000)), promotion=list((random.random(3_000) < 0.02).astype(int)))
    dependence = measure_dependence(s, "promotion", "customer")
    assert dependence.agreement > 0.97
    assert not dependence.holds()


def test_levels_that_occur_once_say_nothing() -> None:
    random = np.random.default_rng(4)
    customer = [*range(1_000), *range(6)]  # six come twice
    s = sample(customer=customer, shop=list(random.integers(0, 9, 1_006)))
    assert not measure_dependence(s, "shop", "customer").is_known


def test_lines_of_one_visit_count_once() -> None:
    """With one long visit a customer, its shop and day would look like attributes of the customer."""
    random = np.random.default_rng(5)
    visit = np.repeat(np.arange(120), 10)
    customer = np.where(visit < 96, visit, visit % 24)  # 24 customers come twice
    shop = random.integers(0, 8, 120)[visit]
    s = sample(customer=list(customer), visit=list(visit), shop=list(shop))
    assert measure_dependence(s, "shop", "customer").agreement > 0.75
    by_visit = measure_dependence(s, "shop", "customer", "visit")
    assert by_visit.repeats == 24
    assert by_visit.agreement < 0.4


def test_empty_values_count_or_are_left_out() -> None:
    random = np.random.default_rng(6)
    product = random.integers(0, 40, 1_000)
    second = [None if p % 3 == 0 else p % 5 for p in product]
    assert measure_dependence(sample(product=list(product), second=second), "second", "product").holds()
    lost = [None if random.random() < 0.2 else p % 5 for p in product]
    s = sample(product=list(product), second=lost)
    assert not measure_dependence(s, "second", "product").holds()
    assert measure_dependence(s, "second", "product", skip_empty=True).holds()


def test_explained_share_is_not_inflated_by_many_levels() -> None:
    random = np.random.default_rng(7)
    levels = random.integers(0, 400, 1_000).astype(np.int32)
    noise = random.normal(size=1_000)
    assert explained_share(noise, levels) == pytest.approx(0, abs=0.1)
    assert explained_share(levels + 0.1 * noise, levels) > 0.99
