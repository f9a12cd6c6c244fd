"""Calibration of conformal intervals with NumPy, all residuals in memory; runs on the executors.

The formulas are in `purchasecast.stages.conformal_intervals`. The bounds of any level follow from a calibration without
the rows it was made from, so that the scorer needs this module too.
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
    GroupBounds = tuple[list[float], list[tuple[float, float]]]  # borders of the prediction, bounds between them

__all__ = ["Quantiles", "bounds_by_group", "calibrate", "constant_bounds", "scale_terms", "solve_calibration"]

# Probabilities of the quantiles that are kept, closer together in the tails, where high levels have their bounds.
_POSITIONS = (1.0 - np.cos(np.linspace(0.0, np.pi, 201))) / 2.0
_TILTS = np.linspace(0.0, 1.0, 9)  # shares of the rows outside an interval that lie below it
_GAIN = 3.0  # standard errors by which a tilted interval has to be shorter than the central one to replace it
_ROUNDS = 3  # of reweighting: the larger the variance, the less a squared residual says
_MAX_BINS = 24  # bins by prediction within a group
_MIN_BIN_ROWS = 500
_FITTED_SHARES = (0.0, 0.15, 0.3, 0.6, 1.0)  # of the fitted variance, in mixtures with a constant one
_TRIED_LEVEL = 0.9  # level at which these mixtures are compared
_MIN_SHARE = 0.05  # of the mean variance: no row's variance is taken to be smaller


def scale_terms(
    prediction: Floats, spread: Floats, counts: Sequence[Floats], shrinkages: Sequence[float], variance: float
) -> Floats:
    """Return the terms of each row's variance.

    Parameters
    ----------
    prediction, spread : ndarray of shape (n,)
        Predictions, and spread of the product's residuals, in units of the label.
    counts : sequence of ndarray of shape (n,)
        Training rows of each group's level.
    shrinkages : sequence of float
        Residual variance over the variance of the effects, one a group.
    variance : float
        Residual variance.

    Returns
    -------
    ndarray of shape (n, 3 + groups)
        A constant, the squared spread, for each group the variance that is left of a level's effect after so many
        rows (all of it for an unseen level), and the squared prediction.
    """
    groups = [variance / (rows + shrinkage) for rows, shrinkage in zip(counts, shrinkages, strict=True)]
    return np.column_stack([np.ones(len(prediction)), spread**2, *groups, prediction**2])


def _fitted_scale(squares: Floats, terms: Floats, groups: int) -> Floats:
    """Return the non-negative weights of the variance terms that describe the squared residuals best.

    Those of the groups are at least 1, their value in theory: levels of few rows are too few to estimate it from.
    """
    unit = terms.mean(axis=0)
    unit[unit <= 0.0] = 1.0  # a term that is 0 in every row gets the weight 0
    scaled = terms / unit
    weight = np.full(len(squares), 1.0 / squares.mean())
    weights = np.zeros(terms.shape[1])
    for _ in range(_ROUNDS):
        weighted = scaled * weight[:, None]
        weights = nonnegative_weights(weighted.T @ weighted, weighted.T @ (squares * weight))
        fitted = scaled @ weights
        weight = 1.0 / np.maximum(fitted, _MIN_SHARE * fitted.mean())
    weights /= unit
    weights[2 : 2 + groups] = np.maximum(weights[2 : 2 + groups], 1.0)
    return weights


def _constant_scale(squares: Floats, terms: Floats, groups: int) -> Floats:
    """Return the weights of a variance that differs between rows only by what the groups' effects leave."""
    weights = np.zeros(terms.shape[1])
    weights[2 : 2 + groups] = 1.0
    mean = float(squares.mean())
    weights[0] = max(mean - float((terms @ weights).mean()), _MIN_SHARE * mean)
    return weights


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles of the scores of one cell of rows.

    Attributes
    ----------
    values : ndarray of shape (m,)
        Quantiles at the positions.
    rows : int
        Rows that they are of.
    positions : ndarray of shape (m,)
        Probabilities from 0 to 1. At ``k / (rows + 1)`` lies the score of rank ``k``.
    """

    values: Floats
    rows: int
    positions: Floats

    @classmethod
    def of(cls, scores: Floats) -> Quantiles:
        """Return the quantiles of some scores, at the probabilities at which conformal prediction needs them."""
        values = np.quantile(scores, _POSITIONS, method="weibull")
        return cls(np.array([float(f"{value:.7g}") for value in values]), len(scores), _POSITIONS)

    @classmethod
    def pooled(cls, cells: Sequence[Quantiles]) -> Quantiles:
        """Return the quantiles of the rows of several cells."""
        values = np.concatenate([cell.values for cell in cells])
        weights = np.concatenate([cell.rows * np.gradient(cell.positions) for cell in cells])
        order = np.argsort(values, kind="stable")
        shares = np.cumsum(weights[order]) / weights.sum()
        return cls(np.interp(_POSITIONS, shares, values[order]), sum(cell.rows for cell in cells), _POSITIONS)

    def suffice(self, level: float) -> bool:
        """Return whether the rows are enough for a level: the interval from the lowest to the highest score holds it.

        A new row lies between the lowest and the highest of `n` scores with a probability of (n - 1) / (n + 1).
        """
        return math.ceil(level * (self.rows + 1) - 1e-9) <= self.rows - 1

    def bounds(self, level: float) -> tuple[float, float]:
        """Return the bounds of an interval that a new score lies in with the probability `level`.

        The interval is the central one, or one of another share of rows below and above it if that is shorter by more
        than chance: to take the shortest in any case would choose intervals that hold too few new rows.
        """
        size = self.rows + 1
        held = min(math.ceil(level * size - 1e-9), max(self.rows - 1, 0))
        # The lowest and highest score are all that is known of the tails.
        starts = np.clip(_TILTS * (size - held), 1.0, max(self.rows - held, 1.0))
        lower, upper = (np.interp(ranks / size, self.positions, self.values) for ranks in (starts, starts + held))
        widths = upper - lower
        central = len(_TILTS) // 2
        penalty = _GAIN * math.sqrt((1.0 - level) / (level * self.rows))
        widths[np.arange(len(widths)) != central] *= 1.0 + penalty
        best = int(np.argmin(widths)) if widths.min() < widths[central] else central
        return float(lower[best]), float(upper[best])

    def bounds_within(self, parent: tuple[float, float], level: float) -> tuple[float, float]:
        """Return the bounds at a level or, with too few rows for it, those of the parent, widened to all own scores."""
        lower, upper = self.bounds(level)
        return (lower, upper) if self.suffice(level) else (min(lower, parent[0]), max(upper, parent[1]))


def bounds_by_group(calibration: Mapping[str, Any], level: float) -> dict[str, GroupBounds]:
    """Return the bounds of the scores by group and prediction.

    Parameters
    ----------
    calibration : mapping
        Result of `calibrate`.
    level : float
        Probability that a new score lies between the bounds, above 0 and below 1.

    Returns
    -------
    dict of str to (list of float, list of (float, float))
        By group the borders of the prediction, and the bounds between them; ``""`` stands for all other groups. A bin
        with too few rows for the level takes the bounds of its group, and a group those of all rows, widened to its own
        lowest and highest score.
    """
    positions = _positions_of(calibration)
    overall = Quantiles(np.asarray(calibration["grid"]), calibration["rows"], positions)
    others = calibration.get("others")
    small = Quantiles(np.asarray(others["grid"]), others["rows"], positions) if others else overall
    bounds: dict[str, GroupBounds] = {"": ([], [small.bounds_within(overall.bounds(level), level)])}
    for name, group in calibration["groups"].items():
        grids = zip(group["grids"], group["rows"], strict=True)
        bins = [Quantiles(np.asarray(grid), rows, positions) for grid, rows in grids]
        parent = overall.bounds(level)
        if len(bins) > 1 and not all(cell.suffice(level) for cell in bins):
            parent = Quantiles.pooled(bins).bounds_within(parent, level)
        bounds[name] = (list(group["borders"]), [cell.bounds_within(parent, level) for cell in bins])
    return bounds


def _positions_of(calibration: Mapping[str, Any]) -> Floats:
    """Return the probabilities of the quantiles; models that were saved before have equal steps."""
    return np.asarray(calibration.get("positions") or np.linspace(0.0, 1.0, len(calibration["grid"])))


def constant_bounds(calibration: Mapping[str, Any], level: float) -> tuple[float, float]:
    """Return the bounds of the residuals in intervals of constant width.

    Parameters
    ----------
    calibration : mapping
        Result of `calibrate`.
    level : float
        Probability that a new residual lies between the bounds, above 0 and below 1.

    Returns
    -------
    (float, float)
        In units of the label.
    """
    residuals = Quantiles(np.asarray(calibration["constant"]), calibration["rows"], _positions_of(calibration))
    return residuals.bounds(level)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Rows by group and prediction.

    The first cell has the rows of all small groups.
    """

    order: NDArray[np.intp]  # of the rows, by cell
    ends: NDArray[np.intp]  # of each cell
    borders: dict[str, Floats]  # of the prediction, by group

    def split(self, values: Floats) -> list[Floats]:
        """Return the values of each cell."""
        return np.split(values[self.order], self.ends[:-1])


def _cells(prediction: Floats, group: NDArray[Any], min_rows: int) -> _Cells:
    levels, codes, sizes = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    of_row, borders, count = np.zeros(len(group), dtype=np.intp), {}, 1
    for level, rows in zip(levels, np.split(order, np.cumsum(sizes)[:-1]), strict=True):
        if len(rows) >= min_rows and str(level):
            cuts = _borders(prediction[rows])
            of_row[rows] = count + np.searchsorted(cuts, prediction[rows], side="left")
            borders[str(level)] = cuts
            count += len(cuts) + 1
    return _Cells(np.argsort(of_row, kind="stable"), np.cumsum(np.bincount(of_row, minlength=count)), borders)


def _borders(prediction: Floats) -> Floats:
    """Return borders that cut the rows of a group by prediction into bins of many rows.

    High predictions err downward and low ones upward: a product has a few prices, with a lowest and a highest one.
    """
    count = min(_MAX_BINS, max(len(prediction) // _MIN_BIN_ROWS, 1))
    borders = np.unique(np.quantile(prediction, np.linspace(0.0, 1.0, count + 1)[1:-1]))
    sizes = np.bincount(np.searchsorted(borders, prediction, side="left"), minlength=len(borders) + 1)
    return borders[:0] if sizes.min() < _MIN_BIN_ROWS // 2 else borders  # many equal predictions


def calibrate(
    residual: Floats, prediction: Floats, terms: Floats, group: NDArray[Any], *, groups: int, min_rows: int
) -> dict[str, Any]:
    """Return the weights of the scale, and the quantiles of the scores by group and prediction.

    Parameters
    ----------
    residual, prediction : ndarray of shape (n,)
        Out-of-fold residuals and predictions.
    terms : ndarray of shape (n, m)
        Result of `scale_terms`.
    group : ndarray of shape (n,)
        Group of each row; ``""`` for none.
    groups : int
        Number of groups whose effects have a term.
    min_rows : int
        Rows from which a group has quantiles of its own.

    Returns
    -------
    dict
        JSON-safe: ``weights`` of the terms, ``least`` variance, ``positions`` of the quantiles, ``grid`` and ``rows``
        of all rows, ``groups`` by name, ``others`` for the rows of small groups together, if they are enough, and
        ``constant`` for the quantiles of the residuals themselves.

    Notes
    -----
    A fitted variance does not always give narrow intervals, in particular where bins by prediction separate the rows
    already. Of several mixtures with a constant variance, the one with the narrowest intervals is taken.
    """
    cells, squares = _cells(prediction, group, min_rows), residual * residual
    constant = _constant_scale(squares, terms, groups)
    fitted = _fitted_scale(squares, terms, groups) if squares.any() else constant
    mixtures = [(1.0 - share) * constant + share * fitted for share in _FITTED_SHARES]
    tried = [_with_weights(residual, terms, cells, weights, min_rows) for weights in mixtures]
    _, calibration = min(tried, key=lambda one: one[0])
    return {**calibration, "constant": Quantiles.of(residual).values.tolist()}


def _with_weights(
    residual: Floats, terms: Floats, cells: _Cells, weights: Floats, min_rows: int
) -> tuple[float, dict[str, Any]]:
    """Return the mean width of the intervals that some weights give, and the calibration."""
    least = _MIN_SHARE * float((terms @ weights).mean()) or 1.0  # predictions without any error must not divide by 0
    scale = np.sqrt(np.maximum(terms @ weights, least))
    scores = residual / scale
    small, *parts = cells.split(scores)
    quantiles = iter([Quantiles.of(part) for part in parts])
    by_group = {}
    for level, borders in cells.borders.items():
        own = list(itertools.islice(quantiles, len(borders) + 1))
        by_group[level] = {
            "borders": borders.tolist(),
            "grids": [cell.values.tolist() for cell in own],
            "rows": [cell.rows for cell in own],
        }
    calibration = {
        "weights": weights.tolist(),
        "least": least,
        "positions": _POSITIONS.tolist(),
        "grid": Quantiles.of(scores).values.tolist(),
        "groups": by_group,
        "rows": len(scores),
    }
    if parts and len(small) >= min_rows:
        calibration["others"] = {"grid": Quantiles.of(small).values.tolist(), "rows": len(small)}
    bounds = bounds_by_group(calibration, _TRIED_LEVEL)
    widths = [high - low for _, of_group in bounds.values() for low, high in of_group]
    sums = [float(part.sum()) for part in cells.split(scale)]
    return sum(width * total for width, total in zip(widths, sums, strict=True)) / len(scores), calibration


def solve_calibration(batches: Iterator[pa.RecordBatch], *, settings: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield the calibration of all rows as one JSON text.

    Parameters
    ----------
    batches : iterator of RecordBatch
        Columns ``label``, ``prediction``, ``spread``, ``group`` and, for each group with effects, ``n_0`` and so on.
    settings : mapping
        ``shrinkages``, ``variance`` and ``min_rows``.

    Yields
    ------
    RecordBatch
        One row with the column ``calibration``.
    """
    table = pa.Table.from_batches(batches)
    number = {name: table.column(name).to_numpy() for name in table.column_names if name != "group"}
    counts = [number[f"n_{g}"] for g in range(len(settings["shrinkages"]))]
    prediction = number["prediction"]
    terms = scale_terms(prediction, number["spread"], counts, settings["shrinkages"], settings["variance"])
    group = np.array([value or "" for value in table.column("group").to_pylist()])
    calibration = calibrate(
        number["label"] - prediction, prediction, terms, group, groups=len(counts), min_rows=settings["min_rows"]
    )
    yield pa.RecordBatch.from_pydict({"calibration": pa.array([json.dumps(calibration)])})
