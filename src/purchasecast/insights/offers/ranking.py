"""Rank scored candidates where the rows of a customer are, and keep the lines that a list may need.

Spark sends this module to its executors by value, with the functions that use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_buckets import codes_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

__all__ = ["LINE_COLUMNS", "PERSONAL", "Lists", "best_lines", "best_lines_of", "codes_in_order", "places_within"]

PERSONAL = "customer"
LINE_COLUMNS = ("customer", "product", "category", "predicted", "uptake", "expected")


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists to make."""

    offers: int  # lines per customer, of the customer's own offers and of categories new to the customer
    cap: int  # largest number of lines of a campaign
    categories: tuple[str, ...] | None  # categories that have a campaign; None for a shop without categories


def best_lines(scored: pa.Table, lists: Lists) -> pa.Table:
    """Return the lines that a list may need, of all candidates of some customers.

    A candidate has ``customer``, ``product``, ``category``, ``uptake``, ``little_known``, ``new_category`` (whether the
    customer has bought nothing from the category) and ``predicted``; a line has ``campaign``, ``place`` and
    `LINE_COLUMNS`. The campaign `PERSONAL` has the best offers of each customer, 1 is best; ``category:LEVEL``,
    ``new-category`` and ``little-known`` have the lines with the highest expected revenue among these customers, as
    many as a list may have.
    """
    columns = {name: scored[name].combine_chunks() for name in scored.column_names}
    predicted, uptake = columns["predicted"].to_numpy(), columns["uptake"].to_numpy()
    expected = predicted * uptake
    columns["expected"] = pa.array(expected)
    who, what, category = (codes_in_order(scored[name]) for name in ("customer", "product", "category"))
    place = places_within(who, np.lexsort((what, -predicted, who)))
    chosen = [(PERSONAL, np.flatnonzero(place <= lists.offers))]
    campaigns = [("little-known", np.flatnonzero(_flags(scored, "little_known")))]
    if lists.categories is not None:
        # One line per customer and category: the product with the highest predicted spend.
        groups = who * (category.max(initial=0) + 1) + category
        best = np.flatnonzero(places_within(groups, np.lexsort((what, -predicted, groups))) == 1)
        new = best[_flags(scored, "new_category")[best]]
        turn = places_within(who[new], np.lexsort((category[new], -predicted[new], who[new])))
        campaigns.append(("new-category", new[turn <= lists.offers]))
        names = columns["category"].take(pa.array(best)).to_numpy(zero_copy_only=False)
        campaigns += [(f"category:{level}", best[names == level]) for level in lists.categories]
    for name, rows in campaigns:
        most_first = np.lexsort((what[rows], who[rows], -expected[rows]))
        chosen.append((name, rows[most_first[: lists.cap]]))
    rows = np.concatenate([kept for _, kept in chosen])
    lines = {name: columns[name].take(pa.array(rows)) for name in LINE_COLUMNS}
    campaign = np.repeat([name for name, _ in chosen], [len(kept) for _, kept in chosen])
    return pa.table({"campaign": pa.array(campaign, pa.string()), "place": pa.array(place[rows], pa.int32()), **lines})


def best_lines_of(batches: Iterator[pa.RecordBatch], *, lists: Lists) -> Iterator[pa.RecordBatch]:
    """Yield `best_lines` of all rows of a task that has all rows of its customers."""
    held = [batch for batch in batches if batch.num_rows]
    if held:
        yield from best_lines(pa.Table.from_batches(held), lists).combine_chunks().to_batches()


def codes_in_order(column: pa.ChunkedArray) -> Integers:
    """Return a number for each text; the numbers sort as the texts do."""
    codes, levels = codes_of(column)
    numbers = np.empty(len(levels), dtype=np.int64)
    numbers[np.argsort(levels.to_numpy(zero_copy_only=False), kind="stable")] = np.arange(len(levels))
    return numbers[codes]


def places_within(groups: Integers, order: Integers) -> Integers:
    """Return the place of each row in its group (1 is first), by an order that has groups together, ascending."""
    ordered = groups[order]
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered, side="left") + 1
    return places


def _flags(table: pa.Table, name: str) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = table[name].to_numpy().astype(bool)
    return flags
