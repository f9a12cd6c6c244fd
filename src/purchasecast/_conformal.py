"""Calibration of intervals with NumPy, all residuals in memory; runs on the executors.

The formulas are in `intervals`.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "GRID_POINTS",
    "bounds_at",
    "bounds_by_group",
    "calibrate",
    "fit_scale",
    "grid_of",
    "scale_terms",
    "solve_calibration",
]

GRID_POINTS = 201  # quantiles that are kept: every half percent
_STARTS = 41  # places at which an interval may begin
_ROUNDS = 3  # of reweighting: the larger the variance, the less a squared residual says
_MOST_BINS = 12  # of a group's rows by prediction
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
    from scipy.optimize import nnls  # noqa: PLC0415  only executors need it

    unit = np.maximum(terms.mean(axis=0), 1e-300)
    scaled = terms / unit
    weight = np.full(len(squares), 1.0 / max(squares.mean(), 1e-300))
    found = np.zeros(terms.shape[1])
    for _ in range(_ROUNDS):
        weighted = scaled * weight[:, None]
        found, _ = nnls(weighted.T @ weighted, weighted.T @ (squares * weight))
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
    share = min(math.ceil((rows + 1) * level) / rows, 1.0)
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


def calibrate(
    residual: Floats, prediction: Floats, terms: Floats, group: NDArray[Any], *, groups: int, least_rows: int
) -> dict[str, Any]:
    """Return the scale's weights, and quantile grids of the scores: overall, and by prediction within large groups."""
    weights = fit_scale(residual * residual, terms, groups)
    least = _LEAST_SHARE * float((terms @ weights).mean())
    scores = residual / np.sqrt(np.maximum(terms @ weights, least))
    levels, codes, sizes = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(sizes)[:-1])
    large = {
        str(level): _bins(prediction[rows], scores[rows], least_rows)
        for level, rows in zip(levels, parts, strict=True)
        if len(rows) >= least_rows and str(level)
    }
    return {
        "weights": [float(weight) for weight in weights],
        "least": least,
        "rows": len(scores),
        "grid": grid_of(scores),
        "groups": large,
        "constant": grid_of(residual),
    }


def _bins(prediction: Floats, scores: Floats, least_rows: int) -> dict[str, Any]:
    """Return borders that cut a group's rows by prediction into bins of many rows, and a grid for each bin.

    High predictions err downward, low ones upward: products have a few prices, and a lowest and a highest one.
    """
    count = min(_MOST_BINS, len(scores) // least_rows)
    borders = np.unique(np.quantile(prediction, np.linspace(0.0, 1.0, count + 1)[1:-1]))
    place = np.searchsorted(borders, prediction, side="left")
    sizes = np.bincount(place, minlength=len(borders) + 1)
    if sizes.min() < least_rows // 2:  # many equal predictions
        borders, place, sizes = borders[:0], np.zeros_like(place), np.array([len(scores)])
    return {
        "borders": [float(border) for border in borders],
        "grids": [grid_of(scores[place == k]) for k in range(len(borders) + 1)],
        "rows": [int(size) for size in sizes],
    }


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
