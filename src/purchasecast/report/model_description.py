"""The steps and the coefficients of a model, read from the scorer in its directory; no Spark needed."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from purchasecast.errors import BundleError
from purchasecast.schema.reserved_columns import source_name
from purchasecast.scorer.format import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.bundle import Bundle
    from purchasecast.schema import Schema

__all__ = ["read_outline"]

_NORMAL = 1.959964  # standard errors to either side of a 95 % interval

_NAMES = {
    "index": "Number the levels",
    "numeric": "Read the numbers",
    "crossed_effects": "Effects of customers and products",
    "latent_factors": "Taste",
    "level_statistics": "Statistics by level",
    "linear": "Linear regression",
    "boosted_trees": "Boosted trees",
    "blend": "Blend",
    "interval": "Interval",
    "retransform": "Back to money",
    "clip": "Bounds",
    "soft_minimum": "Bounds",
}
_DETAILS = {
    "crossed_effects": "shrunken, and fitted together",
    "latent_factors": "what a customer likes beyond the average, by factors of customers and products",
    "level_statistics": "quantiles, spread and counts of earlier purchases",
    "boosted_trees": "many small trees, each mending the errors of those before",
    "blend": "a weighted sum of the predictions",
    "interval": "how far the truth may lie from the prediction",
    "retransform": "from the scale that the target was fitted on, without bias",
    "clip": "no purchase below what the schema allows",
    "soft_minimum": "low values bent toward the least that the schema allows, their mean kept",
}


def read_outline(bundle: Bundle, schema: Schema) -> dict[str, Any] | None:
    """Return the steps of a model, and the coefficients of its linear regression where it has one.

    Parameters
    ----------
    bundle : Bundle
        The model directory.
    schema : Schema
        Names of the columns for people.

    Returns
    -------
    dict or None
        ``stages``: name, detail; ``coefficients``: name, value, low, high, and whether it is in money; None where the
        model has no scorer.
    """
    try:
        manifest = read_manifest(bundle.scorer_folder)
    except (BundleError, OSError):
        return None
    steps = manifest["steps"]
    linear = [step for step in steps if step["kind"] == "linear"]
    return {
        "stages": [
            _stage(next(same), 1 + sum(1 for _ in same), manifest, schema)
            for _, same in groupby(steps, key=lambda step: step["kind"])
        ],
        "coefficients": _coefficients(linear[-1], manifest, schema, _standard_errors(bundle)) if linear else [],
    }


def _stage(step: Mapping[str, Any], count: int, manifest: Mapping[str, Any], schema: Schema) -> dict[str, str]:
    """Describe a step, or several of a kind in a row."""
    kind = step["kind"]
    detail = _DETAILS.get(kind, "") + (f"; {count} of these" if count > 1 else "")
    if kind == "index":
        detail = f"of {len(step['columns'])} columns, {_label(step['columns'][0]['column'], schema)} first"
    if kind == "linear":
        detail = f"{len(step['coefficients'])} coefficients of {len(manifest['vectors'][step['features']])} inputs"
    return {"name": _NAMES.get(kind, kind.replace("_", " ")), "detail": detail}


def _standard_errors(bundle: Bundle) -> list[float]:
    search = bundle.document("search")
    return list((search or {}).get("standard_errors", ()))


def _coefficients(
    step: Mapping[str, Any], manifest: Mapping[str, Any], schema: Schema, errors: Sequence[float]
) -> list[dict[str, Any]]:
    """Name each coefficient, with a 95 % interval; those of indicators are money a purchase, the others a factor."""
    labels = {
        one["output"]: (_label(one["column"], schema), one["labels"])
        for other in manifest["steps"]
        if other["kind"] == "index"
        for one in other["columns"]
    }
    is_money = all(other["kind"] != "retransform" for other in manifest["steps"])
    names: list[tuple[str, bool]] = []
    for part in manifest["vectors"][step["features"]]:
        column = part["column"]
        if column in labels:
            label, levels = labels[column]
            names += [(f"{label} {levels[k]}", is_money) for k in range(int(part.get("size", 1)))]
        else:
            names.append((_input_name(column, schema), False))
    if len(names) != len(step["coefficients"]):
        return []  # a vector of another make: no names rather than wrong ones
    # The errors end with that of the intercept.
    known = len(errors) == len(names) + 1
    margins = [_NORMAL * error for error in errors[:-1]] if known else [None] * len(names)
    return [
        {
            "name": name,
            "value": float(value),
            "low": None if margin is None else float(value) - margin,
            "high": None if margin is None else float(value) + margin,
            "in_money": in_money,
        }
        for (name, in_money), value, margin in zip(names, step["coefficients"], margins, strict=True)
    ]


def _input_name(column: str, schema: Schema) -> str:
    for prefix, words in (("_pc_e_", "effect of {}"), ("_pc_x_", "{}")):
        if column.startswith(prefix):
            return words.format(_label(source_name(prefix, column), schema))
    return {"_pc_fitted": "sum of all effects", "_pc_taste": "taste"}.get(column, column)


def _label(name: str, schema: Schema) -> str:
    return schema.column(name).label if name in schema.names else name
