"""Executor side of the offers: select the candidates of each bucket of customers, and score them.

Spark sends this module to its executors by value, with the functions that it uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.insights.offers.ranking import best_lines, codes_in_order, places_within
from purchasecast.numerics.arrow_buckets import chunks, packed_batches, unpack
from purchasecast.scorer import Scorer, read_scorer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from purchasecast.insights.offers.ranking import Lists

    Booleans = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = [
    "OWN",
    "SPENDS",
    "CellList",
    "Listing",
    "make_listing",
    "offer_lines",
    "offer_rows",
    "pack_purchases",
    "second_moments",
    "shortlist",
]

#: Begins the names of our columns beside those of a shop, which may have a column ``category`` of its own.
OWN = "_pc_o_"
SPENDS = "spends"  # spend of the mean customer of each cell on a product
_FIRST = 30  # products of the list of a cell that every customer considers
_BEST_OF_CATEGORY = 3
_LISTED = 200  # products in the list of a cell, by spend and by revenue each
_MAX_LISTED = 5_000  # products in the list of a cell, for shops with very many categories
_CANDIDATES = 50  # per customer, besides the best of each category
_NO_PURCHASES = pa.table({name: pa.array([], pa.int64()) for name in "cpg"})
_scorers: dict[str, Scorer] = {}  # of this process, so that a model is read once


@dataclass(frozen=True, slots=True)
class CellList:
    """The products that customers of a cell consider."""

    product: Integers  # indices in `Listing.products`
    # Rank in the cell, and rank in the cell among the products of the category; 1 is best.
    place: Integers
    of_category: Integers


@dataclass(frozen=True, slots=True)
class Listing:
    """All products that may be offered."""

    # One row per product, sorted by product: ``product``, ``category``, ``uptake``, their hashes ``p`` and ``g``, and
    # the attributes that the model reads.
    products: pa.Table
    cells: Mapping[int, CellList]  # products that the customers of a cell consider
    little_known: Integers  # indices of the products that all customers consider


def shortlist(
    batches: Iterator[pa.RecordBatch], *, centres: Floats, kept: tuple[str, ...], always: frozenset[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the products of a task that any cell may list, with the spend of the mean customer of each cell on them.

    The rows have ``product``, ``category``, ``rows``, ``price``, ``scale``, and factors named by their number;
    `centres` has one row of mean factors per cell, and products in `always` are kept whatever their rank.
    """
    held = [batch for batch in batches if batch.num_rows]
    if not held:
        return
    table = pa.Table.from_batches(held).sort_by("product")
    factors = [_numbers(table, str(i)) for i in range(centres.shape[1])]
    taste = np.stack(factors, axis=1) @ centres.T if factors else np.zeros((table.num_rows, len(centres)))
    spends = _numbers(table, "price")[:, None] + _numbers(table, "scale")[:, None] * taste
    chosen = np.isin(table["product"].to_numpy(), [*always])
    category = codes_in_order(table["category"])
    for spend in spends.T:
        chosen |= _ranks(spend, table["rows"].to_numpy(), category)[0]
    made = table.select(list(kept)).append_column(SPENDS, pa.array([*spends], pa.list_(pa.float64())))
    yield from made.filter(pa.array(chosen)).combine_chunks().to_batches()


def make_listing(table: pa.Table, cells: tuple[int, ...], always: frozenset[str]) -> Listing:
    """Rank the products of the short lists of all tasks, with the cells in the order of `SPENDS`."""
    table = table.sort_by("product")
    is_little_known = np.isin(table["product"].to_numpy(), [*always])
    spends = np.array(table[SPENDS].to_pylist()).reshape(table.num_rows, len(cells))
    lists, category = {}, codes_in_order(table["category"])
    for cell, spend in zip(cells, spends.T, strict=True):
        listed, place, of_category = _ranks(spend, table["rows"].to_numpy(), category)
        shown = np.flatnonzero(listed & ~is_little_known)
        lists[cell] = CellList(shown, place[shown], of_category[shown])
    return Listing(table.drop_columns([SPENDS]), lists, np.flatnonzero(is_little_known))


def _ranks(spend: Floats, rows: Integers, category: Integers) -> tuple[Booleans, Integers, Integers]:
    """Return which products a cell lists, their rank by spend or revenue, and their rank by spend in the category."""
    by_spend, by_revenue = _rank(-spend), _rank(-spend * rows)
    of_category = places_within(category, np.lexsort((by_spend, category)))
    place = np.minimum(by_spend, by_revenue)
    listed = (place <= _LISTED) | ((of_category <= _BEST_OF_CATEGORY) & (by_spend <= _MAX_LISTED))
    return listed, place, of_category


def _rank(values: Floats) -> Integers:
    """Return the rank of each value, smallest first; equal values in their order."""
    places = np.empty(len(values), dtype=np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return places


def _numbers(table: pa.Table, name: str) -> Floats:
    numbers: Floats = np.nan_to_num(table[name].cast(pa.float64()).to_numpy())
    return numbers


def pack_purchases(batches: Iterator[pa.RecordBatch], *, buckets: int) -> Iterator[pa.RecordBatch]:
    """Yield purchases packed by the bucket of their customer, in `PACKED_SCHEMA`."""
    for table in chunks(batches):
        yield from packed_batches(table.drop_columns(["bucket"]), table["bucket"].to_numpy(), buckets)


def offer_lines(customers: pa.Table, purchases: pa.Table, *, lists: Lists | None, **known: Any) -> pa.Table:
    """Return the candidates of a bucket that the lists may need; without lists, all candidates."""
    (bought,) = [*unpack(purchases.to_batches())] or [_NO_PURCHASES]
    rows = offer_rows(customers, bought, **known)
    if lists is None:
        return rows
    return best_lines(rows.rename_columns([name.removeprefix(OWN) for name in rows.column_names]), lists)


def offer_rows(
    customers: pa.Table,
    bought: pa.Table,
    *,
    listing: Listing,
    columns: Mapping[str, str],
    fixed: Mapping[str, Any],
    folder: str | None,
    names: tuple[str, ...],
) -> pa.Table:
    """Return the candidates of the customers of a bucket, one row per pair of customer and product.

    Parameters
    ----------
    customers, bought : Table
        One row per customer: ``customer``, its hash ``c``, ``purchases``, ``cell``, and attributes. One row per
        purchase, past or to come: hashes ``c``, ``p`` and, of past ones, ``g`` of the category.
    listing : Listing
        Products that may be offered.
    columns, fixed : mapping
        For each column that the model reads, its name among the columns of customers and products, or the value of all
        pairs.
    folder : str or None
        The portable model; None leaves the scoring to the caller.
    names : tuple of str
        Columns to return; our own have names that begin with `OWN`.
    """
    who, what, little = _fresh_pairs(customers, bought, listing)

    def taken(name: str) -> pa.ChunkedArray:
        """Return a column of the pairs."""
        table, rows = (customers, who) if name in customers.column_names else (listing.products, what)
        return table.column(name).take(pa.array(rows))

    read = {name: taken(source) for name, source in columns.items()}
    read |= {name: pa.repeat(pa.scalar(value), len(who)) for name, value in fixed.items()}
    made: dict[str, Any] = {OWN + name: taken(name) for name in ("customer", "product", "category", "uptake")}
    made[f"{OWN}little_known"] = pa.array(little)
    made[f"{OWN}new_category"] = pa.array(_is_new_category(customers, bought, listing, who, what))
    if folder is not None:
        made[f"{OWN}predicted"] = pa.array(_predicted(read, folder, len(who)))
    return pa.table({name: made[name] if name in made else read[name] for name in names})


def _predicted(read: Mapping[str, Any], folder: str, rows: int) -> Floats:
    if not rows:
        return np.empty(0)
    if folder not in _scorers:
        _scorers[folder] = read_scorer(Path(folder))
    scorer = _scorers[folder]
    prediction: Floats = scorer.predict(pa.table({name: read[name] for name in scorer.columns})).prediction
    return prediction


def _fresh_pairs(customers: pa.Table, bought: pa.Table, listing: Listing) -> tuple[Integers, Integers, Booleans]:
    """Return the candidates that have not been bought: index of the customer and the product, and whether little known.

    A customer considers the first products of the list of the cell, more with more purchases, and the best of each
    category. Of those not bought, the first 50 remain, the best of each category, and the little-known products.
    """
    who, what, place, of_category = _considered(customers, listing)
    fresh = ~np.isin(who * listing.products.num_rows + what, _bought_pairs(customers, bought, listing))
    who, what, place, of_category = (values[fresh] for values in (who, what, place, of_category))
    order = np.lexsort((what, place, who))
    who, what, place, of_category = (values[order] for values in (who, what, place, of_category))
    little = place == 0
    turn = np.arange(len(who)) - np.searchsorted(who, who, side="left") + 1
    kept = little | (turn <= _CANDIDATES) | (of_category <= _BEST_OF_CATEGORY)
    return who[kept], what[kept], little[kept]


def _considered(customers: pa.Table, listing: Listing) -> tuple[Integers, Integers, Integers, Integers]:
    """Return the products that each customer considers, with their ranks; little-known ones have the ranks 0."""
    purchases, cell = customers["purchases"].to_numpy(), customers["cell"].to_numpy()
    everybody, few = np.arange(customers.num_rows), listing.little_known
    zeros = np.zeros(len(everybody) * len(few), dtype=np.int64)
    parts = [(np.repeat(everybody, len(few)), np.tile(few, len(everybody)), zeros, zeros)]
    for number in np.unique(cell):
        shown = listing.cells.get(int(number))
        if shown is None:
            continue
        mine = np.flatnonzero(cell == number)
        # One product more for every two purchases, because more of the first ones have been bought.
        in_reach = shown.place[None, :] <= _FIRST + purchases[mine][:, None] / 2
        a, b = np.nonzero(in_reach | (shown.of_category <= _BEST_OF_CATEGORY)[None, :])
        parts.append((mine[a], shown.product[b], shown.place[b], shown.of_category[b]))
    who, what, place, of_category = (np.concatenate(values).astype(np.int64) for values in zip(*parts, strict=True))
    return who, what, place, of_category


def _bought_pairs(customers: pa.Table, bought: pa.Table, listing: Listing) -> Integers:
    """Return the pairs that have been bought, as one number each."""
    who, is_ours = _positions(customers["c"], bought["c"])
    what, is_listed = _positions(listing.products["p"], bought["p"])
    pairs: Integers = (who * listing.products.num_rows + what)[is_ours & is_listed]
    return pairs


def _is_new_category(
    customers: pa.Table, bought: pa.Table, listing: Listing, who: Integers, what: Integers
) -> Booleans:
    """Return whether the customer of each pair has bought nothing from the category."""
    past = bought.filter(bought["g"].is_valid())
    buyer, is_ours = _positions(customers["c"], past["c"])
    hashes, of_product = np.unique(listing.products["g"].to_numpy(), return_inverse=True)
    of_purchase, is_listed = _positions(pa.array(hashes), past["g"])
    known = (buyer * len(hashes) + of_purchase)[is_ours & is_listed]
    return ~np.isin(who * len(hashes) + of_product[what], known)


def _positions(keys: Any, wanted: Any) -> tuple[Integers, Booleans]:
    """Return the position of each wanted number among the keys, and whether it is there."""
    numbers, looked_up = keys.to_numpy(), wanted.to_numpy()
    places = np.zeros(len(looked_up), dtype=np.int64)
    if not len(numbers):
        return places, np.zeros(len(looked_up), dtype=bool)
    order = np.argsort(numbers, kind="stable")
    places[:] = order[np.searchsorted(numbers[order], looked_up).clip(max=len(numbers) - 1)]
    return places, numbers[places] == looked_up


def second_moments(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the weighted sum of the outer products of the factors; the weight is the first column."""
    whole = None
    for batch in batches:
        weight, *factors = (np.nan_to_num(column.to_numpy(zero_copy_only=False)) for column in batch.columns)
        stacked = np.stack(factors)
        sums = (stacked * weight) @ stacked.T
        whole = sums if whole is None else whole + sums
    if whole is not None:
        yield pa.RecordBatch.from_pydict({"moments": pa.array([whole.ravel().tolist()], pa.list_(pa.float64()))})
