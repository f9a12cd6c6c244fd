"""Findings on prices: price bands of categories, products outside their band, and expensive products with few buyers.

The price of a product is its mean purchase. The band of a category contains the middle 80 % of its products. A product
is outside the band where it lies beyond Tukey's fences (1.5 interquartile ranges outside the quartiles), and is
reported only where its own spread does not explain that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from purchasecast.formatting import compact, counted, percent
from purchasecast.insights.significance import Evidence, Trials, normal_interval
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["MIN_ROWS", "Band", "Bands", "OffBand", "PricedProduct", "Reach"]

MIN_ROWS = 10  # of a product whose price is used
_PRIOR_ROWS = 10.0  # rows of its category that the price of a product is averaged with
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Band:
    """Prices of the products of a category, in money per purchase; `spread` is the deviation within a product."""

    category: str
    products: int
    rows: int
    total: float
    low: float
    lower_quartile: float
    median: float
    upper_quartile: float
    high: float
    typical_buyers: float
    few_buyers: float
    spread: float

    @property
    def fences(self) -> tuple[float, float]:
        """Tukey's fences."""
        reach = 1.5 * (self.upper_quartile - self.lower_quartile)
        return (self.lower_quartile - reach, self.upper_quartile + reach)

    @property
    def relative_width(self) -> float:
        """Width of the band divided by its median."""
        return (self.high - self.low) / self.median


@dataclass(frozen=True, slots=True)
class PricedProduct:
    """A product that may be outside its band, or expensive with few buyers.

    For the latter, `error` is at least what the spread of the category gives. Where most purchases are expensive and a
    few are small, ten expensive ones in a row happen by chance, and then the product's own spread is too small.
    """

    product: str
    category: str
    rows: int
    buyers: int | None
    mean: float
    error: float

    def p_above(self, limit: float) -> float:
        """Return the p-value of a true price above a limit."""
        return float(stats.t.sf((self.mean - limit) / self.error, self.rows - 1))

    def p_below(self, limit: float) -> float:
        """Return the p-value of a true price below a limit."""
        return float(stats.t.cdf((self.mean - limit) / self.error, self.rows - 1))


@dataclass(frozen=True, slots=True)
class Bands(Evidence):
    """The price bands of all categories."""

    bands: tuple[Band, ...]
    category: str
    customers: int | None

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  not tested
        """Return one finding: the widest and the narrowest band, and a chart of all."""
        usable = [band for band in self.bands if band.median > 0]
        if not usable:
            return []
        by_width = sorted(usable, key=lambda band: band.relative_width)
        narrow, wide = by_width[0], by_width[-1]
        name, label = phrases.named(self.category, wide.category), phrases.label(self.category)
        claim = (
            f"{name} has the widest price band relative to its median: the middle 80% of its {wide.products:,} "
            f"products bring {compact(wide.low)} to {phrases.money(wide.high)} per purchase."
        )
        if narrow is not wide:
            ends = f"{compact(narrow.low)} to {phrases.money(narrow.high)}"
            claim += f" {phrases.named(self.category, narrow.category)} has the narrowest: {ends}."
        shown = sorted(usable, key=lambda band: -band.total)[:_SHOWN]
        return [
            Finding(
                id="pricing:bands",
                kind="pricing",
                claim=claim,
                value=wide.relative_width,
                unit="share",
                interval=None,
                support=Support(sum(band.rows for band in usable), self.customers),
                method=(
                    f"Mean purchase of every product with at least {MIN_ROWS} purchases; first and last decile over "
                    "the products of a category, relative to its median."
                ),
                action="",
                money=None,
                caveat="These are amounts per purchase, which may include several pieces, not list prices. No costs.",
                chart=Chart.intervals(
                    label,
                    "price",
                    [(b.category, b.median, b.low, b.high) for b in sorted(shown, key=lambda band: -band.median)],
                    f"Price bands by {label}: the middle 80% of the products",
                    phrases.per_purchase,
                ),
            )
        ]


@dataclass(frozen=True, slots=True)
class OffBand(Evidence):
    """Products outside the fences of their category; one test per product."""

    products: tuple[PricedProduct, ...]
    bands: dict[str, Band]
    tried: int
    category: str

    @property
    def trials(self) -> tuple[Trials, ...]:
        """Two-sided tests: above the upper fence or below the lower one."""
        p = [min(1.0, 2 * min(self._p_values(product))) for product in self.products]
        return (Trials(np.array(p), self.tried),)

    def _p_values(self, product: PricedProduct) -> tuple[float, float]:
        low, high = self.bands[product.category].fences
        return product.p_below(low), product.p_above(high)

    def _distance(self, product: PricedProduct) -> float:
        """Return the distance of a price to its fence: negative below, positive above."""
        low, high = self.bands[product.category].fences
        return product.mean - high if product.mean > high else product.mean - low

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return one finding on all products outside their band."""
        kept = [(product, q_value) for product, q_value in zip(self.products, q, strict=True) if q_value <= rate]
        if not kept:
            return []
        kept.sort(key=lambda pair: (-abs(self._distance(pair[0])) * pair[0].rows, pair[0].product))
        products = [product for product, _ in kept]
        money = sum(abs(self._distance(product)) * product.rows for product in products)
        deviation = float(np.sqrt(sum((product.error * product.rows) ** 2 for product in products)))
        above = sum(self._distance(product) > 0 for product in products)
        first = products[0]
        low, high = self.bands[first.category].fences
        return [
            Finding(
                id="pricing:off-band",
                kind="pricing",
                claim=(
                    f"{len(products):,} of {self.tried:,} products {'is' if len(products) == 1 else 'are'} outside the "
                    f"price band of the {phrases.label(self.category)}, {above:,} above and "
                    f"{len(products) - above:,} below. The most money is in {first.product}, with "
                    f"{phrases.money(first.mean)} per purchase in a category of {compact(max(low, 0))} to "
                    f"{phrases.money(high)}."
                ),
                value=money,
                unit=phrases.money_unit,
                interval=normal_interval(money, deviation, phrases.level, minimum=0.0),
                support=Support(sum(product.rows for product in products)),
                method=(
                    "Products whose mean purchase lies more than 1.5 interquartile ranges outside the quartiles of the "
                    "category, by a t-test with the spread of the product."
                ),
                action="",
                money=None,
                caveat="A price outside the band need not be wrong, as for a premium product. The data have no costs.",
                chart=Chart.bars(
                    "product",
                    "beyond the band",
                    [(p.product, self._distance(p) * p.rows) for p in products[:_SHOWN]],
                    f"{first.product} has the largest distance to its band times purchases",
                    phrases.money_unit,
                ),
                q_value=float(max(q_value for _, q_value in kept)),
            )
        ]


@dataclass(frozen=True, slots=True)
class Reach(Evidence):
    """Products with a high price and few buyers; one test per product."""

    products: tuple[PricedProduct, ...]
    bands: dict[str, Band]
    tried: int
    customers: int

    @property
    def trials(self) -> tuple[Trials, ...]:
        """One-sided tests: more expensive than the median of the category."""
        p = [product.p_above(self.bands[product.category].median) for product in self.products]
        return (Trials(np.array(p), self.tried),)

    def price(self, product: PricedProduct) -> float:
        """Return the price of a product, shrunken toward the median of its category."""
        median = self.bands[product.category].median
        return (product.rows * product.mean + _PRIOR_ROWS * median) / (product.rows + _PRIOR_ROWS)

    def kept(self, q: Floats, rate: float) -> list[tuple[PricedProduct, float]]:
        """Return the products that are kept and their gains, largest first.

        The gain is what as many buyers as the median product of the category has would bring.
        """
        gains = []
        for product, q_value in zip(self.products, q, strict=True):
            if q_value <= rate and product.buyers is not None:
                missing = max(self.bands[product.category].typical_buyers - product.buyers, 0.0)
                gains.append((product, missing * self.price(product)))
        return sorted(gains, key=lambda pair: (-pair[1], pair[0].product))

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return one finding on all expensive products with few buyers."""
        kept = self.kept(q, rate)
        if not kept:
            return []
        money, first = sum(gain for _, gain in kept), kept[0][0]
        errors = [gain / self.price(p) * p.error * p.rows / (p.rows + _PRIOR_ROWS) for p, gain in kept]
        deviation = float(np.sqrt(np.square(errors).sum()))
        share = percent((first.buyers or 0) / max(self.customers, 1))
        count = counted(len(kept), "expensive product")
        return [
            Finding(
                id="reach:few-buyers",
                kind="reach",
                claim=(
                    f"{count} {'has' if len(kept) == 1 else 'have'} few buyers. For example, {first.product} brings "
                    f"{phrases.money(self.price(first))} per purchase, but only {share} of the customers bought it."
                ),
                value=money,
                unit=phrases.money_unit,
                interval=normal_interval(money, deviation, phrases.level, minimum=0.0),
                support=Support(sum(product.rows for product, _ in kept)),
                method=(
                    "Products in the quarter of their category with the fewest buyers whose price is above the median "
                    "of the category, by a one-sided t-test with the spread of the product or of the category, "
                    "whichever is larger. The amount is the number of buyers missing to the median of the category, "
                    "times the price; its interval includes the uncertainty of the prices only."
                ),
                action="",
                money=None,
                caveat="A high price may be the reason for few buyers; new buyers may be less willing to pay it.",
                chart=Chart.bars(
                    "product",
                    "at median reach",
                    [(product.product, gain) for product, gain in kept[:_SHOWN]],
                    f"{first.product} would gain most from the median reach of its category",
                    phrases.money_unit,
                ),
                q_value=float(max(v for v in q if v <= rate)),
            )
        ]
