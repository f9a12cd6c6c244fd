r"""Probabilities of the steps that an amount may stand on, and sets and intervals that follow from them.

For a prediction of :math:`x` steps and a spread of :math:`s` steps, the probability of step :math:`k` is

.. math:: p_k \propto \exp\bigl(a_k + b_k x + c_k x^2 + (d_k + e_k x) / s^2\bigr).

Amounts that are normal around the prediction have this form, with :math:`d_k` and :math:`e_k` alone. A set has the
steps whose probability is at least a limit. An interval goes from one quantile to another of the distribution over the
steps, spread evenly over the amounts of each. `purchasecast.numerics.step_fit` finds coefficients, limits and
quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "NOTHING",
    "NUMBERS",
    "LevelSteps",
    "RowSteps",
    "features_of",
    "precision_of",
    "probabilities_of",
]

#: Numbers of a step of a row: its number, the lowest and highest amount, its probability, and whether it is in the set.
NUMBERS = 5
NOTHING = 1e-300  # instead of 0 in a denominator


def precision_of(s: Floats, usual: float) -> Floats:
    """Return the inverse of the squared spread, relative to the usual one.

    Parameters
    ----------
    s : ndarray of shape (n,)
        Spreads; 0 is not known.
    usual : float
        Usual spread; 0 where none is known.

    Returns
    -------
    ndarray of shape (n,)
        1 where the spread is not known.
    """
    precision: Floats = np.ones(len(s))
    known = (s > 0) & (usual > 0)
    precision[known] = (usual / s[known]) ** 2
    return precision


def features_of(x: Floats, s: Floats, scaling: Mapping[str, Any]) -> Floats:
    """Return the features of the formula, brought to a common size and held in the range of the training.

    Parameters
    ----------
    x, s : ndarray of shape (n,)
        Predictions and spreads, in steps.
    scaling : mapping
        Result of `fit_steps`.

    Returns
    -------
    ndarray of shape (n, 5)
        One row a prediction.
    """
    held = (np.clip(x, *scaling["x_range"]) - scaling["centre"]) / scaling["width"]
    precision = np.clip(precision_of(s, scaling["usual_spread"]), *scaling["precision_range"])
    return np.column_stack([np.ones(len(x)), held, held * held, precision, precision * held])


def probabilities_of(features: Floats, coefficients: Floats, allowed: NDArray[np.bool_]) -> Floats:
    """Return the probability of each step.

    Parameters
    ----------
    features : ndarray of shape (n, 5)
        Result of `features_of`.
    coefficients : ndarray of shape (5, m)
        One column a step.
    allowed : ndarray of bool, shape (n, m)
        Which steps a row may have.

    Returns
    -------
    ndarray of shape (n, m)
        They sum to 1 in every row.
    """
    exponent = np.where(allowed, features @ coefficients, -np.inf)
    exponent -= exponent.max(axis=1, keepdims=True)
    chances = np.exp(exponent)
    result: Floats = chances / chances.sum(axis=1, keepdims=True)
    return result


@dataclass(frozen=True, slots=True)
class LevelSteps:
    """The steps of a level, with what a share of the amounts makes of them.

    Attributes
    ----------
    unit : float
        Distance of two steps, in money.
    steps, low, high : ndarray of shape (m,)
        Number, lowest and highest amount of each step.
    coefficients : ndarray of shape (5, m)
        See the formula.
    limit : float
        Probability from which a step is in the set.
    ranks : (float, float)
        Ranks between which the share of the amounts lies.
    scaling : mapping
        What brings the features to a common size.
    """

    unit: float
    steps: Floats
    low: Floats
    high: Floats
    coefficients: Floats
    limit: float
    ranks: tuple[float, float]
    scaling: Mapping[str, Any]

    @classmethod
    def of(cls, fitted: Mapping[str, Any], name: str, share: float) -> LevelSteps:
        """Return the steps of a level that has some.

        Parameters
        ----------
        fitted : mapping
            Result of `fit_steps`.
        name : str
            The level.
        share : float
            Share of the amounts that sets and intervals are to hold.

        Returns
        -------
        LevelSteps
            The steps.
        """
        entry, quantiles = fitted["levels"][name], fitted["quantiles"].get(name) or fitted["quantiles"][""]
        size, positions = quantiles["rows"] + 1, fitted["positions"]
        # Of n + 1 rows, at most this many may fall short of the limit; with too few rows, none.
        below = np.floor((1.0 - share) * size + 1e-9)
        limit = float(np.interp(below / size, positions, quantiles["values"])) if below >= 1 else 0.0
        outside = np.floor(0.5 * (1.0 - share) * size + 1e-9) / size
        found = np.interp([outside, 1.0 - outside], positions, quantiles["ranks"]) if outside else (0.0, 1.0)
        steps, low, high = (np.array(entry[name], dtype=float) for name in ("steps", "low", "high"))
        coefficients = np.array(entry["coefficients"], dtype=float).T
        ranks = float(found[0]), float(found[1])
        return cls(entry["unit"], steps, low, high, coefficients, limit, ranks, fitted)

    def chances(self, prediction: Floats, spread: Floats | None) -> Floats:
        """Return the probability of each step, one row a prediction."""
        s = np.zeros(len(prediction)) if spread is None else spread / self.unit
        features = features_of(prediction / self.unit, s, self.scaling)
        return probabilities_of(features, self.coefficients, np.ones((len(s), len(self.steps)), dtype=np.bool_))

    def bounds(self, chances: Floats, prediction: Floats) -> tuple[Floats, Floats]:
        """Return the interval of each row; it includes the prediction."""
        lower, upper = (self._amount_at(rank, chances) for rank in self.ranks)
        return np.minimum(lower, prediction), np.maximum(upper, prediction)

    def _amount_at(self, rank: float, chances: Floats) -> Floats:
        """Return the amount of a rank, where the amounts of a step are spread evenly."""
        rows = np.arange(len(chances))
        reached = np.cumsum(chances, axis=1)
        step = np.minimum((reached < rank).sum(axis=1), len(self.steps) - 1)
        own = chances[rows, step]
        passed = np.clip((rank - (reached[rows, step] - own)) / np.maximum(own, NOTHING), 0.0, 1.0)
        return np.asarray(self.low[step] + passed * (self.high - self.low)[step])


@dataclass(frozen=True, slots=True)
class RowSteps:
    """The steps of many rows, with the probability of each.

    Attributes
    ----------
    prediction : ndarray of shape (n,)
        Prediction of each row.
    parts : list of (ndarray, LevelSteps, ndarray)
        For each level with steps: its rows that have a prediction, its steps, and their probabilities, one row a row.
    """

    prediction: Floats
    parts: list[tuple[NDArray[np.intp], LevelSteps, Floats]]

    @classmethod
    def of(
        cls,
        fitted: Mapping[str, Any],
        names: Sequence[str | None],
        level: NDArray[Any],
        prediction: Floats,
        spread: Floats | None,
        share: float,
    ) -> RowSteps:
        """Return the steps of rows.

        Parameters
        ----------
        fitted : mapping
            Result of `fit_steps`.
        names : sequence of (str or None)
            Name of each level.
        level : ndarray of int
            Level of each row.
        prediction : ndarray of shape (n,)
            Predictions.
        spread : ndarray of shape (n,) or None
            Spread around them; None where it is not known.
        share : float
            Share of the amounts that sets and intervals are to hold.

        Returns
        -------
        RowSteps
            The steps.
        """
        parts = []
        for place, name in enumerate(names):
            if name is not None and name in fitted["levels"]:
                mine = np.flatnonzero((level == place) & np.isfinite(prediction))
                steps = LevelSteps.of(fitted, name, share)
                parts.append((mine, steps, steps.chances(prediction[mine], None if spread is None else spread[mine])))
        return cls(prediction, parts)

    def bounds(self) -> tuple[Floats, Floats]:
        """Return lower and upper bounds; NaN where a level has no ladder, or there is no prediction."""
        lower, upper = np.full(len(self.prediction), np.nan), np.full(len(self.prediction), np.nan)
        for mine, steps, chances in self.parts:
            lower[mine], upper[mine] = steps.bounds(chances, self.prediction[mine])
        return lower, upper

    def lists(self) -> tuple[NDArray[np.int64], Floats]:
        """Return the steps that the amount of each row may stand on.

        Returns
        -------
        tuple of (ndarray of shape (n,), ndarray of shape (m, 5))
            How many steps each row has, 0 where its level has no ladder or there is no prediction; and for each step of
            each row, in ascending order: number, lowest and highest amount, probability, and 1 if it is in the set.
        """
        counts = np.zeros(len(self.prediction), dtype=np.int64)
        for mine, steps, _ in self.parts:
            counts[mine] = len(steps.steps)
        starts = np.cumsum(counts) - counts
        made = np.empty((int(counts.sum()), NUMBERS))
        for mine, steps, chances in self.parts:
            # The most probable step is in every set, also where all others are below the limit.
            limit = np.minimum(steps.limit, chances.max(axis=1, keepdims=True))
            rows = starts[mine][:, None] + np.arange(len(steps.steps))
            made[rows, :3] = np.column_stack([steps.steps, steps.low, steps.high])
            made[rows, 3], made[rows, 4] = chances, chances >= limit
        return counts, made
