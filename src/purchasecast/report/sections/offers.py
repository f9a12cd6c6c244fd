"""Figures on lists of offers: how many were bought, beside simple lists, and expected beside actual buyers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import number, percent, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Table

if TYPE_CHECKING:
    from purchasecast.results import ListEvaluation

__all__ = ["offer_figures"]

_LENGTH = 5  # offers per customer in the chart
_OWN = {"probability": "this model, by probability", "expected revenue": "this model, by expected revenue"}


def offer_figures(lists: ListEvaluation, unit: str | None) -> list[Figure]:
    """Return the figures; none where nothing was compared."""
    return [_precision(lists, unit), _expected(lists)] if lists.lists and lists.calibration else []


def _precision(lists: ListEvaluation, unit: str | None) -> Figure:
    shown = sorted((one for one in lists.lists if one.length == _LENGTH), key=lambda one: -one.precision)
    rows = [(_OWN.get(one.ranking, one.ranking), one.precision, percent(one.precision)) for one in shown]
    own, other = (max(one.precision for one in shown if (one.ranking in _OWN) is is_own) for is_own in (True, False))
    headers, lines = lists.to_table()
    headers = tuple(with_unit(name, unit) if name.startswith("revenue") else name for name in headers)
    table = Table("Offers against purchases that the model has not seen", headers, tuple(lines))
    title = f"Of {_LENGTH} offers a customer {percent(own)} were bought; the best simple list has {percent(other)}"
    note = f"{lists.purchases:,} purchases of {lists.customers:,} customers after the lists were made."
    return Figure(title, charts.bars(rows, "share of the offers that were bought", share=True), table, note)


def _expected(lists: ListEvaluation) -> Figure:
    bins = [one for one in lists.calibration if one.expected > 0]
    told, actual = sum(one.expected for one in bins), sum(one.actual for one in bins)
    rates = [(one.expected / one.pairs, one.actual / one.pairs, "") for one in bins]
    rows = tuple(
        (percent(told_rate), f"{one.pairs:,}", number(one.expected), number(one.actual))
        for one, (told_rate, *_) in zip(bins, rates, strict=True)
    )
    return Figure(
        f"{number(told)} purchases were expected of all pairs of customer and product, and {number(actual)} came",
        charts.points(rates, "mean probability", "share that bought", diagonal=True),
        Table("Expected and actual buyers", ("mean probability", "pairs", "expected", "actual"), rows),
        "One point per group of pairs with about the same probability. On the dashed line both are equal.",
    )
