"""The fitted model of who buys what: scores, probabilities and the best products of customers."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from purchasecast.numerics.purchases.features import ProductFacts, new_block_margins, new_features, repeat_features
from purchasecast.numerics.purchases.first_purchase import first_purchase
from purchasecast.numerics.purchases.hazard import probability

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from purchasecast.numerics.purchases.history import History

    Floats = NDArray[np.float64]
    Reals = NDArray[np.floating[Any]]
    Integers = NDArray[np.int64]

__all__ = ["Offers", "Period", "PurchaseModel"]

_BLOCK_VALUES = 16_000_000  # scores held at a time: 64 MB
_MAX_SHIFT, _HALVINGS = 30.0, 60
_POPULAR = 50  # products that are candidates of every customer


@dataclass(frozen=True, slots=True)
class Offers:
    """Pairs of customer and product, best first within a customer.

    Attributes
    ----------
    customer, product : ndarray of int
        Positions.
    probability : ndarray of float
        That the customer buys the product at least once in the period.
    before : ndarray of bool
        Whether the customer has bought it before.
    """

    customer: Integers
    product: Integers
    probability: Floats
    before: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Period:
    """How margins become probabilities in a period to come.

    Attributes
    ----------
    share : float
        Share of the pairs that will be bought some time which is bought for the first time in the period.
    new, again : float
        Added to the margins of pairs that have not been bought, and that have.
    """

    share: float
    new: float
    again: float

    def of_new(self, margins: Reals) -> Floats:
        """Return the probability of pairs that have not been bought."""
        return first_purchase(margins + self.new, self.share)

    def of_again(self, margins: Floats) -> Floats:
        """Return the probability of pairs that have been bought before."""
        return probability(margins + self.again)


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """Weights of the scores, facts of the products, and coefficients of the probabilities.

    Attributes
    ----------
    weights : ndarray or csr_matrix of shape (head, products)
        What each purchase adds to the score of a product.
    attribute_weights : ndarray of shape (levels, products)
        What each attribute of a customer without purchases adds.
    mean_score : float
        Mean score of a pair: features are relative to it.
    facts : ProductFacts
        What is known of the products.
    new, again : ndarray of float
        Coefficients for pairs that have not been bought, and that have; empty where pairs are bought only once.
    margins, counts, again_margins, again_counts : ndarray of float
        Histograms of the margins of all new pairs, and of those bought before: the probabilities can be made to sum to
        any number.
    purchases : float
        Purchases in the period, by default: as many as were hidden.
    first_pairs, pairs : float
        Pairs that were bought for the first time in the hidden period, and all distinct pairs in it.
    remaining : float
        Pairs that will be bought for the first time some time after the history.
    """

    weights: NDArray[np.float32] | sparse.csr_matrix
    attribute_weights: NDArray[np.float32]
    mean_score: float
    facts: ProductFacts
    new: Floats
    again: Floats
    margins: Floats
    counts: Floats
    again_margins: Floats
    again_counts: Floats
    purchases: float
    first_pairs: float
    pairs: float
    remaining: float

    @property
    def products(self) -> int:
        """Number of products."""
        return int(self.weights.shape[1])

    @property
    def has_repeats(self) -> bool:
        """Whether products are bought again."""
        return bool(len(self.again))

    def period(self, purchases: float | None = None) -> Period:
        """Return how margins become probabilities in a period with this number of purchases; by default the usual."""
        times = (self.purchases if purchases is None else purchases) / max(self.purchases, 1e-9)
        share = min(times * self.first_pairs / max(self.remaining, 1e-9), 1.0)
        hidden = self.first_pairs / max(self.first_pairs + self.remaining, 1e-9)
        # First and repeat purchases share the pairs to come in proportion to what the hidden period lets expect.
        first = times * float(self.counts @ first_purchase(self.margins, hidden))
        again = float(self.again_counts @ probability(self.again_margins + np.log(times)))
        scale = times * self.pairs / max(first + again, 1e-9)
        return Period(
            share,
            _shift(lambda shift: float(self.counts @ first_purchase(self.margins + shift, share)), scale * first),
            _shift(lambda shift: float(self.again_counts @ probability(self.again_margins + shift)), scale * again),
        )

    def scores(self, history: History, attributes: sparse.csr_matrix) -> Floats:
        """Return the score of every product for some customers, relative to the mean score."""
        head = self.weights.shape[0]
        raw = history.matrix(self.products)[:, :head] @ self.weights
        dense: Floats = raw.toarray() if sparse.issparse(raw) else np.asarray(raw)
        unknown = np.flatnonzero(np.diff(history.indptr) == 0)
        if len(unknown) and attributes.shape[1]:
            dense[unknown] = attributes[unknown] @ self.attribute_weights
        return dense / np.float32(self.mean_score)

    def new_margins(self, history: History, scores: Floats, customer: Integers, product: Integers) -> Floats:
        """Return the margins of pairs that have not been bought; products may be those of no buyers."""
        is_known = product < self.products
        relative = scores[customer, np.where(is_known, product, 0)].astype(np.float64)
        if not is_known.all():
            relative[~is_known] = self._cold_scores(scores, customer[~is_known], product[~is_known])
        assumed = self._assumed_purchases(history, scores)
        margins: Floats = new_features(history, self.facts, relative, customer, product, assumed) @ self.new
        return margins

    def _assumed_purchases(self, history: History, scores: Floats) -> Floats | None:
        """Return the purchases by category that the attributes of new customers let expect; None without such."""
        new = np.flatnonzero(np.diff(history.indptr) == 0)
        if not len(new):
            return None
        assumed = np.zeros((history.customers, len(self.facts.share)))
        expected = np.maximum(scores[new], 0.0)
        for level in np.unique(self.facts.category[: self.products]):
            assumed[new, level] = expected[:, self.facts.category[: self.products] == level].sum(axis=1)
        # As many as the least active known customer has, whose activity they are taken to have.
        assumed[new] *= self.facts.fewest_pairs / np.maximum(assumed[new].sum(axis=1, keepdims=True), 1e-12)
        return assumed

    def _cold_scores(self, scores: Floats, customer: Integers, product: Integers) -> Floats:
        """Return scores of products without buyers: the mean of their category, in proportion to their popularity."""
        category, popularity = self.facts.category[: self.products], self.facts.popularity
        found = np.empty(len(customer))
        for level in np.unique(product - self.products):
            own, cold = np.flatnonzero(category == level), product == self.products + level
            weight = np.exp(popularity[self.products + level]) / max(np.exp(popularity[own]).mean(), 1e-12)
            found[cold] = np.maximum(scores[:, own], 0.0).mean(axis=1)[customer[cold]] * min(weight, 1.0)
        return found

    def new_block_margins(self, history: History, scores: Floats) -> NDArray[np.float32]:
        """Return the margins of all products for some customers; -inf of pairs that were bought."""
        margins = new_block_margins(history, self.facts, scores, self.new, self._assumed_purchases(history, scores))
        margins[history.customer(), history.product] = -np.inf
        return margins

    def probabilities(self, history: History, attributes: sparse.csr_matrix, period: Period) -> NDArray[np.float32]:
        """Return the probability of all products for some customers; 0 of pairs that cannot be bought again."""
        scores = self.scores(history, attributes)
        told = period.of_new(self.new_block_margins(history, scores)).astype(np.float32)
        if self.has_repeats:
            told[history.customer(), history.product] = period.of_again(self.repeat_margins(history, scores))
        return told

    def repeat_margins(self, history: History, scores: Floats) -> Floats:
        """Return the margins of all pairs in a history."""
        owner, entries = history.customer(), np.arange(len(history.product))
        relative = scores[owner, history.product]
        margins: Floats = repeat_features(history, self.facts, relative, entries, owner) @ self.again
        return margins

    def probability_of(
        self,
        history: History,
        attributes: sparse.csr_matrix,
        customer: Integers,
        product: Integers,
        *,
        purchases: float | None = None,
    ) -> Floats:
        """Return the probability of pairs; of those that were bought, 0 where nothing is bought twice.

        Product ``products + c`` stands for any new product of category ``c``.
        """
        period, found = self.period(purchases), np.zeros(len(customer))
        order = np.argsort(customer, kind="stable")
        for start, stop in self._blocks(history.customers):
            low, high = np.searchsorted(customer[order], [start, stop])
            rows = order[low:high]
            if not len(rows):
                continue
            part = history.rows(start, stop)
            scores = self.scores(part, attributes[start:stop])
            found[rows] = self._of_block(part, scores, customer[rows] - start, product[rows], period)
        return found

    def _of_block(
        self, history: History, scores: Floats, customer: Integers, product: Integers, period: Period
    ) -> Floats:
        codes = len(self.facts.popularity)
        keys = history.customer() * codes + history.product
        wanted = customer * codes + product
        place = np.searchsorted(keys, wanted)
        known = np.zeros(len(wanted), dtype=bool)
        inside = place < len(keys)
        known[inside] = keys[place[inside]] == wanted[inside]
        told = period.of_new(self.new_margins(history, scores, customer, product))
        told[known] = 0.0
        if self.has_repeats and known.any():
            told[known] = period.of_again(self.repeat_margins(history, scores))[place[known]]
        return told

    def probabilities_of_product(
        self, history: History, bought: sparse.csr_matrix, product: int, *, purchases: float | None = None
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the probability of one product for all customers, and whether they have bought it before.

        Parameters
        ----------
        history : History
            Past purchases of the customers.
        bought : csr_matrix
            ``history.matrix(products)``, which a caller who asks often keeps.
        product : int
            The product.
        purchases : float, optional
            Number of purchases to come; by default as many as were hidden.

        Returns
        -------
        tuple of (ndarray of float, ndarray of bool)
            One of each per customer.
        """
        weights = self.weights[:, [product]]
        column = bought[:, : self.weights.shape[0]] @ weights
        dense = column.toarray() if sparse.issparse(column) else np.asarray(column)
        relative = dense.ravel() / self.mean_score
        period, everybody = self.period(purchases), np.arange(history.customers)
        wanted = np.full(history.customers, product)
        told = period.of_new(new_features(history, self.facts, relative, everybody, wanted) @ self.new)
        entries = np.flatnonzero(history.product == product)
        owner = history.customer()[entries]
        before = np.zeros(history.customers, dtype=bool)
        before[owner] = True
        told[before] = 0.0
        if self.has_repeats and len(entries):
            margins = repeat_features(history, self.facts, relative[owner], entries, owner) @ self.again
            told[owner] = period.of_again(margins)
        return told, before

    def best(
        self,
        history: History,
        attributes: sparse.csr_matrix,
        count: int,
        *,
        repeat: bool | None = None,
        purchases: float | None = None,
    ) -> Offers:
        """Return the most probable products of each customer.

        Parameters
        ----------
        history : History
            Past purchases of the customers.
        attributes : csr_matrix
            Indicator of their attributes.
        count : int
            Largest number of products per customer.
        repeat : bool, optional
            False leaves out products that were bought before, True leaves out all others; both by default.
        purchases : float, optional
            Number of purchases to come; by default as many as were hidden.

        Returns
        -------
        Offers
            At most `count` pairs per customer, in the order of the customers.
        """
        period, parts = self.period(purchases), []
        for start, stop in self._blocks(history.customers):
            part = history.rows(start, stop)
            scores = self.scores(part, attributes[start:stop])
            found = self._best_of_block(part, scores, count, repeat, period)
            parts.append(Offers(found.customer + start, found.product, found.probability, found.before))
        names = [field.name for field in fields(Offers)]
        return Offers(*[np.concatenate([getattr(part, name) for part in parts]) for name in names])

    def _best_of_block(
        self, history: History, scores: Floats, count: int, repeat: bool | None, period: Period
    ) -> Offers:
        owner = history.customer()
        pairs: list[tuple[Integers, Integers, Floats, NDArray[np.bool_]]] = []
        if repeat is not True:
            customer, product = self._candidates(history, scores, max(2 * count, 100))
            margins = self.new_margins(history, scores, customer, product)
            pairs.append((customer, product, period.of_new(margins), np.zeros(len(customer), dtype=bool)))
        if self.has_repeats and repeat is not False:
            margins = self.repeat_margins(history, scores)
            pairs.append((owner, history.product, period.of_again(margins), np.ones(len(owner), dtype=bool)))
        if not pairs:
            none = np.zeros(0, dtype=np.int64)
            return Offers(none, none, np.zeros(0), np.zeros(0, dtype=bool))
        customer, product, told, before = (np.concatenate(values) for values in zip(*pairs, strict=True))
        order = np.lexsort((product, -told, customer))
        ordered = customer[order]
        turn = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left")
        kept = order[turn < count]
        return Offers(customer[kept], product[kept], told[kept], before[kept])

    def _candidates(self, history: History, scores: Floats, count: int) -> tuple[Integers, Integers]:
        """Return pairs that have not been bought: the best scores of each customer, and the popular products."""
        free = scores.copy()
        free[history.customer(), history.product] = -np.inf
        products = self.products
        count, popular = min(count, products), np.argsort(-self.facts.popularity[:products], kind="stable")[:_POPULAR]
        chosen = np.zeros(free.shape, dtype=bool)
        best = np.argpartition(-free, count - 1, axis=1)[:, :count]
        np.put_along_axis(chosen, best, values=True, axis=1)
        chosen[:, popular] = True
        chosen &= np.isfinite(free)
        customer, product = np.nonzero(chosen)
        return customer, product

    def _blocks(self, customers: int) -> list[tuple[int, int]]:
        size = max(_BLOCK_VALUES // max(self.products, 1), 1)
        return [(start, min(start + size, customers)) for start in range(0, customers, size)]

    def to_bytes(self) -> bytes:
        """Return the model as an uncompressed NumPy archive, without pickle."""
        arrays: dict[str, Any] = {}
        if sparse.issparse(self.weights):
            parts = ("data", "indices", "indptr")
            arrays |= {f"weights_{name}": getattr(self.weights, name) for name in parts}
            arrays["weights_shape"] = np.array(self.weights.shape)
        else:
            arrays["weights"] = self.weights.astype(np.float16)  # half the bytes; scores change by a thousandth
        arrays |= {f"facts_{field.name}": getattr(self.facts, field.name) for field in fields(ProductFacts)}
        arrays |= {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NESTED}
        sink = io.BytesIO()
        np.savez(sink, **arrays)
        return sink.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> PurchaseModel:
        """Return the model that `to_bytes` was called on."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if "weights" in arrays:
            weights = arrays["weights"].astype(np.float32)
        else:
            parts = tuple(arrays[f"weights_{name}"] for name in ("data", "indices", "indptr"))
            weights = sparse.csr_matrix(parts, shape=tuple(arrays["weights_shape"]))
        numbers: dict[str, Any] = {name: float(value) if value.ndim == 0 else value for name, value in arrays.items()}
        facts = ProductFacts(**{field.name: numbers[f"facts_{field.name}"] for field in fields(ProductFacts)})
        rest = {field.name: numbers[field.name] for field in fields(cls) if field.name not in _NESTED}
        return cls(weights=weights, facts=facts, **rest)


_NESTED = {"weights", "facts"}


def _shift(told: Callable[[float], float], wanted: float) -> float:
    """Return the shift of margins by which probabilities sum to a number."""
    low, high = -_MAX_SHIFT, _MAX_SHIFT
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if told(middle) < wanted else (low, middle)
    return (low + high) / 2
