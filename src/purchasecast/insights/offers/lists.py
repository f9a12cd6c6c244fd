"""Target lists: for each customer, the new products and categories with the highest predicted spend.

First candidates are selected (`candidates`), then the model scores them, and each list keeps its best lines. The
expected revenue of a line is its predicted spend times the uptake of the product: the share of all customers who have
bought it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as sf
from pyspark.sql.types import StructType

from purchasecast.formatting import counted, percent
from purchasecast.insights.offers.candidates import candidate_pairs, line_fields
from purchasecast.insights.offers.ranking import LINE_COLUMNS, PERSONAL, Lists, best_lines_of
from purchasecast.insights.offers.tasks import OWN
from purchasecast.insights.phrases import slug
from purchasecast.insights.significance import Evidence, normal_interval
from purchasecast.prediction import score
from purchasecast.results import Chart, Finding, Support
from purchasecast.schema.reserved_columns import PREDICTION
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.config import InsightSettings
    from purchasecast.insights.demand.measure import Noise
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.sales import Sales
    from purchasecast.insights.significance import Floats

__all__ = ["Offer", "Offers", "campaign_lists", "find_lines", "offers_by_customer"]

_MAX_CATEGORY_CAMPAIGNS = 6
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Offer:
    """The list of one campaign."""

    name: str  # ``category:LEVEL``, ``new-category`` or ``little-known``
    lines: pa.Table  # ``customer``, ``product``, ``category``, ``predicted``, ``uptake`` and ``expected``, best first

    @property
    def expected(self) -> float:
        """Expected revenue of the list."""
        return float(pc.sum(self.lines["expected"]).as_py() or 0.0)

    @property
    def file_name(self) -> str:
        """Name of the files, without suffix."""
        return f"offers-{slug(self.name)}"

    def title(self, phrases: Phrases, category: str | None) -> str:
        """Return what the list contains, for readers."""
        if self.name == "new-category":
            return "Offers from categories that are new to the customer"
        if self.name == "little-known":
            return "Offers of expensive products with few buyers"
        level = self.name.removeprefix("category:")
        return f"Offers from {phrases.named(category, level) if category else level}"


@dataclass(frozen=True, slots=True)
class Offers(Evidence):
    """The lists of all campaigns."""

    campaigns: tuple[Offer, ...]
    noise: Noise  # variances of the errors of predictions
    category: str | None  # column of the category

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  not tested
        """Return one finding per list."""
        return [self._finding(offer, phrases) for offer in self.campaigns if offer.lines.num_rows]

    def deviation(self, offer: Offer) -> float:
        """Return the standard deviation of the revenue of a list: both buying and the amount are uncertain."""
        uptake, predicted = (offer.lines[name].to_numpy() for name in ("uptake", "predicted"))
        known, categories = self.noise.of_category, offer.lines["category"].to_pylist()
        error = np.array([known.get(category, self.noise.of_any) for category in categories])
        return float(np.sqrt(np.sum(uptake * (error + predicted**2) - (uptake * predicted) ** 2)))

    def _finding(self, offer: Offer, phrases: Phrases) -> Finding:
        value, lines = offer.expected, offer.lines
        interval = normal_interval(value, self.deviation(offer), phrases.level, minimum=0.0)
        people, count = len(pc.unique(lines["customer"])), counted(lines.num_rows, "offer")
        mean, uptake = (float(pc.mean(lines[name]).as_py()) for name in ("predicted", "uptake"))
        by_product: dict[str, float] = {}
        for product, expected in zip(lines["product"].to_pylist(), lines["expected"].to_pylist(), strict=True):
            by_product[str(product)] = by_product.get(str(product), 0.0) + expected
        largest = sorted(by_product.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
        return Finding(
            id=f"offer:{offer.name}",
            kind="offer",
            claim=(
                f"{offer.title(phrases, self.category)}: {count} to {counted(people, 'customer')}, with a predicted "
                f"spend of {phrases.money(mean)} per purchase. Expected revenue {phrases.money(value)} "
                f"({phrases.interval(*interval)}) if the usual share of customers ({percent(uptake)}) buys."
            ),
            value=value,
            unit=phrases.money_unit,
            interval=interval,
            support=Support(lines.num_rows, people),
            method=(
                "Predicted spend on products that similar customers, or all customers, spend most on and that the "
                "customer has not bought. Expected revenue is the prediction times the share of customers who have "
                "bought the product. The interval assumes independent buyers."
            ),
            action=f"Send the {count} of the list {offer.file_name}, except a random tenth, to measure what they add.",
            money=value,
            caveat="This is what they would pay if they buy; the data cannot say whether an offer makes them buy.",
            chart=Chart.bars(
                "product",
                "expected revenue",
                largest,
                f"{largest[0][0]} is expected to bring {percent(largest[0][1] / value)} of the list",
                phrases.money_unit,
            ),
            stake="expected revenue of the list, if the usual share of customers buys",
        )


def find_lines(
    sales: Sales,
    accepted: DataFrame,
    bundle: Bundle,
    model: Any,
    demand: DataFrame | None,
    little_known: Sequence[str],
    settings: InsightSettings,
) -> DataFrame:
    """Score the candidates of all customers, and return the lines that a list may need.

    One row per line: ``campaign``, ``place`` and `LINE_COLUMNS`. The campaign `PERSONAL` has the offers of each
    customer; there are also campaigns for the six categories with the most revenue, for categories new to the customer,
    and for little-known products. Pairs of customer and product in `accepted` or `demand` are not offered.
    """
    schema = sales.schema
    roles = ((schema.customer or "", "customer"), (schema.product or "", "product"))
    taken = (accepted.limit(0) if demand is None else demand).select(*[col(name).alias(role) for name, role in roles])
    folder = bundle.scorer_folder.resolve() if bundle.scorer_folder.is_dir() else None
    lists = Lists(settings.offers, settings.cap, _top_categories(sales))
    pairs = candidate_pairs(sales, accepted, model, taken, little_known, folder=folder, lists=lists)
    if folder is not None:
        return pairs
    # Without a portable model the tasks cannot score, so the pipeline does, and the lines are ranked afterwards.
    own = [name for name in pairs.columns if name.startswith(OWN)]
    scored = score(pairs, bundle, own).select(*map(col, own), col(PREDICTION).alias(f"{OWN}predicted"))
    scored = scored.toDF(*[name.removeprefix(OWN) for name in scored.columns]).repartition("customer")
    return map_in_tasks(scored, partial(best_lines_of, lists=lists), StructType(line_fields(accepted, schema)))


def _top_categories(sales: Sales) -> tuple[str, ...] | None:
    """Return the categories with the most revenue; None where the shop has no categories."""
    if not sales.category or sales.products is None:
        return None
    by_category = sales.products.groupBy("category").agg(sf.expr("sum(total) as total"))
    top = by_category.orderBy(sf.desc("total"), "category").limit(_MAX_CATEGORY_CAMPAIGNS).collect()
    return tuple(row["category"] for row in top)


def offers_by_customer(lines: DataFrame) -> DataFrame:
    """Return the best offers of each customer; the place 1 has the highest predicted spend."""
    return lines.where(sf.col("campaign") == PERSONAL).select("customer", "place", *LINE_COLUMNS[1:])


def campaign_lists(lines: DataFrame, cap: int) -> tuple[Offer, ...]:
    """Return the lists of all campaigns; the driver receives at most `cap` lines of each."""
    ranked = lines.where(sf.col("campaign") != PERSONAL).selectExpr(
        "*", "row_number() over (partition by campaign order by expected desc, customer, product) as line"
    )
    table = ranked.where(f"line <= {cap}").toArrow().sort_by([("campaign", "ascending"), ("line", "ascending")])
    names = pc.unique(table["campaign"]).to_pylist()
    return tuple(Offer(name, table.filter(pc.equal(table["campaign"], name)).select([*LINE_COLUMNS])) for name in names)
