"""The page of a campaign: what the best contacts would bring, at any budget, cost and margin.

The lines are scored once for a model; a plan then takes milliseconds, so that sliders can move it. Without limits of
products, the best plan is the lines with the highest profit. Limits of products, stock and a control group are for
`purchasecast plan`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from purchasecast.scorer import Scorer
    from purchasecast.scorer.offers import OfferScorer

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["CampaignLines", "CampaignSettings", "campaign_view"]

_LIKELY = 40  # most probable products of a customer, of which a plan can take at most `_MAX_EACH`
_MAX_EACH = 10
_MAX_CUSTOMERS = 20_000  # of more, those with the most purchases: the page answers in seconds
_SHOWN = 8
_POINTS = 60  # of the curve
_HEIGHT, _WIDTH = 40.0, 100.0


@dataclass(frozen=True, slots=True)
class CampaignSettings:
    """What a plan may cost.

    Attributes
    ----------
    contacts : int or None
        Most contacts; None for half of those that pay.
    cost : float
        Of a contact, in money.
    margin : float
        Share of the revenue that is profit, in percent.
    each : int
        Most contacts of a customer.
    """

    contacts: int | None = None
    cost: float = 0.0
    margin: float = 30.0
    each: int = 3

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> CampaignSettings:
        """Read the fields of the form; what is no number, or out of range, has its usual value."""
        usual = cls()
        contacts = _number(query.get("contacts"), 0.0, 1e9)
        return cls(
            None if contacts is None else int(contacts),
            _number(query.get("cost"), 0.0, 1e12) or usual.cost,
            _number(query.get("margin"), 1.0, 100.0) or usual.margin,
            int(_number(query.get("each"), 1.0, float(_MAX_EACH)) or usual.each),
        )


def _number(text: str | None, low: float, high: float) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and low <= value <= high else None


@dataclass(frozen=True, slots=True)
class _Lines:
    """Pairs that may be offered, the highest expected revenue first."""

    customers: list[str]
    products: list[str]
    customer: Integers
    product: Integers
    probability: Floats
    amount: Floats
    turn: Integers  # of the line among those of its customer, from 0


class CampaignLines:
    """The lines of a model, scored when they are first asked for.

    Parameters
    ----------
    scorer : Scorer
        Predicts amounts.
    offers : OfferScorer
        Tells who buys what.
    """

    def __init__(self, scorer: Scorer, offers: OfferScorer) -> None:
        self._scorer, self._offers = scorer, offers
        self._lock = threading.Lock()
        self._lines: _Lines | None = None

    def lines(self) -> _Lines:
        """Return the lines; the first call takes seconds."""
        with self._lock:  # two requests at a time would score them twice
            if self._lines is None:
                self._lines = _scored(self._scorer, self._offers)
            return self._lines


def _scored(scorer: Scorer, offers: OfferScorer) -> _Lines:
    customers, products, best = offers.best_of_all(_LIKELY, _MAX_CUSTOMERS)
    table, known = _described(scorer, [customers[k] for k in best.customer], [products[k] for k in best.product])
    amount = np.full(len(best.customer), np.nan)
    amount[known] = scorer.predict(table, errors="mark").prediction
    revenue = best.probability * amount
    order = np.lexsort((best.product, best.customer, -np.nan_to_num(revenue, nan=-np.inf)))
    order = order[np.nan_to_num(revenue[order]) > 0]
    customer = best.customer[order]
    by_customer = np.argsort(customer, kind="stable")
    turn = np.empty(len(order), dtype=np.int64)
    sorted_customers = customer[by_customer]
    turn[by_customer] = np.arange(len(order)) - np.searchsorted(sorted_customers, sorted_customers, side="left")
    kept = turn < _MAX_EACH
    order = order[kept]
    return _Lines(
        customers,
        products,
        best.customer[order],
        best.product[order],
        best.probability[order],
        amount[order],
        turn[kept],
    )


def _described(scorer: Scorer, customers: list[str], products: list[str]) -> tuple[pa.Table, Integers]:
    """Return the rows to predict, with the attributes of customer and product, and the places of the known pairs."""
    schema, catalogue = scorer.schema, scorer.catalogue
    columns: dict[str, Any] = {}
    places = []
    for role, column, levels in (("customer", schema.customer, customers), ("product", schema.product, products)):
        side = catalogue.candidates({}, role)
        names = pc.cast(side[str(column)], pa.string()).combine_chunks()
        places.append((side, pc.index_in(pa.array(levels, pa.string()), value_set=names)))
    known = pc.and_(*[pc.is_valid(place) for _, place in places]).to_numpy(zero_copy_only=False)
    for side, place in places:
        rows = side.take(place.filter(pa.array(known)))
        columns |= {name: rows[name] for name in side.column_names}
    count = int(known.sum())
    for name, value in catalogue.typical({}).items():
        if name not in columns:
            columns[name] = pa.repeat(pa.scalar(value, pa.string() if value is None else None), count)
    return pa.table({name: columns[name] for name in scorer.columns if name in columns}), np.flatnonzero(known)


def campaign_view(source: CampaignLines, settings: CampaignSettings) -> dict[str, Any]:
    """Return the plan with the highest expected profit within the settings, for the page.

    Returns
    -------
    dict
        Figures of the plan, its first lines, and the curve of the profit against the number of contacts.
    """
    lines = source.lines()
    allowed = np.flatnonzero(lines.turn < settings.each)
    revenue = (lines.probability * lines.amount)[allowed]
    profit = settings.margin / 100 * revenue - settings.cost
    paying = int(np.searchsorted(-profit, 0.0))  # lines are in the order of their revenue, and so of their profit
    wanted = -(-paying // 2) if settings.contacts is None else settings.contacts
    chosen = allowed[: min(wanted, paying)]
    count = len(chosen)
    total = np.concatenate([[0.0], np.cumsum(profit)])
    before = float(total[count]) + settings.cost * count
    return {
        "settings": settings,
        "wanted": min(wanted, len(allowed)),
        "lines": len(allowed),
        "paying": paying,
        "contacts": count,
        "customers": len(np.unique(lines.customer[chosen])),
        "buyers": float(lines.probability[chosen].sum()),
        "revenue": float(revenue[:count].sum()),
        "cost": settings.cost * count,
        "profit": float(total[count]),
        "break_even": settings.cost * count / before if before > 0 and settings.cost else None,
        "best": [
            {
                "customer": lines.customers[lines.customer[k]],
                "product": lines.products[lines.product[k]],
                "probability": float(lines.probability[k]),
                "amount": float(lines.amount[k]),
                "profit": float(gain),
            }
            for k, gain in zip(chosen[:_SHOWN].tolist(), profit[:_SHOWN].tolist(), strict=False)
        ],
        "curve": _curve(total, count),
    }


def _curve(total: Floats, count: int) -> dict[str, Any] | None:
    """Return the profit against the number of contacts as the points of a line, and the place of the plan on it."""
    last = len(total) - 1
    if not last:
        return None
    steps = np.unique(np.linspace(0, last, _POINTS).astype(int))
    low, high = min(float(total.min()), 0.0), max(float(total.max()), 1e-9)

    def point(step: int) -> tuple[float, float]:
        return round(_WIDTH * step / last, 2), round(_HEIGHT * (high - float(total[step])) / (high - low), 2)

    return {
        "points": " ".join("{},{}".format(*point(step)) for step in steps.tolist()),
        "plan": point(count),
        "zero": round(_HEIGHT * high / (high - low), 2),
        "best": int(total.argmax()),
        "best_profit": float(total.max()),
    }
