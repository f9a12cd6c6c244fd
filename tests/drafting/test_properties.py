"""Properties of drafts, over shops of many habits: they load, they accept their rows, and names do not matter."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.drafting.oracle import rejected_rows, survey_of
from tests.drafting.shops import dates_of, sales

from purchasecast.drafting import SchemaDraft
from purchasecast.drafting.assemble import draft_from_survey
from purchasecast.drafting.written import find_decimal_sign
from purchasecast.errors import DataError
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MAX_REJECT_RATE = 0.005

DATES = (None, "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%d/%m/%Y %H:%M")
CUSTOMERS = ("client", "Kundennummer", "household_id", "CustomerID")
PRODUCTS = ("sku", "Artikel", "product_id", "StockCode")
AMOUNTS = ("sales_value", "Umsatz", "Importe", "Spend")
IDS = {
    "number": lambda n: str(1_000_001 + 7 * n),
    "code": lambda n: f"C-{n:04d}",
    "padded": lambda n: f"{n:06d}",
    "float": lambda n: f"{5_000 + n}.0",
}
ATTRIBUTES = {
    "letters": lambda g: "ABCD"[g % 4],
    "ranges": lambda g: ("<25", "25-44", "45-64", ">65")[g % 4],
    "codes": lambda g: str(g % 9),
    "flag": lambda g: str(g % 2),
    "sparse": lambda g: None if g % 3 else f"group {g % 5}",
}


@dataclass(frozen=True)
class Habits:
    """How a shop writes its sales down."""

    seed: int
    dates: str | None
    customer: str
    product: str
    amount: str
    ids: str
    of_customer: tuple[str, ...]
    of_product: tuple[str, ...]
    visits: bool
    quantity: bool
    comma: bool
    walk_ins: bool
    returns: float
    idle: bool  # a constant column and an empty one


def few(choices: Any) -> Any:
    return st.lists(st.sampled_from(sorted(choices)), max_size=3, unique=True).map(tuple)


habits = st.builds(
    Habits,
    seed=st.integers(0, 10_000),
    dates=st.sampled_from(DATES),
    customer=st.sampled_from(CUSTOMERS),
    product=st.sampled_from(PRODUCTS),
    amount=st.sampled_from(AMOUNTS),
    ids=st.sampled_from(sorted(IDS)),
    of_customer=few(ATTRIBUTES),
    of_product=few(ATTRIBUTES),
    visits=st.booleans(),
    quantity=st.booleans(),
    comma=st.booleans(),
    walk_ins=st.booleans(),
    returns=st.sampled_from((0.0, 0.0005, 0.03)),
    idle=st.booleans(),
)


def table_of(h: Habits) -> pd.DataFrame:
    """Write a shop's sales down."""
    s = sales(customers=70, products=60, visits=500, stores=6, days=420, seed=h.seed)
    shuffled = np.random.default_rng(h.seed)
    amount = s.amount * np.where(shuffled.random(s.rows) < h.returns, -1, 1)
    known = shuffled.random(70) < (0.8 if h.walk_ins else 1.0)
    columns: dict[str, Any] = {
        h.customer: [IDS[h.ids](c) if known[c] else None for c in s.customer],
        h.product: [f"P{p:03d}" for p in s.product],
        h.amount: [f"{a:.2f}".replace(".", "," if h.comma else ".") for a in amount],
        "store": 1 + s.store,
    }
    if h.dates:
        columns["date"] = dates_of(s, h.dates, times="%H" in h.dates)
    if h.visits:
        columns["invoice_id"] = 70_000 + s.visit
    if h.quantity:
        columns["quantity"] = s.quantity
    if h.idle:
        columns |= {"always": "x", "never": None}
    columns |= _attributes("buyer", h.of_customer, s.customer, 70, shuffled)
    columns |= _attributes("item", h.of_product, s.product, 60, shuffled)
    table = pd.DataFrame(columns)
    return table[shuffled.permutation(table.columns)]


def _attributes(
    prefix: str, kinds: tuple[str, ...], index: NDArray[np.int64], n: int, random: np.random.Generator
) -> dict[str, list[str | None]]:
    columns = {}
    for place, kind in enumerate(kinds):
        groups = random.integers(0, 36, n)
        columns[f"{prefix} trait {place}"] = [ATTRIBUTES[kind](groups[i]) for i in index]
    return columns


def draft_of(table: pd.DataFrame) -> SchemaDraft:
    decimal = find_decimal_sign([column.counts for column in survey_of(table).columns])
    return draft_from_survey(survey_of(table, {"decimal": decimal} if decimal else {}), "shop.csv")


@SLOW
@given(habits)
def test_a_draft_loads_round_trips_and_accepts_its_rows(h: Habits) -> None:
    table = table_of(h)
    draft = draft_of(table)
    assert Schema.from_dict(tomllib.loads(draft.to_toml())) == draft.schema
    assert SchemaDraft.from_dict(draft.to_dict()) == draft
    assert rejected_rows(table, draft.schema) <= MAX_REJECT_RATE * len(table)
    described = [*draft.schema.names, *draft.schema.ignore]
    assert sorted(described) == sorted(table.columns) == sorted(column.name for column in draft.columns)


@SLOW
@given(habits)
def test_roles_and_owners_are_found(h: Habits) -> None:
    table = table_of(h)
    draft = draft_of(table)
    assert (draft.schema.customer, draft.schema.product, draft.schema.target) == (h.customer, h.product, h.amount)
    assert draft.schema.time == ("date" if h.dates else None)
    assert draft.schema.quantity == ("quantity" if h.quantity else None)
    owners = {"buyer": "customer", "item": "product"}
    for column in draft.columns:
        if " trait " in column.name and column.used:
            assert column.of == owners[column.name.partition(" ")[0]]
    assert draft.column("store").of is None
    if h.idle:
        assert not draft.column("always").used
        assert not draft.column("never").used


@SLOW
@given(habits)
def test_renaming_columns_to_nonsense_keeps_kinds_and_owners(h: Habits) -> None:
    table = table_of(h)
    draft = draft_of(table)
    renamed = draft_of(table.set_axis([f"q{place}" for place in range(table.shape[1])], axis=1))
    assert [(c.kind, c.of) for c in renamed.columns] == [(c.kind, c.of) for c in draft.columns]


values = st.none() | st.sampled_from(
    ["", " a", "b", "1", "2.5", "-3", "2024-01-31", "0012", "12,5", "NULL", "x y", "=1"]
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text("abcXYZ_ 1", min_size=1, max_size=6), st.lists(values, min_size=9, max_size=9), max_size=5)
)
def test_any_table_gives_a_schema_or_one_sentence(columns: dict[str, list[str | None]]) -> None:
    names = {name.strip().casefold(): values for name, values in columns.items() if name.strip()}
    table = pd.DataFrame(names, dtype=object)
    try:
        draft = draft_from_survey(survey_of(table), "any.csv")
    except DataError as error:
        assert "expected" in str(error)  # noqa: PT017  some tables have a draft
    else:
        assert Schema.from_dict(tomllib.loads(draft.to_toml())) == draft.schema
