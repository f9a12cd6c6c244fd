"""Numbers and names as people read them, in the words and the currency of the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purchasecast.schema import Schema

__all__ = ["Words", "counted", "number", "percent", "slug"]


def number(value: float) -> str:
    """Return a number with as many digits as a reader can use.

    Parameters
    ----------
    value : float
        Any finite number.

    Returns
    -------
    str
        Millions and billions as words.

    Examples
    --------
    >>> number(5_095_812_742), number(-12_345_678), number(9_263.97), number(3.14159)
    ('5.10 billion', '-12.3 million', '9,264', '3.14')
    """
    size = abs(value)
    if size >= 1e9:
        return f"{value / 1e9:,.2f} billion"
    if size >= 1e6:
        return f"{value / 1e6:,.1f} million"
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}"


def percent(share: float) -> str:
    """Return a share in per cent.

    Examples
    --------
    >>> percent(0.5532)
    '55.3%'
    """
    return f"{share:.1%}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number of things.

    Examples
    --------
    >>> counted(1, "product"), counted(1_200, "product"), counted(2, "category", "categories")
    ('1 product', '1,200 products', '2 categories')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def slug(text: str) -> str:
    """Return a text as a part of a file's name: letters, digits and hyphens.

    Examples
    --------
    >>> slug("Sub-Category: Tables & Chairs")
    'sub-category-tables-chairs'
    """
    words = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
    return "-".join(words) or "none"


@dataclass(frozen=True, slots=True)
class Words:
    """How a shop speaks.

    Attributes
    ----------
    schema : Schema
        Where titles and the currency come from.
    level : float
        Level of the intervals, for sentences.
    """

    schema: Schema
    level: float = 0.9

    def money(self, amount: float) -> str:
        """Return an amount with its currency, where the schema names one."""
        unit = f" {self.schema.money}" if self.schema.money else ""
        return f"{number(amount)}{unit}"

    def interval(self, low: float, high: float) -> str:
        """Return an interval of money, for brackets within a sentence."""
        return f"{self.level:.0%} interval {number(low)} to {self.money(high)}"

    @property
    def money_unit(self) -> str:
        """The unit of a sum of money."""
        return self.schema.money or "units of the target"

    @property
    def per_purchase(self) -> str:
        """The unit of what one row holds."""
        return f"{self.money_unit} a purchase"

    def label(self, column: str) -> str:
        """Return a column's name for people, without the underscores of a name for machines."""
        label = self.schema.column(column).label
        return label if " " in label else label.replace("_", " ")

    def named(self, column: str, level: str) -> str:
        """Return a level with its column: ``City category A``, but ``Consumer (Segment)`` reads as it should."""
        label = self.label(column)
        return f"{label} {level}" if len(level) <= 8 else f"{level} ({label})"
