"""What column names say, in the languages of common shop systems.

A name is cut into words (``CustomerID`` is ``customer``, ``id``), accents are dropped, and each word is compared with
the stems of ``words.toml``. A long stem may begin or end a word, because German writes compounds (``Kundennummer``);
a short one must be the whole word (``art`` is not part of ``party``). Names only add to what the values say, and they
are often wrong: in one public grocery ``AMOUNT`` is the number of pieces.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

__all__ = [
    "AFTER_SALE",
    "BASKET",
    "CODE",
    "CUSTOMER",
    "DISCOUNT",
    "MEASURE",
    "PRODUCT",
    "QUANTITY",
    "SALE",
    "SCALES",
    "TARGET",
    "TIME",
    "Vocabulary",
    "split_name",
    "without_accents",
]

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_A-Za-z]+")
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "æ": "ae", "œ": "oe"})
_MIN_COMPOUND = 5  # letters of a stem that may be a part of a longer word


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Stems that speak for or against a meaning.

    Parameters
    ----------
    strong : frozenset of str
        One of them says it.
    weak : frozenset of str
        One of them hints at it.
    against : frozenset of str
        One of them says that the column is something else, or an attribute of the thing named.
    """

    strong: frozenset[str]
    weak: frozenset[str]
    against: frozenset[str]

    def score(self, name: str) -> float:
        """Return how much a column's name speaks for the meaning, -1..1.

        Parameters
        ----------
        name : str
            The column's name.

        Returns
        -------
        float
            1 for a name that says it, 0.5 for a hint, 0 for nothing, less where it says something else.

        Examples
        --------
        >>> CUSTOMER.score("Kundennummer"), CUSTOMER.score("Customer Segment"), CUSTOMER.score("Q7")
        (1.0, 0.0, 0.0)
        """
        words = split_name(name)
        score = 0.0
        if any(_matches(word, self.strong) for word in words):
            score = 1.0
        elif any(_matches(word, self.weak) for word in words):
            score = 0.5
        if any(_matches(word, self.against) for word in words):
            score -= 1.0
        return score


def split_name(name: str) -> list[str]:
    """Cut a column's name into words in small letters without accents.

    Examples
    --------
    >>> split_name("CustomerID"), split_name("Größe_in_cm"), split_name("QTY2")
    (['customer', 'id'], ['grosse', 'in', 'cm'], ['qty', '2'])
    """
    return [word.lower() for word in _WORDS.findall(without_accents(name))]


def without_accents(text: str) -> str:
    """Return a text with its letters' accents dropped."""
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _matches(word: str, stems: frozenset[str]) -> bool:
    if word in stems:
        return True
    return any(len(stem) >= _MIN_COMPOUND and (word.startswith(stem) or word.endswith(stem)) for stem in stems)


def _read() -> dict[str, Any]:
    text = files("purchasecast.drafting").joinpath("words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _vocabulary(name: str) -> Vocabulary:
    table = _FILE[name]
    attributes = _FILE["attributes"] if table.get("against_attributes") else []
    return Vocabulary(frozenset(table["strong"]), frozenset(table["weak"]), frozenset([*table["against"], *attributes]))


_FILE = _read()
AFTER_SALE, BASKET, CODE, CUSTOMER, DISCOUNT, MEASURE, PRODUCT, QUANTITY, TARGET, TIME = (
    _vocabulary(name)
    for name in (
        *("after_sale", "basket", "code", "customer", "discount", "measure", "product", "quantity", "target"),
        "time",
    )
)
#: Words that make a date the date of the sale.
SALE = frozenset(_FILE["sale"]["words"])
#: For each scale, the rank of each word.
SCALES: tuple[dict[str, int], ...] = tuple(
    {word: rank for rank, step in enumerate(steps) for word in step} for steps in _FILE["scales"].values()
)
