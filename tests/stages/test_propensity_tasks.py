"""What the tasks of `PurchasePropensity` do, on Arrow tables and without Spark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.numerics.purchases.fit import FitSettings
from purchasecast.numerics.purchases.model import PurchaseModel
from purchasecast.stages.purchase_propensity.evaluation import _bucket_sums
from purchasecast.stages.purchase_propensity.tasks import best_products, fit_rows, pair_probabilities

CUSTOMERS, PRODUCTS = 120, 30


def purchases() -> pa.Table:
    """Return rows of customers of two tastes; the group tells the taste, and kinds are those of one taste."""
    rng = np.random.default_rng(4)
    likes = (np.arange(CUSTOMERS) % 2)[:, None] == (np.arange(PRODUCTS) % 2)[None, :]
    who, what = np.nonzero(rng.random(likes.shape) < np.where(likes, 0.5, 0.05))
    return pa.table(
        {
            "customer": [f"c{k:03d}" for k in who],
            "product": [f"p{k:02d}" for k in what],
            "category": [f"k{k % 2}" for k in what],
            "time": np.zeros(len(who)),
            "attributes": pa.array([[f"group={k % 2}", None] for k in who], pa.list_(pa.string())),
        }
    )


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    rows = purchases().to_batches(max_chunksize=100)
    settings = FitSettings(penalty=10.0)
    parts = pa.Table.from_batches(list(fit_rows(iter(rows), attributes=("group",), has_time=False, settings=settings)))
    kinds = parts["kind"].to_pylist()
    levels = {
        kind: [level for level, k in zip(parts["level"].to_pylist(), kinds, strict=True) if k == kind]
        for kind in ("product", "attribute", "category")
    }
    content = b"".join(part for part in parts["content"].to_pylist() if part is not None)
    return {"content": content, "levels": levels, "parts": parts}


@pytest.fixture(scope="module")
def customers(fitted: dict[str, Any]) -> pa.Table:
    """Return the histories as Spark makes them: lists per customer."""
    number = {level: k for k, level in enumerate(fitted["levels"]["product"])}
    bought: dict[str, list[int]] = {}
    for row in purchases().to_pylist():
        bought.setdefault(row["customer"], []).append(number[row["product"]])
    lists = [sorted(items) for items in bought.values()]
    ones = pa.array([[1.0] * len(items) for items in lists], pa.list_(pa.float32()))
    return pa.table(
        {
            "customer": list(bought),
            "items": pa.array(lists, pa.list_(pa.int32())),
            "counts": ones,
            "recents": ones,
            "ages": pa.array([[0.0] * len(items) for items in lists], pa.list_(pa.float32())),
            "attributes": pa.array([[f"group={int(name[1:]) % 2}"] for name in bought], pa.list_(pa.string())),
        }
    )


def known(fitted: dict[str, Any]) -> dict[str, Any]:
    return {"content": fitted["content"], "vocabulary": fitted["levels"]["attribute"]}


def test_the_fit_yields_products_by_their_buyers_levels_and_a_model(fitted: dict[str, Any]) -> None:
    products = fitted["parts"].filter(pa.compute.equal(fitted["parts"]["kind"], "product"))
    assert sorted(fitted["levels"]["product"]) == [f"p{k:02d}" for k in range(PRODUCTS)]
    assert products["buyers"].to_pylist() == sorted(products["buyers"].to_pylist(), reverse=True)
    assert fitted["levels"]["attribute"] == ["group=0", "group=1"]
    assert fitted["levels"]["category"] == ["k0", "k1"]
    assert PurchaseModel.from_bytes(fitted["content"]).products == PRODUCTS


def test_the_order_of_the_rows_does_not_matter(fitted: dict[str, Any]) -> None:
    rows = purchases()
    mixed = rows.take(pa.array(np.random.default_rng(1).permutation(rows.num_rows)))
    settings = FitSettings(penalty=10.0)
    parts = list(fit_rows(iter(mixed.to_batches()), attributes=("group",), has_time=False, settings=settings))
    again = b"".join(part for part in pa.Table.from_batches(parts)["content"].to_pylist() if part is not None)
    first, second = (PurchaseModel.from_bytes(content) for content in (fitted["content"], again))
    assert second.new == pytest.approx(first.new, rel=1e-3, abs=1e-3)


def test_no_rows_make_no_model() -> None:
    assert list(fit_rows(iter([]), attributes=(), has_time=False, settings=FitSettings())) == []


def test_best_products_and_pairs_have_the_same_probability(fitted: dict[str, Any], customers: pa.Table) -> None:
    batches = iter(customers.to_batches(max_chunksize=50))
    work = {"count": 4, "repeat": None, "purchases": 300.0}
    best = pa.Table.from_batches(list(best_products(batches, **known(fitted), **work)))
    assert best.num_rows == 4 * CUSTOMERS
    names = [fitted["levels"]["product"][k] for k in best["item"].to_pylist()]
    own = [int(c[1:]) % 2 == int(p[1:]) % 2 for c, p in zip(best["customer"].to_pylist(), names, strict=True)]
    assert np.mean(own) > 0.9
    pairs = pa.table(
        {
            "customer": best["customer"],
            "product": names,
            "category": ["k0"] * len(names),
            "attributes": pa.array([["group=0"]] * len(names), pa.list_(pa.string())),
            "item": best["item"],
        }
    )
    categories = fitted["levels"]["category"]
    told = pair_probabilities(customers, pairs, **known(fitted), categories=categories, purchases=300.0)
    assert told["probability"].to_numpy() == pytest.approx(best["probability"].to_numpy(), rel=1e-6)


def test_new_customers_and_products_have_what_is_known_of_them(fitted: dict[str, Any], customers: pa.Table) -> None:
    number = {level: k for k, level in enumerate(fitted["levels"]["product"])}
    asked = [("new", "p00", "k0", "group=0"), ("new", "p01", "k1", "group=0"), ("c000", "?", "k0", "group=0")]
    asked += [("c001", "?", "k0", "group=1"), ("c001", "?", "unheard of", "group=1")]
    pairs = pa.table(
        {
            "customer": [one[0] for one in asked],
            "product": [one[1] for one in asked],
            "category": [one[2] for one in asked],
            "attributes": pa.array([[one[3]] for one in asked], pa.list_(pa.string())),
            "item": pa.array([number.get(one[1]) for one in asked], pa.int32()),
        }
    )
    categories = fitted["levels"]["category"]
    told = pair_probabilities(customers, pairs, **known(fitted), categories=categories, purchases=None)
    liked, other, same_taste, other_taste, unheard = told["probability"].to_pylist()
    assert liked > 1.5 * other
    assert same_taste > other_taste > 0
    assert 0 < unheard < 1
    none = pair_probabilities(customers, pairs.slice(0, 0), **known(fitted), categories=categories, purchases=None)
    assert none.num_rows == 0


def test_a_bucket_without_purchases_adds_expected_buyers_alone(fitted: dict[str, Any], customers: pa.Table) -> None:
    pairs = pa.table({"customer": ["c000", "c001"], "item": pa.array([3, 4], pa.int32()), "amount": [2.0, 5.0]})
    work = {**known(fitted), "price": np.ones(PRODUCTS), "purchases": 2.0}
    sums = {(row["ranking"], row["length"]): row["sums"] for row in _bucket_sums(customers, pairs, **work).to_pylist()}
    assert sums["probability", 5][0] == 2
    empty = {
        (row["ranking"], row["length"]): row for row in _bucket_sums(customers, pairs.slice(0, 0), **work).to_pylist()
    }
    *came, expected = empty["probability", 5]["sums"]
    assert came == [0.0] * 6
    assert expected == pytest.approx(sums["probability", 5][-1])  # who will buy is not known beforehand
    nobody = _bucket_sums(customers.slice(0, 0), pairs.slice(0, 0), **work)
    assert nobody.num_rows >= 1
