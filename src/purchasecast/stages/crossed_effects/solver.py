"""Backfitting of crossed effects with NumPy, all rows of a fit in memory; runs on the executors.

The updates, and their order, are those of `backfit`, which takes them by passes of the cluster. The formulas are in
`stage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_columns import read_levels, read_lists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.intp]

__all__ = ["MAX_SHRINKAGE", "MIN_SHRINKAGE", "START_SHRINKAGE", "solve_effects"]

START_SHRINKAGE = 10.0  # rows that a level is shrunk by in the first round, before the variances are known
MIN_SHRINKAGE, MAX_SHRINKAGE = 1e-9, 1e9  # the maximum sets the effects of a group without any effect to 0


def solve_effects(
    batches: Iterator[pa.RecordBatch], *, fits: range, groups: int, max_rounds: int, tol: float
) -> Iterator[pa.RecordBatch]:
    """Yield the effects of some fits.

    Parameters
    ----------
    batches : iterator of RecordBatch
        Levels ``g_0`` and so on, ``weight``, ``label``, and the lists ``residuals`` of these fits.
    fits : range
        Numbers of the fits.
    groups : int
        Number of groups.
    max_rounds : int
        Largest number of rounds.
    tol : float
        Share by which the residual variance may change in the last round.

    Yields
    ------
    RecordBatch
        One row a fit, group and level, and one row of estimates a fit, with group -1.
    """
    table = pa.Table.from_batches(batches)
    encoded = [read_levels(table.column(f"g_{g}")) for g in range(groups)]
    sizes, types = [len(levels) for _, levels in encoded], [levels.type for _, levels in encoded]
    weight, label = table.column("weight").to_numpy(), table.column("label").to_numpy()
    residuals = read_lists(table.column("residuals"), len(fits))
    for k, residual in zip(fits, residuals.T, strict=True):
        seen = ~np.isnan(residual)
        fit = _Backfit([codes[seen] for codes, _ in encoded], sizes, weight[seen], residual[seen])
        fit.run(max_rounds, tol)
        for g, (codes, levels) in enumerate(encoded):
            means = _means(codes[seen], len(levels), weight[seen], label[seen])
            yield _level_rows(k, g, levels, types, fit, means)
        yield _estimates(k, types, fit)


class _Backfit:
    """The running estimates of one fit."""

    def __init__(self, codes: list[Codes], sizes: list[int], weight: Floats, residual: Floats) -> None:
        groups = len(codes)
        self.codes, self.sizes, self.weight, self.residual = codes, sizes, weight, residual
        self.weights = [np.bincount(c, weight, size + 1) for c, size in zip(codes, sizes, strict=True)]
        for weights in self.weights:
            weights[-1] = 0.0  # the code of null: its rows count, but it gets no effect
        self.effects = [np.zeros(size + 1) for size in sizes]
        self.shrinkage = [START_SHRINKAGE] * groups
        self.variances, self.freedom, self.levels = [0.0] * groups, [0.0] * groups, [0] * groups
        self.total = float(weight.sum())
        self.left = residual.copy()  # residual minus all effects
        self.rounds = 0

    @property
    def variance(self) -> float:
        """Residual variance, with the degrees of freedom that the effects leave."""
        squares = float(self.weight @ (self.left * self.left))
        return squares / max(self.total - sum(self.freedom), 1.0)

    def run(self, max_rounds: int, tol: float) -> None:
        """Update the groups in turn until the residual variance no longer changes."""
        moved = float("inf")
        before = self.variance
        while self.rounds < max_rounds and moved > tol:
            for g in range(len(self.codes)):
                self._update(g)
            moved = abs(before - self.variance) / (before or 1.0)
            before = self.variance
            self.rounds += 1

    def _update(self, g: int) -> None:
        codes, weights = self.codes[g], self.weights[g]
        self.left += self.effects[g][codes]
        sums = np.bincount(codes, self.weight * self.left, self.sizes[g] + 1)
        # A level without weight in this fit has the effect 0, whatever the shrinkage.
        effect = np.divide(sums, weights + self.shrinkage[g], out=np.zeros_like(sums), where=weights > 0)
        self.effects[g] = effect
        self.left -= effect[codes]
        freedom = float((weights / (weights + self.shrinkage[g])).sum())
        self.freedom[g], self.levels[g] = freedom, int((weights > 0).sum())
        self.variances[g] = float(effect @ effect) / freedom if freedom else 0.0
        ratio = self.variance / self.variances[g] if self.variances[g] else MAX_SHRINKAGE
        self.shrinkage[g] = min(max(ratio, MIN_SHRINKAGE), MAX_SHRINKAGE)


def _means(codes: Codes, size: int, weight: Floats, label: Floats) -> Floats:
    weights = np.bincount(codes, weight, size + 1)[:size]
    sums = np.bincount(codes, weight * label, size + 1)[:size]
    means = np.divide(sums, weights, out=np.full(size, np.nan), where=weights > 0)
    return np.asarray(means, dtype=np.float64)


def _level_rows(
    k: int, g: int, levels: pa.Array, types: list[pa.DataType], fit: _Backfit, means: Floats
) -> pa.RecordBatch:
    rows = len(levels)
    columns = {
        "fit": pa.array(np.full(rows, k, dtype=np.int32)),
        "group": pa.array(np.full(rows, g, dtype=np.int32)),
        **{f"l_{h}": levels if h == g else pa.nulls(rows, kind) for h, kind in enumerate(types)},
        "effect": pa.array(fit.effects[g][:-1]),
        "weight": pa.array(fit.weights[g][:-1]),
        "mean": pa.array(means, from_pandas=True),
        "numbers": pa.nulls(rows, pa.list_(pa.float64())),
    }
    return pa.RecordBatch.from_pydict(columns)


def _estimates(k: int, types: list[pa.DataType], fit: _Backfit) -> pa.RecordBatch:
    numbers = [fit.total, fit.variance, float(fit.rounds), *fit.variances, *map(float, fit.levels)]
    columns = {
        "fit": pa.array([k], pa.int32()),
        "group": pa.array([-1], pa.int32()),
        **{f"l_{h}": pa.nulls(1, kind) for h, kind in enumerate(types)},
        "effect": pa.nulls(1, pa.float64()),
        "weight": pa.nulls(1, pa.float64()),
        "mean": pa.nulls(1, pa.float64()),
        "numbers": pa.array([numbers], pa.list_(pa.float64())),
    }
    return pa.RecordBatch.from_pydict(columns)
