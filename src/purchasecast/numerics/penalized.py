r"""Penalised least squares from a Gram matrix, with Spark's objective.

With weights :math:`w` and the population standard deviations :math:`\hat s` that Spark's normal-equation solver takes,
the solution at :math:`(\lambda, \alpha)` minimises over :math:`\beta`, the coefficients of label and features divided
by :math:`\hat s`,

.. math:: \tfrac{1}{2W} \sum_i w_i (\tilde y_i - \tilde x_i \beta)^2
          + \frac{\lambda}{\hat s_y} \Big( \alpha \sum_j c_j |\beta_j|
          + \tfrac{1 - \alpha}{2} \sum_j c_j^2 \beta_j^2 \Big)

with :math:`c_j = 1` under standardisation and :math:`1 / \hat s_j` without. The intercept is not penalised, and a
constant feature gets the coefficient 0. The Gram matrix is all that is needed, whatever the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from purchasecast.errors import DataError
from purchasecast.numerics.elastic_net import elastic_net_paths
from purchasecast.numerics.normal_equations import DEPENDENT, Problem, solve_spd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.numerics.gram import Floats, Gram

__all__ = ["Solutions", "metric_values", "penalty_diagonal", "solve", "squared_errors"]

_MANY = 12  # candidates from which an eigendecomposition takes less time than a factorisation for each


@dataclass(frozen=True, slots=True)
class Solutions:
    """Coefficients in the units of the data.

    Attributes
    ----------
    coefficients : ndarray of shape (m, d)
        One row a candidate.
    centre : ndarray of shape (d + 1,)
        The point (features, label) that every solution passes through.
    """

    coefficients: Floats
    centre: Floats

    @property
    def intercepts(self) -> Floats:
        """Return the intercept of each candidate."""
        intercepts: Floats = self.centre[-1] - self.coefficients @ self.centre[:-1]
        return intercepts


def solve(
    gram: Gram,
    candidates: Sequence[tuple[float, float]],
    *,
    fit_intercept: bool = True,
    standardization: bool = True,
) -> Solutions:
    """Fit every candidate on one Gram.

    Parameters
    ----------
    gram : Gram
        Moments of the training rows.
    candidates : sequence of (float, float)
        ``regParam`` (at least 0) and ``elasticNetParam`` (0 to 1), as Spark defines them.
    fit_intercept, standardization : bool, default True
        As in `pyspark.ml.regression.LinearRegression`.

    Returns
    -------
    Solutions
        One row of coefficients a candidate, in the order of `candidates`.

    Raises
    ------
    DataError
        If the label is constant and there is a penalty but no intercept: Spark has no such model either.
    """
    problem = Problem.of(
        gram, fit_intercept=fit_intercept, standardization=standardization, decompose=len(candidates) >= _MANY
    )
    coefficients = np.zeros((len(candidates), gram.features))
    is_constant = float(gram.comoments[-1, -1]) <= 0.0
    if is_constant and not fit_intercept and problem.label_scale and any(reg for reg, _ in candidates):
        raise DataError(
            "linear regression: expected labels that vary, for a penalised fit without intercept, "
            f"found {gram.mean[-1]:g} in every row; set fitIntercept to True, or regParam to 0."
        )
    if not problem.label_scale or not len(problem.used):
        return Solutions(coefficients, problem.centre)
    by_ratio: dict[float, list[int]] = {}
    for index, (reg, ratio) in enumerate(candidates):
        by_ratio.setdefault(ratio if reg else 0.0, []).append(index)  # without a penalty the ratio does not matter
    scaled = np.array([reg for reg, _ in candidates]) / problem.label_scale
    penalties = {ratio: scaled[indices] for ratio, indices in by_ratio.items()}
    for ratio, path in _solve_paths(problem, penalties).items():
        rows = np.ix_(np.array(by_ratio[ratio]), problem.used)
        coefficients[rows] = path * (problem.label_scale / problem.unit)
    return Solutions(coefficients, problem.centre)


def _solve_paths(problem: Problem, penalties: dict[float, Floats]) -> dict[float, Floats]:
    """Return the coefficients of each L1 ratio, one row a penalty."""
    nets = [(ratio, path) for ratio, path in penalties.items() if ratio]
    solved = dict(zip([ratio for ratio, _ in nets], elastic_net_paths(problem, nets), strict=True))
    return solved | {ratio: _ridge_path(problem, path) for ratio, path in penalties.items() if not ratio}


def penalty_diagonal(gram: Gram, reg: float, ratio: float, *, standardization: bool) -> Floats:
    """Return what the L2 penalty adds to the diagonal of the features' moments, in the units of the data."""
    moments = np.maximum(np.diagonal(gram.comoments), 0.0) / gram.weight
    label_scale = float(np.sqrt(moments[-1])) or 1.0
    scale = moments[:-1] if standardization else np.ones(gram.features)
    diagonal: Floats = reg * (1.0 - ratio) / label_scale * scale
    return diagonal


def _ridge_path(problem: Problem, penalties: Floats) -> Floats:
    """Solve the ridge problems in closed form; where columns are dependent, take the shortest solution."""
    path = np.empty((len(penalties), len(problem.target)))
    for row, penalty in enumerate(map(float, penalties)):
        solved = solve_spd(problem.system(), penalty, problem.target)
        path[row] = _shortest(problem.moments, penalty, problem.target) if solved is None else solved
    return path


def _shortest(system: Floats, penalty: float, b: Floats) -> Floats:
    """Return the shortest of the least-squares solutions of (system + penalty I) x = b."""
    values, vectors = linalg.eigh(system, check_finite=False)
    values = values + penalty
    kept = values > DEPENDENT * values[-1]
    solution: Floats = vectors[:, kept] @ ((vectors[:, kept].T @ b) / values[kept])
    return solution


def squared_errors(solutions: Solutions, gram: Gram) -> Floats:
    """Return the weighted sum of squared errors of each candidate.

    Parameters
    ----------
    solutions : Solutions
        Candidates.
    gram : Gram
        Moments of the rows to predict.

    Returns
    -------
    ndarray of shape (m,)
        In units of the label squared.
    """
    beta = solutions.coefficients
    difference = gram.mean - solutions.centre
    bias = difference[-1] - beta @ difference[:-1]
    inner, cross = gram.comoments[:-1, :-1], gram.comoments[:-1, -1]
    spread = gram.comoments[-1, -1] - 2.0 * beta @ cross + np.einsum("ij,ij->i", beta @ inner, beta)
    errors: Floats = np.maximum(spread, 0.0) + gram.weight * bias**2
    return errors


def metric_values(solutions: Solutions, gram: Gram, metric: str) -> Floats:
    """Return a metric of each candidate on held-out rows, as `RegressionEvaluator` defines it.

    Parameters
    ----------
    solutions : Solutions
        Candidates.
    gram : Gram
        Moments of the held-out rows.
    metric : {"rmse", "mse", "r2"}
        Metric.

    Returns
    -------
    ndarray of shape (m,)
        NaN where the metric is not defined.
    """
    errors = squared_errors(solutions, gram)
    if metric == "r2":
        # Spark takes the unbiased variance times (weight - 1), which with weights is not the centred sum of squares.
        with np.errstate(divide="ignore", invalid="ignore"):
            unbiased = gram.comoments[-1, -1] / (gram.weight - gram.weight_squares / gram.weight)
            ratios: Floats = 1.0 - errors / (unbiased * (gram.weight - 1.0))
        return ratios
    mse: Floats = errors / gram.weight
    return mse if metric == "mse" else np.sqrt(mse)
