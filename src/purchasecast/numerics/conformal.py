"""Calibration of intervals with NumPy, all residuals in memory; runs on the executors.

The formulas are in `intervals`.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.numerics.nonnegative import nonnegative_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "GRID_POINTS",
    "bounds_at",
    "bounds_by_group",
    "calibrate",
    "constant_scale",
    "fit_scale",
    "grid_of",
    "scale_terms",
    "solve_calibration",
]

GRID_POINTS = 201  # quantiles that are kept: every half percent
_STARTS = 41  # places at which an interval may begin
_CHOSEN = 4  # scores that the shortest of so many intervals holds too few new ones, for many shapes and samples
_ROUNDS = 3  # of reweighting: the larger the variance, the less a squared residual says
_MOST_BINS = 24  # of a group's rows by prediction
_LEAST_BIN_ROWS = 500
_FITTED_SHARES = (0.0, 0.15, 0.3, 0.6, 1.0)  # of the fitted variance in mixtures with a constant one
_TRIED_LEVEL = 0.9  # at which these are compared
_LEAST_SHARE = 0.05  # of the mean variance: no row is taken to be surer than that


def scale_terms(
    prediction: Floats, spread: Floats, counts: Sequence[Floats], shrinkages: Sequence[float], variance: float
) -> Floats:
    """Return the variance terms of each row: a constant, the product's spread, what is not known of each group, size.

    The third kind is the variance that is left of a level's effect after so many rows: all of it for an unseen one.
    """
    groups = [variance / (rows + shrinkage) for rows, shrinkage in zip(counts, shrinkages, strict=True)]
    return np.column_stack([np.ones(len(prediction)), spread**2, *groups, prediction**2])


def fit_scale(squares: Floats, terms: Floats, groups: int) -> Floats:
    """Return the weights, none negative, of the variance terms that describe the squared residuals.

    Those of the `groups` are at least 1, what theory says: of levels with few rows there are too few to learn it from.
    """
    unit = np.maximum(terms.mean(axis=0), 1e-300)
    scaled = terms / unit
    weight = np.full(len(squares), 1.0 / max(squares.mean(), 1e-300))
    found = np.zeros(terms.shape[1])
    for _ in range(_ROUNDS):
        weighted = scaled * weight[:, None]
        found = nonnegative_weights(weighted.T @ weighted, weighted.T @ (squares * weight))
        fitted = scaled @ found
        weight = 1.0 / np.maximum(fitted, max(_LEAST_SHARE * fitted.mean(), 1e-300))
    weights: Floats = found / unit
    weights[2 : 2 + groups] = np.maximum(weights[2 : 2 + groups], 1.0)
    return weights


def grid_of(scores: Floats) -> list[float]:
    """Return the quantiles of the scores at `GRID_POINTS` equal steps from 0 to 1."""
    return [float(f"{value:.7g}") for value in np.quantile(scores, np.linspace(0.0, 1.0, GRID_POINTS))]


def bounds_at(grid: Sequence[float], rows: int, level: float) -> tuple[float, float]:
    """Return the two quantiles that are closest together of those a level apart, corrected for a sample of `rows`."""
    share = min(math.ceil((rows + 1) * level + _CHOSEN) / rows, 1.0)
    steps = np.linspace(0.0, 1.0, len(grid))
    starts = np.linspace(0.0, 1.0 - share, _STARTS)
    lower, upper = np.interp(starts, steps, grid), np.interp(starts + share, steps, grid)
    tilt = 1e-6 * np.abs(np.linspace(-1.0, 1.0, _STARTS))  # of equally short ones the most central
    best = int(np.argmin((upper - lower) * (1.0 + tilt)))
    return float(lower[best]), float(upper[best])


def bounds_by_group(found: Mapping[str, Any], level: float) -> dict[str, tuple[list[float], list[tuple[float, float]]]]:
    """Return, by group, borders of the prediction and the scores' bounds between them; ``""`` is all other rows."""
    bounds: dict[str, tuple[list[float], list[tuple[float, float]]]] = {
        "": ([], [bounds_at(found["grid"], found["rows"], level)])
    }
    for name, group in found["groups"].items():
        bins = zip(group["grids"], group["rows"], strict=True)
        bounds[name] = (list(group["borders"]), [bounds_at(grid, rows, level) for grid, rows in bins])
    return bounds


def constant_scale(squares: Floats, terms: Floats, groups: int) -> Floats:
    """Return weights that take only what is not known of the `groups` to differ from row to row."""
    weights = np.zeros(terms.shape[1])
    weights[2 : 2 + groups] = 1.0
    mean = float(squares.mean())
    weights[0] = max(mean - float((terms @ weights).mean()), _LEAST_SHARE * mean)
    return weights


@dataclass(frozen=True, slots=True)
class _Cells:
    """Rows by group and prediction: their order by cell, where each cell ends, and the borders of each group.

    The first cell has the rows of all small groups.
    """

    order: NDArray[np.intp]
    ends: NDArray[np.intp]
    borders: dict[str, Floats]

    def parts(self, values: Floats) -> list[Floats]:
        """Return the values of each cell."""
        return np.split(values[self.order], self.ends[:-1])


def _cells(prediction: Floats, group: NDArray[Any], least_rows: int) -> _Cells:
    levels, codes, sizes = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    of_row, borders, count = np.zeros(len(group), dtype=np.intp), {}, 1
    for level, rows in zip(levels, np.split(order, np.cumsum(sizes)[:-1]), strict=True):
        if len(rows) >= least_rows and str(level):
            cuts = _borders(prediction[rows])
            of_row[rows] = count + np.searchsorted(cuts, prediction[rows], side="left")
            borders[str(level)] = cuts
            count += len(cuts) + 1
    return _Cells(np.argsort(of_row, kind="stable"), np.cumsum(np.bincount(of_row, minlength=count)), borders)


def _borders(prediction: Floats) -> Floats:
    """Return borders that cut a group's rows by prediction into bins of many rows.

    High predictions err downward, low ones upward: products have a few prices, and a lowest and a highest one.
    """
    count = min(_MOST_BINS, max(len(prediction) // _LEAST_BIN_ROWS, 1))
    borders = np.unique(np.quantile(prediction, np.linspace(0.0, 1.0, count + 1)[1:-1]))
    sizes = np.bincount(np.searchsorted(borders, prediction, side="left"), minlength=len(borders) + 1)
    return borders[:0] if sizes.min() < _LEAST_BIN_ROWS // 2 else borders  # many equal predictions


def calibrate(
    residual: Floats, prediction: Floats, terms: Floats, group: NDArray[Any], *, groups: int, least_rows: int
) -> dict[str, Any]:
    """Return the scale's weights, and quantile grids of the scores: overall, and by prediction within large groups.

    A fitted variance need not give narrow intervals, least of all where bins by prediction tell rows apart already. Of
    some mixtures with a constant one that is taken whose intervals are the narrowest.
    """
    cells, squares = _cells(prediction, group, least_rows), residual * residual
    ends = constant_scale(squares, terms, groups), fit_scale(squares, terms, groups)
    tried = [
        _with_weights(residual, terms, cells, (1.0 - share) * ends[0] + share * ends[1]) for share in _FITTED_SHARES
    ]
    _, found = min(tried, key=lambda one: one[0])
    return {**found, "rows": len(residual), "constant": grid_of(residual)}


def _with_weights(residual: Floats, terms: Floats, cells: _Cells, weights: Floats) -> tuple[float, dict[str, Any]]:
    """Return the mean width of intervals by these weights, and the calibration that gives them."""
    least = _LEAST_SHARE * float((terms @ weights).mean())
    scale = np.sqrt(np.maximum(terms @ weights, least))
    scores = residual / scale
    overall = grid_of(scores)
    _, *parts = cells.parts(scores)
    grids = iter([(grid_of(part), len(part)) for part in parts])
    made = {}
    for level, borders in cells.borders.items():
        own = list(itertools.islice(grids, len(borders) + 1))
        grids_of_level, rows = [grid for grid, _ in own], [size for _, size in own]
        made[level] = {"borders": [float(border) for border in borders], "grids": grids_of_level, "rows": rows}
    found = {"weights": [float(weight) for weight in weights], "least": least, "grid": overall, "groups": made}
    bounds = bounds_by_group({**found, "rows": len(scores)}, _TRIED_LEVEL)
    widths = [high - low for _, of_group in bounds.values() for low, high in of_group]
    sums = [float(part.sum()) for part in cells.parts(scale)]
    return sum(width * total for width, total in zip(widths, sums, strict=True)) / len(scores), found


def solve_calibration(batches: Iterator[pa.RecordBatch], *, settings: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield the calibration of all rows as one JSON text."""
    table = pa.Table.from_batches(batches)
    number = {name: table.column(name).to_numpy() for name in table.column_names if name != "group"}
    counts = [number[f"n_{g}"] for g in range(len(settings["shrinkages"]))]
    prediction = number["prediction"]
    terms = scale_terms(prediction, number["spread"], counts, settings["shrinkages"], settings["variance"])
    group = np.array([value or "" for value in table.column("group").to_pylist()])
    residual = number["label"] - prediction
    found = calibrate(residual, prediction, terms, group, groups=len(counts), least_rows=settings["least_rows"])
    yield pa.RecordBatch.from_pydict({"found": pa.array([json.dumps(found)])})
