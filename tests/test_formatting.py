"""Numbers have the digits that a reader needs, whatever the scale of a shop's amounts."""

from __future__ import annotations

import pytest

from purchasecast.formatting import compact, money, number, percent, short, span


@pytest.mark.parametrize(
    ("value", "table", "sentence"),
    [
        (2.276, "2.28", "2.28"),
        (0.9481, "0.948", "0.948"),
        (0.0123, "0.0123", "0.0123"),
        (-13.456, "-13.46", "-13.46"),
        (457.31, "457.3", "457"),
        (2_334.4, "2,334", "2,334"),
        (5_095_812_742.0, "5,095,812,742", "5.096 billion"),
        (0.0, "0", "0"),
    ],
)
def test_amounts_show_three_or_four_digits_at_every_scale(value: float, table: str, sentence: str) -> None:
    assert number(value) == table
    assert compact(value) == sentence
    assert money(value, "USD") == f"{sentence} USD"


@pytest.mark.parametrize("value", [2.276, 0.9481, 34.87, 457.31, 2_334.4, 88_321.0, 4.2e6, 9.99996e8])
def test_no_rounding_is_off_by_more_than_half_a_percent(value: float) -> None:
    words = {"billion": 1e9, "million": 1e6, "B": 1e9, "M": 1e6, "k": 1e3}
    for text in (number(value), compact(value), short(value)):
        size = next((size for word, size in words.items() if text.endswith(word)), 1.0)
        digits = text.split(" ")[0].rstrip("BMk").replace(",", "")
        assert float(digits) * size == pytest.approx(value, rel=5e-3)


def test_small_shares_do_not_vanish() -> None:
    assert (percent(0.00012), percent(0.1234), percent(0.9999)) == ("0.012%", "12.3%", "100%")


def test_an_interval_that_does_not_exist_is_empty() -> None:
    assert span(1.5, 2.0) == "1.50 to 2"
    assert span(None, 2.0) == ""
