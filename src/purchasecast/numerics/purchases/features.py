"""Features of pairs of customer and product, from the history of the customer and what is known of the product.

They are shares and logarithms relative to a mean, so that a model learned from a part of the purchases can be used
with all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from purchasecast.numerics.purchases.history import History

    Floats = NDArray[np.float64]
    Reals = NDArray[np.floating[Any]]
    Singles = NDArray[np.float32]
    Integers = NDArray[np.int64]

__all__ = [
    "NEW_FEATURES",
    "NEW_PRIOR",
    "REPEAT_FEATURES",
    "ProductFacts",
    "facts_of",
    "new_block_margins",
    "new_features",
    "repeat_features",
]

_NEW_NAMES = (
    "one",
    "score",
    "score2",
    "score3",
    "active",
    "active2",
    "popular",
    "popular2",
    "score x active",
    "score x popular",
    "active x popular",
    "likes",
    "likes x score",
    "new category",
    "late",
    "trend",
)
NEW_FEATURES = len(_NEW_NAMES)
#: Without evidence, purchases are in proportion to the activity of the customer and the popularity of the product.
NEW_PRIOR = np.array([1.0 if name in {"active", "popular"} else 0.0 for name in _NEW_NAMES])
REPEAT_FEATURES = 16
_SCORE_FLOOR = 0.1  # of the mean score: lower ones are as good as none
_PRIOR_CATEGORY = 10.0  # purchases that the categories of a customer are shrunk by toward those of all
_PRIOR_PRODUCT = 2.0  # most buyers that a product is given for its category
_PRIOR_SHARE = 0.25  # of the mean buyers in the category, where these count as one buyer
_PRIOR_REPEAT = 20.0  # buyers that the share who buy again is shrunk by


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """What is known of the products, and the means that features are relative to.

    Behind the products stands one that nobody has bought yet for each category: what is expected of a new product.

    Attributes
    ----------
    popularity : ndarray of float
        Logarithm of the buyers of each product relative to the mean product, shrunk toward its category.
    trend : ndarray of float
        Logarithm of the share of its purchases that are recent, relative to all products.
    again : ndarray of float
        Logarithm of the odds that a buyer has bought the product more than once.
    category : ndarray of int
        Category of each product.
    share : ndarray of float
        Share of all purchased pairs in each category.
    mean_pairs, mean_recent : float
        Mean number of products per customer, and of recent purchases.
    fewest_pairs : float
        Products of the customer with the fewest of them.
    """

    popularity: Floats
    trend: Floats
    again: Floats
    category: Integers
    share: Floats
    mean_pairs: float
    mean_recent: float
    fewest_pairs: float


def facts_of(history: History, category: Integers, products: int) -> ProductFacts:
    """Measure the products in a history.

    Parameters
    ----------
    history : History
        Past purchases of all customers.
    category : ndarray of int
        Category of each product, from 0.
    products : int
        Number of products.

    Returns
    -------
    ProductFacts
        Popularity, trend and repeat purchase of each product.
    """
    sizes = np.bincount(category)
    category = np.concatenate([category, np.arange(len(sizes))])
    known = len(category)
    buyers = np.bincount(history.product, minlength=known).astype(np.float64)
    rows = np.bincount(history.product, weights=history.count, minlength=known)
    recent = np.bincount(history.product, weights=history.recent, minlength=known)
    twice = np.bincount(history.product, weights=history.count > 1, minlength=known)
    in_category = np.bincount(category, weights=buyers)
    # The typical product has fewer buyers than the mean one, and one without buyers is less than typical.
    prior = _PRIOR_SHARE * (in_category / np.maximum(sizes, 1))[category]
    shrunk = buyers + _PRIOR_PRODUCT * prior / (prior + 1.0)
    total, whole = max(rows.sum(), 1.0), max(buyers.sum(), 1.0)
    usual = recent.sum() / total
    usually_again = twice.sum() / whole + 1e-3
    repeat = np.clip((twice + _PRIOR_REPEAT * usually_again) / (buyers + _PRIOR_REPEAT), 1e-4, 1 - 1e-4)
    # A new product is no less popular than the least popular one that is known: a regression ends where its rows do.
    shrunk[products:] = np.maximum(shrunk[products:], shrunk[:products].min(initial=np.inf))
    per_customer = np.diff(history.indptr)
    return ProductFacts(
        np.log((shrunk + 0.1) / max(buyers[:products].mean(), 1e-9)),
        np.log((recent + 5.0 * usual) / (rows + 5.0) / max(usual, 1e-9)),
        np.log(repeat / (1 - repeat)),
        category,
        in_category / whole,
        max(len(history.product) / max(history.customers, 1), 1e-9),
        max(float(history.recent.sum()) / max(history.customers, 1), 1e-9),
        float(per_customer[per_customer > 0].min(initial=len(category))) if per_customer.any() else 0.0,
    )


def _of_customers(
    history: History, facts: ProductFacts, assumed: Floats | None = None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return activity and recent activity of customers, the logarithm of their taste for categories, and new ones."""
    pairs = np.diff(history.indptr).astype(np.float64)
    owner = history.customer()
    recent = np.bincount(owner, weights=history.recent, minlength=history.customers)
    # A new customer counts as the least active one that is known: a regression ends where its rows do.
    activity = np.log((np.maximum(pairs, facts.fewest_pairs) + 0.5) / facts.mean_pairs)
    lately = np.log((recent + 0.2 * facts.mean_recent) / facts.mean_recent)
    shape = (history.customers, len(facts.share))
    ones = np.ones(len(owner))
    counts = sparse.csr_matrix((ones, (owner, facts.category[history.product])), shape=shape).toarray()
    if assumed is not None:
        counts += assumed
    share = np.maximum(facts.share, 1e-6)
    total = counts.sum(axis=1, keepdims=True)
    taste = np.log((counts + _PRIOR_CATEGORY * share) / (total + _PRIOR_CATEGORY) / share)
    return activity, lately, taste, np.maximum(1.0 - counts, 0.0)


def new_features(
    history: History,
    facts: ProductFacts,
    scores: Floats,
    customer: Integers,
    product: Integers,
    assumed: Floats | None = None,
) -> Floats:
    """Return the features of pairs that have not been bought.

    Parameters
    ----------
    history : History
        Past purchases of some customers.
    facts : ProductFacts
        What is known of the products.
    scores : ndarray of float
        Score of each pair relative to the mean score.
    customer, product : ndarray of int
        The pairs, as positions in `history` and among the products.
    assumed : ndarray of shape (customers, categories), optional
        Purchases by category to assume of customers without any, in addition to those in `history`.

    Returns
    -------
    ndarray of shape (pairs, NEW_FEATURES)
        The first is 1.
    """
    activity, lately, taste, fresh = _of_customers(history, facts, assumed)
    score = np.log(np.maximum(scores, 0.0) + _SCORE_FLOOR)
    active, late = activity[customer], lately[customer]
    popular, trend = facts.popularity[product], facts.trend[product]
    likes = taste[customer, facts.category[product]]
    columns = (
        np.ones(len(score)),
        score,
        score**2,
        score**3,
        active,
        active**2,
        popular,
        popular**2,
        score * active,
        score * popular,
        active * popular,
        likes,
        likes * score,
        fresh[customer, facts.category[product]],
        late,
        trend,
    )
    return np.stack(columns, axis=1)


def new_block_margins(
    history: History, facts: ProductFacts, scores: Reals, coefficients: Floats, assumed: Floats | None = None
) -> Singles:
    """Return ``new_features @ coefficients`` of all products for some customers, without the features themselves.

    The margin is a polynomial in the score, whose coefficients are sums of a number of the customer, one of the product
    and one of the customer and the category: a pair takes a few operations, where its features would take 16 numbers.

    Parameters
    ----------
    history : History
        Past purchases of the customers.
    facts : ProductFacts
        What is known of the products.
    scores : ndarray of shape (customers, products)
        Scores relative to the mean score.
    coefficients : ndarray of shape (NEW_FEATURES,)
        Coefficients of the features.
    assumed : ndarray of shape (customers, categories), optional
        As for `new_features`.

    Returns
    -------
    ndarray of shape (customers, products), single precision
        Margins, also of pairs that were bought.
    """
    of = dict(zip(_NEW_NAMES, coefficients, strict=True))
    products = scores.shape[1]
    category = facts.category[:products]
    active, late, taste, fresh = _of_customers(history, facts, assumed)
    popular, trend = facts.popularity[:products], facts.trend[:products]
    constant = of["one"] + active * (of["active"] + of["active2"] * active) + of["late"] * late
    of_product = popular * (of["popular"] + of["popular2"] * popular) + of["trend"] * trend
    # What depends on customer and category is looked up by product; what depends on both alone is one product of them.
    of_category = constant[:, None] + of["likes"] * taste + of["new category"] * fresh
    found = _single(of_category)[:, category]
    found += _single(of_product)
    found += _single(of["active x popular"] * active)[:, None] * _single(popular)
    slopes = (of["score"] + of["score x active"] * active)[:, None] + of["likes x score"] * taste
    slope = _single(slopes)[:, category] + _single(of["score x popular"] * popular)
    score = np.log(np.maximum(_single(scores), 0) + np.float32(_SCORE_FLOOR))
    found += score * (slope + score * (np.float32(of["score2"]) + score * np.float32(of["score3"])))
    return found


def _single(values: Reals) -> Singles:
    return values.astype(np.float32)


def repeat_features(
    history: History, facts: ProductFacts, scores: Floats, entries: Integers, owner: Integers
) -> Floats:
    """Return the features of pairs that have been bought before.

    Parameters
    ----------
    history : History
        Past purchases of some customers.
    facts : ProductFacts
        What is known of the products.
    scores : ndarray of float
        Score of each pair relative to the mean score.
    entries, owner : ndarray of int
        Positions of the pairs in `history`, and their customers.

    Returns
    -------
    ndarray of shape (pairs, REPEAT_FEATURES)
        The first is 1.
    """
    activity, lately, taste, _ = _of_customers(history, facts)
    product = history.product[entries]
    often, again = np.log(history.count[entries]), np.log1p(history.recent[entries])
    since = np.log(history.age[entries] + 0.05)
    score = np.log(np.maximum(scores, 0.0) + _SCORE_FLOOR)
    active, late = activity[owner], lately[owner]
    popular, repeated = facts.popularity[product], facts.again[product]
    columns = (
        np.ones(len(score)),
        often,
        often**2,
        again,
        again**2,
        since,
        since**2,
        often * since,
        score,
        active,
        late,
        popular,
        facts.trend[product],
        repeated,
        repeated * often,
        taste[owner, facts.category[product]],
    )
    return np.stack(columns, axis=1)
