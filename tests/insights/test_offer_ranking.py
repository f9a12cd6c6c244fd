"""What the tasks keep of scored candidates, against plain loops over every row."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.insights.offers.ranking import PERSONAL, Lists, best_lines, best_lines_of, codes_in_order

LISTS = Lists(offers=3, cap=12, categories=("b", "d"))


@pytest.fixture
def scored() -> pa.Table:
    random = np.random.default_rng(5)
    pairs = [(f"u{k}", f"p{j:02d}") for k in range(9) for j in range(20) if random.random() < 0.7]
    order = random.permutation(len(pairs))
    pairs = [pairs[k] for k in order]
    return pa.table(
        {
            "customer": [customer for customer, _ in pairs],
            "product": [product for _, product in pairs],
            "category": ["abcde"[int(product[1:]) % 5] for _, product in pairs],
            "uptake": random.choice([0.1, 0.2], len(pairs)),
            "little_known": [product in {"p03", "p17"} for _, product in pairs],
            "new_category": [(int(c[1:]) + int(p[1:]) % 5) % 2 == 0 for c, p in pairs],
            "predicted": random.choice([10.0, 20.0, 30.0, 40.0], len(pairs)),  # many are equal
        }
    )


def by_hand(scored: pa.Table, lists: Lists) -> dict[str, list[tuple[str, str]]]:
    """Sort, and take the first: the lists as the documentation says them."""
    rows = [row | {"expected": row["predicted"] * row["uptake"]} for row in scored.to_pylist()]
    of_customer: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: (-r["predicted"], r["product"])):
        of_customer[row["customer"]].append(row)
    found: dict[str, list[dict[str, Any]]] = {PERSONAL: []}
    best, new = [], []
    for own in of_customer.values():
        found[PERSONAL] += own[: lists.offers]
        seen: dict[str, dict[str, Any]] = {}
        for row in own:
            seen.setdefault(row["category"], row)
        best += [*seen.values()]
        fresh = [row for row in seen.values() if row["new_category"]]
        new += sorted(fresh, key=lambda r: (-r["predicted"], r["category"]))[: lists.offers]
    campaigns = {"little-known": [row for row in rows if row["little_known"]]}
    if lists.categories is not None:
        campaigns["new-category"] = new
        campaigns |= {f"category:{c}": [row for row in best if row["category"] == c] for c in lists.categories}
    for name, lines in campaigns.items():
        lines.sort(key=lambda r: (-r["expected"], r["customer"], r["product"]))
        found[name] = lines[: lists.cap]
    return {name: [(row["customer"], row["product"]) for row in lines] for name, lines in found.items()}


def of_campaigns(lines: pa.Table) -> dict[str, list[tuple[str, str]]]:
    found = defaultdict(list)
    for row in lines.to_pylist():
        found[row["campaign"]].append((row["customer"], row["product"]))
    return dict(found)


def test_lists_hold_the_best_lines(scored: pa.Table) -> None:
    lines = best_lines(scored, LISTS)
    found, expected = of_campaigns(lines), by_hand(scored, LISTS)
    assert set(found) == set(expected)
    for name, pairs in expected.items():
        if name == PERSONAL:
            assert sorted(found[name]) == sorted(pairs)
        else:
            assert found[name] == pairs
    assert len(found["little-known"]) == LISTS.cap  # there were more
    value = {(r["customer"], r["product"]): (r["predicted"], r["uptake"]) for r in scored.to_pylist()}
    for row in lines.to_pylist():
        predicted, uptake = value[row["customer"], row["product"]]
        assert (row["predicted"], row["uptake"], row["expected"]) == (predicted, uptake, predicted * uptake)


def test_places_count_a_customers_offers(scored: pa.Table) -> None:
    personal = [row for row in best_lines(scored, LISTS).to_pylist() if row["campaign"] == PERSONAL]
    places: dict[str, list[int]] = defaultdict(list)
    for row in personal:
        places[row["customer"]].append(row["place"])
    assert all(sorted(found) == [1, 2, 3] for found in places.values())
    own = {(row["customer"], row["place"]): row["predicted"] for row in personal}
    assert all(own[customer, 1] >= own[customer, 2] >= own[customer, 3] for customer in places)


def test_the_order_of_rows_changes_nothing(scored: pa.Table) -> None:
    sorted_rows = scored.sort_by([("product", "ascending"), ("customer", "descending")])
    found, again = (of_campaigns(best_lines(table, LISTS)) for table in (scored, sorted_rows))
    assert {name: sorted(pairs) for name, pairs in found.items()} == {n: sorted(p) for n, p in again.items()}


def test_a_shop_without_categories_has_no_lists_of_them(scored: pa.Table) -> None:
    found = best_lines(scored, Lists(offers=2, cap=5, categories=None))
    assert set(found["campaign"].to_pylist()) == {PERSONAL, "little-known"}


def test_tasks_with_whole_customers_and_tasks_with_nothing(scored: pa.Table) -> None:
    (found,) = [pa.table(batch) for batch in best_lines_of(iter(scored.to_batches(max_chunksize=7)), lists=LISTS)]
    assert found.equals(best_lines(scored, LISTS))
    assert list(best_lines_of(iter([]), lists=LISTS)) == []
    assert list(best_lines_of(iter(scored.slice(0, 0).to_batches()), lists=LISTS)) == []
    assert best_lines(scored.slice(0, 0), LISTS).num_rows == 0


def test_codes_sort_as_the_texts_do() -> None:
    texts = ["b", "a", "Z", "ä", "b", "10", "9"]
    codes = codes_in_order(pa.chunked_array([texts[:3], texts[3:]]))
    assert [texts[k] for k in np.argsort(codes, kind="stable")] == sorted(texts)
    assert codes[0] == codes[4]
