"""Price bands of categories, products off their band, and dear products that few have met. Without Spark.

A product's price is what a purchase of it brings on average. A category's band holds the middle four fifths of its
products; a product is off it beyond Tukey's fences (a quartile and a half beyond the quartiles), and is named only
where its own spread does not explain that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from purchasecast.formatting import compact, counted, percent
from purchasecast.insights.significance import Trials
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["LEAST_ROWS", "Band", "Bands", "Judged", "OffBand", "Reach"]

LEAST_ROWS = 10  # of a product whose price is judged
_PRIOR_ROWS = 10.0  # that a product's price is shrunk by toward its category's
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Band:
    """The prices of one category's products, in money a purchase; `spread` is the deviation within a product."""

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
        """Beyond these a product is off the band."""
        reach = 1.5 * (self.upper_quartile - self.lower_quartile)
        return (self.lower_quartile - reach, self.upper_quartile + reach)


@dataclass(frozen=True, slots=True)
class Judged:
    """One product that may be off its band, or dear and little known.

    Of a little-known one `error` is at least what the category's spread makes it: where most purchases are dear and a
    few are small, ten dear ones in a row happen by chance, and leave the product no spread of its own to show it.
    """

    product: str
    category: str
    rows: int
    buyers: int | None
    mean: float
    error: float

    def p_above(self, edge: float) -> float:
        """P-value of the true price not lying above an edge."""
        return float(stats.t.sf((self.mean - edge) / self.error, self.rows - 1))

    def p_below(self, edge: float) -> float:
        """P-value of the true price not lying below an edge."""
        return float(stats.t.cdf((self.mean - edge) / self.error, self.rows - 1))


@dataclass(frozen=True, slots=True)
class Bands:
    """The bands of all categories; facts, so nothing is tested."""

    bands: tuple[Band, ...]
    category: str
    money_below: float
    customers: int | None

    @property
    def trials(self) -> tuple[Trials, ...]:
        """None: every row is counted."""
        return ()

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  nothing was tested
        """Return one finding: the widest and the narrowest band, and a picture of all."""
        usable = [band for band in self.bands if band.median > 0]
        if not usable:
            return []
        by_width = sorted(usable, key=lambda band: (band.high - band.low) / band.median)
        narrow, wide = by_width[0], by_width[-1]
        name, other = phrases.named(self.category, wide.category), phrases.named(self.category, narrow.category)
        claim = (
            f"{name} has the widest price band for its level: the middle four fifths of its {wide.products:,} products "
            f"bring {compact(wide.low)} to {phrases.money(wide.high)} a purchase"
            + ("." if narrow is wide else f"; {other} the narrowest, {compact(narrow.low)} to {compact(narrow.high)}.")
        )
        label = phrases.label(self.category)
        shown = sorted(usable, key=lambda band: -band.total)[:_SHOWN]
        rows = tuple((b.category, b.median, b.low, b.high) for b in sorted(shown, key=lambda band: -band.median))
        return [
            Finding(
                id="pricing:bands",
                kind="pricing",
                claim=claim,
                value=(wide.high - wide.low) / wide.median,
                unit="share",
                interval=None,
                support=Support(sum(band.rows for band in usable), self.customers),
                method=(
                    f"Mean purchase of every product with at least {LEAST_ROWS} purchases; deciles over the products "
                    "of a category, its width judged by its middle."
                ),
                action=f"Check whether {name} is one category or several; price new products inside their band.",
                money=self.money_below,
                caveat="A purchase may hold several pieces: these are amounts a purchase, not list prices. No costs.",
                chart=Chart(
                    "interval",
                    (label, "price", "low", "high"),
                    rows,
                    f"Price bands by {label}: where the middle four fifths of the products lie",
                    "price",
                    label,
                    phrases.per_purchase,
                ),
                stake="what products below their band bring less than its lower edge",
            )
        ]


@dataclass(frozen=True, slots=True)
class OffBand:
    """Products beyond the fences of their category; one test a product."""

    judged: tuple[Judged, ...]
    bands: dict[str, Band]
    tried: int
    category: str

    @property
    def trials(self) -> tuple[Trials, ...]:
        """Two-sided: above the upper fence or below the lower one."""
        p = [min(1.0, 2 * min(self._p(product))) for product in self.judged]
        return (Trials(np.array(p), self.tried),)

    def _p(self, product: Judged) -> tuple[float, float]:
        low, high = self.bands[product.category].fences
        return product.p_below(low), product.p_above(high)

    def _beyond(self, product: Judged) -> float:
        """How far a price lies beyond its fence: negative below, positive above."""
        low, high = self.bands[product.category].fences
        return product.mean - high if product.mean > high else product.mean - low

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return one finding of all products off their band."""
        kept = [(product, q_value) for product, q_value in zip(self.judged, q, strict=True) if q_value <= rate]
        if not kept:
            return []
        kept.sort(key=lambda pair: (-abs(self._beyond(pair[0])) * pair[0].rows, pair[0].product))
        money = sum(abs(self._beyond(product)) * product.rows for product, _ in kept)
        half = float(stats.norm.ppf((1 + phrases.level) / 2))
        spread = half * float(np.sqrt(sum((product.error * product.rows) ** 2 for product, _ in kept)))
        above = sum(self._beyond(product) > 0 for product, _ in kept)
        first = kept[0][0]
        low, high = self.bands[first.category].fences
        claim = (
            f"{len(kept):,} of {self.tried:,} products lie off the price band of their {phrases.label(self.category)}, "
            f"{above:,} above and {len(kept) - above:,} below; most money is in {first.product}, at "
            f"{phrases.money(first.mean)} where its category runs from {compact(max(low, 0))} to {compact(high)}."
        )
        rows = tuple((p.product, self._beyond(p) * p.rows) for p, _ in kept[:_SHOWN])
        return [
            Finding(
                id="pricing:off-band",
                kind="pricing",
                claim=claim,
                value=money,
                unit=phrases.money_unit,
                interval=(max(money - spread, 0.0), money + spread),
                support=Support(sum(product.rows for product, _ in kept)),
                method=(
                    "Products whose mean purchase lies beyond the category's quartiles by more than one and a half "
                    "quartile distances, by a t-test with the product's own spread."
                ),
                action=f"Look at {counted(len(kept), 'product')} off the band: wrong category, pack size, or price?",
                money=money,
                caveat="Off the band is not wrong: a premium variant belongs there. No costs in the data.",
                chart=Chart(
                    "bar",
                    ("product", "beyond the band"),
                    rows,
                    f"{first.product} lies furthest off its band, purchases counted",
                    "beyond the band",
                    "product",
                    phrases.money_unit,
                ),
                q_value=float(max(q_value for _, q_value in kept)),
                stake="the distance to the band times purchases",
            )
        ]


@dataclass(frozen=True, slots=True)
class Reach:
    """Products that bring much a purchase and that few have bought; one test a product."""

    judged: tuple[Judged, ...]
    bands: dict[str, Band]
    tried: int
    category: str
    customers: int

    @property
    def trials(self) -> tuple[Trials, ...]:
        """One-sided: dearer than the middle of the category."""
        p = [product.p_above(self.bands[product.category].median) for product in self.judged]
        return (Trials(np.array(p), self.tried),)

    def price(self, product: Judged) -> float:
        """Return a product's price, shrunken toward its category's."""
        middle = self.bands[product.category].median
        return (product.rows * product.mean + _PRIOR_ROWS * middle) / (product.rows + _PRIOR_ROWS)

    def kept(self, q: Floats, rate: float) -> list[tuple[Judged, float]]:
        """Return the products that are kept, most money first, and what the category's usual reach would bring."""
        gains = []
        for product, q_value in zip(self.judged, q, strict=True):
            if q_value <= rate and product.buyers is not None:
                missing = max(self.bands[product.category].typical_buyers - product.buyers, 0.0)
                gains.append((product, missing * self.price(product)))
        return sorted(gains, key=lambda pair: (-pair[1], pair[0].product))

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return one finding of all dear products of small reach."""
        kept = self.kept(q, rate)
        if not kept:
            return []
        money = sum(gain for _, gain in kept)
        half = float(stats.norm.ppf((1 + phrases.level) / 2))
        errors = [gain / self.price(p) * p.error * p.rows / (p.rows + _PRIOR_ROWS) for p, gain in kept]
        spread = half * float(np.sqrt(np.square(errors).sum()))
        first = kept[0][0]
        share = (first.buyers or 0) / max(self.customers, 1)
        claim = (
            f"Few customers have met {counted(len(kept), 'product')} dearer than the middle of the category: "
            f"{first.product}, for one, brings {phrases.money(self.price(first))} a purchase and has reached "
            f"{percent(share)} of the customers."
        )
        return [
            Finding(
                id="reach:dear-and-little-known",
                kind="reach",
                claim=claim,
                value=money,
                unit=phrases.money_unit,
                interval=(max(money - spread, 0.0), money + spread),
                support=Support(sum(product.rows for product, _ in kept)),
                method=(
                    "Products in the quarter of their category with the fewest buyers, dearer than its middle by a "
                    "one-sided t-test with the product's own spread or its category's, the larger. The amount is the "
                    "missing buyers up to the category's median, times the price; its interval is of the prices alone."
                ),
                action=(
                    f"Show {counted(len(kept), 'dear, little-known product')}: better places, samples, and the list "
                    "offers-little-known."
                ),
                money=money,
                caveat="Few buyers may be the reason for a high price: more reach need not find as willing customers.",
                chart=Chart(
                    "bar",
                    ("product", "at usual reach"),
                    tuple((product.product, gain) for product, gain in kept[:_SHOWN]),
                    f"{first.product} would gain most from the usual reach",
                    "at usual reach",
                    "product",
                    phrases.money_unit,
                ),
                q_value=float(max(v for v in q if v <= rate)),
                stake="if they reached as many buyers as their category's middle product",
            )
        ]
