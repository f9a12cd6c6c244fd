"""Executor side of `PurchasePropensity`: fit the model in one task, and give probabilities to buckets of customers.

Spark sends this module to its executors by value, with the functions that it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from purchasecast.numerics.arrow_buckets import codes_of, to_batch
from purchasecast.numerics.purchases.arrow_history import histories, indicators
from purchasecast.numerics.purchases.fit import fit_purchase_model
from purchasecast.numerics.purchases.history import Purchases
from purchasecast.numerics.purchases.model import PurchaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from purchasecast.numerics.purchases.fit import FitSettings

    Integers = NDArray[np.int64]

__all__ = ["FIT_SCHEMA", "best_products", "fit_rows", "pair_probabilities"]

FIT_SCHEMA = "kind string, number int, level string, buyers bigint, content binary"
_PART_BYTES = 32_000_000  # of the model in one row: Arrow and Connect limit the size of a value


def fit_rows(
    batches: Iterator[pa.RecordBatch], *, attributes: tuple[str, ...], has_time: bool, settings: FitSettings
) -> Iterator[pa.RecordBatch]:
    """Fit the model on all rows of the only task; yield its bytes, the products and the levels of attributes.

    A row has ``customer``, ``product``, ``category``, ``time`` in days and ``attributes``, one text each.
    """
    held = [batch for batch in batches if batch.num_rows]
    if not held:
        return
    rows = pa.Table.from_batches(held)
    who, customers = codes_of(rows["customer"])
    what, products = codes_of(rows["product"])
    names = products.to_numpy(zero_copy_only=False)
    pairs = np.unique(who.astype(np.int64) * len(names) + what)
    buyers = np.bincount(pairs % len(names), minlength=len(names))
    # The most popular first, equal ones by name, so that the order of the rows does not matter.
    order = np.lexsort((names, -buyers))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    by_name = np.argsort(customers.to_numpy(zero_copy_only=False), kind="stable")
    place = np.empty(len(by_name), dtype=np.int64)
    place[by_name] = np.arange(len(by_name))
    customer, product = place[who], rank[what]
    time = rows["time"].to_numpy().astype(np.float64) if has_time else None
    purchases = Purchases(customer, product, time, len(customers), len(products))
    vocabulary, matrix = _attributes_of(rows, customer, len(customers), attributes)
    category, categories = _categories(rows, product, len(products))
    model, _ = fit_purchase_model(purchases, matrix, category, settings)
    yield from _fitted(model, names[order], buyers[order], {"attribute": vocabulary, "category": categories})


def _categories(rows: pa.Table, product: Integers, products: int) -> tuple[Integers, list[str]]:
    """Return the category of each product, the first by name should its rows differ, and the names."""
    codes, levels = codes_of(rows["category"])
    names = levels.to_numpy(zero_copy_only=False)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    category = np.full(products, len(order), dtype=np.int64)
    np.minimum.at(category, product, rank[codes])
    return category, names[order].tolist()


def _attributes_of(
    rows: pa.Table, customer: Integers, customers: int, names: tuple[str, ...]
) -> tuple[list[str], sparse.csr_matrix]:
    """Return the levels of the attributes, and the indicator of those of each customer."""
    first = np.full(customers, len(customer), dtype=np.int64)
    np.minimum.at(first, customer, np.arange(len(customer)))
    if not names:
        return [], sparse.csr_matrix((customers, 0), dtype=np.float32)
    lists = rows["attributes"].take(pa.array(first))
    vocabulary = sorted(set(pc.list_flatten(lists).drop_null().to_pylist()))
    return vocabulary, indicators(lists, vocabulary)


def _fitted(
    model: PurchaseModel, products: NDArray[Any], buyers: Integers, levels_of: Mapping[str, list[str]]
) -> Iterator[pa.RecordBatch]:
    def batch(kind: str, levels: list[str], counts: list[int] | None = None) -> pa.RecordBatch:
        rows = len(levels)
        return to_batch(
            FIT_SCHEMA,
            pa.repeat(kind, rows),
            pa.array(np.arange(rows), pa.int32()),
            pa.array(levels, pa.string()),
            pa.array(counts, pa.int64()) if counts is not None else pa.nulls(rows, pa.int64()),
            pa.nulls(rows, pa.binary()),
        )

    yield batch("product", products.tolist(), buyers.tolist())
    for kind, levels in levels_of.items():
        yield batch(kind, levels)
    content = model.to_bytes()
    for number, start in enumerate(range(0, len(content), _PART_BYTES)):
        part = pa.array([content[start : start + _PART_BYTES]], pa.binary())
        none = pa.nulls(1, pa.string()), pa.nulls(1, pa.int64())
        yield to_batch(FIT_SCHEMA, pa.array(["model"]), pa.array([number], pa.int32()), *none, part)


def best_products(
    batches: Iterator[pa.RecordBatch],
    *,
    content: bytes,
    vocabulary: list[str],
    count: int,
    repeat: bool | None,
    purchases: float | None,
) -> Iterator[pa.RecordBatch]:
    """Yield the best products of the customers of a task: ``customer``, ``item``, ``probability``, ``before``."""
    model = None
    for batch in batches:
        if not batch.num_rows:
            continue
        model = model or PurchaseModel.from_bytes(content)
        table = pa.Table.from_batches([batch])
        attributes = indicators(table["attributes"], vocabulary)
        found = model.best(histories(table), attributes, count, repeat=repeat, purchases=purchases)
        columns = {
            "customer": table["customer"].take(pa.array(found.customer)).combine_chunks(),
            "item": pa.array(found.product, pa.int32()),
            "probability": pa.array(found.probability),
            "before": pa.array(found.before),
        }
        yield from pa.table(columns).to_batches()


def pair_probabilities(
    customers: pa.Table,
    pairs: pa.Table,
    *,
    content: bytes,
    vocabulary: list[str],
    categories: list[str],
    purchases: float | None,
) -> pa.Table:
    """Return ``customer``, ``product`` and ``probability`` of the pairs of a bucket.

    A customer who is not in the table has no history, and the attributes of the pair; a product without ``item`` is a
    new one of its category.
    """
    model = PurchaseModel.from_bytes(content)
    names, owner = np.unique(pairs["customer"].to_numpy(zero_copy_only=False), return_inverse=True)
    place = pc.index_in(pa.array(names, pa.string()), value_set=customers["customer"].combine_chunks())
    known = customers.take(place)
    first = np.full(len(names), len(owner), dtype=np.int64)
    np.minimum.at(first, owner, np.arange(len(owner)))
    attributes = indicators(pairs["attributes"].take(pa.array(first)), vocabulary)
    category = pc.fill_null(pc.index_in(pairs["category"], value_set=pa.array(categories, pa.string())), 0)
    cold = pc.add(category.cast(pa.int64()), model.products)
    item = pc.coalesce(pairs["item"].cast(pa.int64()), cold).to_numpy()
    probability = model.probability_of(histories(known), attributes, owner, item, purchases=purchases)
    return pa.table({"customer": pairs["customer"], "product": pairs["product"], "probability": pa.array(probability)})
