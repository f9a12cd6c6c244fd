"""Money, columns and levels in the words and the currency of the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from purchasecast.formatting import compact, money, named

if TYPE_CHECKING:
    from purchasecast.schema import Schema

__all__ = ["Phrases", "slug"]


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
class Phrases:
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
        return money(amount, self.schema.money)

    def interval(self, low: float, high: float) -> str:
        """Return an interval of money, for brackets within a sentence."""
        return f"{self.level:.0%} interval {compact(low)} to {self.money(high)}"

    @property
    def money_unit(self) -> str:
        """The unit of a sum of money."""
        return self.schema.money or "units of the target"

    @property
    def per_purchase(self) -> str:
        """The unit of what one row holds."""
        return f"{self.money_unit} a purchase"

    @property
    def no_trend(self) -> str:
        """Why no trend is told, in a sentence."""
        return "All dates count alike, so no trend." if self.schema.time else "No dates, so no trend."

    def label(self, column: str) -> str:
        """Return a column's name for people, without the underscores of a name for machines."""
        label = self.schema.column(column).label
        return label if " " in label else label.replace("_", " ")

    def named(self, column: str, level: str) -> str:
        """Return a level with its column: ``City category A``, but ``Consumer (Segment)`` reads as it should."""
        return named(self.label(column), level)
