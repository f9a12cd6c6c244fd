"""Fit the model of who buys what: hide purchases, learn to tell them, and fit the scores again on all purchases.

Without dates the hidden purchases are random ones, with dates the latest. In both cases the pairs that remain to be
bought are fewer in the period to come than in the hidden one: by those that were bought in it.

Random hidden purchases also leave what is learned from sparser than what the model is used with: scores are noisier,
and say less, than they will. So it is measured how much less the margin says at a density that is lower by the same
factor once more, and it is extrapolated to the density of all purchases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.numerics.purchases.features import NEW_PRIOR, facts_of, new_features, repeat_features
from purchasecast.numerics.purchases.first_purchase import fit_first_purchase
from purchasecast.numerics.purchases.hazard import fit_hazard
from purchasecast.numerics.purchases.history import History, Purchases, history_of, split_purchases
from purchasecast.numerics.purchases.item_ridge import fit_attribute_weights, fit_item_weights
from purchasecast.numerics.purchases.model import PurchaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy import sparse

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["FitSettings", "fit_purchase_model"]

_RIDGE = 3.0  # of the coefficients, toward their prior; more lets new customers buy too much
_MAX_ROWS = 600_000  # pairs, beside those bought, that the coefficients are learned from
_MIN_RATE = 0.3  # at which such pairs are drawn, in units of that of a mean score
_MIN_HIDDEN = 2_000  # hidden pairs from which on coefficients can be extrapolated
_MAX_PAIRS = 240_000_000  # pairs whose odds are computed: of 2,400 customers where there are 100,000 products
_MARGINS, _BINS = (-25.0, 12.0), 1_000  # of the histograms of the margins of all pairs


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How to fit.

    Attributes
    ----------
    penalty : float
        Ridge penalty of the scores, for all purchases.
    hidden : float
        Share of the purchases, or of the time, that is hidden.
    head, kept : int
        Products that predict others, and weights kept per product where there are more products than that.
    seed : int
        Seed of what is hidden and of samples.
    """

    penalty: float = 1_500.0
    hidden: float = 0.3
    head: int = 6_000
    kept: int = 100
    seed: int = 7


@dataclass(frozen=True, slots=True)
class _World:
    """Purchases that are seen, and the scores and facts that follow from them."""

    history: History
    attributes: sparse.csr_matrix
    model: PurchaseModel


def fit_purchase_model(
    purchases: Purchases, attributes: sparse.csr_matrix, category: Integers, settings: FitSettings
) -> tuple[PurchaseModel, History]:
    """Fit the model, and return it with the history of all customers.

    Parameters
    ----------
    purchases : Purchases
        All purchases; the most popular products have the lowest codes.
    attributes : csr_matrix of shape (customers, levels)
        Indicator of the attributes of each customer; may have no column.
    category : ndarray of int
        Category of each product.
    settings : FitSettings
        How to fit.

    Returns
    -------
    tuple of (PurchaseModel, History)
        The model, and what it is to be used with.
    """
    seen, hidden = split_purchases(purchases, settings.hidden, settings.seed)
    now, period = _period(purchases, settings.hidden)
    world = _world(seen, attributes, category, settings, density=len(seen) / len(purchases), at=(now - period, period))
    lessons = _lessons(world, hidden, settings)
    (features, outcome, weight), (repeated, repeats) = lessons
    new, share = fit_first_purchase(features, outcome, weight, NEW_PRIOR, ridge=_RIDGE)
    again = fit_hazard(repeated, repeats, np.ones(len(repeats)), ridge=_RIDGE) if repeats.any() else np.zeros(0)
    first = float(outcome.sum())
    if purchases.time is None and len(hidden) >= _MIN_HIDDEN:
        new = _sharper(new, first / share, seen, attributes, category, settings)
    whole = _world(purchases, attributes, category, settings, density=1.0, at=(now, period))
    model = replace(
        whole.model,
        new=new,
        again=again,
        purchases=float(len(hidden)),
        first_pairs=first,
        pairs=first + float(repeats.sum()),
        remaining=first * (1 / share - 1),
    )
    return _with_margins(model, whole, settings), whole.history


def _sharper(
    new: Floats,
    pairs: float,
    seen: Purchases,
    attributes: sparse.csr_matrix,
    category: Integers,
    settings: FitSettings,
) -> Floats:
    """Return coefficients at the density of all purchases, given those learned from the ones that are seen.

    `pairs` is the number of pairs that will be bought some time and are not seen.
    """
    sparser, rest = split_purchases(seen, settings.hidden, settings.seed + 1)
    world = _world(sparser, attributes, category, settings, density=len(sparser) / len(seen), at=(0.0, 1.0))
    (features, outcome, weight), _ = _lessons(world, rest, settings)
    parts = np.column_stack([np.ones(len(outcome)), features @ new])
    found = float(outcome.sum())
    (_, slope), _ = fit_first_purchase(parts, outcome, weight, np.array([0.0, 1.0]), share=found / (pairs + found))
    sharper: Floats = (2.0 - slope) * new
    return sharper


def _period(purchases: Purchases, share: float) -> tuple[float, float]:
    """Return the end of the past, and the length of the period to come; in days, 0 and 1 without dates."""
    if purchases.time is None:
        return 0.0, 1.0
    first, last = float(purchases.time.min()), float(purchases.time.max())
    return last, max(share * (last - first), 1e-9)


def _world(
    seen: Purchases,
    attributes: sparse.csr_matrix,
    category: Integers,
    settings: FitSettings,
    *,
    density: float,
    at: tuple[float, float],
) -> _World:
    """Fit scores and facts to what is seen; the penalty is in proportion to the purchases."""
    history = history_of(seen, now=at[0], period=at[1])
    bought = history.matrix(seen.products)
    penalty = settings.penalty * density
    weights = fit_item_weights(bought, penalty=penalty, head=settings.head, kept=settings.kept)
    of_attributes = fit_attribute_weights(bought, attributes, penalty=1.0)
    none, unknown = np.zeros(0), 0.0
    facts = facts_of(history, category, seen.products)
    model = PurchaseModel(
        weights, of_attributes, 1.0, facts, none, none, none, none, none, none, unknown, unknown, unknown, unknown
    )
    return _World(history, attributes, replace(model, mean_score=_mean_score(history, attributes, model)))


def _sample(customers: int, products: int, seed: int) -> list[tuple[int, int]]:
    """Return consecutive blocks of customers with at most `_MAX_PAIRS` pairs, at places spread over all of them."""
    size = max(min(4_000_000 // max(products, 1), customers), 1)
    starts = np.arange(0, customers, size)
    most = max(_MAX_PAIRS // (size * products), 1)
    if len(starts) > most:
        starts = np.sort(np.random.default_rng(seed).choice(starts, most, replace=False))
    return [(start, min(start + size, customers)) for start in map(int, starts)]


def _mean_score(history: History, attributes: sparse.csr_matrix, model: PurchaseModel) -> float:
    """Return the mean score of all pairs, from sums of purchases and of weights."""
    head = model.weights.shape[0]
    by_predictor = np.asarray(model.weights.sum(axis=1), dtype=np.float64).ravel()
    total = float(np.bincount(history.product, minlength=model.products)[:head] @ by_predictor)
    unknown = np.diff(history.indptr) == 0
    if unknown.any() and attributes.shape[1]:
        levels = np.asarray(attributes[unknown].sum(axis=0), dtype=np.float64).ravel()
        total += float(levels @ model.attribute_weights.sum(axis=1, dtype=np.float64))
    return max(total / max(history.customers * model.products, 1), 1e-9)


def _blocks(world: _World, settings: FitSettings) -> Iterator[tuple[int, int, History, Floats]]:
    for start, stop in _sample(world.history.customers, world.model.products, settings.seed):
        part = world.history.rows(start, stop)
        yield start, stop, part, world.model.scores(part, world.attributes[start:stop])


def _lessons(
    world: _World, hidden: Purchases, settings: FitSettings
) -> tuple[tuple[Floats, Floats, Floats], tuple[Floats, Floats]]:
    """Return features, outcome and weight of new pairs, and features and outcome of pairs bought before."""
    products, rng = hidden.products, np.random.default_rng(settings.seed)
    bought = np.unique(hidden.customer * products + hidden.product)
    pairs = sum((stop - start) * products for start, stop in _sample(world.history.customers, products, settings.seed))
    rate = _MAX_ROWS / max(pairs, 1)
    new: list[tuple[Floats, Floats, Floats]] = []
    again: list[tuple[Floats, Floats]] = []
    facts = world.model.facts
    for start, stop, part, scores in _blocks(world, settings):
        of_block = bought[np.searchsorted(bought, start * products) : np.searchsorted(bought, stop * products)]
        is_bought = np.zeros((stop - start, products), dtype=bool)
        is_bought.ravel()[of_block - start * products] = True
        owner, what = part.customer(), part.product
        repeated = repeat_features(part, facts, scores[owner, what], np.arange(len(owner)), owner)
        again.append((repeated, is_bought[owner, what].astype(np.float64)))
        is_new = np.ones(is_bought.shape, dtype=bool)
        is_new[owner, what] = False
        # All purchases count, and of the many pairs that were not bought a share that stands for all of them: a larger
        # one where purchases are likely, because the share of the period shows there.
        rates = np.clip(rate * np.maximum(scores, _MIN_RATE), 0.0, 1.0)
        customer, product = np.nonzero(is_new & (is_bought | (rng.random(is_bought.shape, np.float32) < rates)))
        outcome = is_bought[customer, product].astype(np.float64)
        features = new_features(part, facts, scores[customer, product], customer, product)
        new.append((features, outcome, np.where(outcome > 0, 1.0, 1.0 / rates[customer, product])))
    x, y, w = (np.concatenate(parts) for parts in zip(*new, strict=True))
    repeated, repeats = (np.concatenate(parts) for parts in zip(*again, strict=True))
    return (x, y, w), (repeated, repeats)


def _with_margins(model: PurchaseModel, world: _World, settings: FitSettings) -> PurchaseModel:
    """Add histograms of the margins of all pairs; of a sample of customers where there are very many pairs."""
    new, again, customers = _Histogram(), _Histogram(), 0
    for start, stop, part, scores in _blocks(world, settings):
        fresh = model.new_block_margins(part, scores)
        new.add(fresh[np.isfinite(fresh)])
        if model.has_repeats:
            again.add(model.repeat_margins(part, scores))
        customers += stop - start
    share = world.history.customers / max(customers, 1)
    (margins, counts), (again_margins, again_counts) = new.filled(share), again.filled(share)
    return replace(model, margins=margins, counts=counts, again_margins=again_margins, again_counts=again_counts)


class _Histogram:
    """Counts and sums of margins in bins of equal width."""

    def __init__(self) -> None:
        self._counts, self._sums = np.zeros(_BINS), np.zeros(_BINS)

    def add(self, margins: NDArray[np.floating[Any]]) -> None:
        low, high = _MARGINS
        place = np.clip((margins - low) * (_BINS / (high - low)), 0, _BINS - 1).astype(np.int32)
        self._counts += np.bincount(place, minlength=_BINS)
        self._sums += np.bincount(place, weights=margins, minlength=_BINS)

    def filled(self, share: float) -> tuple[Floats, Floats]:
        """Return mean margin and count of the bins that have any, for so many times as many pairs."""
        filled = self._counts > 0
        return self._sums[filled] / self._counts[filled], self._counts[filled] * share
