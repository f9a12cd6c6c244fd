"""Inventory put into phrases: what to expect where, and what not to rely on. Without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy import stats

from purchasecast.formatting import compact, counted, percent
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from purchasecast.insights.demand.measure import Cell, UncertainProduct
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats, Trials

__all__ = ["Stock"]

_MOST_LEVELS = 20  # of the picture's sides
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Stock:
    """Expected revenue of a table to score.

    Attributes
    ----------
    pairs : tuple of (str, str)
        Columns added up by.
    cells : tuple of tuple of Cell
        One tuple a pair, most revenue first.
    whole : Cell
        All rows.
    products : tuple of UncertainProduct
        Largest deviation first; empty without products.
    source : str
        Where the variances are from.
    scored : str
        What was scored, such as ``the purchases to come``.
    """

    pairs: tuple[tuple[str, str], ...]
    cells: tuple[tuple[Cell, ...], ...]
    whole: Cell
    products: tuple[UncertainProduct, ...]
    source: str
    scored: str

    @property
    def trials(self) -> tuple[Trials, ...]:
        """None: these are forecasts, and carry intervals."""
        return ()

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  nothing was tested
        """Return one finding a pair, and one of the products to be careful with."""
        found = [self._pair(pair, cells, phrases) for pair, cells in zip(self.pairs, self.cells, strict=True) if cells]
        certain = not self.products or not self.products[0].deviation
        return found if certain else [*found, self._products(phrases)]

    def _pair(self, pair: tuple[str, str], cells: tuple[Cell, ...], phrases: Phrases) -> Finding:
        whole, first = self.whole, cells[0]
        interval = whole.interval(phrases.level) if whole.deviation else None
        known = f" ({phrases.interval(*interval)})" if interval else ""
        claim = (
            f"{self.scored[0].upper()}{self.scored[1:]} are expected to bring {phrases.money(whole.expected)}{known} "
            f"from {_amount(whole)}; most in {phrases.named(pair[0], first.first)} and "
            f"{phrases.named(pair[1], first.second)}: {phrases.money(first.expected)} from {_amount(first)}."
        )
        a, b = phrases.label(pair[0]), phrases.label(pair[1])
        return Finding(
            id=f"inventory:{pair[0]}*{pair[1]}",
            kind="inventory",
            claim=claim,
            value=whole.expected,
            unit=phrases.money_unit,
            interval=interval,
            support=Support(whole.rows, whole.customers),
            method=(
                "Sum of the model's predictions; the interval is that of the sum: every row's own error, what is not "
                f"known of each customer and product, shared by their rows, and errors of whole categories, from "
                f"{self.source}."
            ),
            action=f"Order by the table of {a} and {b}: plan by the middle, by the high end where running out is dear.",
            money=(interval[1] - interval[0]) / 2 if interval else None,
            caveat=(
                "Given that these purchases take place: which ones will is not forecast. A unit is a purchase unless "
                f"the schema counts pieces. {phrases.no_trend}"
            ),
            chart=_heatmap(cells, pair, phrases),
            stake="half the interval's width: the reserve to hold",
        )

    def _products(self, phrases: Phrases) -> Finding:
        first = self.products[0]
        shown = self.products[:_SHOWN]
        half = {p.product: float(stats.norm.ppf((1 + phrases.level) / 2)) * p.deviation for p in shown}
        claim = (
            f"The revenue of {first.product} is the least certain: {phrases.money(first.expected)} give or take "
            f"{phrases.money(half[first.product])} ({percent(half[first.product] / first.expected)}, "
            f"{phrases.level:.0%} interval), from {first.rows:,} purchases; the {len(shown)} least certain products "
            f"hold {phrases.money(sum(half.values()))} of such doubt."
            if first.expected
            else f"The revenue of {first.product} is the least certain."
        )
        return Finding(
            id="inventory:uncertain-products",
            kind="inventory",
            claim=claim,
            value=half[first.product],
            unit=phrases.money_unit,
            interval=None,
            support=Support(sum(p.rows for p in shown)),
            method="Half width of the interval of each product's sum, as for the cells.",
            action=(
                f"Order the {len(shown)} least certain products in smaller steps, or agree on returns, until more "
                "is known of them."
            ),
            money=sum(half.values()),
            caveat="Doubt about what a purchase brings, not about how many there will be.",
            chart=Chart(
                "interval",
                ("product", "expected revenue", "low", "high"),
                tuple(
                    (p.product, p.expected, max(p.expected - half[p.product], 0.0), p.expected + half[p.product])
                    for p in shown
                ),
                f"{first.product} is the least certain of {len(self.products):,} products",
                "expected revenue",
                "product",
                phrases.money_unit,
            ),
            stake="the half widths of the products shown, added up",
        )

    def listing(self, pair: int, phrases: Phrases) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
        """Return the columns and lines of a pair's table."""
        columns = (*self.pairs[pair], "purchases", "units", "expected_revenue", "low", "high")
        lines: list[tuple[str | float, ...]] = [
            (c.first, c.second, c.rows, c.units, c.expected, *c.interval(phrases.level)) for c in self.cells[pair]
        ]
        return columns, lines


def _amount(cell: Cell) -> str:
    """Return the units and purchases of a cell, the units only where they are not the purchases."""
    purchases = counted(cell.rows, "purchase")
    return purchases if cell.units == cell.rows else f"{compact(cell.units)} units in {purchases}"


def _heatmap(cells: tuple[Cell, ...], pair: tuple[str, str], phrases: Phrases) -> Chart:
    """Return the picture of the first column's levels with most revenue."""
    a, b = map(phrases.label, pair)
    by_level: dict[str, float] = {}
    for cell in cells:
        by_level[cell.first] = by_level.get(cell.first, 0.0) + cell.expected
    shown = sorted(by_level, key=lambda level: -by_level[level])[:_MOST_LEVELS]
    heat = sorted((c for c in cells if c.first in shown), key=lambda c: (shown.index(c.first), c.second))
    rows = tuple((c.second, c.first, c.expected) for c in heat)
    whole, top = sum(by_level.values()), shown[0]
    share = percent(by_level[top] / whole) if whole else "0%"
    title = f"{phrases.named(pair[0], top)} is expected to bring {share} of the revenue"
    return Chart("heatmap", (b, a, "expected revenue"), rows, title, b, a, phrases.money_unit)
