"""Univariate analysis: what the table holds, how the target is distributed, and how it goes with every feature.

One pass over the accepted rows, whatever the number of columns (`passes`); the rest is arithmetic on sums.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from purchasecast.errors import DataError
from purchasecast.profiling.builder import ProfileBuilder
from purchasecast.profiling.passes import (
    ColumnPlan,
    Distributions,
    LevelDistribution,
    collect_distributions,
    collect_levels,
    fold_rows,
)
from purchasecast.progress import Steps
from purchasecast.results import (
    Concentration,
    FeatureProfile,
    Histogram,
    LevelProfile,
    Mode,
    NumberProfile,
    PairCell,
    PairProfile,
    Profile,
    ProfileWarning,
    TargetProfile,
    Transformation,
)
from purchasecast.spark.caching import cached

if TYPE_CHECKING:
    from purchasecast.schema import Column, Schema
    from purchasecast.validation import Validated

__all__ = [
    "Concentration",
    "FeatureProfile",
    "Histogram",
    "LevelProfile",
    "Mode",
    "NumberProfile",
    "PairCell",
    "PairProfile",
    "Profile",
    "ProfileWarning",
    "TargetProfile",
    "Transformation",
    "profile",
]

MOST_LEVELS = 100  # past it a column is described by its concentration, not level by level
_MOST_PAIR_LEVELS = 30
_MOST_PAIRS = 6


def profile(checked: Validated, schema: Schema, *, steps: Steps | None = None) -> Profile:
    """Describe the accepted rows of a table.

    Parameters
    ----------
    checked : Validated
        What `purchasecast.validation.validate.validate` returned; its rows are read once.
    schema : Schema
        Their description.
    steps : Steps, optional
        Times the steps and tells a watcher.

    Returns
    -------
    Profile
        Target, features, concentrations, pairs and warnings.

    Raises
    ------
    DataError
        If there is no accepted row.

    Notes
    -----
    One pass, and an exchange of packed rows; the driver receives some ten thousand numbers a column at most, and none
    of it depends on the order or the partitions of the rows, but for the rounding of sums.
    """
    steps = steps or Steps()
    if not checked.report.accepted:
        raise DataError("profile: expected accepted rows, found none; see validate for the reasons.")
    plan = ColumnPlan.of(schema, checked.report.accepted)
    with cached(fold_rows(checked.accepted, schema, plan)) as folded:
        with steps.step("distributions") as step:
            found = collect_distributions(folded, plan)
            step.rows = checked.report.accepted
        few, few_found, many = split_columns(plan, found)
        pairs = choose_pairs(few, few_found)
        with steps.step("levels") as step:
            sums = collect_levels(folded, plan, few, few_found, pairs)
            step.rows = checked.report.accepted
    result = ProfileBuilder(schema, few, few_found, sums, pairs).build(many)
    seconds = {name: steps.seconds[name] for name in ("distributions", "levels")}
    return replace(result, seconds=seconds, validation=checked.report)


def split_columns(
    plan: ColumnPlan, found: Distributions
) -> tuple[ColumnPlan, Distributions, list[tuple[Column, LevelDistribution]]]:
    """Tell the texts of few levels from those of very many, customers and products among them."""
    together = list(zip(plan.texts, found.texts, strict=True))
    is_many = [c.role in {"customer", "product"} or (d.levels > MOST_LEVELS and c.kind != "date") for c, d in together]
    many = [pair for pair, flag in zip(together, is_many, strict=True) if flag]
    few = [pair for pair, flag in zip(together, is_many, strict=True) if not flag]
    by_year = tuple(column.name for column, levels in few if levels.levels > MOST_LEVELS)
    return (
        replace(plan, texts=tuple(column for column, _ in few), by_year=by_year),
        replace(found, texts=tuple(levels for _, levels in few)),
        many,
    )


def choose_pairs(plan: ColumnPlan, found: Distributions) -> tuple[tuple[str, str], ...]:
    """Cross the product's first category with what describes the customer or the place; else the first features."""
    fit = [
        column
        for column, levels in zip(plan.texts, found.texts, strict=True)
        if column.role is None and column.kind != "date" and 1 < levels.levels <= _MOST_PAIR_LEVELS
    ]
    of_product = [column for column in fit if column.of == "product"]
    if of_product:
        others = [column for column in fit if column.of != "product"]
        return tuple((of_product[0].name, column.name) for column in others[:_MOST_PAIRS])
    return tuple((a.name, b.name) for i, a in enumerate(fit[:4]) for b in fit[i + 1 : 4])[:_MOST_PAIRS]
