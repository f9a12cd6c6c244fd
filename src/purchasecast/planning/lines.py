"""Offers as arrays: who may be offered what, with probability, amount, profit, and what must or must not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purchasecast.errors import ColumnMismatchError, DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from purchasecast.config import PlanSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["AMOUNT", "GOODS", "MARGIN", "PROBABILITY", "STOCK", "UNITS", "Lines", "read_lines", "read_stock"]

#: Columns of offers beside the customer, the product and the segments; the last three are optional.
PROBABILITY, AMOUNT, MARGIN, GOODS, UNITS = "probability", "amount", "margin", "cost_of_goods", "units"
STOCK = "stock"


@dataclass(frozen=True, slots=True)
class Lines:
    """Offers, sorted by customer and product.

    Attributes
    ----------
    customers, products : array of str
        All customers and products, sorted.
    customer, product : array of int
        Their places, of each line.
    probability, amount, units : array of float
        Probability of a purchase, its amount and its units.
    profit : array of float
        Expected profit before the cost of the contact.
    must, must_not : array of bool
        Lines that are in any plan, and in none.
    segments : dict of str to array of str
        Levels of each customer.
    """

    customers: NDArray[np.object_]
    products: NDArray[np.object_]
    customer: Ints
    product: Ints
    probability: Floats
    amount: Floats
    units: Floats
    profit: Floats
    must: NDArray[np.bool_]
    must_not: NDArray[np.bool_]
    segments: dict[str, NDArray[np.object_]]

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self.customer)

    @property
    def revenue(self) -> Floats:
        """Expected revenue of each line."""
        return self.probability * self.amount

    @property
    def expected_units(self) -> Floats:
        """Expected units of each line."""
        return self.probability * self.units

    @property
    def profit_variance(self) -> Floats:
        """Variance of the profit of each line: it is bought, or it is not."""
        sold = np.divide(self.profit, self.probability, out=np.zeros(len(self)), where=self.probability > 0)
        return sold**2 * self.probability * (1 - self.probability)

    def of_customer(self, values: Floats, lines: Ints) -> Floats:
        """Return the sum over lines of each customer."""
        sums = np.bincount(self.customer[lines], weights=values[lines], minlength=len(self.customers))
        return sums.astype(np.float64)


def read_lines(
    offers: pa.Table,
    customer: str,
    product: str,
    settings: PlanSettings,
    must: pa.Table | None = None,
    must_not: pa.Table | None = None,
) -> Lines:
    """Check a table of offers, and return it as arrays.

    Parameters
    ----------
    offers : pyarrow.Table
        One row per customer and product.
    customer, product : str
        Names of the columns of both.
    settings : PlanSettings
        Margin, and the columns of segments.
    must, must_not : pyarrow.Table, optional
        Lines that must be in the plan; lines, customers or products that must not.

    Returns
    -------
    Lines
        The offers.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If a value is missing or out of range, a line is there twice, or a line that must be is none of the offers.
    """
    _check_columns(offers, (customer, product, PROBABILITY, AMOUNT, *settings.segments), "offers")
    (customers, customer_of), (products, product_of) = (_codes(offers, name) for name in (customer, product))
    order = np.lexsort((product_of, customer_of))
    customer_of, product_of = customer_of[order], product_of[order]
    _check_once(customers, products, customer_of, product_of)
    probability = _numbers(offers, PROBABILITY, 0, 1)[order]
    amount = _numbers(offers, AMOUNT, -np.inf, np.inf)[order]
    units = _numbers(offers, UNITS, 0, np.inf, 1.0)[order]
    if GOODS in offers.column_names:
        left = amount - _numbers(offers, GOODS, 0, np.inf)[order]
    else:
        left = amount * _numbers(offers, MARGIN, -np.inf, 1, settings.margin)[order]
    where = (customer, product, customers, products, customer_of, product_of)
    return Lines(
        customers,
        products,
        customer_of,
        product_of,
        probability,
        amount,
        units,
        probability * left,
        _named_lines(must, *where, everything=True),
        _named_lines(must_not, *where, everything=False),
        {name: _levels(offers, name, order, customer_of, len(customers)) for name in settings.segments},
    )


def read_stock(stock: pa.Table | None, product: str, lines: Lines) -> Floats:
    """Return the units of each product of the offers; infinite for those that the table does not have.

    Parameters
    ----------
    stock : pyarrow.Table or None
        Columns of the product and ``stock``.
    product : str
        Name of the column of the product.
    lines : Lines
        The offers.

    Returns
    -------
    array of float
        In the order of the products.
    """
    units = np.full(len(lines.products), np.inf)
    if stock is None:
        return units
    _check_columns(stock, (product, STOCK), "stock")
    names = _texts(stock, product, "stock")
    if len(set(names)) < len(names):
        raise DataError("stock: expected one row per product, found some twice; sum them up first.")
    places = {name: place for place, name in enumerate(lines.products)}
    for name, value in zip(names, _numbers(stock, STOCK, 0, np.inf), strict=True):
        if name in places:
            units[places[name]] = value
    return units


def _check_columns(table: pa.Table, names: Sequence[str], what: str) -> None:
    for name in names:
        if name not in table.column_names:
            shown = ", ".join(table.column_names) or "none"
            hint = did_you_mean(name, table.column_names) or "; name them so, or say which they are."
            raise ColumnMismatchError(f"{what}: expected a column {name}, found {shown}{hint}")


def _texts(table: pa.Table, name: str, what: str) -> NDArray[np.object_]:
    texts: NDArray[np.object_] = _names(table, name, what).to_numpy(zero_copy_only=False)
    return texts


def _names(table: pa.Table, name: str, what: str) -> Any:
    """Return a column of names as texts: files hold the same id as a number here and as text there."""
    column = table[name].combine_chunks()
    if column.null_count:
        raise DataError(f"{what}: expected a {name} in every row, found {column.null_count:,} without; remove them.")
    return pc.cast(column, pa.string())


def _codes(offers: pa.Table, name: str) -> tuple[NDArray[np.object_], Ints]:
    """Return the names, sorted, and the place of each row's name among them."""
    encoded = _names(offers, name, "offers").dictionary_encode()
    found = encoded.dictionary.to_numpy(zero_copy_only=False).astype(object)
    order = np.argsort(found)
    place = np.empty(len(found), np.int64)
    place[order] = np.arange(len(found))
    return found[order], place[encoded.indices.to_numpy()]


def _numbers(table: pa.Table, name: str, low: float, high: float, default: float | None = None) -> Floats:
    if default is not None and name not in table.column_names:
        return np.full(table.num_rows, default)
    try:
        values: Floats = pc.cast(table[name], pa.float64()).to_numpy()
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{name}: expected numbers, found {table[name].type}; write them with a decimal point."
        ) from error
    bad = ~((values >= low) & (values <= high) & np.isfinite(values))
    if bad.any():
        ends = f" from {low:g} to {high:g}" if np.isfinite(high) else ""
        first = values[bad][0]
        raise DataError(
            f"{name}: expected a number{ends} in every row, found {first} in {bad.sum():,} rows; correct them."
        )
    return values


def _check_once(customers: NDArray[np.object_], products: NDArray[np.object_], customer: Ints, product: Ints) -> None:
    same = (customer[1:] == customer[:-1]) & (product[1:] == product[:-1])
    if same.any():
        place = int(np.flatnonzero(same)[0])
        names = f"{customers[customer[place]]}, {products[product[place]]}"
        raise DataError(f"offers: expected one row per customer and product, found two of {names}; keep one of them.")


def _named_lines(
    named: pa.Table | None,
    customer: str,
    product: str,
    customers: NDArray[np.object_],
    products: NDArray[np.object_],
    customer_of: Ints,
    product_of: Ints,
    *,
    everything: bool,
) -> NDArray[np.bool_]:
    """Return which lines a table names; with one column only, all lines of its customers, or products."""
    marked = np.zeros(len(customer_of), bool)
    if named is None:
        return marked
    what = "must" if everything else "must_not"
    keys = [name for name in (customer, product) if name in named.column_names]
    if not keys or (everything and len(keys) < 2):
        _check_columns(named, (customer, product) if everything else (customer,), what)
    places = {customer: (customers, customer_of), product: (products, product_of)}
    if len(keys) == 1:
        names, of = places[keys[0]]
        return np.isin(names, _texts(named, keys[0], what))[of]
    wanted = set(zip(_texts(named, customer, what), _texts(named, product, what), strict=True))
    found = set()
    by_customer = np.isin(customers, [who for who, _ in wanted])[customer_of]
    for line in np.flatnonzero(by_customer):
        pair = (customers[customer_of[line]], products[product_of[line]])
        if pair in wanted:
            marked[line] = True
            found.add(pair)
    if everything and wanted - found:
        who, item = min(wanted - found)
        raise DataError(
            f"must: expected lines that are among the offers, found {who}, {item}; add it to the offers, with a "
            "probability and an amount."
        )
    return marked


def _levels(offers: pa.Table, name: str, order: Ints, customer: Ints, customers: int) -> NDArray[np.object_]:
    """Return the level of each customer, which all her lines share."""
    texts = pc.fill_null(pc.cast(offers[name], pa.string()), "(none)").to_numpy()[order]
    levels = np.empty(customers, object)
    levels[customer] = texts
    if (levels[customer] != texts).any():
        raise DataError(f"segments: expected one {name} per customer, found several; name an attribute of customers.")
    return levels
