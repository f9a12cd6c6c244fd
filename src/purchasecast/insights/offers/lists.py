"""Target lists: for each customer the products and categories not yet bought with the highest predicted spend.

Candidates come first (`candidates`), then the model scores them, and each list keeps its best lines. A line's expected
revenue is its predicted spend times the product's uptake, the share of all customers who bought it in the data.
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
from scipy import stats

from purchasecast.formatting import counted, percent
from purchasecast.insights.offers.candidates import candidate_pairs, line_fields
from purchasecast.insights.offers.ranking import LINE_COLUMNS, PERSONAL, Lists, best_lines_of
from purchasecast.insights.offers.tasks import OWN
from purchasecast.insights.phrases import slug
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
    from purchasecast.insights.significance import Floats, Trials

__all__ = ["Offer", "Offers", "campaign_lists", "find_lines", "offers_by_customer"]

MOST_CATEGORY_CAMPAIGNS = 6
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Offer:
    """One campaign's list.

    Attributes
    ----------
    name : str
        ``category:LEVEL``, ``new-category`` or ``little-known``.
    lines : Table
        ``customer``, ``product``, ``category``, ``predicted``, ``uptake`` and ``expected``, best first.
    """

    name: str
    lines: pa.Table

    @property
    def expected(self) -> float:
        """Expected revenue of the list."""
        return float(pc.sum(self.lines["expected"]).as_py() or 0.0)

    @property
    def file_name(self) -> str:
        """What its files are called, without suffix."""
        return f"offers-{slug(self.name)}"

    def title(self, phrases: Phrases, category: str | None) -> str:
        """Return what the list holds, for people."""
        if self.name == "new-category":
            return "Customers and the categories that they have not bought from yet"
        if self.name == "little-known":
            return "Customers for dear products that few have met"
        level = self.name.removeprefix("category:")
        return f"Customers for {phrases.named(category, level) if category else level}"


@dataclass(frozen=True, slots=True)
class Offers:
    """The lists of all campaigns; forecasts, so nothing is tested.

    Attributes
    ----------
    campaigns : tuple of Offer
        The lists.
    noise : Noise
        What the model's errors are made of.
    category : str or None
        Column of the category.
    customers : int
        All customers.
    """

    campaigns: tuple[Offer, ...]
    noise: Noise
    category: str | None
    customers: int

    @property
    def trials(self) -> tuple[Trials, ...]:
        """None: these are forecasts, and carry intervals."""
        return ()

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  nothing was tested
        """Return one finding a list."""
        return [self._finding(offer, phrases) for offer in self.campaigns if offer.lines.num_rows]

    def deviation(self, offer: Offer) -> float:
        """Return the standard deviation of a list's revenue: who buys is a coin toss, what is paid has an error."""
        uptake, predicted = (offer.lines[name].to_numpy() for name in ("uptake", "predicted"))
        known, categories = self.noise.of_category, offer.lines["category"].to_pylist()
        error = np.array([known.get(category, self.noise.of_any) for category in categories])
        return float(np.sqrt(np.sum(uptake * (error + predicted**2) - (uptake * predicted) ** 2)))

    def _finding(self, offer: Offer, phrases: Phrases) -> Finding:
        half = float(stats.norm.ppf((1 + phrases.level) / 2)) * self.deviation(offer)
        value, lines = offer.expected, offer.lines
        interval = (max(value - half, 0.0), value + half)
        people = len(pc.unique(lines["customer"]))
        mean, uptake = (float(pc.mean(lines[name]).as_py()) for name in ("predicted", "uptake"))
        title = offer.title(phrases, self.category)
        claim = (
            f"{title}: {counted(lines.num_rows, 'offer')} to {counted(people, 'customer')} of what they have not "
            f"bought, worth {phrases.money(mean)} a purchase by the model; {phrases.money(value)} "
            f"({phrases.interval(*interval)}) if as many of them buy as of all customers ({percent(uptake)})."
        )
        by_product: dict[str, float] = {}
        for product, expected in zip(lines["product"].to_pylist(), lines["expected"].to_pylist(), strict=True):
            by_product[str(product)] = by_product.get(str(product), 0.0) + expected
        first = sorted(by_product.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
        return Finding(
            id=f"offer:{offer.name}",
            kind="offer",
            claim=claim,
            value=value,
            unit=phrases.money_unit,
            interval=interval,
            support=Support(lines.num_rows, people),
            method=(
                "The model's prediction for products that customers of the same taste, or all, spend most on, less "
                "those bought already; expected revenue is the prediction times the share of customers who bought it. "
                "The interval takes buyers as independent."
            ),
            action=(
                f"Send the {counted(lines.num_rows, 'offer')} of list {offer.file_name}, less a random tenth, to see "
                "what they add."
            ),
            money=value,
            caveat="What they would pay if they buy; whether an offer makes them buy, these data cannot say.",
            chart=Chart(
                "bar",
                ("product", "expected revenue"),
                tuple(first),
                f"{first[0][0]} is expected to bring {percent(first[0][1] / value)} of the list",
                "expected revenue",
                "product",
                phrases.money_unit,
            ),
            stake="expected of the list, if as many buy as of all customers",
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
    """Score the candidates of all customers, and keep the lines that a list may need.

    Parameters
    ----------
    sales : Sales
        Transactions with customers and products.
    accepted : DataFrame
        The same rows as they were accepted.
    bundle : Bundle
        The model's directory.
    model : PipelineModel
        The pipeline in it.
    demand : DataFrame, optional
        Rows to score: their pairs are on their way already, so they are not offered.
    little_known : sequence of str
        Products to think of for every customer.
    settings : InsightSettings
        How many offers a customer, how many lines a list.

    Returns
    -------
    DataFrame
        One row a line: ``campaign``, ``place`` and the columns of a list. Besides every customer's own offers, in the
        campaign `PERSONAL`, there are lists of the six categories with most revenue, of categories new to a customer,
        and of little-known products.
    """
    schema = sales.schema
    roles = ((schema.customer or "", "customer"), (schema.product or "", "product"))
    taken = (accepted.limit(0) if demand is None else demand).select(*[col(name).alias(role) for name, role in roles])
    folder = bundle.scorer_folder.resolve() if bundle.scorer_folder.is_dir() else None
    lists = Lists(settings.offers, settings.cap, _top_categories(sales))
    found = candidate_pairs(sales, accepted, model, taken, little_known, folder=folder, lists=lists)
    if folder is not None:
        return found
    own = [name for name in found.columns if name.startswith(OWN)]
    scored = score(found, bundle, own).select(*map(col, own), col(PREDICTION).alias(f"{OWN}predicted"))
    scored = scored.toDF(*[name.removeprefix(OWN) for name in scored.columns]).repartition("customer")
    return map_in_tasks(scored, partial(best_lines_of, lists=lists), StructType(line_fields(accepted, schema)))


def _top_categories(sales: Sales) -> tuple[str, ...] | None:
    """Return the categories with most revenue; None where the shop has no categories."""
    if not sales.category or sales.products is None:
        return None
    by_category = sales.products.groupBy("category").agg(sf.expr("sum(total) as total"))
    top = by_category.orderBy(sf.desc("total"), "category").limit(MOST_CATEGORY_CAMPAIGNS).collect()
    return tuple(row["category"] for row in top)


def offers_by_customer(lines: DataFrame) -> DataFrame:
    """Return the best offers of every customer, highest predicted spend first.

    Parameters
    ----------
    lines : DataFrame
        What `find_lines` returned.

    Returns
    -------
    DataFrame
        ``customer``, ``place`` (1 is best) and the columns of a list.
    """
    return lines.where(sf.col("campaign") == PERSONAL).select("customer", "place", *LINE_COLUMNS[1:])


def campaign_lists(lines: DataFrame, cap: int) -> tuple[Offer, ...]:
    """Return the lists of all campaigns.

    Parameters
    ----------
    lines : DataFrame
        What `find_lines` returned, cached.
    cap : int
        How many lines a list.

    Returns
    -------
    tuple of Offer
        Lists that have lines, by name.

    Notes
    -----
    The driver receives at most `cap` lines a campaign.
    """
    ranked = lines.where(sf.col("campaign") != PERSONAL).selectExpr(
        "*", "row_number() over (partition by campaign order by expected desc, customer, product) as line"
    )
    table = ranked.where(f"line <= {cap}").toArrow().sort_by([("campaign", "ascending"), ("line", "ascending")])
    names = pc.unique(table["campaign"]).to_pylist()
    return tuple(Offer(name, table.filter(pc.equal(table["campaign"], name)).select([*LINE_COLUMNS])) for name in names)
