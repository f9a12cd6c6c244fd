"""Drafts of shops with other words and habits, against what a careful person would write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from tests.drafting.drafts import drafted, shop_of
from tests.drafting.oracle import survey_of
from tests.drafting.shops import IGNORED, SHOPS

from purchasecast.drafting.assemble import draft_from_survey
from purchasecast.errors import DataError

if TYPE_CHECKING:
    from purchasecast.drafting import ColumnDraft

# What no value can tell: a profit is a number like another, a basket without a date is a customer with one visit.
NAMED_ONLY = {
    "german": {"Rohertrag"},
    "supermarket": {"Total", "cogs", "Rating"},
    "club": {"card_no", "email"},  # either names the member
}


def told(column: ColumnDraft) -> tuple[object, ...]:
    return (column.role, column.kind, column.of) if column.used else IGNORED


@pytest.mark.parametrize("name", SHOPS)
def test_every_column_is_drafted_as_a_careful_person_would(name: str) -> None:
    expected = {column: value for column, value in shop_of(name).expected.items() if value is not None}
    assert {column: told(drafted(name).column(column)) for column in expected} == expected


@pytest.mark.parametrize("name", [name for name in SHOPS if name != "sauces"])
def test_without_telling_names_roles_and_kinds_and_owners_stay(name: str) -> None:
    shop = shop_of(name)
    nonsense = {f"q{place}": column for place, column in enumerate(shop.table.columns)}
    renamed = draft_from_survey(survey_of(shop.table.set_axis(list(nonsense), axis=1), shop.csv), "q.csv")
    skipped = NAMED_ONLY.get(name, set())
    found = {nonsense[column.name]: column for column in renamed.columns if nonsense[column.name] not in skipped}
    before = {column.name: column for column in drafted(name).columns if column.name in found}
    assert {n: (c.kind, c.of, c.role) for n, c in found.items()} == {
        n: (c.kind, c.of, c.role) for n, c in before.items()
    }


def test_every_guess_has_a_reason() -> None:
    assert all(column.reasons for name in SHOPS for column in drafted(name).columns)


def test_a_unit_price_that_makes_the_amount_is_left_out_with_a_question() -> None:
    draft = drafted("spanish")
    assert draft.column("Precio").reasons == ("Importe is Precio x Cantidad: with it there is nothing left to predict",)
    assert any("Precio is left out" in question.text for question in draft.questions)


def test_a_table_without_amounts_a_line_asks_for_one() -> None:
    draft = drafted("online_retail")
    assert draft.schema.target == "UnitPrice"
    assert draft.schema.quantity is None  # a price of one piece is not multiplied by it
    assert any("add a column Quantity x UnitPrice" in question.text for question in draft.questions)


def test_walk_ins_are_kept() -> None:
    column = drafted("german").schema.column("Kundennummer")
    assert (column.role, column.null) == ("customer", "unknown")


def test_codes_with_zeros_before_them_stay_text() -> None:
    assert drafted("french").schema.column("code_produit").type == "string"
    assert drafted("german").schema.column("Artikelnr").type == "integer"


def test_ids_that_a_library_wrote_as_floats_are_integers() -> None:
    assert drafted("online_retail").schema.column("CustomerID").type == "integer"


def test_the_calendar_leaves_out_what_a_column_holds_already() -> None:
    assert drafted("loyalty_grocery").schema.column("SHOP_DATE").calendar == ("month",)
    assert drafted("french").schema.column("date_achat").calendar == ("month", "dayofweek")


def test_money_is_seen_in_the_name() -> None:
    assert drafted("french").schema.money == "EUR"
    assert drafted("spanish").schema.money is None


def test_one_customer_in_many_rows_is_asked_about() -> None:
    shop = SHOPS["spanish"]()
    shop.table["Cliente"] = np.where(np.arange(len(shop.table)) % 4 == 0, "C9999", shop.table["Cliente"])
    draft = draft_from_survey(survey_of(shop.table), "walk-ins.csv")
    assert any("C9999" in question.text for question in draft.questions)


def test_many_returns_are_kept_and_few_are_rejected() -> None:
    table = SHOPS["french"]().table
    amounts = table["montant_eur"].astype(float)
    for share, minimum in ((0.03, -100), (0.001, 0)):
        back = np.arange(len(table)) % round(1 / share) == 0
        table["montant_eur"] = np.where(back, -amounts.clip(0, 99), amounts)
        column = draft_from_survey(survey_of(table), "returns.csv").schema.column("montant_eur")
        assert column.minimum == minimum


def test_customer_and_product_name_a_row_where_no_pair_comes_twice() -> None:
    random = np.random.default_rng(1)
    pairs = random.choice(60 * 40, 1_200, replace=False)
    table = pd.DataFrame({"client": pairs // 40, "item": pairs % 40, "sales": random.gamma(2, 10, 1_200).round(2)})
    table["sales"] *= 1 + table["item"] % 7
    assert draft_from_survey(survey_of(table.astype(str)), "pairs.csv").schema.key == ("client", "item")
    doubled = pd.concat([table, table.head(1)]).astype(str)
    assert draft_from_survey(survey_of(doubled), "pairs.csv").schema.key == ()


def test_a_table_without_numbers_has_no_target() -> None:
    table = pd.DataFrame({"customer": list("abcd") * 10, "product": list("xy") * 20})
    with pytest.raises(DataError, match=r"expected a column of numbers .*, found customer \(text\), product \(text\)"):
        draft_from_survey(survey_of(table), "names.csv")
