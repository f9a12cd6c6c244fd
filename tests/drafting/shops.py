"""Shops with other words and other habits, each with what a careful person would write of its columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

IGNORED = ("ignored",)


@dataclass
class Shop:
    """A table of text, and what is expected: by column (role, kind, of), or `IGNORED`; None where either is fine."""

    table: pd.DataFrame
    expected: dict[str, Any]
    csv: dict[str, str] = field(default_factory=dict)


@dataclass
class Sales:
    """Lines of visits, as numbers."""

    visit: NDArray[np.int64]
    customer: NDArray[np.int64]
    product: NDArray[np.int64]
    quantity: NDArray[np.int64]
    price: NDArray[np.float64]
    day: NDArray[np.int64]  # from the first one
    minute: NDArray[np.int64]
    store: NDArray[np.int64]
    random: np.random.Generator

    @property
    def amount(self) -> NDArray[np.float64]:
        return np.round(self.quantity * self.price, 2)

    @property
    def rows(self) -> int:
        return len(self.visit)


def sales(
    *, customers: int = 150, products: int = 200, visits: int = 900, stores: int = 12, days: int = 500, seed: int = 3
) -> Sales:
    """Draw visits of customers, each to a shop on a day, with several lines."""
    random = np.random.default_rng(seed)
    buyer = random.choice(customers, visits, p=_popularity(customers, random))
    home = random.integers(0, stores, customers)
    shop = np.where(random.random(visits) < 0.8, home[buyer], random.integers(0, stores, visits))
    day = np.sort(random.integers(0, days, visits))
    minute = random.integers(8 * 60, 21 * 60, visits)
    lines = 1 + random.poisson(4, visits)
    visit = np.repeat(np.arange(visits), lines)
    product = random.choice(products, len(visit), p=_popularity(products, random))
    base = np.round(np.exp(random.normal(1.2, 0.8, products)), 2) + 0.05
    price = np.round(base[product] * np.where(random.random(len(visit)) < 0.15, 0.8, 1.0), 2)
    quantity = 1 + random.geometric(0.65, len(visit)) - 1
    return Sales(visit, buyer[visit], product, quantity, price, day[visit], minute[visit], shop[visit], random)


def _popularity(n: int, random: np.random.Generator) -> NDArray[np.float64]:
    weights = random.gamma(0.8, size=n) + 0.05
    return weights / weights.sum()


def _of(random: np.random.Generator, n: int, levels: list[str], index: NDArray[np.int64]) -> list[str]:
    """Give each of n things a level, and look it up."""
    given = random.integers(0, len(levels), n)
    return [levels[given[i]] for i in index]


def dates_of(s: Sales, pattern: str, start: str = "2023-01-02", *, times: bool = False) -> list[str]:
    first = datetime.fromisoformat(start)
    texts = []
    for day, minute in zip(s.day, s.minute, strict=True):
        moment = first + timedelta(days=int(day), minutes=int(minute) if times else 0)
        text = moment.strftime(pattern)
        texts.append(text)
    return texts


def german() -> Shop:
    """A grocer's own words: semicolons, decimal commas, walk-ins without a card, weighed goods."""
    s = sales(seed=5)
    r = s.random
    weighed = s.product % 7 == 0
    menge = np.where(weighed, np.round(r.gamma(4, 0.2, s.rows) + 0.05, 3), s.quantity.astype(float))
    umsatz = np.round(menge * s.price, 2)
    known = r.random(150) < 0.85
    table = pd.DataFrame(
        {
            "Bon-Nr": 100_000 + s.visit,
            "Datum": dates_of(s, "%d.%m.%Y"),
            "Filiale": 1 + s.store,
            "Kasse": 1 + s.visit % 5,
            "Kundennummer": [f"K{7000 + c}" if known[c] else None for c in s.customer],
            "Artikelnr": 4_000_000_000_000 + s.product * 137,
            "Artikelbezeichnung": [f"Artikel {p} 500 g" for p in s.product],
            "Warengruppe": [f"WG {p % 17:02d}" for p in s.product],
            "Menge": [f"{m:.3f}".replace(".", ",") for m in menge],
            "Umsatz": [f"{u:.2f}".replace(".", ",") for u in umsatz],
            "Rohertrag": [
                f"{u * 0.2 * x:.2f}".replace(".", ",") for u, x in zip(umsatz, r.random(s.rows), strict=True)
            ],
        }
    )
    expected = {
        "Bon-Nr": ("row", "nominal", None), "Datum": ("time", "date", None), "Filiale": (None, "nominal", None),
        "Kasse": (None, "nominal", None), "Kundennummer": ("customer", "nominal", None),
        "Artikelnr": ("product", "nominal", None), "Artikelbezeichnung": IGNORED,
        "Warengruppe": (None, "nominal", "product"), "Menge": ("quantity", "numeric", None),
        "Umsatz": ("target", "numeric", None), "Rohertrag": IGNORED,
    }  # fmt: skip
    return Shop(table, expected, {"sep": ";", "decimal": ","})


def spanish() -> Shop:
    s = sales(seed=6)
    r = s.random
    table = pd.DataFrame(
        {
            "Fecha": dates_of(s, "%d/%m/%Y"),
            "Ticket": s.visit + 1,
            "Cliente": [f"C{c:04d}" for c in s.customer],
            "Edad": _of(r, 150, ["<25", "25-44", "45-64", ">65"], s.customer),
            "Sexo": _of(r, 150, ["H", "M"], s.customer),
            "Articulo": [f"A-{p}" for p in s.product],
            "Familia": _of(r, 200, ["Carne", "Fruta", "Pan", "Bebidas", "Limpieza"], s.product),
            "Marca": _of(r, 200, [f"Marca{i}" for i in range(25)], s.product),
            "Cantidad": s.quantity,
            "Precio": [f"{p:.2f}" for p in s.price],
            "Importe": [f"{a:.2f}" for a in s.amount],
        }
    )
    expected = {
        "Fecha": ("time", "date", None), "Ticket": ("row", "nominal", None), "Cliente": ("customer", "nominal", None),
        "Edad": (None, "ordinal", "customer"), "Sexo": (None, "nominal", "customer"),
        "Articulo": ("product", "nominal", None), "Familia": (None, "nominal", "product"),
        "Marca": (None, "nominal", "product"), "Cantidad": ("quantity", "numeric", None), "Precio": IGNORED,
        "Importe": ("target", "numeric", None),
    }  # fmt: skip
    return Shop(table, expected)


def french() -> Shop:
    s = sales(seed=8)
    r = s.random
    table = pd.DataFrame(
        {
            "no_facture": [f"F{v:06d}" for v in s.visit],
            "date_achat": dates_of(s, "%Y-%m-%d"),
            "code_client": s.customer + 20_001,
            "ville": _of(r, 150, ["Lyon", "Paris", "Nantes", "Lille"], s.customer),
            "code_produit": [f"{p:05d}" for p in s.product],
            "libelle": [f"Produit numero {p} tres bon" for p in s.product],
            "rayon": _of(r, 200, ["Frais", "Epicerie", "Boissons"], s.product),
            "quantite": s.quantity,
            "montant_eur": [f"{a:.2f}" for a in s.amount],
        }
    )
    expected = {
        "no_facture": ("row", "nominal", None), "date_achat": ("time", "date", None),
        "code_client": ("customer", "nominal", None), "ville": (None, "nominal", "customer"),
        "code_produit": ("product", "nominal", None), "libelle": IGNORED, "rayon": (None, "nominal", "product"),
        "quantite": ("quantity", "numeric", None), "montant_eur": ("target", "numeric", None),
    }  # fmt: skip
    return Shop(table, expected)


def online_retail() -> Shop:
    """An online shop without an amount a line: the unit price is the nearest; returns are negative quantities."""
    s = sales(seed=9, visits=1_200)
    r = s.random
    back = r.random(s.rows) < 0.02
    table = pd.DataFrame(
        {
            "InvoiceNo": [f"{'C' if b else ''}{536_000 + v}" for v, b in zip(s.visit, back, strict=True)],
            "StockCode": [f"{20_000 + p}{'A' if p % 9 == 0 else ''}" for p in s.product],
            "Description": [f"SET OF {p} RED HEARTS" for p in s.product],
            "Quantity": np.where(back, -s.quantity, s.quantity),
            "InvoiceDate": dates_of(s, "%m/%d/%Y %H:%M", times=True),
            "UnitPrice": s.price,
            "CustomerID": [f"{12_000 + c}.0" if c % 6 else None for c in s.customer],
            "Country": [["United Kingdom", "France", "Germany"][min(c % 11, 2)] for c in s.customer],
        }
    )
    expected = {
        "InvoiceNo": ("row", "nominal", None), "StockCode": ("product", "nominal", None), "Description": IGNORED,
        "Quantity": None, "InvoiceDate": ("time", "date", None), "UnitPrice": ("target", "numeric", None),
        "CustomerID": ("customer", "nominal", None), "Country": (None, "nominal", "customer"),
    }  # fmt: skip
    return Shop(table, expected)


def amount_is_pieces() -> Shop:
    """A grocery whose AMOUNT counts pieces, whose SALES_PRICE is the line's amount; codes for all else."""
    s = sales(seed=10, customers=300, visits=1_500)
    r = s.random
    cost = np.round(s.amount * (0.8 + 0.1 * r.random(s.rows)), 0)
    table = pd.DataFrame(
        {
            "TRANSACTION_DT": dates_of(s, "%-m/%-d/%Y", "2000-11-01"),
            "CUSTOMER_ID": [f"{c * 37 + 1069:08d}" for c in s.customer],
            "AGE_GROUP": _of(r, 300, ["<25", "25-29", "30-34", "35-39", "40-44", ">65", "Unknown"], s.customer),
            "PIN_CODE": _of(r, 300, ["100", "105", "115", "221", "Others", "Unknown"], s.customer),
            "PRODUCT_SUBCLASS": [str(100_101 + 7 * (p % 60)) for p in s.product],
            "PRODUCT_ID": [f"{4_710_000_000_000 + 991 * p:013d}" for p in s.product],
            "AMOUNT": s.quantity,
            "ASSET": [f"{c:.0f}" for c in cost * 30],
            "SALES_PRICE": [f"{a * 30:.0f}" for a in s.amount],
        }
    )
    expected = {
        "TRANSACTION_DT": ("time", "date", None), "CUSTOMER_ID": ("customer", "nominal", None),
        "AGE_GROUP": (None, "ordinal", "customer"), "PIN_CODE": (None, "nominal", "customer"),
        "PRODUCT_SUBCLASS": (None, "nominal", "product"), "PRODUCT_ID": ("product", "nominal", None),
        "AMOUNT": ("quantity", "numeric", None), "ASSET": IGNORED, "SALES_PRICE": ("target", "numeric", None),
    }  # fmt: skip
    return Shop(table, expected)


def loyalty_grocery() -> Shop:
    """A chain with a hierarchy of four levels, weeks, weekdays, hours, baskets and walk-ins."""
    s = sales(seed=11, customers=220, products=400, visits=1_600, stores=30)
    r = s.random
    sub = (np.arange(400) * 7919) % 60
    dates = dates_of(s, "%Y%m%d", "2006-04-10")
    days = [date.fromisoformat(d) for d in dates]
    table = pd.DataFrame(
        {
            "SHOP_WEEK": [f"{d.isocalendar().year}{d.isocalendar().week:02d}" for d in days],
            "SHOP_DATE": dates,
            "SHOP_WEEKDAY": [d.isoweekday() % 7 + 1 for d in days],
            "SHOP_HOUR": s.minute // 60,
            "QUANTITY": s.quantity,
            "SPEND": [f"{a:.2f}" for a in s.amount],
            "PROD_CODE": [f"PRD{900_000 + p}" for p in s.product],
            "PROD_CODE_10": [f"CL{sub[p]:05d}" for p in s.product],
            "PROD_CODE_20": [f"DEP{sub[p] // 4:05d}" for p in s.product],
            "PROD_CODE_30": [f"G{sub[p] // 12:05d}" for p in s.product],
            "CUST_CODE": [f"CUST{c:010d}" if c % 5 else None for c in s.customer],
            "CUST_PRICE_SENSITIVITY": [["LA", "MM", "UM", "XX"][c % 4] if c % 5 else None for c in s.customer],
            "BASKET_ID": 994_100_100_000_000 + s.visit,
            "BASKET_SIZE": [["S", "M", "L"][v % 3] for v in s.visit],
            "STORE_CODE": [f"STORE{n:05d}" for n in s.store],
            "STORE_FORMAT": [["LS", "MS", "SS"][n % 3] for n in s.store],
        }
    )
    del r
    expected = {
        "SHOP_WEEK": IGNORED, "SHOP_DATE": ("time", "date", None), "SHOP_WEEKDAY": (None, "nominal", None),
        "SHOP_HOUR": (None, "nominal", None), "QUANTITY": ("quantity", "numeric", None),
        "SPEND": ("target", "numeric", None), "PROD_CODE": ("product", "nominal", None),
        "PROD_CODE_10": (None, "nominal", "product"), "PROD_CODE_20": (None, "nominal", "product"),
        "PROD_CODE_30": (None, "nominal", "product"), "CUST_CODE": ("customer", "nominal", None),
        "CUST_PRICE_SENSITIVITY": (None, "nominal", "customer"), "BASKET_ID": ("row", "nominal", None),
        "BASKET_SIZE": None, "STORE_CODE": (None, "nominal", None), "STORE_FORMAT": (None, "nominal", None),
    }  # fmt: skip
    return Shop(table, expected)


def supermarket() -> Shop:
    """Invoices of one line, and everything that follows from the total beside it."""
    random = np.random.default_rng(12)
    n = 1_000
    price, quantity = np.round(random.uniform(10, 100, n), 2), random.integers(1, 11, n)
    tax = np.round(price * quantity * 0.05, 4)
    day = random.integers(0, 89, n)
    table = pd.DataFrame(
        {
            "Invoice ID": [f"{i % 900 + 100}-{i * 7919 % 90 + 10}-{i:04d}" for i in range(n)],
            "Branch": random.choice(["A", "B", "C"], n),
            "City": "",
            "Customer type": random.choice(["Member", "Normal"], n),
            "Gender": random.choice(["Female", "Male"], n),
            "Product line": random.choice([f"Line {i}" for i in range(6)], n),
            "Unit price": price,
            "Quantity": quantity,
            "Tax 5%": tax,
            "Total": np.round(price * quantity + tax, 4),
            "Date": [(date(2019, 1, 1) + timedelta(days=int(d))).strftime("%-m/%-d/%Y") for d in day],
            "Time": [
                f"{h}:{m:02d}" for h, m in zip(random.integers(10, 21, n), random.integers(0, 60, n), strict=True)
            ],
            "Payment": random.choice(["Cash", "Credit card", "Ewallet"], n),
            "cogs": np.round(price * quantity, 2),
            "gross margin percentage": 4.761904762,
            "gross income": tax,
            "Rating": np.round(random.uniform(4, 10, n), 1),
        }
    )
    table["City"] = table["Branch"].map({"A": "Yangon", "B": "Mandalay", "C": "Naypyitaw"})
    expected = {
        "Invoice ID": ("row", "nominal", None), "Branch": (None, "nominal", None), "City": IGNORED,
        "Customer type": (None, "nominal", None), "Gender": (None, "nominal", None),
        "Product line": (None, "nominal", None), "Unit price": None, "Quantity": ("quantity", "numeric", None),
        "Tax 5%": IGNORED, "Total": ("target", "numeric", None), "Date": ("time", "date", None), "Time": IGNORED,
        "Payment": (None, "nominal", None), "cogs": IGNORED, "gross margin percentage": IGNORED,
        "gross income": IGNORED, "Rating": IGNORED,
    }  # fmt: skip
    return Shop(table, expected)


def x5() -> Shop:
    """Receipts with points and totals of the whole purchase; long hashes for ids."""
    s = sales(seed=13, customers=180, visits=1_000)
    total = np.bincount(s.visit, weights=s.amount)[s.visit]
    table = pd.DataFrame(
        {
            "client_id": [f"{c * 2654435761 % 2**40:010x}" for c in s.customer],
            "transaction_id": [f"{v * 2654435761 % 2**40:010x}" for v in s.visit],
            "transaction_datetime": dates_of(s, "%Y-%m-%d %H:%M:%S", "2018-12-01", times=True),
            "regular_points_received": np.round(total * 0.05, 1),
            "purchase_sum": np.round(total, 2),
            "store_id": [f"{n * 40503 % 65536:04x}0a" for n in s.store],
            "product_id": [f"{p * 2246822519 % 2**40:010x}" for p in s.product],
            "product_quantity": s.quantity.astype(float),
            "trn_sum_from_iss": np.round(s.amount, 0),
        }
    )
    expected = {
        "client_id": ("customer", "nominal", None), "transaction_id": ("row", "nominal", None),
        "transaction_datetime": ("time", "date", None), "regular_points_received": IGNORED,
        "purchase_sum": IGNORED, "store_id": (None, "nominal", None), "product_id": ("product", "nominal", None),
        "product_quantity": ("quantity", "numeric", None), "trn_sum_from_iss": ("target", "numeric", None),
    }  # fmt: skip
    return Shop(table, expected)


def fashion() -> Shop:
    """Prices only: one row a piece, no visit, no quantity."""
    s = sales(seed=14, customers=400, products=300, visits=2_000)
    price = np.round(s.price / 590 * np.exp(s.random.normal(0, 0.05, s.rows)), 9)
    table = pd.DataFrame(
        {
            "t_dat": dates_of(s, "%Y-%m-%d", "2018-09-20"),
            "customer_id": [f"{c * 2654435761 % 2**60:060x}" for c in s.customer],
            "article_id": [f"{663_713_001 + 1009 * p:010d}" for p in s.product],
            "price": [f"{p:.9f}" for p in price],
            "sales_channel_id": 1 + s.visit % 2,
        }
    )
    expected = {
        "t_dat": ("time", "date", None), "customer_id": ("customer", "nominal", None),
        "article_id": ("product", "nominal", None), "price": ("target", "numeric", None),
        "sales_channel_id": (None, "nominal", None),
    }  # fmt: skip
    return Shop(table, expected)


def sauces() -> Shop:
    """Dollars and units by household and product code; days and weeks as running numbers, no date."""
    s = sales(seed=15, customers=300, visits=1_500)
    table = pd.DataFrame(
        {
            "upc": 7_680_850_106 + 13 * s.product,
            "dollar_sales": [f"{a:.2f}" for a in s.amount],
            "units": s.quantity,
            "time_of_transaction": [f"{m // 60}{m % 60:02d}" for m in s.minute],
            "geography": 1 + s.store % 2,
            "week": 1 + s.day // 7,
            "household": 125_434 + s.customer,
            "store": 50 + s.store * 7,
            "basket": 1 + s.visit,
            "day": 1 + s.day,
            "coupon": (s.random.random(s.rows) < 0.02).astype(int),
        }
    )
    expected = {
        "upc": ("product", "nominal", None), "dollar_sales": ("target", "numeric", None),
        "units": ("quantity", "numeric", None), "time_of_transaction": (None, "numeric", None),
        "geography": (None, "nominal", None), "week": None, "household": ("customer", "nominal", None),
        "store": (None, "nominal", None), "basket": ("row", "nominal", None), "day": None,
        "coupon": (None, "nominal", None),
    }  # fmt: skip
    return Shop(table, expected)


def club() -> Shop:
    """A club's grocery with all that a warehouse adds: codes beside names, dates of birth, totals, points, grams."""
    s = sales(seed=16, customers=260, products=500, visits=1_500, stores=40)
    r = s.random
    grams = s.product % 5 == 0
    quantity = np.where(grams, (r.gamma(4, 90, s.rows) + 20).round().astype(int), s.quantity)
    amount = np.round(np.where(grams, quantity * s.price / 500, quantity * s.price), 2)
    back = r.random(s.rows) < 0.015
    born = [date(1940, 1, 1) + timedelta(days=int(d)) for d in r.integers(0, 23_000, 260)]
    joined = [date(2015, 1, 1) + timedelta(days=int(d)) for d in r.integers(0, 2_500, 260)]
    segment, maker = (np.arange(500) * 7919) % 90, (np.arange(500) * 104_729) % 140
    total = np.bincount(s.visit, weights=amount)[s.visit]
    table = pd.DataFrame(
        {
            "line_no": np.arange(s.rows) + 1,
            "receipt_id": 88_000_000 + s.visit * 3,
            "sale_date": dates_of(s, "%d-%b-%Y", "2022-05-01"),
            "loaded_at": dates_of(s, "%Y-%m-%d 03:15:00", "2022-05-02"),
            "weekday": [datetime.fromisoformat(d).strftime("%A") for d in dates_of(s, "%Y-%m-%d", "2022-05-01")],
            "store_no": 101 + s.store * 3,
            "till": 1 + s.visit % 9,
            "card_no": [f"{26_000_000_000 + 7 * c}" if c % 7 else None for c in s.customer],
            "member_since": [joined[c].isoformat() for c in s.customer],
            "birth_date": [born[c].strftime("%d/%m/%Y") if c % 11 else None for c in s.customer],
            "age": [2023 - born[c].year for c in s.customer],
            "household_size": 1 + (s.customer * 31) % 6,
            "email": [f"member{c}@example.org" for c in s.customer],
            "ean": 4_000_000_000_000 + s.product * 7_919,
            "item_desc": [f"ITEM {p} BRAND {maker[p]}" for p in s.product],
            "segment_code": 100 + segment[s.product],
            "segment_name": [f"Segment {n}" for n in segment[s.product]],
            "category": [f"Category {n // 6}" for n in segment[s.product]],
            "department": [f"Department {n // 30}" for n in segment[s.product]],
            "manufacturer_id": 1 + maker[s.product],
            "private_label": maker[s.product] % 2,
            "weight_or_pieces": np.where(back, -quantity, quantity),
            "net_sales_eur": np.where(back, -amount, amount),
            "vat_amount": np.round(amount * 0.07, 2),
            "receipt_total": total.round(2),
            "points_earned": (total // 2).astype(int),
            "promo": (r.random(s.rows) < 0.1).astype(int),
            "currency": "EUR",
            "comment": None,
        }
    )
    expected = {
        "line_no": ("row", "nominal", None), "receipt_id": ("row", "nominal", None),
        "sale_date": ("time", "date", None), "loaded_at": IGNORED, "weekday": (None, "ordinal", None),
        "store_no": (None, "nominal", None), "till": (None, "nominal", None),
        "card_no": ("customer", "nominal", None), "member_since": (None, "date", "customer"),
        "birth_date": (None, "date", "customer"), "age": (None, "numeric", "customer"),
        "household_size": (None, "nominal", "customer"), "email": IGNORED, "ean": ("product", "nominal", None),
        "item_desc": IGNORED, "segment_code": (None, "nominal", "product"), "segment_name": IGNORED,
        "category": (None, "nominal", "product"), "department": (None, "nominal", "product"),
        "manufacturer_id": (None, "nominal", "product"), "private_label": (None, "nominal", "product"),
        "weight_or_pieces": ("quantity", "numeric", None), "net_sales_eur": ("target", "numeric", None),
        "vat_amount": IGNORED, "receipt_total": IGNORED, "points_earned": IGNORED, "promo": (None, "nominal", None),
        "currency": IGNORED, "comment": IGNORED,
    }  # fmt: skip
    return Shop(table, expected)


def liquor() -> Shop:
    """A wholesaler's list: shops are the customers, prices are written for people."""
    s = sales(seed=17, customers=120, products=180, visits=1_100)
    cost = np.round(s.price / 1.5, 2)
    table = pd.DataFrame(
        {
            "Invoice/Item Number": [f"S{29_195_400_000 + n}" for n in range(s.rows)],
            "Date": dates_of(s, "%m/%d/%Y", "2015-11-20"),
            "Store Number": 2_191 + 7 * s.customer,
            "Store Name": [f"Keokuk Spirits {c}" for c in s.customer],
            "City": [f"City {c % 37}" for c in s.customer],
            "Vendor Number": 10 + 5 * (s.product % 23),
            "Vendor Name": [f"Vendor {p % 23}" for p in s.product],
            "Item Number": 297 + 11 * s.product,
            "Item Description": [f"Vodka No {p}" for p in s.product],
            "Pack": [(6, 12, 24)[p % 3] for p in s.product],
            "Bottle Volume (ml)": [(200, 375, 500, 750, 1_000, 1_750)[p % 6] for p in s.product],
            "State Bottle Cost": [f"${c:,.2f}" for c in cost],
            "State Bottle Retail": [f"${p:,.2f}" for p in s.price],
            "Bottles Sold": s.quantity,
            "Sale (Dollars)": [f"${a * 100:,.2f}" for a in s.amount],
        }
    )
    expected = {
        "Invoice/Item Number": ("row", "nominal", None), "Date": ("time", "date", None),
        "Store Number": ("customer", "nominal", None), "Store Name": IGNORED, "City": (None, "nominal", "customer"),
        "Vendor Number": (None, "nominal", "product"), "Vendor Name": IGNORED,
        "Item Number": ("product", "nominal", None), "Item Description": IGNORED, "Pack": (None, "nominal", "product"),
        "Bottle Volume (ml)": (None, "nominal", "product"), "State Bottle Cost": None, "State Bottle Retail": None,
        "Bottles Sold": ("quantity", "numeric", None), "Sale (Dollars)": ("target", "numeric", None),
    }  # fmt: skip
    return Shop(table, expected, {"decimal": "."})


SHOPS: dict[str, Callable[[], Shop]] = {
    shop.__name__: shop
    for shop in (
        german, spanish, french, online_retail, amount_is_pieces, loyalty_grocery, supermarket, x5, fashion, sauces,
        club, liquor,
    )
}  # fmt: skip
