r"""What prices say: bands of categories, products judged by them, and the spread of what customers alike pay.

The spread of a category is that of purchases around their item's mean. The share of it that customers' attributes
account for is that by which the residuals of `peers` are smaller: what is left, customers alike pay differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf
from scipy import stats

from purchasecast.insights.prices.findings import LEAST_ROWS, Band, Bands, Judged, OffBand, Reach
from purchasecast.insights.significance import MOST_COLLECTED
from purchasecast.spark.columns import number_literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.sales import Sales

__all__ = ["Pricing", "measure_pricing"]

LEAST_PRODUCTS = 8  # of a category that has a band
MOST_CATEGORIES = 200


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
    with_bands = products.join(_band_table(products, bands), "category")
    judged = with_bands.selectExpr("*", "greatest(error, spread / sqrt(rows)) as wide_error")
    two_sided, one_sided = number_literal(stats.norm.isf(rate / 2)), number_literal(stats.norm.isf(rate))
    few = "buyers <= few_buyers"
    off = f"mean < low_fence - {two_sided} * error or mean > high_fence + {two_sided} * error"
    dear = f"{few} and mean > median + {one_sided} * wide_error"
    counts = judged.selectExpr("count(1)", f"count_if({few})", "sum(rows * greatest(low - mean, 0D))").collect()[0]
    flagged = judged.selectExpr("*", f"coalesce({off}, false) as off", f"coalesce({dear}, false) as dear")
    rows = flagged.where("error > 0 and (off or dear)").orderBy("error", "product").limit(MOST_COLLECTED).collect()

    def those(flag: str, error: str) -> tuple[Judged, ...]:
        return tuple(
            Judged(r["product"], r["category"], r["rows"], r["buyers"], r["mean"], r[error]) for r in rows if r[flag]
        )

    named = {band.category: band for band in bands}
    reach = Reach(those("dear", "wide_error"), named, int(counts[1]), sales.category, customers) if customers else None
    return Pricing(
        Bands(bands, sales.category, float(counts[2] or 0.0), customers),
        OffBand(those("off", "error"), named, int(counts[0]), sales.category),
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
        sf.expr("sqrt(sum(error * error * rows * (rows - 1)) / sum(rows - 1)) as spread"),
    )
    large = by_category.where(f"products >= {LEAST_PRODUCTS}").orderBy(sf.desc("total"), "category")
    return tuple(map(_band, large.limit(MOST_CATEGORIES).collect()))


def _band(row: Any) -> Band:
    low, lower, median, upper, high = row["prices"]
    few, typical = row["reach"] or (-1.0, 0.0)  # without buyers none are few
    return Band(
        row["category"],
        row["products"],
        int(row["rows"]),
        row["total"],
        low,
        lower,
        median,
        upper,
        high,
        typical_buyers=typical,
        few_buyers=few,
        spread=row["spread"],
    )


def _band_table(products: DataFrame, bands: tuple[Band, ...]) -> DataFrame:
    rows = [(b.category, b.low, b.median, *map(float, b.fences), float(b.few_buyers), b.spread) for b in bands]
    numbers = ("low", "median", "low_fence", "high_fence", "few_buyers", "spread")
    schema = ", ".join(["category string", *(f"{name} double" for name in numbers)])
    return sf.broadcast(products.sparkSession.createDataFrame(rows, schema))
