"""Offers without Spark: the products that a customer is most likely to buy, and the customers of a product.

The folder ``offers`` beside ``scorer.json`` holds a NumPy archive with the model, and Arrow files of the products and
of the customers with what they have bought.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import sparse

from purchasecast.files import SealedFiles
from purchasecast.numerics.purchases.arrow_history import histories, indicators
from purchasecast.numerics.purchases.model import PurchaseModel
from purchasecast.scorer.format import OFFERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from purchasecast.numerics.purchases.model import Offers

    Floats = NDArray[np.float64]

__all__ = ["OFFERS", "Offer", "OfferScorer", "read_offers", "write_offers"]

_REASONS = 2  # purchases that an offer names as its reason


@dataclass(frozen=True, slots=True)
class Offer:
    """A pair of customer and product.

    Attributes
    ----------
    customer, product : str
        Who may buy what.
    probability : float
        That the customer buys the product at least once in the period to come.
    bought_before : bool
        Whether the customer has bought it before.
    because : tuple of str
        Purchases of the customer that speak for the product most.
    """

    customer: str
    product: str
    probability: float
    bought_before: bool
    because: tuple[str, ...]


class OfferScorer:
    """Who buys what, for single customers and products.

    Parameters
    ----------
    model : PurchaseModel
        The model.
    products : sequence of str
        Products by number.
    customers : pyarrow.Table
        One row per customer: ``customer``, the lists ``items``, ``counts``, ``recents`` and ``ages``, ``attributes``.
    vocabulary : sequence of str
        Levels of the attributes by number.
    """

    def __init__(
        self, model: PurchaseModel, products: Sequence[str], customers: pa.Table, vocabulary: Sequence[str]
    ) -> None:
        self.model, self._products = model, list(products)
        names = customers["customer"].to_pylist()
        self._customers = names
        self._places = {name: place for place, name in enumerate(names)}
        self._numbers = {name: number for number, name in enumerate(self._products)}
        self._history = histories(customers)
        self._attributes = indicators(customers["attributes"], vocabulary)

    def best_products(
        self, customer: str, count: int = 50, *, repeat: bool | None = None, purchases: float | None = None
    ) -> list[Offer]:
        """Return the products that a customer is most likely to buy, most probable first.

        Parameters
        ----------
        customer : str
            The customer; one that the model does not know has no offers.
        count : int, default 50
            Largest number of products.
        repeat : bool, optional
            False leaves out what the customer has bought before, True all else; both are offered by default.
        purchases : float, optional
            Number of purchases in the period to come; by default as many as were hidden in training.

        Returns
        -------
        list of Offer
            The offers.
        """
        place = self._places.get(customer)
        if place is None:
            return []
        history, attributes = self._history.rows(place, place + 1), self._attributes[place : place + 1]
        best = self.model.best(history, attributes, count, repeat=repeat, purchases=purchases)
        lines = zip(best.product.tolist(), best.probability.tolist(), best.before.tolist(), strict=True)
        return [self._offer(customer, history.product, *line) for line in lines]

    def best_customers(self, product: str, count: int = 50, *, purchases: float | None = None) -> list[Offer]:
        """Return the customers who are most likely to buy a product, most probable first.

        Parameters
        ----------
        product : str
            The product; one that the model does not know has no customers.
        count : int, default 50
            Largest number of customers.
        purchases : float, optional
            Number of purchases in the period to come; by default as many as were hidden in training.

        Returns
        -------
        list of Offer
            The offers.
        """
        number = self._numbers.get(product)
        if number is None:
            return []
        told, before = self.model.probabilities_of_product(self._history, self._bought, number, purchases=purchases)
        order = np.argsort(-told, kind="stable")[:count]
        rows = self._history
        return [
            self._offer(
                self._customers[k], rows.product[rows.indptr[k] : rows.indptr[k + 1]], number, told[k], before[k]
            )
            for k in order.tolist()
            if told[k] > 0
        ]

    def best_of_all(self, count: int, customers: int) -> tuple[list[str], list[str], Offers]:
        """Return the most probable products of many customers.

        Parameters
        ----------
        count : int
            Largest number of products per customer.
        customers : int
            Largest number of customers; of more, those who have bought the most products.

        Returns
        -------
        tuple of (list of str, list of str, Offers)
            All customers and products, and the pairs as positions in them.
        """
        bought = np.diff(self._history.indptr)
        chosen = np.sort(np.argsort(-bought, kind="stable")[:customers])
        best = self.model.best(self._history.take(chosen), self._attributes[chosen], count)
        return self._customers, self._products, replace(best, customer=chosen[best.customer])

    @cached_property
    def _bought(self) -> sparse.csr_matrix:
        return self._history.matrix(self.model.products)

    def _offer(
        self, customer: str, bought: NDArray[np.int64], number: int, probability: float, before: object
    ) -> Offer:
        reasons = () if before else self._reasons(bought, number)
        return Offer(customer, self._products[number], float(probability), bool(before), reasons)

    def _reasons(self, bought: NDArray[np.int64], number: int) -> tuple[str, ...]:
        """Return the purchases with the largest positive weights for a product."""
        weights = self.model.weights
        predicting = bought[bought < weights.shape[0]]
        of_product = weights[predicting, number]
        values = of_product.toarray().ravel() if sparse.issparse(of_product) else np.asarray(of_product).ravel()
        order = np.argsort(-values, kind="stable")[:_REASONS]
        return tuple(self._products[predicting[k]] for k in order.tolist() if values[k] > 0)


def write_offers(
    folder: Path, content: bytes, products: pa.Table, customers: pa.Table, vocabulary: Sequence[str]
) -> None:
    """Write the folder that `read_offers` reads.

    Parameters
    ----------
    folder : Path
        Folder of the scorer.
    content : bytes
        The model, as `PurchaseModel.to_bytes` returns it.
    products : pyarrow.Table
        ``number`` and ``level`` of each product.
    customers : pyarrow.Table
        As `OfferScorer` takes it.
    vocabulary : sequence of str
        Levels of the attributes by number.
    """
    place = folder / OFFERS
    place.mkdir(parents=True)
    (place / "model.npz").write_bytes(content)
    (place / "attributes.json").write_text(json.dumps(list(vocabulary)), encoding="utf-8")
    for name, table in (("products", products.sort_by("number")), ("customers", customers.sort_by("customer"))):
        with pa.OSFile(str(place / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)


def read_offers(source: Path | SealedFiles) -> OfferScorer | None:
    """Read the offers of a scorer.

    Parameters
    ----------
    source : Path or SealedFiles
        Folder of the scorer, or its files with their checksums.

    Returns
    -------
    OfferScorer or None
        None if the model was trained without offers.
    """
    files = source if isinstance(source, SealedFiles) else SealedFiles(str(source))
    try:
        model = PurchaseModel.from_bytes(files.read(f"{OFFERS}/model.npz"))
    except FileNotFoundError:
        return None
    tables = {
        name: pa.ipc.open_file(pa.BufferReader(files.read(f"{OFFERS}/{name}.arrow"))).read_all()
        for name in ("products", "customers")
    }
    vocabulary = json.loads(files.read(f"{OFFERS}/attributes.json"))
    return OfferScorer(model, tables["products"]["level"].to_pylist(), tables["customers"], vocabulary)
