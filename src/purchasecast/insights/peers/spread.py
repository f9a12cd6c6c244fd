"""How much purchases of the same item vary, and how much of that the customers' attributes explain.

The spread of a category is that of purchases around their item's mean. The share of it that customers' attributes
account for is that by which the residuals of the regression within items are smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.formatting import percent
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats, Trials

__all__ = ["Spread", "measure_spread"]

MAX_CATEGORIES = 200
_LEAST_SPREAD_ROWS = 100  # of a category whose spread is told
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Spread:
    """What customers alike pay for the same item, by category; facts, so nothing is tested.

    Attributes
    ----------
    categories : tuple of (str, int, float, float, float, float)
        Category, rows, mean purchase, standard deviation around the item's mean, and the deciles (first and last) of
        the purchase as a share of that mean.
    below : dict of str to float
        By category, what purchases lie below their item's mean, in sum.
    explained : float
        Share of that spread, of all rows, which the customers' attributes account for.
    category : str or None
        The column; None where all rows are one.
    same : str
        What is held equal, for sentences.
    customers : int
        Behind the rows.
    """

    categories: tuple[tuple[str, int, float, float, float, float], ...]
    below: dict[str, float]
    explained: float
    category: str | None
    same: str
    customers: int

    @property
    def trials(self) -> tuple[Trials, ...]:
        """None: every row is counted."""
        return ()

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  nothing was tested
        """Return one finding: where the spread holds most money."""
        usable = [c for c in self.categories if c[1] >= _LEAST_SPREAD_ROWS and c[2] > 0]
        if not usable:
            return []
        category, rows, mean, deviation, low, high = max(usable, key=lambda c: self.below[c[0]])
        where = f"In {phrases.named(self.category, category)}" if self.category else "Here"
        claim = (
            f"{where} customers pay very differently for {self.same}: around a mean purchase of {phrases.money(mean)} "
            f"they spread by {phrases.money(deviation)}, and the middle four fifths of purchases lie between "
            f"{percent(low)} and {percent(high)} of what the item usually brings. Who the customers are accounts for "
            f"{percent(self.explained)} of all such spread."
        )
        label = phrases.label(self.category) if self.category else "all"
        first = sorted(sorted(usable, key=lambda c: -c[1])[:_SHOWN], key=lambda c: -c[3] / c[2])
        return [
            Finding(
                id="pricing:spread",
                kind="pricing",
                claim=claim,
                value=deviation / mean,
                unit="share",
                interval=None,
                support=Support(rows, self.customers),
                method=(
                    "Standard deviation of purchases around the mean of their item; what customers' attributes account "
                    f"for is the R2 of a regression within items ({self.same})."
                ),
                action=(
                    f"Find out why customers pay so differently for {self.same}: several pieces, or discounts? Then "
                    "set pack sizes or discount rules."
                ),
                money=self.below[category],
                caveat="The spread holds amounts bought as well as prices paid; the data do not tell them apart.",
                chart=Chart(
                    "bar",
                    (label, "spread as a share of the mean purchase"),
                    tuple((c[0], c[3] / c[2]) for c in first),
                    f"Purchases of an item spread by {percent(first[0][3] / first[0][2])} where they spread most",
                    "spread as a share of the mean purchase",
                    label,
                ),
                stake="what this category's purchases below their item's mean lack to it",
            )
        ]


def measure_spread(sums: DataFrame, category: str | None, same: str, customers: int) -> Spread:
    """Measure by category how purchases spread around their item's mean.

    Parameters
    ----------
    sums : DataFrame
        Sums by category and share of the item's mean: `Peers.spread`.
    category : str, optional
        The column behind ``category``.
    same : str
        What is held equal, for sentences.
    customers : int
        Behind the rows.

    Returns
    -------
    Spread
        One line a category, of the 200 with most rows.
    """
    by_category = sums.groupBy("category").agg(
        *[sf.expr(f"sum({name}) as {name}") for name in ("rows", "spend", "around", "below", "rest")],
        sf.expr("percentile(share, array(0.1, 0.9), cast(rows as bigint)) as shares"),
    )
    found = by_category.orderBy(sf.desc("rows"), "category").limit(MAX_CATEGORIES).collect()
    around = sum(r["around"] for r in found)
    return Spread(
        tuple(
            (
                r["category"],
                int(r["rows"]),
                r["spend"] / r["rows"],
                math.sqrt(r["around"] / max(r["rows"] - 1, 1)),
                *(r["shares"] or (0.0, 0.0)),
            )
            for r in found
        ),
        {r["category"]: float(r["below"]) for r in found},
        max(1 - sum(r["rest"] for r in found) / around, 0.0) if around else 0.0,
        category,
        same,
        customers,
    )
