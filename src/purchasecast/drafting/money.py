"""Units that names and values give away: currencies, and what a measure is counted in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.drafting.words import split_name

if TYPE_CHECKING:
    from purchasecast.drafting.survey import Survey

__all__ = ["find_money", "find_unit"]

_CURRENCIES = {
    "eur": "EUR", "euro": "EUR", "euros": "EUR", "€": "EUR", "usd": "USD", "dollar": "USD", "dollars": "USD",
    "$": "USD", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "£": "GBP", "chf": "CHF", "cad": "CAD",
    "aud": "AUD", "jpy": "JPY",
    "sek": "SEK", "nok": "NOK", "dkk": "DKK", "pln": "PLN", "zloty": "PLN", "czk": "CZK", "huf": "HUF", "try": "TRY",
    "brl": "BRL", "mxn": "MXN", "inr": "INR", "cny": "CNY", "rub": "RUB", "twd": "TWD", "ntd": "TWD", "krw": "KRW",
    "zar": "ZAR", "cop": "COP", "clp": "CLP", "ars": "ARS", "sgd": "SGD", "hkd": "HKD", "nzd": "NZD",
}  # fmt: skip
_COUNTRIES = {
    "united states": "USD", "usa": "USD", "us": "USD", "united kingdom": "GBP", "uk": "GBP", "great britain": "GBP",
    "germany": "EUR", "deutschland": "EUR", "france": "EUR", "spain": "EUR", "espana": "EUR", "italy": "EUR",
    "italia": "EUR", "austria": "EUR", "netherlands": "EUR", "switzerland": "CHF", "schweiz": "CHF", "japan": "JPY",
    "canada": "CAD", "australia": "AUD", "brazil": "BRL", "brasil": "BRL", "mexico": "MXN", "india": "INR",
    "taiwan": "TWD", "poland": "PLN", "turkey": "TRY", "china": "CNY",
}  # fmt: skip
_UNITS = {
    "kg": "kg", "g": "g", "gram": "g", "grams": "g", "gramm": "g", "ml": "ml", "l": "l", "litre": "l", "litres": "l",
    "liter": "l", "cm": "cm", "mm": "mm", "m2": "m2", "km": "km", "years": "years", "jahre": "years", "pct": "percent",
    "percent": "percent", "prozent": "percent", "days": "days", "minutes": "minutes",
}  # fmt: skip


def find_money(survey: Survey, target: str) -> tuple[str, str] | None:
    """Find the currency of the amounts.

    Parameters
    ----------
    survey : Survey
        The table.
    target : str
        The column with the amounts.

    Returns
    -------
    tuple of (str, str) or None
        The code of the currency and where it was seen.
    """
    for word in [*split_name(target), *(sign for sign in "€$£" if sign in target)]:
        if word in _CURRENCIES:
            return _CURRENCIES[word], f"the name {target}"
    for column in survey.columns:
        words = set(split_name(column.name))
        if column.content != "constant":
            continue
        value = next(iter(column.counts.levels), "")
        if words & {"currency", "wahrung", "waehrung", "moneda", "devise", "valuta", "curr"}:
            return (_CURRENCIES.get(value.lower(), value.upper()[:3])), f"{column.name} is {value} in every row"
        if words & {"country", "land", "pais", "pays"} and value.lower() in _COUNTRIES:
            return _COUNTRIES[value.lower()], f"{column.name} is {value} in every row"
    return None


def find_unit(name: str) -> str | None:
    """Return the unit at the end of a column's name; None without one.

    Examples
    --------
    >>> find_unit("weight_kg"), find_unit("Discount")
    ('kg', None)
    """
    words = split_name(name)
    return _UNITS.get(words[-1]) if len(words) > 1 else None
