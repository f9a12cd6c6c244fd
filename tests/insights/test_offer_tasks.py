"""What the tasks find to offer, against plain loops over every customer and product."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.insights.offers import tasks
from purchasecast.insights.offers.tasks import OWN, make_listing, offer_rows, second_moments, shortlist

LITTLE = frozenset({"p007", "p031"})
CENTRES = np.array([[1.0, 0.0], [-1.0, 0.5], [0.0, -2.0]])


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def products(random: np.random.Generator) -> pa.Table:
    count = 60
    return pa.table(
        {
            "product": [f"p{k:03d}" for k in range(count)],
            "category": [f"c{k % 7}" for k in range(count)],
            "rows": random.integers(5, 400, count),
            "uptake": random.random(count),
            "price": random.uniform(10, 500, count).round(),
            "scale": random.uniform(1, 40, count),
            "0": random.normal(size=count),
            "1": [None if k % 9 == 0 else float(k % 5) for k in range(count)],
            "p": random.permutation(count) * 1_000,
            "g": [(k % 7) * 77 for k in range(count)],
        }
    )


def spends(products: pa.Table) -> np.ndarray:
    factors = np.array([[row["0"] or 0.0, row["1"] or 0.0] for row in products.to_pylist()])
    return products["price"].to_numpy()[:, None] + products["scale"].to_numpy()[:, None] * (factors @ CENTRES.T)


def listed(products: pa.Table, parts: int) -> tasks.Listing:
    kept = ("product", "category", "rows", "uptake", "p", "g")
    step = -(-products.num_rows // parts)
    found = [
        batch
        for at in range(0, products.num_rows, step)
        for batch in shortlist(iter(products.slice(at, step).to_batches()), centres=CENTRES, kept=kept, always=LITTLE)
    ]
    return make_listing(pa.Table.from_batches(found), (0, 1, 2), LITTLE)


def ranked(values: dict[str, float]) -> dict[str, int]:
    order = sorted(values, key=lambda name: (-values[name], name))
    return {name: place + 1 for place, name in enumerate(order)}


@pytest.mark.parametrize("parts", [1, 4])
def test_every_cell_looks_at_its_best_products(products: pa.Table, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_LISTED", 8)
    monkeypatch.setattr(tasks, "_BEST_OF_CATEGORY", 2)
    listing = listed(products, parts)
    names, rows = products["product"].to_pylist(), products["rows"].to_pylist()
    category = dict(zip(names, products["category"].to_pylist(), strict=True))
    for cell in range(3):
        spend = dict(zip(names, spends(products)[:, cell], strict=True))
        by_spend = ranked(spend)
        by_revenue = ranked({name: spend[name] * n for name, n in zip(names, rows, strict=True)})
        of_category = {}
        for level in set(category.values()):
            of_category |= ranked({name: spend[name] for name in names if category[name] == level})
        expected = {
            name for name in set(names) - LITTLE if min(by_spend[name], by_revenue[name]) <= 8 or of_category[name] <= 2
        }
        shown = listing.cells[cell]
        assert {listing.products["product"][int(at)].as_py() for at in shown.product} == expected
        for at, place in zip(shown.product, shown.place, strict=True):
            name = listing.products["product"][int(at)].as_py()
            if place <= 8:
                assert place == min(by_spend[name], by_revenue[name])
    assert {listing.products["product"][int(at)].as_py() for at in listing.little_known} == LITTLE


def test_offers_are_the_first_that_were_not_bought(
    products: pa.Table, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_FIRST", 5)
    monkeypatch.setattr(tasks, "_CANDIDATES", 4)
    monkeypatch.setattr(tasks, "_BEST_OF_CATEGORY", 1)
    listing = listed(products, 2)
    customers = pa.table(
        {
            "customer": [f"u{k}" for k in range(12)],
            "c": random.permutation(12) * 31,
            "purchases": random.integers(1, 30, 12),
            "cell": [k % 4 for k in range(12)],  # no list for the last
            f"{OWN}age": [f"a{k % 3}" for k in range(12)],
        }
    )
    pairs = [(int(c), int(p)) for c in customers["c"].to_pylist() for p in random.choice(60, 9, replace=False) * 1_000]
    past = [k % 3 > 0 for k in range(len(pairs))]
    group = dict(zip(products["p"].to_pylist(), products["g"].to_pylist(), strict=True))
    bought = pa.table(
        {
            "c": [*(c for c, _ in pairs), 999_999],
            "p": [*(p for _, p in pairs), 0],
            "g": pa.array([*(group[p] if is_past else None for (_, p), is_past in zip(pairs, past, strict=True)), 0]),
        }
    )
    names = tuple(f"{OWN}{name}" for name in ("customer", "product", "category", "little_known", "new_category"))
    found = offer_rows(
        customers,
        bought,
        listing=listing,
        columns={"Age": f"{OWN}age", "Product": "product"},
        fixed={"Units": 2.0},
        folder=None,
        names=(*names, "Age", "Product", "Units"),
    ).to_pylist()
    expected = set()
    taken = set(pairs)
    for person in customers.to_pylist():
        reach = 5 + person["purchases"] / 2
        looked: list[tuple[int, str, int, int]] = []
        shown = listing.cells.get(person["cell"])
        for at, place, rank in zip(shown.product, shown.place, shown.of_category, strict=True) if shown else ():
            item = listing.products.slice(int(at), 1).to_pylist()[0]
            if (place <= reach or rank <= 1) and (person["c"], item["p"]) not in taken:
                looked.append((int(place), item["product"], int(rank), item["p"]))
        looked += [
            (0, item["product"], 0, item["p"])
            for item in listing.products.to_pylist()
            if item["product"] in LITTLE and (person["c"], item["p"]) not in taken
        ]
        for turn, (place, name, rank, _) in enumerate(sorted(looked), start=1):
            if place == 0 or turn <= 4 or rank <= 1:
                expected.add((person["customer"], name, place == 0))
    assert {(r[names[0]], r[names[1]], r[names[3]]) for r in found} == expected
    assert len(found) == len(expected)
    known = {(c, group[p]) for (c, p), is_past in zip(pairs, past, strict=True) if is_past}
    hash_of = dict(zip(customers["customer"].to_pylist(), customers["c"].to_pylist(), strict=True))
    age_of = dict(zip(customers["customer"].to_pylist(), customers[f"{OWN}age"].to_pylist(), strict=True))
    level_of = dict(zip(products["category"].to_pylist(), products["g"].to_pylist(), strict=True))
    for row in found:
        assert row[names[4]] == ((hash_of[row[names[0]]], level_of[row[names[2]]]) not in known)
        assert row["Age"] == age_of[row[names[0]]]
        assert row["Product"] == row[names[1]]
        assert row["Units"] == 2.0


def test_nobody_and_nothing_bought_give_nothing(products: pa.Table) -> None:
    listing = listed(products, 1)
    nobody = pa.table({"customer": pa.array([], "string"), "c": pa.array([], "int64"), "cell": pa.array([], "int32")})
    nobody = nobody.append_column("purchases", pa.array([], pa.int64()))
    bought = pa.table({"c": [1], "p": [0], "g": pa.array([None], "int64")})
    names = (f"{OWN}customer", f"{OWN}product")
    for customers in (nobody, nobody.slice(0, 0)):
        found = offer_rows(customers, bought, listing=listing, columns={}, fixed={}, folder=None, names=names)
        assert found.num_rows == 0


def test_a_shop_where_nothing_is_bought_often_has_no_offers(products: pa.Table) -> None:
    listing = make_listing(
        products.slice(0, 0).append_column("spends", pa.array([], pa.list_(pa.float64()))), (0,), LITTLE
    )
    customers = pa.table({"customer": ["u"], "c": [7], "purchases": [3], "cell": [0]})
    bought = pa.table({"c": [7], "p": [0], "g": [77]})
    names = (f"{OWN}customer", f"{OWN}product", f"{OWN}new_category")
    found = offer_rows(customers, bought, listing=listing, columns={}, fixed={}, folder=None, names=names)
    assert found.num_rows == 0


def test_a_task_without_products_yields_nothing(products: pa.Table) -> None:
    for batches in ([], products.slice(0, 0).to_batches(), [products.slice(0, 1).to_batches()[0].slice(0, 0)]):
        assert list(shortlist(iter(batches), centres=CENTRES, kept=("product",), always=LITTLE)) == []


def test_moments_add_up_over_batches(random: np.random.Generator) -> None:
    factors = random.normal(size=(50, 3))
    weight = random.random(50)
    columns = {"weight": weight, **{str(i): factors[:, i] for i in range(3)}}
    batches = pa.table(columns).to_batches(max_chunksize=7)
    (found,) = [batch.to_pylist()[0]["moments"] for batch in second_moments(iter(batches))]
    assert np.allclose(np.reshape(found, (3, 3)), (factors * weight[:, None]).T @ factors)
