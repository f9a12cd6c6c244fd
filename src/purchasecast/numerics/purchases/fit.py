"""Fit the model of who buys what: hide purchases, learn to tell them, and fit the scores again on all purchases.

Without dates the hidden purchases are random ones, so that what is learned from is sparser than what the model is used
with: scores are then noisier, and say less, than they will. So it is measured how much less the margin and the score
say at a density that is lower by the same factor once more, and both are extrapolated to the density of all purchases.
(To extrapolate every coefficient adds noise, and the order of the products suffers.) With dates the latest purchases
are hidden, and the history is about as dense as it will be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.numerics.purchases.features import DENSITY_FEATURES, facts_of, new_features, repeat_features
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

_MAX_ROWS = 600_000  # pairs, beside those bought, that the coefficients are learned from
_MAX_PAIRS = 60_000_000  # pairs whose odds are computed to know their sum
_MIN_HIDDEN = 2_000  # hidden pairs from which on coefficients can be extrapolated
_MARGIN_BINS = np.linspace(-25.0, 12.0, 1_001)


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
    new, again = _coefficients(_lessons(world, hidden, settings))
    if purchases.time is None and len(hidden) >= _MIN_HIDDEN:
        sparser, rest = split_purchases(seen, settings.hidden, settings.seed + 1)
        density = len(sparser) / len(purchases)
        thinner = _world(sparser, attributes, category, settings, density=density, at=(0.0, 1.0))
        new = _extrapolated(new, _lessons(thinner, rest, settings)[0])
    whole = _world(purchases, attributes, category, settings, density=1.0, at=(now, period))
    distinct = len(np.unique(hidden.customer * hidden.products + hidden.product))
    model = replace(
        whole.model,
        new=new,
        again=again,
        purchases=float(len(hidden)),
        pairs_per_purchase=distinct / max(len(hidden), 1),
    )
    margins, counts = _all_margins(replace(whole, model=model), settings)
    return replace(model, margins=margins, counts=counts), whole.history


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
    none = np.zeros(0)
    facts = facts_of(history, category, seen.products)
    model = PurchaseModel(weights, of_attributes, 1.0, facts, none, none, none, none, 0.0, 1.0)
    return _World(history, attributes, replace(model, mean_score=_mean_score(history, attributes, model, settings)))


def _sample(customers: int, products: int, seed: int) -> list[tuple[int, int]]:
    """Return consecutive blocks of customers with at most `_MAX_PAIRS` pairs, at places spread over all of them."""
    size = max(min(4_000_000 // max(products, 1), customers), 1)
    starts = np.arange(0, customers, size)
    most = max(_MAX_PAIRS // (size * products), 1)
    if len(starts) > most:
        starts = np.sort(np.random.default_rng(seed).choice(starts, most, replace=False))
    return [(start, min(start + size, customers)) for start in map(int, starts)]


def _mean_score(history: History, attributes: sparse.csr_matrix, model: PurchaseModel, settings: FitSettings) -> float:
    total, pairs = 0.0, 0
    for start, stop in _sample(history.customers, model.products, settings.seed):
        scores = model.scores(history.rows(start, stop), attributes[start:stop])
        total, pairs = total + float(scores.sum(dtype=np.float64)), pairs + scores.size
    return max(total / max(pairs, 1), 1e-9)


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
    rate = min(_MAX_ROWS / max(pairs, 1), 1.0)
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
        # All purchases count, and of the many pairs that were not bought a share that stands for all of them.
        customer, product = np.nonzero(is_new & (is_bought | (rng.random(is_bought.shape, np.float32) < rate)))
        outcome = is_bought[customer, product].astype(np.float64)
        features = new_features(part, facts, scores[customer, product], customer, product)
        new.append((features, outcome, np.where(outcome > 0, 1.0, 1.0 / rate)))
    x, y, w = (np.concatenate(parts) for parts in zip(*new, strict=True))
    repeated, repeats = (np.concatenate(parts) for parts in zip(*again, strict=True))
    return (x, y, w), (repeated, repeats)


def _coefficients(
    lessons: tuple[tuple[Floats, Floats, Floats], tuple[Floats, Floats]],
) -> tuple[Floats, Floats]:
    """Learn which pairs were bought in the hidden period, of new pairs and of those bought before."""
    (features, outcome, weight), (repeated, repeats) = lessons
    of_new = fit_hazard(features, outcome, weight)
    if not repeats.any():
        return of_new, np.zeros(0)
    return of_new, fit_hazard(repeated, repeats, np.ones(len(repeats)))


def _extrapolated(new: Floats, lessons: tuple[Floats, Floats, Floats]) -> Floats:
    """Return the coefficients at the density of all purchases, given what is learned at a lower one."""
    features, outcome, weight = lessons
    parts = [0, *DENSITY_FEATURES]
    thinner = fit_hazard(
        np.column_stack([np.ones(len(outcome)), features @ new, features[:, parts[1:]]]), outcome, weight
    )
    denser = -thinner
    denser[1] += 2.0
    result: Floats = denser[1] * new
    result[parts] += denser[[0, *range(2, len(denser))]]
    return result


def _all_margins(world: _World, settings: FitSettings) -> tuple[Floats, Floats]:
    """Return a histogram of the odds of all pairs; of a sample of customers where there are very many pairs."""
    counts, sums, customers = np.zeros(len(_MARGIN_BINS) + 1), np.zeros(len(_MARGIN_BINS) + 1), 0
    for start, stop, part, scores in _blocks(world, settings):
        is_new = np.ones(scores.shape, dtype=bool)
        is_new[part.customer(), part.product] = False
        customer, product = np.nonzero(is_new)
        margins = world.model.new_margins(part, scores, customer, product)
        if world.model.has_repeats:
            margins = np.concatenate([margins, world.model.repeat_margins(part, scores)])
        place = np.digitize(margins, _MARGIN_BINS)
        counts += np.bincount(place, minlength=len(counts))
        sums += np.bincount(place, weights=margins, minlength=len(counts))
        customers += stop - start
    filled = counts > 0
    share = world.history.customers / max(customers, 1)
    return sums[filled] / counts[filled], counts[filled] * share
