"""Describe the steps and the coefficients of a model, read from its portable files without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from purchasecast.errors import BundleError
from purchasecast.report.elements import Stage
from purchasecast.schema.reserved_columns import source_name
from purchasecast.scorer.format import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from purchasecast.bundle import Bundle
    from purchasecast.schema import Schema

__all__ = ["Coefficient", "ModelDescription", "describe_model"]

_HALF_WIDTH = 1.959964  # standard errors from an estimate to the end of its 95 % interval

#: Name and explanation of each kind of step.
_STEPS = {
    "index": ("Encode levels", ""),
    "numeric": ("Read numbers", ""),
    "crossed_effects": ("Effects of customers and products", "estimated together, with shrinkage"),
    "latent_factors": ("Latent factors", "preferences of customers for products, beyond the average effects"),
    "level_statistics": ("Statistics by level", "quantiles, spread and counts of earlier purchases"),
    "linear": ("Linear regression", ""),
    "boosted_trees": ("Boosted trees", "many small trees, each correcting the errors of the previous ones"),
    "blend": ("Blend", "weighted sum of the predictions"),
    "interval": ("Interval", "range that contains the actual amount with a given probability"),
    "retransform": ("Back to money", "from the scale of the model to amounts, without bias"),
    "clip": ("Bounds", "no prediction below the minimum of the schema"),
    "soft_minimum": ("Bounds", "low predictions bent toward the minimum of the schema, with the mean unchanged"),
}


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient of the linear regression."""

    name: str  # the input
    value: float  # the coefficient
    # 95 % interval; None where the training run kept no standard errors.
    low: float | None
    high: float | None
    in_money: bool = True  # whether it is an amount added to the prediction; otherwise it multiplies its input


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """The steps of a model, and the coefficients of its linear regression, where it has one."""

    stages: tuple[Stage, ...]
    coefficients: tuple[Coefficient, ...]


def describe_model(bundle: Bundle) -> ModelDescription | None:
    """Return the steps and the coefficients of a model; None where it has no portable files."""
    try:
        manifest = read_manifest(bundle.scorer_files)
    except (BundleError, OSError):
        return None
    schema, steps = bundle.schema, manifest["steps"]
    kinds = groupby(steps, key=lambda step: step["kind"])
    stages = tuple(_stage(list(same), manifest, schema) for _, same in kinds)
    linear = [step for step in steps if step["kind"] == "linear"]
    if not linear:
        return ModelDescription(stages, ())
    errors = (bundle.document("search") or {}).get("standard_errors", ())
    return ModelDescription(stages, _coefficients(linear[-1], manifest, schema, errors))


def _stage(same: Sequence[Mapping[str, Any]], manifest: Mapping[str, Any], schema: Schema) -> Stage:
    """Describe a step, or several steps of one kind in a row."""
    step = same[0]
    kind = step["kind"]
    name, detail = _STEPS.get(kind, (kind.replace("_", " "), ""))
    if kind == "index":
        detail = f"of {len(step['columns'])} columns, beginning with {_label(step['columns'][0]['column'], schema)}"
    elif kind == "linear":
        detail = f"{len(step['coefficients'])} coefficients of {len(manifest['vectors'][step['features']])} inputs"
    if len(same) > 1:
        detail = f"{detail}; {len(same)} steps".removeprefix("; ")
    return Stage(name, detail)


def _coefficients(
    step: Mapping[str, Any], manifest: Mapping[str, Any], schema: Schema, errors: Sequence[float]
) -> tuple[Coefficient, ...]:
    inputs = _inputs(step, manifest, schema)
    if len(inputs) != len(step["coefficients"]):
        return ()  # without reliable names it is better to show nothing
    # The last standard error is that of the intercept.
    has_errors = len(errors) == len(inputs) + 1
    coefficients = []
    for k, ((name, in_money), value) in enumerate(zip(inputs, map(float, step["coefficients"]), strict=True)):
        half = _HALF_WIDTH * errors[k] if has_errors else None
        low, high = (None, None) if half is None else (value - half, value + half)
        coefficients.append(Coefficient(name, value, low, high, in_money))
    return tuple(coefficients)


def _inputs(step: Mapping[str, Any], manifest: Mapping[str, Any], schema: Schema) -> list[tuple[str, bool]]:
    """Return the name of each input of the regression, and whether its coefficient is an amount of money."""
    indexed = {
        one["output"]: (_label(one["column"], schema), one["labels"])
        for other in manifest["steps"]
        if other["kind"] == "index"
        for one in other["columns"]
    }
    # On a transformed scale the coefficient of an indicator is not money.
    is_money = all(other["kind"] != "retransform" for other in manifest["steps"])
    inputs: list[tuple[str, bool]] = []
    for part in manifest["vectors"][step["features"]]:
        column = part["column"]
        if column in indexed:
            label, levels = indexed[column]
            inputs += [(f"{label} {levels[k]}", is_money) for k in range(int(part.get("size", 1)))]
        else:
            inputs.append((_input_name(column, schema), False))
    return inputs


def _input_name(column: str, schema: Schema) -> str:
    for prefix, name in (("_pc_e_", "effect of {}"), ("_pc_x_", "{}")):
        if column.startswith(prefix):
            return name.format(_label(source_name(prefix, column), schema))
    return {"_pc_fitted": "sum of all effects", "_pc_taste": "latent factors"}.get(column, column)


def _label(name: str, schema: Schema) -> str:
    return schema.column(name).label if name in schema.names else name
