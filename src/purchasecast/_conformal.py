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

__all__ = ["GRID_POINTS", "bounds_at", "calibrate", "fit_scale", "grid_of", "scale_terms", "solve_calibration"]

GRID_POINTS = 201  # quantiles that are kept: every half percent
_ROUNDS = 3  # of reweighting: the larger the variance, the less a squared residual says
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
    return [float(value) for value in np.quantile(scores, np.linspace(0.0, 1.0, GRID_POINTS))]


def bounds_at(grid: Sequence[float], rows: int, level: float) -> tuple[float, float]:
    """Return the lower and the upper quantile for an interval of a level, corrected for a sample of `rows`."""
    tail = (1.0 - level) / 2.0
    share = min(math.ceil((rows + 1) * (1.0 - tail)) / rows, 1.0)
    steps = np.linspace(0.0, 1.0, GRID_POINTS)
    return float(np.interp(1.0 - share, steps, grid)), float(np.interp(share, steps, grid))


def calibrate(residual: Floats, terms: Floats, group: NDArray[Any], *, groups: int, least_rows: int) -> dict[str, Any]:
    """Return the scale's weights, and quantile grids of the scores overall (``""``) and of each group of many rows."""
    weights = fit_scale(residual * residual, terms, groups)
    least = _LEAST_SHARE * float((terms @ weights).mean())
    scores = residual / np.sqrt(np.maximum(terms @ weights, least))
    levels, codes, sizes = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    parts = np.split(scores[order], np.cumsum(sizes)[:-1])
    large = {
        str(level): part for level, part in zip(levels, parts, strict=True) if len(part) >= least_rows and str(level)
    }
    return {
        "weights": [float(weight) for weight in weights],
        "least": least,
        "rows": {"": len(scores), **{name: len(part) for name, part in large.items()}},
        "grids": {"": grid_of(scores), **{name: grid_of(part) for name, part in large.items()}},
        "constant": grid_of(residual),
    }


def solve_calibration(batches: Iterator[pa.RecordBatch], *, settings: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield the calibration of all rows as one JSON text."""
    table = pa.Table.from_batches(batches)
    number = {name: table.column(name).to_numpy() for name in table.column_names if name != "group"}
    counts = [number[f"n_{g}"] for g in range(len(settings["shrinkages"]))]
    prediction = number["prediction"]
    terms = scale_terms(prediction, number["spread"], counts, settings["shrinkages"], settings["variance"])
    group = np.array([value or "" for value in table.column("group").to_pylist()])
    found = calibrate(number["label"] - prediction, terms, group, groups=len(counts), least_rows=settings["least_rows"])
    yield pa.RecordBatch.from_pydict({"found": pa.array([json.dumps(found)])})
