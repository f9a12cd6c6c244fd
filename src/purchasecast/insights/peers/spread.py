"""How much purchases of the same item vary, and how much of that customers' attributes explain.

The spread of a category is that of its purchases around the mean of their item. Attributes explain the share of it by
which the residuals of the regression within items (`regression`) are smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.formatting import percent
from purchasecast.insights.significance import Evidence
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["CategorySpread", "Spread", "measure_spread"]

_MAX_CATEGORIES = 200
_MIN_ROWS = 100  # of a category that is reported
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class CategorySpread:
    """Spread of the purchases of a category around the mean of their item."""

    category: str
    rows: int  # purchases
    # Mean purchase, and standard deviation around the mean of the item.
    mean: float
    deviation: float
    # First and last decile of purchases, as shares of the mean of their item.
    low: float
    high: float

    @property
    def relative(self) -> float:
        """Standard deviation divided by the mean."""
        return self.deviation / self.mean


@dataclass(frozen=True, slots=True)
class Spread(Evidence):
    """Spread of purchases of the same item, by category."""

    categories: tuple[CategorySpread, ...]  # most rows first
    explained: float  # share of the spread of all rows that the customers' attributes explain
    category: str | None  # the column; None where all rows are one category
    same: str  # what is compared, for sentences: ``the same products``
    customers: int  # customers behind the rows

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  not tested
        """Return one finding on the category whose purchases deviate most in sum."""
        usable = [c for c in self.categories if c.rows >= _MIN_ROWS and c.mean > 0]
        if not usable:
            return []
        most = max(usable, key=lambda c: c.deviation * c.rows)
        where = f"In {phrases.named(self.category, most.category)}, customers" if self.category else "Customers"
        label = phrases.label(self.category) if self.category else "all"
        largest = sorted(sorted(usable, key=lambda c: -c.rows)[:_SHOWN], key=lambda c: -c.relative)
        return [
            Finding(
                id="pricing:spread",
                kind="pricing",
                claim=(
                    f"{where} pay very different amounts for {self.same}: the mean purchase is "
                    f"{phrases.money(most.mean)} with a standard deviation of {phrases.money(most.deviation)}, and the "
                    f"middle 80% of purchases are {percent(most.low)} to {percent(most.high)} of the mean of their "
                    f"item. Attributes of the customers explain {percent(self.explained)} of the spread overall."
                ),
                value=most.relative,
                unit="share",
                interval=None,
                support=Support(most.rows, self.customers),
                method=(
                    "Standard deviation of purchases around the mean of their item. The explained share is the R2 of a "
                    f"regression on customers' attributes within items ({self.same})."
                ),
                action="",
                money=None,
                caveat="The spread includes quantities as well as prices; the data do not separate them.",
                chart=Chart.bars(
                    label,
                    "spread as a share of the mean purchase",
                    [(c.category, c.relative) for c in largest],
                    f"The largest relative spread of purchases of an item is {percent(largest[0].relative)}",
                    None,
                ),
            )
        ]


def measure_spread(sums: DataFrame, category: str | None, same: str, customers: int) -> Spread:
    """Measure by category how purchases vary around the mean of their item, from the sums in `Peers.spread`."""
    by_category = sums.groupBy("category").agg(
        *[sf.expr(f"sum({name}) as {name}") for name in ("rows", "spend", "around", "rest")],
        sf.expr("percentile(share, array(0.1, 0.9), cast(rows as bigint)) as shares"),
    )
    rows = by_category.orderBy(sf.desc("rows"), "category").limit(_MAX_CATEGORIES).collect()
    categories = tuple(map(_category_spread, rows))
    around, rest = sum(row["around"] for row in rows), sum(row["rest"] for row in rows)
    return Spread(categories, max(1 - rest / around, 0.0) if around else 0.0, category, same, customers)


def _category_spread(row: Any) -> CategorySpread:
    low, high = row["shares"] or (0.0, 0.0)
    deviation = math.sqrt(row["around"] / max(row["rows"] - 1, 1))
    mean = row["spend"] / row["rows"]
    return CategorySpread(row["category"], int(row["rows"]), mean, deviation, low, high)
