"""What the page shows, computed here so that templates compute nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from purchasecast.serve.predictions import Explained, explain_row, known_to_dict, recommend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.scorer import Scorer
    from purchasecast.serve.forms import FormReading
    from purchasecast.serve.model_holder import Served

__all__ = ["Bar", "Money", "Span", "examples", "model_facts", "result_view", "waterfall"]

_MOST_BARS = 7
_SHOWN = 6  # similar products, recommendations


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
        """Return an amount with its unit; with a sign where it is a change, to the digits of one that it stands by."""
        if value is None:
            return "none"
        digits = 0 if max(abs(value), abs(beside)) >= 100 else 2
        text = f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "\N{MINUS SIGN}")
        return f"{text} {self.unit}" if self.unit else text


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a waterfall.

    Attributes
    ----------
    label : str
        What it stands for.
    value : str
        What was given there.
    amount : float
        What it adds, or, of the first and last bar, where it stands; in money.
    start, width : float
        Place on a scale of 0 to 100.
    kind : {"total", "up", "down"}
        How it is drawn.
    """

    label: str
    value: str
    amount: float
    start: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True)
class Span:
    """An interval and the prediction in it, each on a scale of 0 to 100 that begins with no money."""

    start: float
    width: float
    mark: float


def model_facts(served: Served) -> dict[str, Any]:
    """Return what the head of the page says of the model."""
    document = served.describe()
    metrics = document["metrics"] or {}
    manifest = served.bundle.manifest
    is_part = manifest.get("trained_on") == "training rows only"
    return {
        "title": served.scorer.schema.title,
        "id": served.id,
        "rows": (manifest.get("reference") or {}).get("rows") if is_part else document["data"]["rows"],
        "customers": document["known"]["customers"],
        "products": document["known"]["products"],
        "rmse": metrics.get("rmse"),
        "r2": metrics.get("r2"),
        "computed_on": (served.evaluation or {}).get("computed_on"),
    }


def examples(scorer: Scorer) -> list[dict[str, str]]:
    """Return questions to begin with: a known customer and a known product each."""
    columns = [name for name in (scorer.schema.customer, scorer.schema.product) if name]
    return [
        {
            "href": "/?" + urlencode({name: row[name] for name in columns}),
            "label": " and ".join(f"{scorer.schema.column(name).label.lower()} {row[name]}" for name in columns),
        }
        for row in (*scorer.examples[:1], *scorer.examples[1:][-1:])  # neighbours are often of one customer
        if len(columns) == 2 and all(row.get(name) is not None for name in columns)
    ]


def result_view(scorer: Scorer, reading: FormReading) -> dict[str, Any]:
    """Return what the result shows.

    Parameters
    ----------
    scorer : Scorer
        The model.
    reading : FormReading
        A form without errors.

    Returns
    -------
    dict
        The explained row, its waterfall, the what-if beside it, similar products and recommendations.
    """
    found = explain_row(scorer, reading.row)
    changed = explain_row(scorer, reading.changed) if reading.changed is not None else None
    spans = _spans(found, *([changed] if changed else []))
    view = {
        "found": found,
        "bars": waterfall(found),
        "span": spans[0],
        "level": None if scorer.level is None else f"{100 * scorer.level:.4g} %",
        "unseen": [role for role, is_seen in found.seen.items() if not is_seen],
        "similar": _similar(scorer, found, reading.row),
        "recommended": _recommended(scorer, found, reading.row),
        "fields": _what_if_fields(scorer, found, changed),
        "changed": changed,
    }
    if changed is not None:
        view["changed_bars"] = waterfall(changed)
        view["changed_span"] = spans[1]
        view["difference"] = changed.prediction - found.prediction
        view["changes"] = [
            (scorer.schema.column(name).label, _text(value), _text(changed.row.get(name)))
            for name, value in found.row.items()
            if _text(changed.row.get(name)) != _text(value)
        ]
    return view


def waterfall(found: Explained) -> list[Bar]:
    """Return the bars from an average purchase to the prediction; small parts are drawn as one."""
    shown = found.contributions[:_MOST_BARS]
    rest = sum(part["contribution"] for part in found.contributions[_MOST_BARS:])
    steps = [(part["label"], _values(found, part["columns"]), part["contribution"]) for part in shown]
    if len(found.contributions) > _MOST_BARS:
        steps.append((f"{len(found.contributions) - _MOST_BARS} others", "", rest))
    levels = [found.base]
    for _, _, amount in steps:
        levels.append(levels[-1] + amount)
    span = max(levels) - min(levels)
    low = max(min(levels) - span / 2, min(0.0, *levels))  # cut off what all bars share, or small parts cannot be seen
    scale = 100 / ((max(levels) - low) or 1.0)
    bars = [_bar("Average purchase", "", found.base, (low, found.base), (low, scale), "total")]
    for (label, value, amount), start, stop in zip(steps, levels, levels[1:], strict=False):
        bars.append(_bar(label, value, amount, (start, stop), (low, scale), "up" if amount >= 0 else "down"))
    bars.append(_bar("Prediction", "", found.prediction, (low, found.prediction), (low, scale), "total"))
    return bars


def _bar(
    label: str, value: str, amount: float, ends: tuple[float, float], scale: tuple[float, float], kind: str
) -> Bar:
    low, factor = scale
    start, stop = sorted((end - low) * factor for end in ends)
    return Bar(label, value, amount, round(start, 3), round(max(stop - start, 0.4), 3), kind)


def _values(found: Explained, columns: Sequence[str]) -> str:
    return ", ".join(_text(found.row.get(name)) for name in columns)


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def _spans(*found: Explained) -> list[Span | None]:
    """Return the intervals on one scale; None where there is none."""
    top = max((one.upper or 0.0 for one in found), default=0.0) * 1.08 or 1.0
    return [
        None
        if one.lower is None or one.upper is None
        else Span(
            start=round(100 * one.lower / top, 3),
            width=round(max(100 * (one.upper - one.lower) / top, 0.4), 3),
            mark=round(100 * one.prediction / top, 3),
        )
        for one in found
    ]


def _similar(scorer: Scorer, found: Explained, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the products that are bought with the same tastes, each with the way to its own prediction."""
    product = found.row.get(scorer.schema.product or "")
    if product is None:
        return []
    similar = [known_to_dict(known) for known in scorer.catalogue.similar("product", product, _SHOWN)]
    return [{**known, "href": _way_to(scorer, asked, known["id"])} for known in similar]


def _recommended(scorer: Scorer, found: Explained, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the best products for the row's customer, also for one who is only described."""
    if scorer.schema.product is None or scorer.schema.customer is None:
        return []
    of_product = _of_product(scorer)
    row = {name: value for name, value in found.row.items() if name not in of_product}
    return [{**item, "href": _way_to(scorer, asked, item["product"])} for item in recommend(scorer, row, _SHOWN)]


def _of_product(scorer: Scorer) -> set[str]:
    return {column.name for column in scorer.schema.features if column.of == "product"} | {scorer.schema.product or ""}


def _way_to(scorer: Scorer, asked: Mapping[str, Any], product: str) -> str:
    """Return the address of the same question about another product."""
    kept = {name: value for name, value in asked.items() if name not in _of_product(scorer) and value is not None}
    return "/?" + urlencode({**kept, scorer.schema.product or "": product})


def _what_if_fields(scorer: Scorer, found: Explained, changed: Explained | None) -> list[dict[str, Any]]:
    """Return the attributes that a what-if can change, with the values they have now."""
    row = (changed or found).row
    fields = []
    for number, name in enumerate(scorer.columns):
        column = scorer.schema.column(name)
        if column.role in {"customer", "product"}:
            continue
        options = column.levels or scorer.labels.get(name, ())
        value = row.get(name)
        text = "" if value is None else str(value)
        listed = options if column.levels else tuple(sorted(options, key=lambda label: (len(label), label)))
        fields.append(
            {
                "name": name,
                "id": f"if-{number}",
                "label": column.label,
                "value": text,
                "options": listed if not text or text in listed else (*listed, text),
                "nullable": column.null != "forbidden",
            }
        )
    return fields
