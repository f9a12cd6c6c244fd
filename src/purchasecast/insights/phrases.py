"""Write money, columns and levels with the names and the currency of a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from purchasecast.formatting import compact, money, named

if TYPE_CHECKING:
    from purchasecast.schema import Schema

__all__ = ["Phrases", "slug"]


def slug(text: str) -> str:
    """Return a text as a part of a file name: letters, digits and hyphens.

    Examples
    --------
    >>> slug("Sub-Category: Tables & Chairs")
    'sub-category-tables-chairs'
    """
    words = "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()
    return "-".join(words) or "none"


@dataclass(frozen=True, slots=True)
class Phrases:
    """Parts of sentences, with the names and the currency of a schema."""

    schema: Schema  # source of the names and of the currency
    level: float = 0.9  # level of the intervals

    def money(self, amount: float) -> str:
        """Return an amount with its currency, where the schema has one."""
        return money(amount, self.schema.money)

    def interval(self, low: float, high: float) -> str:
        """Return an interval of money, to stand in brackets."""
        return f"{self.level:.0%} interval {compact(low)} to {self.money(high)}"

    def more_or_less(self, amount: float) -> str:
        """Return a difference as an amount and a direction: ``12 USD less``."""
        return f"{self.money(abs(amount))} {'more' if amount > 0 else 'less'}"

    @property
    def money_unit(self) -> str:
        """The unit of a sum of money."""
        return self.schema.money or "units of the target"

    @property
    def per_purchase(self) -> str:
        """The unit of the target of one row."""
        return f"{self.money_unit} per purchase"

    @property
    def no_trend(self) -> str:
        """A sentence on why the findings show no trend."""
        if self.schema.time:
            return "All dates count equally, so trends are not considered."
        return "The data have no dates, so trends are not known."

    def label(self, column: str) -> str:
        """Return the name of a column for readers, without underscores."""
        label = self.schema.column(column).label
        return label if " " in label else label.replace("_", " ")

    def named(self, column: str, level: str) -> str:
        """Return a level with the name of its column: ``City category A``, ``Home Office (Segment)``."""
        return named(self.label(column), level)
