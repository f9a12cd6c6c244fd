"""Measure price bands, products outside them, and expensive products with few buyers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf
from scipy import stats

from purchasecast.insights.prices.findings import MIN_ROWS, Band, Bands, OffBand, PricedProduct, Reach
from purchasecast.insights.significance import MAX_COLLECTED
from purchasecast.spark.columns import number_literal

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.insights.sales import Sales

__all__ = ["Prices", "measure_prices"]

_MIN_PRODUCTS = 8  # of a category that has a band
_MAX_CATEGORIES = 200


@dataclass(frozen=True, slots=True)
class Prices:
    """Three kinds of evidence from the same passes; `reach` is None without customers."""

    bands: Bands
    off_band: OffBand
    reach: Reach | None


def measure_prices(sales: Sales, customers: int | None, rate: float) -> Prices | None:
    """Measure the bands, and test every product against the band of its category; None where there is no band.

    The driver receives only products whose p-value is below the false discovery rate.
    """
    if sales.products is None or sales.category is None:
        return None
    products = _prices(sales.products, sales.mean)
    bands = _bands(products)
    if not bands:
        return None
    tested = products.join(_band_table(products, bands), "category").selectExpr(
        "*", "greatest(error, spread / sqrt(rows)) as wide_error"
    )
    counts = tested.selectExpr("count(1)", "count_if(buyers <= few_buyers)").collect()[0]
    # The normal distribution has lighter tails than the t-distribution: no p-value below the rate is missed.
    two_sided, one_sided = number_literal(stats.norm.isf(rate / 2)), number_literal(stats.norm.isf(rate))
    off = f"mean < low_fence - {two_sided} * error or mean > high_fence + {two_sided} * error"
    expensive = f"buyers <= few_buyers and mean > median + {one_sided} * wide_error"
    flagged = tested.selectExpr("*", f"coalesce({off}, false) as off", f"coalesce({expensive}, false) as expensive")
    rows = flagged.where("error > 0 and (off or expensive)").orderBy("error", "product").limit(MAX_COLLECTED).collect()

    def where(flag: str, error: str) -> tuple[PricedProduct, ...]:
        return tuple(
            PricedProduct(r["product"], r["category"], r["rows"], r["buyers"], r["mean"], r[error])
            for r in rows
            if r[flag]
        )

    by_name, category = {band.category: band for band in bands}, sales.category
    reach = None
    if customers:
        reach = Reach(where("expensive", "wide_error"), by_name, int(counts[1]), customers)
    return Prices(
        Bands(bands, category, customers),
        OffBand(where("off", "error"), by_name, int(counts[0]), category),
        reach,
    )


def _prices(products: DataFrame, overall_mean: float) -> DataFrame:
    """Return the mean purchase of each product and its standard error."""
    squares = f"greatest(squares - rows * pow(total / rows - {number_literal(overall_mean)}, 2), 0D)"
    return products.where(f"rows >= {MIN_ROWS}").selectExpr(
        "cast(level as string) as product",
        "category",
        "rows",
        "buyers",
        "total",
        "total / rows as mean",
        f"sqrt({squares} / (rows - 1) / rows) as error",
    )


def _bands(products: DataFrame) -> tuple[Band, ...]:
    """Return the bands of the categories with the most revenue."""
    by_category = products.groupBy("category").agg(
        sf.expr("count(1) as products"),
        sf.expr("sum(rows) as rows"),
        sf.expr("sum(total) as total"),
        sf.expr("percentile(mean, array(0.1, 0.25, 0.5, 0.75, 0.9)) as prices"),
        sf.expr("percentile(buyers, array(0.25, 0.5)) as reach"),
        sf.expr("sqrt(sum(error * error * rows * (rows - 1)) / sum(rows - 1)) as spread"),
    )
    large = by_category.where(f"products >= {_MIN_PRODUCTS}").orderBy(sf.desc("total"), "category")
    return tuple(map(_band, large.limit(_MAX_CATEGORIES).collect()))


def _band(row: Any) -> Band:
    low, lower, median, upper, high = row["prices"]
    few, typical = row["reach"] or (-1.0, 0.0)  # without customers no product has few buyers
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
    rows = [(b.category, b.median, *map(float, b.fences), float(b.few_buyers), b.spread) for b in bands]
    numbers = ("median", "low_fence", "high_fence", "few_buyers", "spread")
    schema = ", ".join(["category string", *(f"{name} double" for name in numbers)])
    return sf.broadcast(products.sparkSession.createDataFrame(rows, schema))
