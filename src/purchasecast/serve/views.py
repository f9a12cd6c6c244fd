"""What the page shows, computed here so that templates compute nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from purchasecast.serve.answers import Explained, explain_row, known_to_dict, recommend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.scorer import Scorer
    from purchasecast.serve.forms import FormReading
    from purchasecast.serve.holder import Served

__all__ = ["Bar", "Money", "model_facts", "result_view", "waterfall"]

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
    >>> Money("USD")(14812.3), Money("USD")(3.5, sign=True)
    ('14,812 USD', '+3.50 USD')
    """

    unit: str | None

    def __call__(self, value: float | None, *, sign: bool = False) -> str:
        """Return an amount with its unit; with a sign where it is a change."""
        if value is None:
            return "none"
        digits = 0 if abs(value) >= 100 else 2
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


def model_facts(served: Served) -> dict[str, Any]:
    """Return what the head of the page says of the model."""
    document = served.describe()
    metrics = document["metrics"] or {}
    return {
        "title": served.scorer.schema.title,
        "id": served.id,
        "rows": document["data"]["rows"],
        "customers": document["known"]["customers"],
        "products": document["known"]["products"],
        "rmse": metrics.get("rmse"),
        "r2": metrics.get("r2"),
        "computed_on": (served.evaluation or {}).get("computed_on"),
    }


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
    product = found.row.get(scorer.schema.product or "")
    similar = scorer.catalogue.similar("product", product, _SHOWN) if product is not None else []
    view = {
        "found": found,
        "bars": waterfall(found),
        "unseen": [role for role, is_seen in found.seen.items() if not is_seen],
        "similar": [known_to_dict(known) for known in similar],
        "recommended": _recommended(scorer, found),
        "fields": _what_if_fields(scorer, found, changed),
        "changed": changed,
    }
    if changed is not None:
        view["changed_bars"] = waterfall(changed)
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


def _recommended(scorer: Scorer, found: Explained) -> list[dict[str, Any]]:
    """Return the best products for the row's customer, also for one who is only described."""
    product = scorer.schema.product
    if product is None or scorer.schema.customer is None:
        return []
    of_product = {column.name for column in scorer.schema.features if column.of == "product"} | {product}
    row = {name: value for name, value in found.row.items() if name not in of_product}
    return recommend(scorer, row, _SHOWN)


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
