"""What the executors do for offers: of each bucket of customers, find the candidates, and score them.

Spark ships this package to its executors by value with what they run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.insights.offers.ranking import best_lines, codes_in_order
from purchasecast.numerics.arrow_buckets import chunks, packed_batches, unpack
from purchasecast.scorer import Scorer, read_scorer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from purchasecast.insights.offers.ranking import Lists

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

OWN = "_pc_o_"  # begins names of columns that no table may use: a shop's own category may be called category
_FIRST = 30  # of the list that every customer looks at
_OF_CATEGORY = 3
_LISTED = 200  # products of a cell's list, by spend and by revenue each
_MOST_LISTED = 5_000  # products of a cell, where very many categories have their best ones
SPENDS = "spends"  # what the mean customer of each cell spends on a product
_CANDIDATES = 50  # of a customer, beside the best of each category
_NO_PURCHASES = pa.table({name: pa.array([], pa.int64()) for name in "cpg"})
_scorers: dict[str, Scorer] = {}  # of this task: a model is read once


@dataclass(frozen=True, slots=True)
class CellList:
    """The products that customers of one cell look at.

    Attributes
    ----------
    product : ndarray
        Places in `Listing.products`.
    place, of_category : ndarray
        Ranks in the cell, and in the cell and the product's category; 1 is best.
    """

    product: Integers
    place: Integers
    of_category: Integers


@dataclass(frozen=True, slots=True)
class Listing:
    """What is offered at all.

    Attributes
    ----------
    products : Table
        One row a product, ascending by product: ``product``, ``category``, ``uptake``, their hashes ``p`` and ``g``,
        and the attributes that the model reads.
    cells : mapping of int to CellList
        What the customers of a cell look at.
    little_known : ndarray
        Places of the products that everybody looks at.
    """

    products: pa.Table
    cells: Mapping[int, CellList]
    little_known: Integers


def shortlist(
    batches: Iterator[pa.RecordBatch], *, centres: Floats, kept: tuple[str, ...], always: frozenset[str]
) -> Iterator[pa.RecordBatch]:
    """Yield this task's products that a cell may look at, with what the mean customer of every cell spends on them.

    Parameters
    ----------
    batches : iterator of RecordBatch
        ``product``, ``category``, ``rows``, ``price``, ``scale`` and factors by their number.
    centres : ndarray of shape (cells, rank)
        Mean factors.
    kept : tuple of str
        Columns to return.
    always : frozenset of str
        Products that everybody looks at.
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
    """Rank the products of all tasks' short lists."""
    table = table.sort_by("product")
    is_little = np.isin(table["product"].to_numpy(), [*always])
    spends = np.array(table[SPENDS].to_pylist()).reshape(table.num_rows, len(cells))
    lists, category = {}, codes_in_order(table["category"])
    for cell, spend in zip(cells, spends.T, strict=True):
        listed, place, of_category = _ranks(spend, table["rows"].to_numpy(), category)
        shown = np.flatnonzero(listed & ~is_little)
        lists[cell] = CellList(shown, place[shown], of_category[shown])
    return Listing(table.drop_columns([SPENDS]), lists, np.flatnonzero(is_little))


def _ranks(spend: Floats, rows: Integers, category: Integers) -> tuple[NDArray[np.bool_], Integers, Integers]:
    """Return which products a cell looks at, and their ranks: by spend or revenue, and by spend in their category."""
    by_spend, by_revenue = _rank(-spend), _rank(-spend * rows)
    order = np.lexsort((by_spend, category))
    sorted_category = category[order]
    of_category = np.empty(len(order), dtype=np.int64)
    of_category[order] = np.arange(len(order)) - np.searchsorted(sorted_category, sorted_category, side="left") + 1
    place = np.minimum(by_spend, by_revenue)
    listed = (place <= _LISTED) | ((of_category <= _OF_CATEGORY) & (by_spend <= _MOST_LISTED))
    return listed, place, of_category


def _rank(values: Floats) -> Integers:
    """Return each value's place from the smallest; equal ones in their order."""
    places = np.empty(len(values), dtype=np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return places


def _numbers(table: pa.Table, name: str) -> Floats:
    numbers: Floats = np.nan_to_num(table[name].cast(pa.float64()).to_numpy())
    return numbers


def pack_purchases(batches: Iterator[pa.RecordBatch], *, buckets: int) -> Iterator[pa.RecordBatch]:
    """Yield purchases packed by the bucket that their customer is in: `PACKED_SCHEMA`."""
    for table in chunks(batches):
        yield from packed_batches(table.drop_columns(["bucket"]), table["bucket"].to_numpy(), buckets)


def offer_lines(customers: pa.Table, purchases: pa.Table, *, lists: Lists | None, **known: Any) -> pa.Table:
    """Return what the lists may need of a bucket's candidates; without lists, all candidates.

    Parameters
    ----------
    customers : Table
        See `offer_rows`.
    purchases : Table
        `PACKED_SCHEMA` of the same bucket.
    lists : Lists or None
        The lists; they need a portable model.
    **known
        What else `offer_rows` takes.
    """
    (bought,) = [*unpack(purchases.to_batches())] or [_NO_PURCHASES]
    found = offer_rows(customers, bought, **known)
    if lists is None:
        return found
    return best_lines(found.rename_columns([name.removeprefix(OWN) for name in found.column_names]), lists)


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
    """Return the candidates of a bucket's customers.

    Parameters
    ----------
    customers : Table
        One row a customer: ``customer``, its hash ``c``, ``purchases``, ``cell``, and attributes.
    bought : Table
        One row a purchase, past or to come: hashes ``c``, ``p`` and, of past ones, ``g`` of the category.
    listing : Listing
        What is offered.
    columns : mapping of str to str
        For every column that the model reads, but those of `fixed`: its name in `customers` or in the products.
    fixed : mapping
        Values of columns that belong to neither.
    folder : str or None
        The portable model; None leaves the score to the caller.
    names : tuple of str
        Columns to return.

    Returns
    -------
    Table
        One row a pair of customer and product; what the caller gave no name for, under names that begin with `OWN`.
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


def _predicted(read: Mapping[str, Any], folder: str, rows: int) -> NDArray[np.float64]:
    if not rows:
        return np.empty(0)
    if folder not in _scorers:
        _scorers[folder] = read_scorer(Path(folder))
    scorer = _scorers[folder]
    prediction: NDArray[np.float64] = scorer.predict(pa.table({name: read[name] for name in scorer.columns})).prediction
    return prediction


def _fresh_pairs(
    customers: pa.Table, bought: pa.Table, listing: Listing
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Return the places of customer and product of every candidate, none bought, and whether few know the product."""
    purchases, cell = customers["purchases"].to_numpy(), customers["cell"].to_numpy()
    everybody, few = np.arange(customers.num_rows), listing.little_known
    first_of_all = np.zeros(len(everybody) * len(few), dtype=np.int64)
    found = [(np.repeat(everybody, len(few)), np.tile(few, len(everybody)), first_of_all, first_of_all)]
    for number in np.unique(cell):
        shown = listing.cells.get(int(number))
        if shown is None:
            continue
        mine = np.flatnonzero(cell == number)
        in_reach = shown.place[None, :] <= _FIRST + purchases[mine][:, None] / 2
        a, b = np.nonzero(in_reach | (shown.of_category <= _OF_CATEGORY)[None, :])
        found.append((mine[a], shown.product[b], shown.place[b], shown.of_category[b]))
    a, b, ranks, ranks_of_category = (np.concatenate(values).astype(np.int64) for values in zip(*found, strict=True))
    little = ranks == 0
    products = listing.products.num_rows
    fresh = ~np.isin(a * products + b, _bought_pairs(customers, bought, listing))
    a, b, ranks, ranks_of_category, little = (v[fresh] for v in (a, b, ranks, ranks_of_category, little))
    order = np.lexsort((b, ranks, a))
    a, b, ranks_of_category, little = (v[order] for v in (a, b, ranks_of_category, little))
    turn = np.arange(len(a)) - np.searchsorted(a, a, side="left") + 1
    first = little | (turn <= _CANDIDATES) | (ranks_of_category <= _OF_CATEGORY)
    return a[first], b[first], little[first]


def _bought_pairs(customers: pa.Table, bought: pa.Table, listing: Listing) -> Integers:
    who, is_ours = _places(customers["c"], bought["c"])
    what, is_listed = _places(listing.products["p"], bought["p"])
    pairs: Integers = (who * listing.products.num_rows + what)[is_ours & is_listed]
    return pairs


def _is_new_category(
    customers: pa.Table, bought: pa.Table, listing: Listing, who: Integers, what: Integers
) -> NDArray[np.bool_]:
    past = bought.filter(bought["g"].is_valid())
    buyer, is_ours = _places(customers["c"], past["c"])
    hashes, of_product = np.unique(listing.products["g"].to_numpy(), return_inverse=True)
    of_purchase, is_listed = _places(pa.array(hashes), past["g"])
    known = (buyer * len(hashes) + of_purchase)[is_ours & is_listed]
    return ~np.isin(who * len(hashes) + of_product[what], known)


def _places(keys: Any, wanted: Any) -> tuple[Integers, NDArray[np.bool_]]:
    """Return where each wanted number stands among the keys, and whether it does."""
    numbers, looked_up = keys.to_numpy(), wanted.to_numpy()
    places = np.zeros(len(looked_up), dtype=np.int64)
    if not len(numbers):
        return places, np.zeros(len(looked_up), dtype=bool)
    order = np.argsort(numbers, kind="stable")
    places[:] = order[np.searchsorted(numbers[order], looked_up).clip(max=len(numbers) - 1)]
    return places, numbers[places] == looked_up


def second_moments(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the sums of products of factors, each row by its weight, as one list: weight first, then the factors."""
    whole = None
    for batch in batches:
        weight, *factors = (np.nan_to_num(column.to_numpy(zero_copy_only=False)) for column in batch.columns)
        stacked = np.stack(factors)
        sums = (stacked * weight) @ stacked.T
        whole = sums if whole is None else whole + sums
    if whole is not None:
        yield pa.RecordBatch.from_pydict({"moments": pa.array([whole.ravel().tolist()], pa.list_(pa.float64()))})
