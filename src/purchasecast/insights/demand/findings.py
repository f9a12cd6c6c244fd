"""Findings on expected demand: revenue by cell, and products whose revenue is uncertain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from purchasecast.formatting import compact, counted, percent
from purchasecast.insights.significance import Evidence, normal_interval
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from purchasecast.insights.demand.measure import Cell, UncertainProduct
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["Demand"]

_MAX_LEVELS = 20  # on the vertical axis of the chart
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Demand(Evidence):
    """Expected revenue of the rows to score."""

    pairs: tuple[tuple[str, str], ...]  # columns whose combinations are the cells
    cells: tuple[tuple[Cell, ...], ...]  # one tuple per pair, most revenue first
    whole: Cell  # all rows
    products: tuple[UncertainProduct, ...]  # largest deviation first; empty without products
    source: str  # where the variances come from
    scored: str  # the rows, such as ``the purchases to come``

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:  # noqa: ARG002  not tested
        """Return one finding per pair, and one on the most uncertain products."""
        findings = [
            self._pair(pair, cells, phrases) for pair, cells in zip(self.pairs, self.cells, strict=True) if cells
        ]
        if self.products and self.products[0].deviation:
            findings.append(self._products(phrases))
        return findings

    def _pair(self, pair: tuple[str, str], cells: tuple[Cell, ...], phrases: Phrases) -> Finding:
        whole, first = self.whole, cells[0]
        interval = whole.interval(phrases.level) if whole.deviation else None
        ends = f" ({phrases.interval(*interval)})" if interval else ""
        best = f"{phrases.named(pair[0], first.first)} and {phrases.named(pair[1], first.second)}"
        return Finding(
            id=f"inventory:{pair[0]}*{pair[1]}",
            kind="inventory",
            claim=(
                f"Expected revenue of {self.scored}: {phrases.money(whole.expected)}{ends} from {_amount(whole)}. Most "
                f"comes from {best}: {phrases.money(first.expected)} from {_amount(first)}."
            ),
            value=whole.expected,
            unit=phrases.money_unit,
            interval=interval,
            support=Support(whole.rows, whole.customers),
            method=(
                "Sum of the predictions. The interval is that of the sum: it includes the error of each row, the "
                "uncertainty about each customer and product, which their rows share, and the error of whole "
                f"categories, from {self.source}."
            ),
            action="",
            money=None,
            caveat=(
                "This assumes that these purchases take place; it does not forecast which ones will. A unit is a "
                f"purchase unless the schema has a column that counts pieces. {phrases.no_trend}"
            ),
            chart=_heatmap(cells, pair, phrases),
        )

    def _products(self, phrases: Phrases) -> Finding:
        first, shown = self.products[0], self.products[:_SHOWN]
        intervals = [normal_interval(p.expected, p.deviation, phrases.level, minimum=0.0) for p in shown]
        half = [normal_interval(0.0, p.deviation, phrases.level)[1] for p in shown]
        claim = f"{first.product} has the most uncertain revenue"
        if first.expected:
            claim += (
                f": {phrases.money(first.expected)} ± {phrases.money(half[0])} ({percent(half[0] / first.expected)}, "
                f"{phrases.level:.0%} interval) from {counted(first.rows, 'purchase')}. For the {len(shown)} most "
                f"uncertain products, the half widths sum to {phrases.money(sum(half))}"
            )
        return Finding(
            id="inventory:uncertain-products",
            kind="inventory",
            claim=f"{claim}.",
            value=half[0],
            unit=phrases.money_unit,
            interval=None,
            support=Support(sum(p.rows for p in shown)),
            method="Half the width of the interval of each product's sum, computed as for the cells.",
            action="",
            money=None,
            caveat="The uncertainty is about the revenue of each purchase, not about the number of purchases.",
            chart=Chart.intervals(
                "product",
                "expected revenue",
                [(p.product, p.expected, *ends) for p, ends in zip(shown, intervals, strict=True)],
                f"{first.product} is the most uncertain of {len(self.products):,} products",
                phrases.money_unit,
            ),
        )

    def listing(self, pair: int, phrases: Phrases) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
        """Return the columns and lines of the table of a pair."""
        columns = (*self.pairs[pair], "purchases", "units", "expected_revenue", "low", "high")
        lines: list[tuple[str | float, ...]] = [
            (c.first, c.second, c.rows, c.units, c.expected, *c.interval(phrases.level)) for c in self.cells[pair]
        ]
        return columns, lines


def _amount(cell: Cell) -> str:
    """Return purchases, and units where these are not the same."""
    # Without a column that counts pieces, every purchase is one unit.
    purchases = counted(cell.rows, "purchase")
    return purchases if cell.units == cell.rows else f"{compact(cell.units)} units in {purchases}"


def _heatmap(cells: tuple[Cell, ...], pair: tuple[str, str], phrases: Phrases) -> Chart:
    """Return a chart of the cells of the levels with the most revenue."""
    a, b = map(phrases.label, pair)
    by_level: dict[str, float] = {}
    for cell in cells:
        by_level[cell.first] = by_level.get(cell.first, 0.0) + cell.expected
    shown = sorted(by_level, key=lambda level: -by_level[level])[:_MAX_LEVELS]
    ordered = sorted((c for c in cells if c.first in shown), key=lambda c: (shown.index(c.first), c.second))
    rows = tuple((c.second, c.first, c.expected) for c in ordered)
    whole, top = sum(by_level.values()), shown[0]
    share = percent(by_level[top] / whole) if whole else "0%"
    title = f"{phrases.named(pair[0], top)} is expected to bring {share} of the revenue"
    return Chart("heatmap", (b, a, "expected revenue"), rows, title, b, a, phrases.money_unit)
