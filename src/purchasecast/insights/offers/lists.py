"""Target lists: what each customer is most likely to buy, and the campaigns with the highest expected revenue.

The expected revenue of a line is the probability of the purchase in the period to come times the amount that it would
bring. The offers of a customer are the most probable ones; a campaign has the lines with the highest expected revenue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as sf

from purchasecast.formatting import counted, percent
from purchasecast.insights.phrases import slug
from purchasecast.insights.significance import Evidence, normal_interval
from purchasecast.numerics.purchases.features import NEW_FEATURES
from purchasecast.prediction import score_offers
from purchasecast.results import Chart, Finding, Support
from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.config import InsightSettings
    from purchasecast.insights.demand.measure import Noise
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.sales import Sales
    from purchasecast.insights.significance import Floats

__all__ = [
    "LINE_COLUMNS",
    "Offer",
    "Offers",
    "calibration_error",
    "campaign_lists",
    "offers_by_customer",
    "scored_offers",
]

LINE_COLUMNS = ("customer", "product", "category", "amount", "probability", "expected_revenue", "bought_before")
_MAX_CATEGORY_CAMPAIGNS = 6
_CANDIDATES = 100  # most probable products per customer, which the campaigns choose from
# Told and actual buyers of a list differ by more than chance: by 5 % (standard deviation) on purchases not seen, where
# the probabilities were learned from very many purchases.
_CALIBRATION_ERROR = 0.05
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Offer:
    """The list of one campaign."""

    name: str  # ``category:LEVEL`` or ``new-category``
    lines: pa.Table  # `LINE_COLUMNS`, best first

    @property
    def expected(self) -> float:
        """Expected revenue of the list."""
        return float(pc.sum(self.lines["expected_revenue"]).as_py() or 0.0)

    @property
    def file_name(self) -> str:
        """Name of the files, without suffix."""
        return f"offers-{slug(self.name)}"

    def title(self, phrases: Phrases, category: str | None) -> str:
        """Return what the list contains, for readers."""
        if self.name == "new-category":
            return "Offers from categories that are new to the customer"
        level = self.name.removeprefix("category:")
        return f"Offers from {phrases.named(category, level) if category else level}"


@dataclass(frozen=True, slots=True)
class Offers(Evidence):
    """The lists of all campaigns."""

    campaigns: tuple[Offer, ...]
    noise: Noise  # variances of the errors of predictions
    category: str | None  # column of the category
    checked: str = ""  # what lists made in the same way brought on hidden purchases
    error: float = _CALIBRATION_ERROR  # relative, of all probabilities of a list together

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  not tested
        """Return one finding per list."""
        return [self._finding(offer, phrases) for offer in self.campaigns if offer.lines.num_rows]

    def deviation(self, offer: Offer) -> float:
        """Return the standard deviation of the revenue of a list.

        Whether a customer buys and what the purchase brings are uncertain, independently for each line; the
        probabilities of all lines may be too high or too low together.
        """
        probability, amount = (offer.lines[name].to_numpy() for name in ("probability", "amount"))
        known, categories = self.noise.of_category, offer.lines["category"].to_pylist()
        error = np.array([known.get(category, self.noise.of_any) for category in categories])
        by_line = np.sum(probability * (error + amount**2) - (probability * amount) ** 2)
        return float(np.sqrt(by_line + (self.error * offer.expected) ** 2))

    def _finding(self, offer: Offer, phrases: Phrases) -> Finding:
        value, lines = offer.expected, offer.lines
        interval = normal_interval(value, self.deviation(offer), phrases.level, minimum=0.0)
        people, count = len(pc.unique(lines["customer"])), counted(lines.num_rows, "offer")
        mean = float(pc.mean(lines["amount"]).as_py())
        buyers = float(pc.sum(lines["probability"]).as_py())
        by_product: dict[str, float] = {}
        for product, expected in zip(lines["product"].to_pylist(), lines["expected_revenue"].to_pylist(), strict=True):
            by_product[str(product)] = by_product.get(str(product), 0.0) + expected
        largest = sorted(by_product.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
        return Finding(
            id=f"offer:{offer.name}",
            kind="offer",
            claim=(
                f"{offer.title(phrases, self.category)}: {count} to {counted(people, 'customer')}, of which "
                f"{buyers:,.0f} are expected to be bought, at {phrases.money(mean)} each. Expected revenue "
                f"{phrases.money(value)} ({phrases.interval(*interval)})."
            ),
            value=value,
            unit=phrases.money_unit,
            interval=interval,
            support=Support(lines.num_rows, people),
            method=(
                "Probability of a purchase in the period to come, learned on purchases that were hidden, times the "
                "predicted amount; the lines with the highest expected revenue. The interval allows for chance, the "
                f"error of amounts, and {percent(self.error)} by which all probabilities may be wrong."
            ),
            action=f"Send the {count} of the list {offer.file_name}, except a random tenth, to measure what they add.",
            money=value,
            caveat="They may buy without an offer; only the random tenth without one tells what the list adds.",
            chart=Chart.bars(
                "product",
                "expected revenue",
                largest,
                f"{largest[0][0]} is expected to bring {percent(largest[0][1] / value)} of the list",
                phrases.money_unit,
            ),
            stake="revenue of the list, with or without the offer",
            money_interval=interval,
            who="Marketing",
            when="before the period to come",
            checked=self.checked,
            wrong_if=(
                f"Of the list, far from {buyers:,.0f} are bought, or customers without the offer buy as much as those "
                "with it."
            ),
        )


def calibration_error(hidden: float) -> float:
    """Return the relative error of the probabilities of a list that were learned from so many hidden purchases.

    Besides what remains with very many, a regression with k coefficients has a relative error of about the square root
    of k over the purchases that it has seen.
    """
    return float(np.sqrt(_CALIBRATION_ERROR**2 + NEW_FEATURES / max(hidden, 1.0)))


def scored_offers(
    sales: Sales, accepted: DataFrame, bundle: Bundle, coming: DataFrame | None, settings: InsightSettings
) -> DataFrame:
    """Return the most probable products of each customer, with `LINE_COLUMNS` and ``new_category``.

    Pairs of customer and product in `coming` are not offered. ``new_category`` tells whether the customer has bought
    nothing from the category.
    """
    schema = sales.schema
    customer, product = str(schema.customer), str(schema.product)
    found = score_offers(
        accepted,
        bundle,
        per_customer=max(settings.offers, _CANDIDATES),
        repeat=settings.repeat,
        purchases=settings.purchases,
        by="probability",
    )
    if coming is not None:
        found = found.join(coming.select(customer, product), [customer, product], "left_anti")
    named = found.withColumnsRenamed({customer: "customer", product: "product"})
    if sales.products is None:
        raise ValueError("offers need products")
    categories = sales.products.select(col("level").alias("product"), "category")
    bought = sales.frame.select("customer", "category").distinct().withColumn("known", sf.lit(True))
    described = named.join(sf.broadcast(categories), "product").join(bought, ["customer", "category"], "left")
    return described.select(*LINE_COLUMNS, col("known").isNull().alias("new_category"))


def offers_by_customer(offered: DataFrame, count: int) -> DataFrame:
    """Return the offers that each customer is most likely to take; the place 1 is the most probable."""
    place = "row_number() over (partition by customer order by probability desc, product)"
    ranked = offered.withColumn("place", sf.expr(place)).where(col("place") <= count)
    return ranked.select("customer", "place", *LINE_COLUMNS[1:])


def campaign_lists(offered: DataFrame, sales: Sales, settings: InsightSettings) -> tuple[Offer, ...]:
    """Return the lists of the categories with the most revenue, and of categories that are new to the customer.

    A list has one line per customer and category, the one with the highest expected revenue; the driver receives at
    most ``settings.cap`` lines of each.
    """
    top = _top_categories(sales)
    if top is None:
        return ()
    order = "order by expected_revenue desc, product"
    best = offered.withColumn("of_category", sf.expr(f"row_number() over (partition by customer, category {order})"))
    best = best.where("of_category = 1")
    fresh = best.where("new_category").withColumn("turn", sf.expr(f"row_number() over (partition by customer {order})"))
    campaigns = best.where(col("category").isin(list(top))).selectExpr("concat('category:', category) as campaign", "*")
    new = fresh.where(col("turn") <= settings.offers).selectExpr("'new-category' as campaign", "*")
    lines = campaigns.select("campaign", *LINE_COLUMNS).unionByName(new.select("campaign", *LINE_COLUMNS))
    line = "row_number() over (partition by campaign order by expected_revenue desc, customer, product)"
    table = lines.withColumn("line", sf.expr(line)).where(col("line") <= settings.cap).toArrow()
    table = table.sort_by([("campaign", "ascending"), ("line", "ascending")])
    names = pc.unique(table["campaign"]).to_pylist()
    return tuple(Offer(name, table.filter(pc.equal(table["campaign"], name)).select([*LINE_COLUMNS])) for name in names)


def _top_categories(sales: Sales) -> tuple[str, ...] | None:
    """Return the categories with the most revenue; None where the shop has no categories."""
    if not sales.category or sales.products is None:
        return None
    by_category = sales.products.groupBy("category").agg(sf.expr("sum(total) as total"))
    top = by_category.orderBy(sf.desc("total"), "category").limit(_MAX_CATEGORY_CAMPAIGNS).collect()
    return tuple(row["category"] for row in top)
