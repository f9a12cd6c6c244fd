"""What each planned customer has bought, and what the plan expected of her."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purchasecast.errors import ColumnMismatchError, DataError, did_you_mean
from purchasecast.io import take_small_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from purchasecast.results import Plan

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["CONTACTED", "Outcomes", "read_outcomes", "take_results"]

CONTACTED = "contacted"
_TYPES = {"customer": pa.string(), "product": pa.string(), "amount": pa.float64(), CONTACTED: pa.int64()}
_KEYS = ("customer", "product")
_THIRDS = ("low", "middle", "high")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The customers who are compared, one place each.

    Attributes
    ----------
    is_contacted : array of bool
        Whether the plan contacts her.
    contacts : array of float
        Her planned lines.
    bought : dict of str to array of float
        Outcomes by name, as in `MeasuredLift`, and ``profit``.
    expected : dict of str to array of float
        What the plan expected, by the same names.
    segments : dict of str to array of str
        Levels by column.
    was_contacted : array of float or None
        1 where she was contacted indeed; None where the results do not say.
    purchases, outside : int
        Purchases in the results, and those of customers who are not compared.
    """

    is_contacted: NDArray[np.bool_]
    contacts: Floats
    bought: dict[str, Floats]
    expected: dict[str, Floats]
    segments: dict[str, Texts]
    was_contacted: Floats | None
    purchases: int
    outside: int


def take_results(results: Any, plan: Plan) -> pa.Table:
    """Sum up the results of a campaign by customer and, where they say it, by product.

    Parameters
    ----------
    results : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        Purchases; a row without an amount only says that a customer was contacted.
    plan : Plan
        The plan, which names the columns.

    Returns
    -------
    pyarrow.Table
        ``customer``, ``amount`` and ``purchases``, and, where they are there, ``product`` and ``contacted``.

    Raises
    ------
    ColumnMismatchError
        If the customer or the amount is missing.
    DataError
        If an amount is no number.
    """
    names = {role: plan.columns[role] for role in (*_KEYS, "amount")} | {CONTACTED: CONTACTED}
    on_spark = type(results).__module__.startswith("pyspark.")
    table = results if on_spark else take_small_table(results, names["customer"], names["product"])
    columns = list(table.columns) if on_spark else table.column_names
    for role in ("customer", "amount"):
        if names[role] not in columns:
            hint = did_you_mean(names[role], columns) or "; name it so."
            raise ColumnMismatchError(f"results: expected a column {names[role]}, found {', '.join(columns)}{hint}")
    there = {role: name for role, name in names.items() if name in columns}
    keys = [role for role in _KEYS if role in there]
    summed = ["amount", "purchases"]
    if on_spark:
        return _sum_on_spark(table, there, keys, summed)
    try:
        cast = {role: pc.cast(table[name], _TYPES[role]) for role, name in there.items()}
    except pa.ArrowInvalid as error:
        raise DataError(f"results: expected numbers as amounts, found others: {error}; write them anew.") from error
    cast["purchases"] = pc.cast(pc.is_valid(cast["amount"]), pa.int64())
    how = [(name, "sum") for name in summed] + ([(CONTACTED, "max")] if CONTACTED in there else [])
    grouped = pa.table(cast).group_by(keys).aggregate(how)
    return grouped.rename_columns([name.removesuffix("_sum").removesuffix("_max") for name in grouped.column_names])


def _sum_on_spark(frame: Any, there: dict[str, str], keys: list[str], summed: list[str]) -> pa.Table:
    types = {"customer": "string", "product": "string", "amount": "double", CONTACTED: "int"}
    read = frame.selectExpr(*[f"cast(`{name}` as {types[role]}) as {role}" for role, name in there.items()])
    read = read.selectExpr("*", "cast(amount is not null as bigint) as purchases")
    how = dict.fromkeys(summed, "sum") | ({CONTACTED: "max"} if CONTACTED in there else {})
    grouped = read.groupBy(*keys).agg(how)
    return grouped.selectExpr(*keys, *[f"`{way}({name})` as {name}" for name, way in how.items()]).toArrow()


def read_outcomes(results: pa.Table, plan: Plan, contacts: pa.Table, control: pa.Table) -> Outcomes:
    """Say of each compared customer what she has bought and what was expected.

    Parameters
    ----------
    results : pyarrow.Table
        As `take_results` returns it.
    plan : Plan
        The plan.
    contacts, control : pyarrow.Table
        Its lists. Customers with a line that must be are not compared: chance did not decide about them.

    Returns
    -------
    Outcomes
        One place per customer, sorted by name.

    Raises
    ------
    DataError
        If a group has less than two customers.
    """
    lines = pa.concat_tables([contacts, control])
    in_control = np.arange(lines.num_rows) >= contacts.num_rows
    owner = lines[plan.columns["customer"]].to_numpy().astype(object)
    forced = np.isin(owner, owner[lines["must"].to_numpy()])
    lines, in_control, owner = lines.filter(pa.array(~forced)), in_control[~forced], owner[~forced]
    customers, place = np.unique(owner, return_inverse=True)
    size = len(customers)
    is_control = np.bincount(place, weights=in_control, minlength=size) > 0
    if min(is_control.sum(), (~is_control).sum()) < 2:
        found = f"{(~is_control).sum()} and {is_control.sum()}"
        raise DataError(f"plan: expected 2 customers or more in both groups, found {found}; plan a control_share.")
    expected, share = _read_lines(lines, plan, place, size)
    who = _places(results["customer"].to_numpy().astype(object), customers)
    inside = who >= 0
    purchases = results["purchases"].to_numpy().astype(float)
    bought = _sum_purchases(results, plan, lines, who, share, size)
    return Outcomes(
        is_contacted=~is_control,
        contacts=np.bincount(place, minlength=size).astype(float),
        bought=bought,
        expected={name: expected[_COVARIATES[name]] for name in bought},
        segments=_segments(lines, plan, place, expected["revenue"]),
        was_contacted=_was_contacted(results, who, size),
        purchases=int(purchases.sum()),
        outside=int(purchases[~inside].sum()),
    )


#: Of each outcome, what of the plan it is adjusted for.
_COVARIATES = {
    "offered_revenue": "revenue",
    "offered_purchases": "purchases",
    "all_revenue": "revenue",
    "all_purchases": "purchases",
    "profit": "profit",
}


def _read_lines(lines: pa.Table, plan: Plan, place: Ints, size: int) -> tuple[dict[str, Floats], Floats]:
    """Return the sums that the plan expected of each customer, and the share of each line's amount that is profit."""
    revenue = lines["expected_revenue"].to_numpy()
    profit = lines["expected_profit"].to_numpy() + plan.settings["cost"]
    share = np.divide(profit, revenue, out=np.full(len(revenue), plan.settings["margin"]), where=revenue != 0)
    columns = {"revenue": revenue, "profit": profit, "purchases": lines["probability"].to_numpy()}
    sums = {name: _total(values, place, size) for name, values in columns.items()}
    return sums, share


def _total(values: Floats, place: Ints, size: int) -> Floats:
    return np.bincount(place, weights=values, minlength=size).astype(np.float64)


def _places(names: Texts, sorted_names: Texts) -> Ints:
    """Return the place of each name among sorted names; -1 where it is not among them."""
    known = {name: place for place, name in enumerate(sorted_names)}
    return np.array([known.get(name, -1) for name in names], np.int64)


def _sum_purchases(
    results: pa.Table, plan: Plan, lines: pa.Table, who: Ints, share: Floats, size: int
) -> dict[str, Floats]:
    """Return what each customer has bought: of the offered products, where the results name products, and of all."""
    amount = np.nan_to_num(results["amount"].to_numpy().astype(float))
    count = results["purchases"].to_numpy().astype(float)
    inside = who >= 0

    def total(values: Floats, rows: NDArray[np.bool_] = inside) -> Floats:
        return _total(values[rows], who[rows], size)

    everything = {"all_revenue": total(amount), "all_purchases": total(count)}
    if "product" not in results.column_names:
        return {**everything, "profit": everything["all_revenue"] * plan.settings["margin"]}
    pairs = zip(*(lines[plan.columns[key]].to_pylist() for key in _KEYS), strict=True)
    line_of = {pair: line for line, pair in enumerate(pairs)}
    bought = zip(*(results[key].to_pylist() for key in _KEYS), strict=True)
    line = np.array([line_of.get(pair, -1) for pair in bought], np.int64)
    offered = inside & (line >= 0)
    return {
        "offered_revenue": total(amount, offered),
        "offered_purchases": total(count, offered),
        **everything,
        "profit": total(amount * share[line], offered),
    }


def _was_contacted(results: pa.Table, who: Ints, size: int) -> Floats | None:
    if CONTACTED not in results.column_names:
        return None
    said = results[CONTACTED].fill_null(0).to_numpy().astype(float)
    inside = who >= 0
    return np.minimum(np.bincount(who[inside], weights=said[inside], minlength=size), 1.0)


def _segments(lines: pa.Table, plan: Plan, place: Ints, expected: Floats) -> dict[str, Texts]:
    """Return the levels of each customer: the plan's segments, and thirds by expected revenue."""
    third = np.searchsorted(np.quantile(expected, [1 / 3, 2 / 3]), expected, side="left")
    segments: dict[str, Texts] = {"expected revenue": np.array(_THIRDS, object)[third]}
    for name in plan.settings.get("segments", ()):
        levels = np.empty(len(expected), object)
        levels[place] = lines[name].to_numpy().astype(object)
        segments[name] = levels
    return segments
