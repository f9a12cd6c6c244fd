"""Past purchases as sparse matrices of customers by products, and the part of them that is hidden to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["History", "Purchases", "history_of", "split_purchases"]


@dataclass(frozen=True, slots=True)
class Purchases:
    """Rows of purchases, coded.

    Attributes
    ----------
    customer, product : ndarray of int
        Codes from 0.
    time : ndarray of float or None
        Days; None where purchases have no date.
    customers, products : int
        Number of codes of each.
    """

    customer: Integers
    product: Integers
    time: Floats | None
    customers: int
    products: int

    def take(self, chosen: NDArray[np.bool_]) -> Purchases:
        """Return some of the rows."""
        time = None if self.time is None else self.time[chosen]
        return Purchases(self.customer[chosen], self.product[chosen], time, self.customers, self.products)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.customer)


@dataclass(frozen=True, slots=True)
class History:
    """What is known of each pair of a customer and a product that was bought, in the order of a CSR matrix.

    Attributes
    ----------
    indptr, product : ndarray of int
        Products of customer ``i`` are ``product[indptr[i]:indptr[i + 1]]``, ascending.
    count : ndarray of float
        Purchases of the pair.
    recent : ndarray of float
        Purchases of the pair in the latest period; the same as `count` where there are no dates.
    age : ndarray of float
        Periods since the latest purchase of the pair; 0 where there are no dates.
    """

    indptr: Integers
    product: Integers
    count: Floats
    recent: Floats
    age: Floats

    @property
    def customers(self) -> int:
        """Number of customers."""
        return len(self.indptr) - 1

    def matrix(self, products: int) -> sparse.csr_matrix:
        """Return the indicator of what was bought, customers by products."""
        ones = np.ones(len(self.product), dtype=np.float32)
        return sparse.csr_matrix((ones, self.product, self.indptr), shape=(self.customers, products))

    def rows(self, start: int, stop: int) -> History:
        """Return the history of some consecutive customers."""
        low, high = int(self.indptr[start]), int(self.indptr[stop])
        part = slice(low, high)
        indptr = self.indptr[start : stop + 1] - low
        return History(indptr, self.product[part], self.count[part], self.recent[part], self.age[part])

    def take(self, chosen: Integers) -> History:
        """Return the history of some customers."""
        lengths = np.diff(self.indptr)[chosen]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        place = np.arange(indptr[-1]) + np.repeat(self.indptr[chosen] - indptr[:-1], lengths)
        return History(indptr, self.product[place], self.count[place], self.recent[place], self.age[place])

    def customer(self) -> Integers:
        """Return the customer of each pair."""
        owners: Integers = np.repeat(np.arange(self.customers), np.diff(self.indptr))
        return owners


def history_of(purchases: Purchases, *, now: float, period: float) -> History:
    """Return what is known of each pair at a moment.

    Parameters
    ----------
    purchases : Purchases
        Past purchases.
    now : float
        The moment, in days; does not matter without dates.
    period : float
        Length of the period to come, in days.

    Returns
    -------
    History
        One entry a pair of customer and product.
    """
    pair = purchases.customer * purchases.products + purchases.product
    distinct, place, count = np.unique(pair, return_inverse=True, return_counts=True)
    customer = distinct // purchases.products
    indptr = np.searchsorted(customer, np.arange(purchases.customers + 1)).astype(np.int64)
    counts = count.astype(np.float64)
    if purchases.time is None:
        return History(indptr, distinct % purchases.products, counts, counts, np.zeros(len(distinct)))
    age = (now - purchases.time) / period
    youngest = np.full(len(distinct), np.inf)
    np.minimum.at(youngest, place, age)
    recent = np.bincount(place, weights=age < 1.0, minlength=len(distinct)).astype(np.float64)
    return History(indptr, distinct % purchases.products, counts, recent, np.maximum(youngest, 0.0))


def split_purchases(purchases: Purchases, share: float, seed: int) -> tuple[Purchases, Purchases]:
    """Split purchases into those to learn from and those that are hidden: the latest, or random ones without dates.

    Parameters
    ----------
    purchases : Purchases
        Purchases in any order.
    share : float
        Share of the time, or of the purchases, that is hidden, in (0, 1).
    seed : int
        Seed of the random choice.

    Returns
    -------
    tuple of (Purchases, Purchases)
        Seen and hidden purchases.
    """
    if purchases.time is not None:
        first, last = float(purchases.time.min()), float(purchases.time.max())
        hidden = purchases.time > last - share * (last - first)
        return purchases.take(~hidden), purchases.take(hidden)
    # Rows come in any order: each is drawn by a hash of its pair and of its turn in the pair.
    pair = (purchases.customer * purchases.products + purchases.product).astype(np.uint64)
    order = np.argsort(pair, kind="stable")
    ordered = pair[order]
    turn = np.empty(len(pair), dtype=np.uint64)
    turn[order] = np.arange(len(pair)) - np.searchsorted(ordered, ordered, side="left")
    hidden = _uniform(pair * np.uint64(1_000_003) + turn, seed) < share
    return purchases.take(~hidden), purchases.take(hidden)


def _uniform(keys: NDArray[np.uint64], seed: int) -> Floats:
    """Return a pseudo-random number in [0, 1) for each key, by the finalizer of SplitMix64."""
    mixed = keys + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    numbers: Floats = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return numbers
