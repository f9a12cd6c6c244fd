"""Profile a table: distributions of the target and the features, and how they go together.

The accepted rows are read once, however many columns there are (`passes`); the rest is arithmetic on sums.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.profiling.builder import ProfileBuilder
from purchasecast.profiling.ladders import ladder_warnings
from purchasecast.profiling.passes import (
    ColumnPlan,
    Distributions,
    LevelDistribution,
    collect_distributions,
    collect_levels,
    fold_rows,
)
from purchasecast.progress import Steps
from purchasecast.schema.reserved_columns import NULL_LEVELS
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.results import Concentration, Profile
    from purchasecast.schema import Column, Schema
    from purchasecast.validation import Validated

__all__ = ["profile"]

MAX_LEVELS = 100  # a column of more is described by its concentration, not level by level
_MAX_PAIR_LEVELS = 30  # the page draws a pair as a table of colours, which people can read up to about this size
_MAX_PAIRS = 6


def profile(checked: Validated, schema: Schema, *, steps: Steps | None = None) -> Profile:
    """Profile the accepted rows of a table.

    Parameters
    ----------
    checked : Validated
        Result of `purchasecast.validation.validate`.
    schema : Schema
        Description of the table.
    steps : Steps, optional
        Measures the time of each step and reports progress.

    Returns
    -------
    Profile
        Target, features, concentrations, pairs of features, and warnings.

    Raises
    ------
    DataError
        If no row was accepted.

    Notes
    -----
    The rows are read once and exchanged once, packed, and read once more for price ladders and for each feature of more
    than 100 levels. The driver receives about
    ten thousand numbers a column at most. Apart from the rounding of sums, the result does not depend on the order or
    the partitions of the rows.
    """
    steps = steps or Steps()
    if not checked.report.accepted:
        raise DataError("profile: expected accepted rows, found none; see validate for the reasons.")
    plan = ColumnPlan.of(schema, checked.report.accepted)
    with cached(fold_rows(checked.accepted, schema, plan)) as folded:
        with steps.step("distributions") as step:
            distributions = collect_distributions(folded, plan)
            step.rows = checked.report.accepted
        few, few_distributions, many = split_columns(plan, distributions)
        pairs = choose_pairs(few, few_distributions)
        with steps.step("levels") as step:
            sums = collect_levels(folded, plan, few, few_distributions, pairs)
            step.rows = checked.report.accepted
    result = ProfileBuilder(schema, few, few_distributions, sums, pairs).build(many)
    concentrations = tuple(_with_common(one, checked.accepted, schema) for one in result.concentrations)
    with steps.step("price ladders"):
        warnings = (*result.warnings, *ladder_warnings(checked.accepted, schema))
    seconds = {name: steps.seconds[name] for name in ("distributions", "levels", "price ladders")}
    return replace(result, concentrations=concentrations, warnings=warnings, seconds=seconds, validation=checked.report)


def _with_common(one: Concentration, rows: DataFrame, schema: Schema) -> Concentration:
    """Add the levels with the most rows, by which later rows are compared with these; one pass a feature."""
    if one.role is not None:
        return one
    level = sf.coalesce(col(one.name).cast("string"), sf.lit(NULL_LEVELS[schema.column(one.name).null]))
    counts = rows.groupBy(level.alias("level")).count()
    largest = counts.orderBy(sf.desc("count"), "level").limit(MAX_LEVELS).collect()
    return replace(one, common=tuple((row["level"], int(row["count"])) for row in largest))


def split_columns(
    plan: ColumnPlan, distributions: Distributions
) -> tuple[ColumnPlan, Distributions, list[tuple[Column, LevelDistribution]]]:
    """Separate the text columns with few levels from those with many, such as customers and products."""
    few: list[tuple[Column, LevelDistribution]] = []
    many: list[tuple[Column, LevelDistribution]] = []
    for column, levels in zip(plan.texts, distributions.texts, strict=True):
        is_many = column.role in {"customer", "product"} or (levels.levels > MAX_LEVELS and column.kind != "date")
        (many if is_many else few).append((column, levels))
    by_year = tuple(column.name for column, levels in few if levels.levels > MAX_LEVELS)
    return (
        replace(plan, texts=tuple(column for column, _ in few), by_year=by_year),
        replace(distributions, texts=tuple(levels for _, levels in few)),
        many,
    )


def choose_pairs(plan: ColumnPlan, distributions: Distributions) -> tuple[tuple[str, str], ...]:
    """Choose the features to cross: the first category with those not of the product, else the first four features."""
    suitable = [
        column
        for column, levels in zip(plan.texts, distributions.texts, strict=True)
        if column.is_feature and column.kind != "date" and 1 < levels.levels <= _MAX_PAIR_LEVELS
    ]
    of_product = [column for column in suitable if column.of == "product"]
    if of_product:
        # What describes neither customer nor product comes first: only such a column can give a purchase away.
        others = sorted([one for one in suitable if one.of != "product"], key=lambda one: one.of is not None)
        return tuple((of_product[0].name, column.name) for column in others[:_MAX_PAIRS])
    return tuple((a.name, b.name) for i, a in enumerate(suitable[:4]) for b in suitable[i + 1 : 4])[:_MAX_PAIRS]
