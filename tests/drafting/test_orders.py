"""Orders of levels: ranges, scales, and levels that have none."""

from __future__ import annotations

import random

import pytest

from purchasecast.drafting.orders import find_order


@pytest.mark.parametrize(
    "order",
    [
        ("0-17", "18-25", "26-35", "36-45", "46-50", "51-55", "55+"),
        ("0", "1", "2", "3", "4+"),
        ("<25", "25-29", "30-34", "60-64", ">65"),
        ("Under 15K", "15-24K", "25-34K", "100-124K", "250K+"),
        ("Unknown", "<25", "25-44", "45+"),
        ("None/Unknown", "1", "2", "3+"),
        ("Same Day", "First Class", "Second Class", "Standard Class"),
        ("S", "M", "L", "XL"),
        ("bajo", "medio", "alto"),
        ("unter 20", "20 bis 39", "40 und mehr"),
        ("menos de 30", "30 a 50", "más de 50"),
        ("under 1,5", "1,5 - 3", "3 - 10", "over 10"),
        ("Montag", "Dienstag", "Sonntag"),
    ],
)
def test_levels_with_an_order(order: tuple[str, ...]) -> None:
    levels = list(order)
    random.Random(1).shuffle(levels)
    assert find_order(levels) == order


@pytest.mark.parametrize(
    "levels",
    [
        ["A", "B", "C"],
        ["North", "South"],
        ["1", "2", "3"],  # plain numbers are numbers
        ["F", "M"],
        ["18-25", "20-30", "31+"],  # they overlap
        ["2 Adults Kids", "1 Adult No Kids"],
        ["22 LB", "12 OZ"],
        ["Low", "High", "Banana"],
        ["low", "niedrig"],  # one step in two languages
        ["1-2"],
        ["Unknown", "Other", "1-2", "3+"],
    ],
)
def test_levels_without_one(levels: list[str]) -> None:
    assert find_order(levels) is None
