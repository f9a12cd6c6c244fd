"""Backfitting of crossed effects: each fit inside one task or, if too large, all fits by passes of the cluster.

Both make the same updates in the same order; the formulas are in `stage`. By passes, all fits stop together, when the
last of them has converged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.spark.columns import col
from purchasecast.stages.base import broadcast_if_small
from purchasecast.stages.crossed_effects.solver import (
    MAX_SHRINKAGE,
    MIN_SHRINKAGE,
    START_SHRINKAGE,
    solve_effects,
)
from purchasecast.stages.tasks import solve_in_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

__all__ = ["VarianceComponents", "backfit_by_passes", "backfit_in_tasks"]


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Estimates of one fit.

    Attributes
    ----------
    residual : float
        Variance of a label around its effects, in units of the label squared.
    groups : tuple of float
        Variance of the effects of each group, in the order of ``inputCols``, in units of the label squared.
    levels : tuple of int
        Number of levels of each group in the rows of the fit.
    rounds : int
        Rounds of backfitting until it converged.
    """

    residual: float
    groups: tuple[float, ...]
    levels: tuple[int, ...]
    rounds: int


def backfit_in_tasks(
    rows: DataFrame, groups: int, fits: int, max_rounds: int, tol: float
) -> tuple[list[DataFrame], tuple[VarianceComponents, ...]]:
    """Solve each fit with NumPy inside one task.

    Parameters
    ----------
    rows : DataFrame
        One row a transaction: the levels ``g_0`` and so on, ``weight``, ``label``, and the residuals ``r_0`` and so on
        of the fits, null where a fit must not see the row.
    groups, fits : int
        Number of groups and of fits.
    max_rounds : int
        Largest number of rounds.
    tol : float
        Share by which the residual variance may change in the last round.

    Returns
    -------
    tuple of (list of DataFrame, tuple of VarianceComponents)
        One table a group, with ``level``, ``mean`` (of the label) and, by fit, the arrays ``e`` of effects and ``n``
        of weights; and the estimates of each fit.
    """
    levels = [f"l_{g} {rows.schema[f'g_{g}'].dataType.simpleString()}" for g in range(groups)]
    schema = ", ".join(
        ["fit int, group int", *levels, "effect double, weight double, mean double, numbers array<double>"]
    )
    named = [col(name) for name in rows.columns if not name.startswith("r_")]
    residuals = [col(f"r_{k}") for k in range(fits)]
    solved = solve_in_tasks(
        rows, named, residuals, solve_effects, schema, groups=groups, max_rounds=max_rounds, tol=tol
    ).localCheckpoint(eager=True)
    estimates = solved.where("group = -1").orderBy("fit").select("numbers").collect()  # one row a fit
    if len(estimates) < fits or not all(row["numbers"][0] for row in estimates):
        raise _no_rows()
    components = tuple(
        VarianceComponents(residual, tuple(numbers[:groups]), tuple(map(int, numbers[groups:])), int(rounds))
        for _, residual, rounds, *numbers in (row["numbers"] for row in estimates)
    )
    return [_by_level(solved, g).localCheckpoint(eager=False) for g in range(groups)], components


def _by_level(solved: DataFrame, g: int) -> DataFrame:
    """Return the table of a group from the rows that the tasks yield, one a fit and level."""
    in_order = "transform(array_sort(collect_list(struct(fit, {0}))), x -> x.{0})"
    grouped = solved.where(f"group = {g} AND l_{g} IS NOT NULL").groupBy(col(f"l_{g}").alias("level"))
    return grouped.agg(
        sf.max_by("mean", "fit").alias("mean"),
        sf.expr(in_order.format("effect")).alias("e"),
        sf.expr(in_order.format("weight")).alias("n"),
    )


def _no_rows() -> DataError:
    return DataError(
        "CrossedEffectsEncoder: expected rows in every fit, found none in one; check that not all rows are in one fold."
    )


@dataclass(slots=True)
class _Fit:
    """The running estimates of one fit."""

    weight: float
    squares: float  # weighted sum of squares of residual minus effects
    shrinkage: list[float]
    variances: list[float]
    freedom: list[float]
    levels: list[int]

    @property
    def residual(self) -> float:
        """Residual variance, with the degrees of freedom that the effects leave."""
        return max(self.squares, 0.0) / max(self.weight - sum(self.freedom), 1.0)


def backfit_by_passes(
    rows: DataFrame, groups: int, fits: int, max_rounds: int, tol: float
) -> tuple[list[DataFrame], tuple[VarianceComponents, ...]]:
    """Solve all fits by passes of the cluster, one a group and round; see `backfit_in_tasks` for the rest."""
    state = _start(rows, groups, fits)
    tables = [_empty_effects(rows, g, fits) for g in range(groups)]
    rounds, moved = 0, float("inf")
    while rounds < max_rounds and moved > tol:
        before = [fit.residual for fit in state]
        for g in range(groups):
            tables[g] = _update_group(rows, tables, g, state)
        moved = max(abs(old - fit.residual) / (old or 1.0) for old, fit in zip(before, state, strict=True))
        rounds += 1
    components = tuple(
        VarianceComponents(fit.residual, tuple(fit.variances), tuple(fit.levels), rounds) for fit in state
    )
    arrays = [sf.array(*[col(f"{name}_{k}") for k in range(fits)]).alias(name) for name in "en"]
    return [table.select("level", "mean", *arrays) for table in tables], components


def _start(rows: DataFrame, groups: int, fits: int) -> list[_Fit]:
    """Return the fits before the first round: weight and sum of squares of each, in one pass."""
    sums = []
    for k in range(fits):
        residual = col(f"r_{k}")
        sums += [sf.sum(sf.when(residual.isNotNull(), col("weight"))), sf.sum(col("weight") * residual * residual)]
    numbers = [float(x or 0.0) for x in rows.agg(*sums).collect()[0]]  # one row, whatever the data
    if not all(numbers[::2]):
        raise _no_rows()
    return [
        _Fit(weight, squares, [START_SHRINKAGE] * groups, [0.0] * groups, [0.0] * groups, [0] * groups)
        for weight, squares in zip(numbers[::2], numbers[1::2], strict=True)
    ]


def _empty_effects(rows: DataFrame, g: int, fits: int) -> DataFrame:
    """Return the table of a group before the first round: mean of the label, weight in each fit, effects of 0."""
    weight = col("weight")
    mean = sf.sum(weight * col("label")) / sf.sum(weight)
    weights = [
        sf.coalesce(sf.sum(sf.when(col(f"r_{k}").isNotNull(), weight)), sf.lit(0.0)).alias(f"n_{k}")
        for k in range(fits)
    ]
    zeros = {f"e_{k}": sf.lit(0.0) for k in range(fits)}
    known = rows.where(col(f"g_{g}").isNotNull())
    grouped = known.groupBy(col(f"g_{g}").alias("level")).agg(mean.alias("mean"), *weights)
    return grouped.withColumns(zeros).localCheckpoint(eager=True)


def _update_group(rows: DataFrame, tables: Sequence[DataFrame], g: int, state: list[_Fit]) -> DataFrame:
    """Fit one group on the residual of the others, and update the variances in `state`."""
    fits = range(len(state))
    joined = rows.where(col(f"g_{g}").isNotNull())
    residuals = [col(f"r_{k}") for k in fits]
    for h, table in enumerate(tables):
        if h == g:
            continue
        others = table.select(col("level").alias(f"l_{h}"), *[col(f"e_{k}").alias(f"e_{h}_{k}") for k in fits])
        others = broadcast_if_small(others, max(fit.levels[h] for fit in state), 1 + len(state))
        joined = joined.join(others, col(f"g_{h}") == col(f"l_{h}"), "left")
        residuals = [r - sf.coalesce(col(f"e_{h}_{k}"), sf.lit(0.0)) for k, r in enumerate(residuals)]
    sums = [sf.coalesce(sf.sum(col("weight") * r), sf.lit(0.0)).alias(f"s_{k}") for k, r in enumerate(residuals)]
    # The plan of this pass holds no number of the round, so that Spark compiles it once for all rounds.
    grouped = joined.groupBy(col(f"g_{g}").alias("level")).agg(*sums)
    # Not eager: the job that computes the variances fills the checkpoint.
    table = tables[g].join(grouped, "level").localCheckpoint(eager=False)
    effects = [(col(f"s_{k}") / (col(f"n_{k}") + state[k].shrinkage[g])).alias(f"new_{k}") for k in fits]
    updated = table.select("*", *effects)
    _update_variances(updated, g, state)
    weights = [col(f"n_{k}") for k in fits]
    return updated.select("level", "mean", *weights, *[col(f"new_{k}").alias(f"e_{k}") for k in fits])


def _update_variances(table: DataFrame, g: int, state: list[_Fit]) -> None:
    """Estimate the variances again by Schall's fixed point, from five numbers a fit of a group's table.

    With R the residual before the update, e the old effects, s the sums of the residual without this group and N the
    weights by level, that residual has the sum of squares R'R + 2 e's - e'Ne. Subtracting the new effects is the
    reverse.
    """
    sums = []
    for k, fit in enumerate(state):
        n, s, old, new = (col(f"{name}_{k}") for name in ("n", "s", "e", "new"))
        sums += [
            sf.sum((2 * s - n * old) * old),
            sf.sum((2 * s - n * new) * new),
            sf.sum(new * new),
            sf.sum(n / (n + fit.shrinkage[g])),
            sf.count(sf.when(n > 0, 1)),
        ]
    numbers = table.agg(*sums).collect()[0]  # one row, whatever the data
    for k, fit in enumerate(state):
        added, removed, effect_squares, freedom, levels = (float(x or 0.0) for x in numbers[5 * k : 5 * k + 5])
        fit.squares += added - removed
        fit.freedom[g], fit.levels[g] = freedom, int(levels)
        fit.variances[g] = effect_squares / freedom if freedom else 0.0
        ratio = fit.residual / fit.variances[g] if fit.variances[g] else MAX_SHRINKAGE
        fit.shrinkage[g] = min(max(ratio, MIN_SHRINKAGE), MAX_SHRINKAGE)
