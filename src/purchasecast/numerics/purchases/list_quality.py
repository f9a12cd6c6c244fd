"""Compare lists of products with the purchases that came: sums of a bucket of customers, which add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    from purchasecast.numerics.purchases.history import History
    from purchasecast.numerics.purchases.model import PurchaseModel

    Booleans = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Reals = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]

__all__ = ["CALIBRATION_BORDERS", "LENGTHS", "SUMS", "Coming", "list_sums"]

LENGTHS = (5, 10)
SUMS = ("customers", "offers", "hits", "recall", "ndcg", "revenue", "expected")
#: Borders of the probabilities that expected and actual buyers are compared in.
CALIBRATION_BORDERS = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_BLOCK_VALUES = 4_000_000


@dataclass(frozen=True, slots=True)
class Coming:
    """Purchases that came: one entry per pair, sorted by customer."""

    customer: Integers
    product: Integers
    amount: Floats


@dataclass(frozen=True, slots=True)
class ListSums:
    """What lists of one bucket of customers brought.

    Attributes
    ----------
    lists : dict of (str, int) to ndarray
        By ranking and length, the `SUMS`.
    products : dict of (str, int) to ndarray of int
        Products on any of the lists.
    calibration : ndarray of shape (bins, 3)
        Pairs, expected and actual buyers by `CALIBRATION_BORDERS`, of all pairs.
    """

    lists: dict[tuple[str, int], Floats]
    products: dict[tuple[str, int], Integers]
    calibration: Floats


def list_sums(
    model: PurchaseModel,
    history: History,
    attributes: sparse.csr_matrix,
    coming: Coming,
    price: Floats,
    purchases: float,
) -> ListSums:
    """Rank the products of customers in several ways, and compare the first ones with what was bought.

    Parameters
    ----------
    model : PurchaseModel
        The model, which has not seen what came.
    history : History
        Past purchases of the customers.
    attributes : csr_matrix
        Indicator of their attributes.
    coming : Coming
        What they bought.
    price : ndarray of float
        Mean amount of a purchase of each product in the past.
    purchases : float
        How many purchases came, of all customers.

    Returns
    -------
    ListSums
        Sums over the customers who bought anything; expected buyers of all customers.
    """
    period, bins = model.period(purchases), len(CALIBRATION_BORDERS)
    lists: dict[tuple[str, int], Floats] = {}
    products: dict[tuple[str, int], list[Integers]] = {}
    calibration = np.zeros((bins, 3))
    size = max(_BLOCK_VALUES // model.products, 1)
    for start in range(0, history.customers, size):
        stop = min(start + size, history.customers)
        part = history.rows(start, stop)
        told = model.probabilities(part, attributes[start:stop], period)
        bought, amount = _dense(coming, start, stop, model.products)
        place = np.digitize(told.ravel(), CALIBRATION_BORDERS) - 1
        may = told.ravel() > 0
        for column, weights in enumerate((may, told.ravel(), bought.ravel() & may)):
            calibration[:, column] += np.bincount(place, weights=weights, minlength=bins)
        for name, values in _rankings(model, part, told, price).items():
            for length, (sums, shown) in _compare(values, told, bought, amount).items():
                key = (name, length)
                lists[key] = lists.get(key, np.zeros(len(SUMS))) + sums
                products.setdefault(key, []).append(shown)
    unions = {key: np.unique(np.concatenate(parts)) for key, parts in products.items()}
    return ListSums(lists, unions, calibration)


def _dense(coming: Coming, start: int, stop: int, products: int) -> tuple[Booleans, Floats]:
    low, high = np.searchsorted(coming.customer, [start, stop])
    bought, amount = np.zeros((stop - start, products), dtype=bool), np.zeros((stop - start, products))
    cells = coming.customer[low:high] - start, coming.product[low:high]
    bought[cells], amount[cells] = True, coming.amount[low:high]
    return bought, amount


def _rankings(model: PurchaseModel, part: History, told: Reals, price: Floats) -> dict[str, Reals]:
    """Return what the products are ranked by: the model, and what anybody could do without one."""
    popular = np.broadcast_to(np.exp(model.facts.popularity[: model.products]), told.shape)
    possible = told > 0
    ways: dict[str, Reals] = {
        "probability": told,
        "expected revenue": told * price,
        "popularity": np.where(possible, popular, 0.0),
        "price": np.where(possible, price, 0.0),
        "popularity x price": np.where(possible, popular * price, 0.0),
    }
    if model.has_repeats:
        before = np.zeros(told.shape)
        # Who has bought fewer products than the list is long is offered the popular ones.
        before[part.customer(), part.product] = part.count
        ways["bought before"] = before + popular / (1.0 + popular.max())
    return ways


def _compare(values: Reals, told: Reals, bought: Booleans, amount: Floats) -> dict[int, tuple[Floats, Integers]]:
    """Return, by length, the sums of the lists and the products on them.

    All but the expected buyers are of the customers who bought anything: who will is not known beforehand.
    """
    most = min(max(LENGTHS), values.shape[1])
    rows = np.arange(len(values))[:, None]
    top = np.argpartition(-values, most - 1, axis=1)[:, :most]
    top = top[rows, np.argsort(-values[rows, top], axis=1, kind="stable")]
    chance, active = np.where(values[rows, top] > 0, told[rows, top], 0.0), bought.any(axis=1)
    values, bought, amount, top, rows = (
        values[active],
        bought[active],
        amount[active],
        top[active],
        rows[: active.sum()],
    )
    offered = values[rows, top] > 0
    hits, earned, total = bought[rows, top] & offered, amount[rows, top] * offered, bought.sum(axis=1)
    discount = 1 / np.log2(np.arange(most) + 2)
    found = {}
    for length in LENGTHS:
        n = min(length, most)
        of_customer = hits[:, :n].sum(axis=1)
        ideal = np.cumsum(discount)[np.minimum(total, n) - 1]
        sums = (
            len(values),
            offered[:, :n].sum(),
            of_customer.sum(),
            (of_customer / np.maximum(total, 1)).sum(),
            ((hits[:, :n] * discount[:n]).sum(axis=1) / ideal).sum(),
            (earned[:, :n] * hits[:, :n]).sum(),
            chance[:, :n].sum(),
        )
        found[length] = np.array(sums, dtype=np.float64), np.unique(top[:, :n][offered[:, :n]])
    return found
