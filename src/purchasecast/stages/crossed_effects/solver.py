"""Backfitting of crossed effects with NumPy, all rows of a fit in memory; runs on the executors.

The same updates in the same order as `backfit` takes by passes of the cluster; the formulas are in `crossed_effects`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.intp]

__all__ = ["LARGEST_SHRINKAGE", "LEAST_SHRINKAGE", "START_SHRINKAGE", "read_levels", "solve_effects"]

START_SHRINKAGE = 10.0  # rows a level is shrunk by in the first round, before the variances are known
LEAST_SHRINKAGE, LARGEST_SHRINKAGE = 1e-9, 1e9  # a group without any effect is shrunk to nothing


def read_levels(column: pa.ChunkedArray) -> tuple[Codes, pa.Array]:
    """Return a code for each row and the level of each code, sorted; null has the code after the last level.

    Sorting makes the codes those of the set of levels, whatever the order of the rows.
    """
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    levels = encoded.dictionary
    order = pc.sort_indices(levels).to_numpy()
    rank = np.empty(len(levels) + 1, dtype=np.intp)
    rank[order] = np.arange(len(levels))
    rank[-1] = len(levels)
    codes = encoded.indices.fill_null(len(levels)).to_numpy(zero_copy_only=False)
    return rank[codes], levels.take(pa.array(order))


def solve_effects(
    batches: Iterator[pa.RecordBatch], *, fits: range, groups: int, max_rounds: int, tol: float
) -> Iterator[pa.RecordBatch]:
    """Yield the effects of every fit of `fits`: one row a group and level, and one of estimates with group -1."""
    table = pa.Table.from_batches(batches)
    encoded = [read_levels(table.column(f"g_{g}")) for g in range(groups)]
    weight = table.column("weight").to_numpy()
    label = table.column("label").to_numpy()
    residuals = table.column("residuals").combine_chunks()
    width = len(fits)
    values = residuals.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    for j, k in enumerate(fits):
        seen = ~np.isnan(values[:, j])  # Arrow's null, as NumPy has it
        fit = _Backfit(
            [codes[seen] for codes, _ in encoded], [len(levels) for _, levels in encoded], weight[seen], values[seen, j]
        )
        fit.run(max_rounds, tol)
        types = [levels.type for _, levels in encoded]
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
            weights[-1] = 0.0  # null is no level
        self.effects = [np.zeros(size + 1) for size in sizes]
        self.shrinkage = [START_SHRINKAGE] * groups
        self.variances, self.freedom, self.levels = [0.0] * groups, [0.0] * groups, [0] * groups
        self.total = float(weight.sum())
        self.left = residual.copy()  # what no effect has taken yet
        self.rounds = 0

    @property
    def variance(self) -> float:
        """Residual variance, by the degrees of freedom that the effects leave."""
        squares = float(self.weight @ (self.left * self.left))
        return squares / max(self.total - sum(self.freedom), 1.0)

    def run(self, max_rounds: int, tol: float) -> None:
        """Update group after group until the residual variance stands still."""
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
        # A level without weight in this fit has no effect, even where nothing shrinks.
        effect = np.divide(sums, weights + self.shrinkage[g], out=np.zeros_like(sums), where=weights > 0)
        self.effects[g] = effect
        self.left -= effect[codes]
        freedom = float((weights / (weights + self.shrinkage[g])).sum())
        self.freedom[g], self.levels[g] = freedom, int((weights > 0).sum())
        self.variances[g] = float(effect @ effect) / freedom if freedom else 0.0
        ratio = self.variance / self.variances[g] if self.variances[g] else LARGEST_SHRINKAGE
        self.shrinkage[g] = min(max(ratio, LEAST_SHRINKAGE), LARGEST_SHRINKAGE)


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
