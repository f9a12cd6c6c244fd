"""What the page shows, computed here so that the templates compute nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from purchasecast.serve.forms import options_of
from purchasecast.serve.predictions import audience, explain_row, known_to_dict, offered_products, recommend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer import Scorer
    from purchasecast.scorer.offers import OfferScorer
    from purchasecast.serve.forms import FormReading
    from purchasecast.serve.model_holder import Served
    from purchasecast.serve.response_models import ExplainedRow

__all__ = ["Bar", "Money", "Span", "examples", "model_facts", "result_view", "waterfall"]

_MAX_BARS = 7
_SHOWN_PRODUCTS = 6  # similar ones, recommendations, and customers of an audience
_MIN_WIDTH = 0.4  # of a bar, in percent, so that it can be seen


@dataclass(frozen=True, slots=True)
class Money:
    """Writes amounts.

    Parameters
    ----------
    unit : str or None
        Such as ``USD``.

    Examples
    --------
    >>> Money("USD")(14812.3), Money("USD")(3.5, sign=True), Money("USD")(3.5, sign=True, beside=14812.3)
    ('14,812 USD', '+3.50 USD', '+4 USD')
    """

    unit: str | None

    def __call__(self, value: float | None, *, sign: bool = False, beside: float = 0.0) -> str:
        """Return an amount with its unit; a change with its sign, and with no more digits than the amount beside it."""
        if value is None:
            return "none"
        digits = 0 if max(abs(value), abs(beside)) >= 100 else 2
        text = f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "\N{MINUS SIGN}")
        return f"{text} {self.unit}" if self.unit else text


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a waterfall chart, on a scale of 0 to 100."""

    label: str
    value: str  # of the columns that the label names
    amount: float  # what they add; of the first and the last bar, the amount itself
    start: float
    width: float
    kind: str  # "total", "up" or "down"


@dataclass(frozen=True, slots=True)
class Span:
    """An interval and the prediction in it (`mark`), on a scale of 0 to 100 that begins at an amount of 0."""

    start: float
    width: float
    mark: float


def model_facts(served: Served) -> dict[str, Any]:
    """Return what the head of the page says about the model."""
    described = served.describe()
    manifest, metrics = served.bundle.manifest, described["metrics"] or {}
    is_part = manifest.get("trained_on") == "training rows only"
    return {
        "title": served.scorer.schema.title,
        "id": served.id,
        "rows": (manifest.get("reference") or {}).get("rows") if is_part else described["data"]["rows"],
        **described["known"],
        "rmse": metrics.get("rmse"),
        "r2": metrics.get("r2"),
        "computed_on": (served.evaluation or {}).get("computed_on"),
    }


def examples(scorer: Scorer) -> list[dict[str, str]]:
    """Return links to two questions to begin with, each about a known customer and a known product."""
    columns = [name for name in (scorer.schema.customer, scorer.schema.product) if name]
    first_and_last = (*scorer.examples[:1], *scorer.examples[1:][-1:])  # neighbours often have the same customer
    return [
        {
            "href": "/?" + urlencode({name: row[name] for name in columns}),
            "label": " and ".join(f"{scorer.schema.column(name).label.lower()} {row[name]}" for name in columns),
        }
        for row in first_and_last
        if len(columns) == 2 and all(row.get(name) is not None for name in columns)
    ]


def result_view(scorer: Scorer, reading: FormReading, offers: OfferScorer | None = None) -> dict[str, Any]:
    """Return what the result shows: the explained row, the row to compare with, and what stands below them."""
    asked = explain_row(scorer, reading.row)
    changed = explain_row(scorer, reading.changed) if reading.changed is not None else None
    spans = _spans(*([asked] if changed is None else [asked, changed]))
    view: dict[str, Any] = {
        "asked": {**asked, "bars": waterfall(asked), "span": spans[0]},
        "level": None if scorer.level is None else f"{100 * scorer.level:.4g}%",
        "unseen": [role for role, is_seen in asked["seen"].items() if not is_seen],
        "similar": _similar(scorer, asked["row"], reading.row),
        "recommended": _recommended(scorer, asked["row"], reading.row, offers),
        "audience": _audience(scorer, asked["row"], reading.row, offers),
        "fields": _what_if_fields(scorer, (changed or asked)["row"]),
    }
    if changed is not None:
        view["changed"] = {**changed, "bars": waterfall(changed), "span": spans[1]}
        view["difference"] = changed["prediction"] - asked["prediction"]
        view["changes"] = [
            (scorer.schema.column(name).label, _text(value), _text(changed["row"].get(name)))
            for name, value in asked["row"].items()
            if _text(changed["row"].get(name)) != _text(value)
        ]
    return view


def waterfall(explained: ExplainedRow) -> list[Bar]:
    """Return the bars from an average purchase to the prediction; the smallest contributions share one bar."""
    row, parts = explained["row"], explained["contributions"]
    steps = [
        (part["label"], ", ".join(_text(row.get(name)) for name in part["columns"]), part["contribution"])
        for part in parts[:_MAX_BARS]
    ]
    if rest := parts[_MAX_BARS:]:
        steps.append((f"{len(rest)} others", "", sum(part["contribution"] for part in rest)))
    levels = [explained["base"]]
    for _, _, amount in steps:
        levels.append(levels[-1] + amount)
    spread = max(levels) - min(levels)
    low = max(min(levels) - spread / 2, min(0.0, *levels))  # without what all bars share, small ones can be seen
    scale = 100 / ((max(levels) - low) or 1.0)

    def bar(label: str, value: str, amount: float, ends: tuple[float, float], kind: str) -> Bar:
        start, stop = sorted((end - low) * scale for end in ends)
        return Bar(label, value, amount, round(start, 3), round(max(stop - start, _MIN_WIDTH), 3), kind)

    prediction = explained["prediction"]
    return [
        bar("Average purchase", "", levels[0], (low, levels[0]), "total"),
        *(
            bar(label, value, amount, (start, start + amount), "up" if amount >= 0 else "down")
            for (label, value, amount), start in zip(steps, levels, strict=False)
        ),
        bar("Prediction", "", prediction, (low, prediction), "total"),
    ]


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def _spans(*rows: ExplainedRow) -> list[Span | None]:
    """Return the intervals of rows on one scale; None for a row without one."""
    scale = 100 / (max(row.get("upper", 0.0) for row in rows) * 1.08 or 1.0)  # leaves some room on the right
    return [
        Span(
            start=round(scale * row["lower"], 3),
            width=round(max(scale * (row["upper"] - row["lower"]), _MIN_WIDTH), 3),
            mark=round(scale * row["prediction"], 3),
        )
        if "lower" in row and "upper" in row
        else None
        for row in rows
    ]


def _similar(scorer: Scorer, row: Mapping[str, Any], asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return similar products, each with a link to its own prediction."""
    product = row.get(scorer.schema.product or "")
    if product is None:
        return []
    products = scorer.catalogue.similar("product", product, _SHOWN_PRODUCTS)
    return [{**known_to_dict(known), "href": _link(scorer, asked, "product", known.key)} for known in products]


def _recommended(
    scorer: Scorer, row: Mapping[str, Any], asked: Mapping[str, Any], offers: OfferScorer | None
) -> list[dict[str, Any]]:
    """Return the best products for the row's customer, who may be new and only described."""
    if scorer.schema.product is None or scorer.schema.customer is None:
        return []
    columns = _columns_of(scorer, "product")
    of_customer = {name: value for name, value in row.items() if name not in columns}
    customer = row.get(scorer.schema.customer)
    if offers is not None and customer is not None and scorer.catalogue.knows("customer", customer):
        offered = offered_products(scorer, offers, str(customer), of_customer, _SHOWN_PRODUCTS)
        return [{**item, "href": _link(scorer, asked, "product", item["product"])} for item in offered]
    products = recommend(scorer, of_customer, _SHOWN_PRODUCTS)
    return [{**item, "href": _link(scorer, asked, "product", item["product"])} for item in products]


def _audience(
    scorer: Scorer, row: Mapping[str, Any], asked: Mapping[str, Any], offers: OfferScorer | None
) -> list[dict[str, Any]]:
    """Return the customers with the highest expected revenue from the row's product, each with a link."""
    product = row.get(scorer.schema.product or "")
    if offers is None or product is None or not scorer.catalogue.knows("product", product):
        return []
    columns = _columns_of(scorer, "customer")
    of_product = {name: value for name, value in row.items() if name not in columns}
    members = audience(scorer, offers, str(product), of_product, _SHOWN_PRODUCTS)
    return [{**member, "href": _link(scorer, asked, "customer", member["customer"])} for member in members]


def _columns_of(scorer: Scorer, role: str) -> set[str]:
    """Return the columns of the customer, or of the product, and of its attributes."""
    key = getattr(scorer.schema, role)
    return {column.name for column in scorer.schema.features if column.of == role} | {key or ""}


def _link(scorer: Scorer, asked: Mapping[str, Any], role: str, key: str) -> str:
    """Return a link to the same question about another customer or product."""
    columns = _columns_of(scorer, role)  # the attributes of one would be wrong for another
    kept = {name: value for name, value in asked.items() if name not in columns and value is not None}
    return "/?" + urlencode({**kept, getattr(scorer.schema, role) or "": key})


def _what_if_fields(scorer: Scorer, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a field for every attribute that can be changed, with its present value."""
    fields = []
    for number, name in enumerate(scorer.columns):
        column = scorer.schema.column(name)
        if column.role in {"customer", "product"}:
            continue
        options = options_of(column, scorer)
        text = "" if row.get(name) is None else str(row[name])
        fields.append(
            {
                "name": name,
                "id": f"if-{number}",
                "label": column.label,
                "value": text,
                "options": options if not text or text in options else (*options, text),
                "nullable": column.null != "forbidden",
            }
        )
    return fields
