r"""What prices say: bands of categories, products judged by them, and the spread of what customers alike pay.

The spread of a category is that of the residuals of `peers`: what is left of a purchase after the item's mean and the
customer's attributes, so what customers alike pay differently for the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as sf
from scipy import stats

from purchasecast.finding import Chart, Finding, Support
from purchasecast.insights.bands import LEAST_ROWS, Band, Bands, Judged, OffBand, Reach
from purchasecast.insights.discovery import MOST_COLLECTED, Trials
from purchasecast.insights.sales import number_literal
from purchasecast.insights.wording import number, percent

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.discovery import Floats
    from purchasecast.insights.sales import Sales
    from purchasecast.insights.wording import Words

__all__ = ["Pricing", "Spread", "measure_pricing", "measure_spread"]

LEAST_PRODUCTS = 8  # of a category that has a band
MOST_CATEGORIES = 200
_LEAST_SPREAD_ROWS = 100  # of a category whose spread is told
_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Pricing:
    """What prices say: three kinds of evidence from the same passes."""

    bands: Bands
    off_band: OffBand
    reach: Reach | None


def measure_pricing(sales: Sales, customers: int | None, rate: float) -> Pricing | None:
    """Measure the bands, and judge every product by its category's.

    Parameters
    ----------
    sales : Sales
        Transactions with products and a category.
    customers : int, optional
        How many customers there are.
    rate : float
        Rate of false discoveries: products with larger p-values are not brought to the driver.

    Returns
    -------
    Pricing or None
        None where there are no products, or no category has enough of them.
    """
    if sales.products is None or sales.category is None:
        return None
    squares = f"greatest(squares - rows * pow(total / rows - {number_literal(sales.mean)}, 2), 0D)"
    products = sales.products.where(f"rows >= {LEAST_ROWS}").selectExpr(
        "cast(level as string) as product",
        "category",
        "rows",
        "buyers",
        "total",
        "total / rows as mean",
        f"sqrt({squares} / (rows - 1) / rows) as error",
    )
    bands = _bands(products)
    if not bands:
        return None
    judged = products.join(_band_table(products, bands), "category")
    two_sided, one_sided = number_literal(stats.norm.isf(rate / 2)), number_literal(stats.norm.isf(rate))
    few = "buyers <= few_buyers"
    off = f"mean < low_fence - {two_sided} * error or mean > high_fence + {two_sided} * error"
    dear = f"{few} and mean > median + {one_sided} * error"
    counts = judged.selectExpr("count(1)", f"count_if({few})", "sum(rows * greatest(low - mean, 0D))").collect()[0]
    flagged = judged.selectExpr("*", f"coalesce({off}, false) as off", f"coalesce({dear}, false) as dear")
    rows = flagged.where("error > 0 and (off or dear)").orderBy("error", "product").limit(MOST_COLLECTED).collect()

    def those(flag: str) -> tuple[Judged, ...]:
        return tuple(
            Judged(r["product"], r["category"], r["rows"], r["buyers"], r["mean"], r["error"]) for r in rows if r[flag]
        )

    named = {band.category: band for band in bands}
    reach = Reach(those("dear"), named, int(counts[1]), sales.category, customers) if customers else None
    return Pricing(
        Bands(bands, sales.category, float(counts[2] or 0.0), customers),
        OffBand(those("off"), named, int(counts[0]), sales.category),
        reach,
    )


def _bands(products: DataFrame) -> tuple[Band, ...]:
    """Return the bands of the categories with most revenue."""
    by_category = products.groupBy("category").agg(
        sf.expr("count(1) as products"),
        sf.expr("sum(rows) as rows"),
        sf.expr("sum(total) as total"),
        sf.expr("percentile(mean, array(0.1, 0.25, 0.5, 0.75, 0.9)) as prices"),
        sf.expr("percentile(buyers, array(0.25, 0.5)) as reach"),
    )
    large = by_category.where(f"products >= {LEAST_PRODUCTS}").orderBy(sf.desc("total"), "category")
    return tuple(
        Band(
            row["category"],
            row["products"],
            int(row["rows"]),
            row["total"],
            *row["prices"],
            *(row["reach"][::-1] if row["reach"] else (0.0, -1.0)),
        )
        for row in large.limit(MOST_CATEGORIES).collect()
    )


def _band_table(products: DataFrame, bands: tuple[Band, ...]) -> DataFrame:
    rows = [(b.category, b.low, b.median, *map(float, b.fences), float(b.few_buyers)) for b in bands]
    schema = "category string, low double, median double, low_fence double, high_fence double, few_buyers double"
    return sf.broadcast(products.sparkSession.createDataFrame(rows, schema))


@dataclass(frozen=True, slots=True)
class Spread:
    """What customers alike pay for the same item, by category; facts, so nothing is tested.

    Attributes
    ----------
    categories : tuple of (str, int, float, float, float, float)
        Category, rows, mean purchase, standard deviation of the residual, and the deciles (first and last) of the
        purchase as a share of the item's mean.
    below : dict of str to float
        By category, what purchases lie below what customers alike pay, in sum.
    category : str or None
        The column; None where all rows are one.
    same : str
        What is held equal, for sentences.
    customers : int
        Behind the rows.
    """

    categories: tuple[tuple[str, int, float, float, float, float], ...]
    below: dict[str, float]
    category: str | None
    same: str
    customers: int

    @property
    def trials(self) -> Trials:
        """None: every row is counted."""
        return Trials(np.empty(0), 0)

    def findings(self, q: Floats, rate: float, words: Words) -> list[Finding]:  # noqa: ARG002  nothing was tested
        """Return one finding: where customers alike differ most."""
        usable = [c for c in self.categories if c[1] >= _LEAST_SPREAD_ROWS and c[2] > 0]
        if not usable:
            return []
        category, rows, mean, deviation, low, high = max(usable, key=lambda c: c[3] / c[2])
        where = f"In {words.named(self.category, category)}" if self.category else "Here"
        claim = (
            f"{where} customers alike pay very differently for {self.same}: around a mean purchase of "
            f"{words.money(mean)} they spread by {words.money(deviation)}, and the middle four fifths of purchases lie "
            f"between {percent(low)} and {percent(high)} of what the item usually brings."
        )
        label = words.label(self.category) if self.category else "all"
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
                    f"Standard deviation of purchases after taking off the mean of the item and what customers of the "
                    f"same attributes pay for {self.same}. Money: what this category's purchases below that lack to it."
                ),
                action="Find out why: several pieces a purchase, or discounts? Then set pack sizes or discount rules.",
                money=self.below[category],
                caveat="The spread holds amounts bought as well as prices paid; the data do not tell them apart.",
                chart=Chart(
                    "bar",
                    (label, "spread"),
                    tuple((c[0], c[3] / c[2]) for c in first),
                    f"Spread of what customers alike pay, share of the mean: {category} {number(deviation / mean)}",
                    "spread",
                    label,
                    "share of the mean purchase",
                ),
            )
        ]


def measure_spread(joined: DataFrame, category: str | None, same: str, customers: int) -> Spread:
    """Measure the spread of residuals by category.

    Parameters
    ----------
    joined : DataFrame
        Transactions with ``usual``, the item's mean, and ``r``, the residual (see `peers`).
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
    share = "(usual + r) / usual"
    by_category = joined.groupBy("category").agg(
        sf.expr("count(1) as rows"),
        sf.expr("avg(spend) as mean"),
        sf.expr("sqrt(sum(r * r) / greatest(count(1) - 1, 1)) as deviation"),
        sf.expr("sum(greatest(-r, 0D)) as below"),
        sf.expr(f"percentile_approx(CASE WHEN usual > 0 THEN {share} END, array(0.1, 0.9), 1000) as shares"),
    )
    rows = by_category.orderBy(sf.desc("rows"), "category").limit(MOST_CATEGORIES).collect()
    return Spread(
        tuple((r["category"], r["rows"], r["mean"], r["deviation"], *(r["shares"] or (0.0, 0.0))) for r in rows),
        {r["category"]: float(r["below"]) for r in rows},
        category,
        same,
        customers,
    )
