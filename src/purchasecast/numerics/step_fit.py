r"""Fit the probabilities of steps to out-of-fold predictions, with what makes sets and intervals hold their promise.

The coefficients of `purchasecast.numerics.step_probabilities` are fitted by maximum likelihood to the rows of all
levels, and then to those of each level, drawn to the former by a ridge. The limit of a set is a quantile of the
probabilities of the steps that came. The bounds of an interval are quantiles of the ranks :math:`F(y)` of the amounts
that came. Both are by a fit on the other half of the rows.

References
----------
M. Sadinle, J. Lei, L. Wasserman, "Least ambiguous set-valued classifiers with bounded error levels", JASA 114, 2019.
https://doi.org/10.1080/01621459.2017.1395341

V. Chernozhukov, K. Wuthrich, Y. Zhu, "Distributional conformal prediction", PNAS 118, 2021.
https://doi.org/10.1073/pnas.2107794118
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_columns import read_levels
from purchasecast.numerics.newton import minimize
from purchasecast.numerics.step_probabilities import NOTHING, features_of, precision_of, probabilities_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.intp]

__all__ = ["fit_steps", "solve_steps"]

_POSITIONS = (1.0 - np.cos(np.linspace(0.0, np.pi, 201))) / 2.0  # closer together where high levels have their limit
_RIDGE = 3.0  # rows that a coefficient of all levels counts; 3 to 50 were tried (docs/decisions/0026-sets-of-steps.md)
_WEAK_RIDGE = 1.0  # of the coefficients of all levels, which have no others to be drawn to
_MIN_LEVEL_ROWS = 200  # from which a level has coefficients of its own
_MAX_ROWS_ALL, _MAX_ROWS_LEVEL = 100_000, 25_000  # that a fit reads; more change the last digit
_MIN_STEP_ROWS, _MIN_STEP_SHARE = 2, 0.001  # rows of a step that is more than chance
_TAIL = 0.001  # share of the rows on each side, at which predictions and spreads are held


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows with a ladder: the features, the step that came, and the level.

    Attributes
    ----------
    features : ndarray of shape (n, 5)
        See the formula.
    step : ndarray of int
        Place of the step that came among all step numbers; -1 where the amount stands on none.
    level : ndarray of int
        Place of the level.
    allowed : ndarray of bool, shape (levels, steps)
        Which steps a level has.
    """

    features: Floats
    step: Integers
    level: Integers
    allowed: NDArray[np.bool_]

    def take(self, places: NDArray[Any]) -> _Rows:
        """Return some of the rows."""
        return _Rows(self.features[places], self.step[places], self.level[places], self.allowed)


def fit_steps(
    label: Floats,
    prediction: Floats,
    spread: Floats,
    level: Integers,
    names: Sequence[str],
    ladders: Mapping[str, Mapping[str, float]],
    *,
    min_rows: int,
) -> dict[str, Any] | None:
    """Fit the probabilities of steps, and the quantiles that sets are made of.

    Parameters
    ----------
    label, prediction, spread : ndarray of shape (n,)
        Amounts, out-of-fold predictions, and spread around them, in the same unit; a spread of 0 is not known.
    level : ndarray of int
        Level of each row.
    names : sequence of str
        Name of each level.
    ladders : mapping of str to mapping
        ``unit``, ``start`` and ``end`` of the ladder of a level; levels without one are left out.
    min_rows : int
        Rows from which a level has quantiles of its own.

    Returns
    -------
    dict or None
        JSON-safe: the scaling of the features, ``levels`` with steps and coefficients, and ``quantiles``. None where no
        level has two steps.
    """
    # The result must not depend on the order of the rows, and halves must not be every other amount.
    order = np.lexsort((spread, prediction, label, level))
    order = order[np.random.default_rng(0).permutation(len(order))]
    label, prediction, spread, level = label[order], prediction[order], spread[order], level[order]
    steps: dict[int, dict[str, Any]] = {}
    number = np.full(len(label), -1, dtype=np.intp)
    for place, name in enumerate(names):
        mine = np.flatnonzero(level == place)
        found = _steps_of_level(label[mine], ladders[name]) if name in ladders and len(mine) else None
        if found is not None:
            steps[place], number[mine] = found
    if not steps:
        return None
    held = np.isin(level, list(steps)) & np.isfinite(prediction)
    place_of = np.full(len(names) + 1, -1, dtype=np.intp)
    place_of[list(steps)] = np.arange(len(steps))
    described = [{"name": names[place], **entry} for place, entry in steps.items()]
    units = np.array([entry["unit"] for entry in described])
    of_level = place_of[level[held]]
    x, s = prediction[held] / units[of_level], spread[held] / units[of_level]
    scaling = _scaling(x, s)
    numbers = sorted({k for entry in described for k in entry["steps"]})
    came = number[held]
    allowed = np.array([[k in entry["steps"] for k in numbers] for entry in described])
    index = np.where(np.isin(came, numbers), np.searchsorted(numbers, came), -1)
    rows = _Rows(features_of(x, s, scaling), index, of_level, allowed)
    coefficients = _fit(rows)
    for k, entry in enumerate(described):
        entry["coefficients"] = [[float(f"{c:.7g}") for c in row] for row in coefficients[k].T[allowed[k]]]
    kept = {entry.pop("name"): entry for entry in described}
    ranges = [(np.array(entry["low"]), np.array(entry["high"])) for entry in described]
    return {
        **scaling,
        "positions": _POSITIONS.tolist(),
        "levels": kept,
        "quantiles": _quantiles(*_cross_fitted(rows, label[held], ranges), of_level, list(kept), min_rows),
    }


def _steps_of_level(label: Floats, ladder: Mapping[str, float]) -> tuple[dict[str, Any], Integers] | None:
    """Return the steps of a level, with the lowest and highest amount on each, and the step of each row, or -1."""
    position = label / ladder["unit"]
    number = np.floor(position - ladder["start"] + 1e-9).astype(np.intp)
    number[(position - number > ladder["end"] + 1e-9) | (number < 1)] = -1
    kept, counts = np.unique(number[number > 0], return_counts=True)
    kept = kept[counts >= max(_MIN_STEP_ROWS, _MIN_STEP_SHARE * len(label))]
    if len(kept) < 2:
        return None
    number[~np.isin(number, kept)] = -1
    ranges = [_range_on_step(label[number == k], int(k), ladder) for k in kept]
    entry = {"unit": float(ladder["unit"]), "steps": [int(k) for k in kept]}
    return {**entry, "low": [low for low, _ in ranges], "high": [high for _, high in ranges]}, number


def _range_on_step(amounts: Floats, step: int, ladder: Mapping[str, float]) -> tuple[float, float]:
    """Return the lowest and highest amount of a step, widened by a mean gap: a new one may lie a little outside."""
    low, high = float(amounts.min()), float(amounts.max())
    gap = (high - low) / (len(amounts) - 1)
    band = [(step + ladder[end]) * ladder["unit"] for end in ("start", "end")]
    return max(low - gap, min(band[0], low)), min(high + gap, max(band[1], high))


def _scaling(x: Floats, s: Floats) -> dict[str, Any]:
    """Return what brings the features to a common size, and the range that they are held in."""
    known = s[s > 0]
    usual = float(np.exp(np.mean(np.log(known)))) if len(known) else 0.0
    precision = precision_of(s, usual)
    return {
        "centre": float(x.mean()),
        "width": float(x.std()) or 1.0,
        "usual_spread": usual,
        "x_range": np.quantile(x, [_TAIL, 1.0 - _TAIL]).tolist(),
        "precision_range": np.quantile(precision, [_TAIL, 1.0 - _TAIL]).tolist(),
    }


def _fit(rows: _Rows) -> list[Floats]:
    """Return the coefficients of each level, of shape (features, steps)."""
    used = np.flatnonzero(rows.step >= 0)
    nothing = np.zeros((rows.features.shape[1], rows.allowed.shape[1]))
    everything = _maximize(rows.take(used[:_MAX_ROWS_ALL]), nothing, _WEAK_RIDGE)
    found = []
    for level in range(len(rows.allowed)):
        mine = used[rows.level[used] == level][:_MAX_ROWS_LEVEL]
        enough = len(mine) >= _MIN_LEVEL_ROWS
        found.append(_maximize(rows.take(mine), everything, _RIDGE) if enough else everything)
    return found


def _maximize(rows: _Rows, prior: Floats, ridge: float) -> Floats:
    """Return the coefficients of the largest likelihood, less the ridge around the prior."""
    shape = prior.shape
    found = minimize(
        prior.ravel(),
        lambda tried: _loss(rows, tried.reshape(shape), prior, ridge),
        lambda tried: _step(rows, tried.reshape(shape), prior, ridge),
    )
    return np.asarray(found.reshape(shape))


def _step(rows: _Rows, coefficients: Floats, prior: Floats, ridge: float) -> Floats:
    """Return the step of Newton's method."""
    features, (width, steps) = rows.features, prior.shape
    chances = probabilities_of(features, coefficients, rows.allowed[rows.level])
    came = np.zeros(chances.shape)
    came[np.arange(len(rows.step)), rows.step] = 1.0
    gradient = features.T @ (chances - came) + ridge * (coefficients - prior)
    hessian = ridge * np.eye(width * steps).reshape(width, steps, width, steps)
    for a in range(steps):
        for b in range(a, steps):
            weight = chances[:, a] * ((a == b) - chances[:, b])
            block = (features * weight[:, None]).T @ features
            hessian[:, a, :, b] += block
            if a != b:
                hessian[:, b, :, a] += block
    return np.asarray(np.linalg.solve(hessian.reshape(width * steps, width * steps), gradient.ravel()))


def _loss(rows: _Rows, coefficients: Floats, prior: Floats, ridge: float) -> float:
    """Return the negative log-likelihood with its ridge."""
    chances = probabilities_of(rows.features, coefficients, rows.allowed[rows.level])
    own = np.maximum(chances[np.arange(len(rows.step)), rows.step], 1e-300)
    return float(-np.log(own).sum() + 0.5 * ridge * ((coefficients - prior) ** 2).sum())


def _cross_fitted(rows: _Rows, amounts: Floats, ranges: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return, by fits on the other half, each row's probability of the step that came (0 on none), and its rank."""
    scores, ranks = np.zeros(len(rows.step)), np.zeros(len(rows.step))
    half = np.arange(len(rows.step)) % 2
    for k in (0, 1):
        coefficients = _fit(rows.take(np.flatnonzero(half != k)))
        for level, (low, high) in enumerate(ranges):
            mine = np.flatnonzero((half == k) & (rows.level == level))
            allowed = np.broadcast_to(rows.allowed[level], (len(mine), rows.allowed.shape[1]))
            chances = probabilities_of(rows.features[mine], coefficients[level], allowed)
            on = rows.step[mine] >= 0
            scores[mine[on]] = chances[on, rows.step[mine[on]]]
            passed = np.clip((amounts[mine, None] - low) / np.maximum(high - low, NOTHING), 0.0, 1.0)
            ranks[mine] = (passed * chances[:, rows.allowed[level]]).sum(axis=1)
    return scores, ranks


def _quantiles(
    scores: Floats, ranks: Floats, level: Integers, names: Sequence[str], min_rows: int
) -> dict[str, dict[str, Any]]:
    """Return the quantiles of all rows, under ``""``, and of each level with enough of them."""

    def of(values: Floats) -> list[float]:
        return [float(f"{value:.7g}") for value in np.quantile(values, _POSITIONS, method="weibull")]

    groups = {"": np.arange(len(scores))} | {name: np.flatnonzero(level == k) for k, name in enumerate(names)}
    return {
        name: {"rows": len(own), "values": of(scores[own]), "ranks": of(ranks[own])}
        for name, own in groups.items()
        if not name or len(own) >= min_rows
    }


def solve_steps(batches: Iterator[pa.RecordBatch], *, settings: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """Yield the fit of all rows as one JSON text, or no row where there is none.

    Parameters
    ----------
    batches : iterator of RecordBatch
        Columns ``label``, ``prediction``, ``spread`` and ``level``, a text.
    settings : mapping
        ``ladders`` and ``min_rows``, as in `fit_steps`.

    Yields
    ------
    RecordBatch
        One row with the column ``fitted``.
    """
    held = [batch for batch in batches if batch.num_rows]
    if not held:
        return
    table = pa.Table.from_batches(held)
    codes, levels = read_levels(table.column("level"))
    numbers = [table.column(name).to_numpy() for name in ("label", "prediction", "spread")]
    label, prediction, spread = numbers
    names = levels.to_pylist()
    fitted = fit_steps(label, prediction, spread, codes, names, settings["ladders"], min_rows=settings["min_rows"])
    if fitted is not None:
        yield pa.RecordBatch.from_pydict({"fitted": pa.array([json.dumps(fitted)])})
