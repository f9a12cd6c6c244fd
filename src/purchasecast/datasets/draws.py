"""Draws by hashing: numbers that depend on the seed, a name and a row, and never on partitions or order.

References
----------
B. Mandelbrot, "An informational theory of the statistical structure of language", 1953 (the popularity law).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column

__all__ = [
    "activity",
    "bell",
    "coprime_stride",
    "look_up",
    "most_active",
    "pick",
    "popularity_rank",
    "popularity_share",
    "shuffled",
    "spread",
    "total",
    "uniform",
]

_HEAD = 100  # how many times the flat head of the popularity law fits into the number of products
# Share of the purchases made by the least active customers up to a share x: the sum of weight * x ** power.
_ACTIVITY = ((0.20, 1), (0.25, 2), (0.25, 4), (0.22, 10), (0.08, 60))


def uniform(seed: int, name: str, *columns: Column) -> Column:
    """Return a number in [0, 1) that depends on nothing but the seed, the name and the columns."""
    hashed = sf.xxhash64(sf.lit(seed), sf.lit(name), *columns)
    return sf.shiftrightunsigned(hashed, 11).cast("double") * sf.lit(2.0**-53)


def bell(seed: int, name: str, *columns: Column) -> Column:
    """Return a bell-shaped number of mean 0 and standard deviation 1 between -3 and 3 (three uniforms)."""
    draws = [uniform(seed, f"{name}/{i}", *columns) for i in range(3)]
    return sf.lit(2.0) * (total(draws) - sf.lit(1.5))


def spread(index: Column, irrational: float, start: float) -> Column:
    """Return a number in [0, 1) that any run of consecutive indices covers evenly (an additive recurrence).

    Unlike a hash it keeps the shares of the categories near their plan where products are few and popularity
    is skewed.
    """
    value = index.cast("double") * sf.lit(irrational % 1.0) + sf.lit(start % 1.0)
    return value - sf.floor(value)


def shuffled(index: Column, count: int, seed: int) -> Column:
    """Return a permutation of 0 .. `count` - 1, so that a number does not tell what was ranked by it."""
    return sf.pmod(index.cast("bigint") * sf.lit(coprime_stride(count)) + sf.lit(seed % 1_000_003), sf.lit(count))


def coprime_stride(count: int) -> int:
    """Return a stride near the golden section of `count` that meets all places of a ring of `count` once."""
    stride = max(round(count * 0.6180339887498949), 1)
    while math.gcd(stride, count) != 1:
        stride += 1
    return stride


def popularity_rank(value: Column, products: int) -> Column:
    """Turn a uniform number into a popularity rank: the inverse of the law's distribution function."""
    head = products / _HEAD
    rank = sf.floor(sf.lit(head) * (sf.pow(sf.lit(float(_HEAD + 1)), value) - sf.lit(1.0)))
    return sf.least(rank, sf.lit(products - 1).cast("bigint"))


def popularity_share(rank: Column, products: int) -> Column:
    """Return the probability that `popularity_rank` gives a rank."""
    head = products / _HEAD

    def up_to(value: Column) -> Column:
        return sf.log(1 + value / sf.lit(head)) / sf.lit(math.log(_HEAD + 1))

    return up_to(rank + sf.lit(1)) - up_to(rank)


def activity(place: Column, rows: int, customers: int, skew: float = 1.0) -> Column:
    """Return how many rows the customer at a place of the order by activity has; all add up to exactly `rows`.

    Each takes the part of a rising curve between its place and the next, both rounded, so nothing is lost.
    A `skew` of 0 gives all customers the same.
    """

    def up_to(count: Column) -> Column:
        share = count / sf.lit(customers)
        curve = share * sf.lit(1 - skew)
        for weight, power in _ACTIVITY:
            curve = curve + sf.lit(skew * weight) * sf.pow(share, sf.lit(float(power)))
        return sf.round(curve * sf.lit(rows)).cast("int")

    return up_to(place + sf.lit(1)) - up_to(place)


def most_active(customers: int) -> float:
    """Return how many times as many rows as the average the most active customer has."""
    before_last = 1 - 1 / customers
    return customers * (1 - sum(weight * before_last**power for weight, power in _ACTIVITY))


def pick(value: Column, shares: Sequence[float]) -> Column:
    """Return which of the shares, laid end to end on [0, 1), the value falls into, from 0."""
    whole = sum(shares)
    edges = [sum(shares[:i]) / whole for i in range(1, len(shares))]
    return total([(value >= sf.lit(edge)).cast("int") for edge in edges])


def look_up(values: Sequence[str | int | float], place: Column) -> Column:
    """Return the value at a place, counted from 0."""
    return sf.element_at(sf.array(*[sf.lit(value) for value in values]), place + sf.lit(1))


def total(columns: Sequence[Column]) -> Column:
    """Add columns from left to right: the same order, so the same rounding, wherever it runs."""
    result = columns[0]
    for column in columns[1:]:
        result = result + column
    return result
