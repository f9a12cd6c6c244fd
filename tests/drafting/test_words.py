"""What names say: words in several languages, compounds, and names that only seem to say it."""

from __future__ import annotations

import pytest

from purchasecast.drafting.words import (
    AFTER_SALE,
    BASKET,
    CUSTOMER,
    PRODUCT,
    QUANTITY,
    SCALES,
    TARGET,
    TIME,
    Vocabulary,
    split_name,
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CustomerID", ["customer", "id"]),
        ("Order Date", ["order", "date"]),
        ("TRANSACTION_DT", ["transaction", "dt"]),
        ("Straße 2", ["strasse", "2"]),
        ("montant_€", ["montant"]),
        ("数量", ["数量"]),
        ("", []),
    ],
)
def test_names_are_cut_into_words(name: str, words: list[str]) -> None:
    assert split_name(name) == words


@pytest.mark.parametrize(
    ("vocabulary", "names"),
    [
        (CUSTOMER, ["User_ID", "Kundennummer", "code_client", "Cliente", "household_id", "CUST_CODE", "klant"]),
        (PRODUCT, ["Product_ID", "Artikelnr", "Articulo", "code_produit", "upc", "EAN"]),
        (TARGET, ["Purchase", "Sales", "Umsatz", "Importe", "montant_eur", "SPEND", "SALES_PRICE", "dollar_sales"]),
        (QUANTITY, ["Quantity", "Menge", "Cantidad", "quantite", "qty_sold", "units"]),
        (TIME, ["Order Date", "Datum", "Fecha", "date_achat", "transaction_timestamp"]),
        (BASKET, ["Order ID", "InvoiceNo", "Bon-Nr", "no_facture", "basket_id", "Ticket"]),
        (AFTER_SALE, ["Profit", "Gross Margin", "Rohertrag", "tax_amount"]),
    ],
)
def test_names_that_say_it(vocabulary: Vocabulary, names: list[str]) -> None:
    assert {name: vocabulary.score(name) for name in names} == dict.fromkeys(names, 1.0)


@pytest.mark.parametrize(
    ("vocabulary", "names"),
    [
        (CUSTOMER, ["Customer Name", "Customer type", "Party", "Region", "customer_since"]),
        (PRODUCT, ["Product_Category_1", "Product Name", "department", "item_count"]),
        (TARGET, ["UnitPrice", "Sales Rep", "Quantity", "Discount", "sales_date"]),
        (QUANTITY, ["Unit Price", "household_size", "Stock"]),
        (TIME, ["Ship Date", "birth_date", "Geburtsdatum", "Occupation"]),
        (BASKET, ["Order Date", "BASKET_SIZE", "Ship Mode"]),
    ],
)
def test_names_that_only_seem_to_say_it(vocabulary: Vocabulary, names: list[str]) -> None:
    assert {name: score for name in names if (score := vocabulary.score(name)) > 0} == {}


def test_a_short_stem_is_no_part_of_a_word() -> None:
    vocabulary = Vocabulary(frozenset({"art", "artikel"}), frozenset(), frozenset())
    assert [vocabulary.score(name) for name in ("art", "party", "Artikelnummer")] == [1.0, 0.0, 1.0]


def test_a_word_stands_at_one_place_of_a_scale() -> None:
    assert all(len(scale) > 2 for scale in SCALES)
