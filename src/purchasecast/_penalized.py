r"""Penalised least squares from a Gram matrix, with Spark's objective.

For weights :math:`w`, with :math:`\hat s` the population standard deviations that Spark's normal-equation
solver takes, a candidate :math:`(\lambda, \alpha)` minimises over :math:`\beta`, the coefficients of label
and features divided by :math:`\hat s`,

.. math:: \tfrac{1}{2W} \sum_i w_i (\tilde y_i - \tilde x_i \beta)^2
          + \frac{\lambda}{\hat s_y} \Big( \alpha \sum_j c_j |\beta_j|
          + \tfrac{1 - \alpha}{2} \sum_j c_j^2 \beta_j^2 \Big)

with :math:`c_j = 1` under standardisation and :math:`1 / \hat s_j` without. The intercept is not penalised,
and a constant feature gets coefficient 0. Nothing but the Gram is needed, whatever the number of rows.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg
from scipy.linalg import lapack
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from purchasecast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast._gram import Floats, Gram

__all__ = ["Problem", "Solutions", "metric_values", "penalty_diagonal", "solve", "squared_errors"]

_EPS = float(np.finfo(float).eps)
#: A standard deviation below this share of the mean is rounding, and the column constant.
_CONSTANT = 64 * _EPS
#: Coordinate descent goes on by the next of these (duality gap, sweeps) where the exact finish did not hold.
_STAGES = ((1e-4, 30), (1e-6, 300), (1e-9, 3_000), (1e-12, 30_000), (1e-15, 100_000))
#: Rounds of exchanging all that is wrong, steps downhill after them, and how well optimality conditions must hold.
_EXCHANGES, _STEPS, _OPTIMAL = 8, 1_000, 1e-10
#: Squared Cholesky pivots (of a unit diagonal) and eigenvalue ratios below this are dependent columns.
_DEPENDENT = 1e-12
#: What then goes on the diagonal to choose among the solutions, relative to it.
_NUDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Problem:
    """A least-squares problem in the units in which its penalty is the same for all features.

    Attributes
    ----------
    moments : ndarray of shape (k, k)
        Second moments of the features that vary.
    target : ndarray of shape (k,)
        Their moments with the label.
    yy : float
        Second moment of the label.
    used : ndarray of int of shape (k,)
        Which features vary.
    unit : ndarray of shape (k,)
        What a feature was divided by.
    label_scale : float
        What the label was divided by; 0 for a label that needs no fit.
    centre : ndarray of shape (d + 1,)
        Means that were taken off first; zeros without an intercept.
    workspace : ndarray of shape (2, k * k)
        Where systems are built and factorised: taking memory for each anew costs more than to factorise it.
    """

    moments: Floats
    target: Floats
    yy: float
    used: np.ndarray[tuple[int], np.dtype[np.int64]]
    unit: Floats
    label_scale: float
    centre: Floats
    workspace: Floats

    @property
    def norms(self) -> Floats:
        """Return the largest a feature's moment with the label can be."""
        norms: Floats = np.sqrt(np.diagonal(self.moments) * self.yy)
        return norms

    @classmethod
    def of(cls, gram: Gram, *, fit_intercept: bool = True, standardization: bool = True) -> Problem:
        """Build the problem from the moments of the training rows."""
        moments = gram.comoments / gram.weight
        deviation = np.sqrt(np.maximum(np.diagonal(moments), 0.0))
        deviation[deviation <= _CONSTANT * np.abs(gram.mean)] = 0.0
        label_scale, used = float(deviation[-1]), np.flatnonzero(deviation[:-1])
        centre = gram.mean if fit_intercept else np.zeros_like(gram.mean)
        if not fit_intercept:
            moments = moments + np.outer(gram.mean, gram.mean)
            label_scale = label_scale or abs(float(gram.mean[-1]))
        unit = deviation[used] if standardization else np.ones(len(used))
        divisor = label_scale or 1.0
        inner = np.ascontiguousarray(moments[np.ix_(used, used)] / np.outer(unit, unit))
        target = moments[used, -1] / (unit * divisor)
        workspace = np.empty((2, len(used) ** 2))
        return cls(inner, target, float(moments[-1, -1]) / divisor**2, used, unit, label_scale, centre, workspace)

    def system(self, active: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None) -> Floats:
        """Return a copy of the moments, or of those of the active features, that lasts until the next one."""
        size = len(self.target)
        if active is None or len(active) == size:
            whole: Floats = self.workspace[0].reshape(size, size)
            np.copyto(whole, self.moments)
            return whole
        rows = self.workspace[1, : len(active) * size].reshape(len(active), size)
        part: Floats = self.workspace[0, : len(active) ** 2].reshape(len(active), len(active))
        np.take(self.moments, active, axis=0, out=rows, mode="clip")
        np.take(rows, active, axis=1, out=part, mode="clip")
        return part


@dataclass(frozen=True, slots=True)
class Solutions:
    """Coefficients in the units of the data, one row a candidate.

    Predictions are `centre_y + (x - centre_x) @ row`.
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
        `regParam` (at least 0) and `elasticNetParam` (0 to 1), as Spark means them.
    fit_intercept, standardization : bool, default True
        As in `pyspark.ml.regression.LinearRegression`.

    Returns
    -------
    Solutions
        One row of coefficients a candidate, in the order of `candidates`.

    Raises
    ------
    DataError
        If the label is constant, there is no intercept and a penalty: Spark has no such model either.
    """
    problem = Problem.of(gram, fit_intercept=fit_intercept, standardization=standardization)
    found = np.zeros((len(candidates), gram.features))
    constant = float(gram.comoments[-1, -1]) <= 0.0
    if constant and not fit_intercept and problem.label_scale and any(reg for reg, _ in candidates):
        raise DataError(
            "a penalised fit without intercept needs a label that varies, but every label is "
            f"{gram.mean[-1]:g}; set fitIntercept, or regParam to 0"
        )
    if not problem.label_scale or not len(problem.used):
        return Solutions(found, problem.centre)
    paths: dict[float, list[int]] = {}
    for index, (reg, ratio) in enumerate(candidates):
        paths.setdefault(ratio if reg else 0.0, []).append(index)
    for ratio, members in paths.items():
        penalties = np.array([candidates[i][0] for i in members]) / problem.label_scale
        path = _elastic_net_path(problem, penalties, ratio) if ratio else _ridge_path(problem, penalties)
        found[np.ix_(np.array(members), problem.used)] = path * (problem.label_scale / problem.unit)
    return Solutions(found, problem.centre)


def penalty_diagonal(gram: Gram, reg: float, ratio: float, *, standardization: bool) -> Floats:
    """Return what the L2 part adds to the diagonal of the features' moments, in the units of the data."""
    moments = np.maximum(np.diagonal(gram.comoments), 0.0) / gram.weight
    label_scale = float(np.sqrt(moments[-1])) or 1.0
    scale = moments[:-1] if standardization else np.ones(gram.features)
    diagonal: Floats = reg * (1.0 - ratio) / label_scale * scale
    return diagonal


def _ridge_path(problem: Problem, penalties: Floats) -> Floats:
    """Solve the ridge problems in closed form; of many solutions, take the shortest."""
    path = np.empty((len(penalties), len(problem.target)))
    for row, penalty in enumerate(map(float, penalties)):
        solved = _solve_spd(problem.system(), penalty, problem.target)
        path[row] = _shortest(problem.moments, penalty, problem.target) if solved is None else solved
    return path


def _solve_spd(system: Floats, penalty: float, b: Floats) -> Floats | None:
    """Solve (system + penalty I) x = b by Cholesky, overwriting `system`; None where it is singular."""
    # Cholesky loses no digits to the scale of a feature, so that its pivots are judged against the diagonal.
    system.flat[:: len(b) + 1] += penalty
    diagonal = system.diagonal().copy()
    # system is symmetric: its transpose is the same matrix in the order LAPACK works in without a copy.
    factor, failed = lapack.dpotrf(system.T, lower=1, overwrite_a=1, clean=0)
    if failed:
        return None
    pivots = factor.diagonal()
    if (pivots * pivots / diagonal).min() < _DEPENDENT:
        return None
    solution: Floats = lapack.dpotrs(factor, b, lower=1)[0]
    return solution


def _shortest(system: Floats, penalty: float, b: Floats) -> Floats:
    """Return the shortest of the least-squares solutions of (system + penalty I) x = b."""
    values, vectors = linalg.eigh(system, check_finite=False)
    values = values + penalty
    kept = values > _DEPENDENT * values[-1]
    solution: Floats = vectors[:, kept] @ ((vectors[:, kept].T @ b) / values[kept])
    return solution


def _elastic_net_path(problem: Problem, penalties: Floats, ratio: float) -> Floats:
    """Go down the path; each candidate starts where the two before it point to, and is finished exactly."""
    path = np.empty((len(penalties), len(problem.target)))
    beta = np.zeros(len(problem.target))
    passed: list[tuple[float, Floats]] = []
    for row in np.argsort(-penalties, kind="stable"):
        penalty = float(penalties[row])
        exact = _finish(problem, beta, _expected_signs(problem, passed, penalty, ratio), penalty, ratio)
        for stage in _STAGES:
            if exact is not None:
                break
            beta = _descend(problem, beta, penalty, ratio, stage)
            exact = _finish(problem, beta, np.sign(beta), penalty, ratio)
        beta = beta if exact is None else exact
        path[row] = beta
        passed = [*passed[-1:], (penalty, beta)]
    return path


def _expected_signs(problem: Problem, passed: list[tuple[float, Floats]], penalty: float, ratio: float) -> Floats:
    """Guess the signs of the solution: coefficients and gradient are nearly straight lines between penalties."""
    b = problem.target
    last = passed[-1][1] if passed else np.zeros(len(b))
    if len(passed) < 2 or passed[0][0] <= passed[1][0]:
        signs = np.sign(last)
        return signs if signs.any() else np.where(np.abs(b) > penalty * ratio, np.sign(b), 0.0)
    ahead = (passed[1][0] - penalty) / (passed[0][0] - passed[1][0])
    beta = last + ahead * (last - passed[0][1])
    gradient = b - problem.moments @ beta
    entering = np.where(np.abs(gradient) > penalty * ratio, np.sign(gradient), 0.0)
    return np.where(last == 0, entering, np.where(beta * last > 0, np.sign(last), 0.0))


def _descend(problem: Problem, start: Floats, penalty: float, ratio: float, stage: tuple[float, int]) -> Floats:
    """Run scikit-learn's coordinate descent on the Gram; design and y only give size and norm."""
    design = np.zeros((1, len(problem.target)), order="F")
    y = np.array([np.sqrt(problem.yy)])
    with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the next stage goes on from here
        _, coefficients, _ = enet_path(
            design,
            y,
            l1_ratio=ratio,
            alphas=[penalty],
            precompute=problem.moments,
            Xy=problem.target,
            coef_init=start,
            check_input=False,
            tol=stage[0],
            max_iter=stage[1],
        )
    beta: Floats = coefficients[:, 0].copy()
    return beta


def _finish(problem: Problem, start: Floats, signs: Floats, penalty: float, ratio: float) -> Floats | None:
    """Solve the optimality conditions on the active set, changing it until they hold; None if they do not.

    Exchanging all that is wrong at once is fast and may cycle. After a few rounds one goes on from `start` downhill:
    along the way to what the active set asks for, up to where a coefficient vanishes. Every such step lowers the
    objective, so that no set comes twice (Lee and others, "Efficient sparse coding algorithms", NeurIPS 2006).
    """
    l1, l2 = penalty * ratio, penalty * (1.0 - ratio)
    slack = _OPTIMAL * problem.norms
    beta = start
    for _ in range(_EXCHANGES):
        before = beta
        beta, dependent, gradient = _optimum_of(problem, signs, l1, l2)
        flipped = beta * signs < 0
        missing = (signs == 0) & (np.abs(gradient) > l1 + slack)
        if not flipped.any() and not missing.any():
            return beta if _holds(gradient, signs, l1, slack) else None
        if dependent and flipped.any():
            # Of dependent columns the penalty keeps only some: let go of the one first to vanish on the way.
            beta, flipped = _up_to_zero(before, beta, signs)
            missing = np.zeros_like(flipped)
        signs = np.where(flipped, 0.0, np.where(missing, np.sign(gradient), signs))
    return _go_downhill(problem, start, l1, l2, slack)


def _go_downhill(problem: Problem, start: Floats, l1: float, l2: float, slack: Floats) -> Floats | None:
    """Change the active set by steps that each lower the objective; None where rounding stands in the way."""
    beta, signs = start, np.sign(start)
    for round_ in range(_STEPS):
        wanted, _, gradient = _optimum_of(problem, signs, l1, l2)
        if (wanted * signs < 0).any():
            beta, gone = _up_to_zero(beta, wanted, signs)
            signs = np.where(gone, 0.0, signs)
            continue
        beta = wanted
        excess = np.where(signs == 0, np.abs(gradient) - l1 - slack, -1.0)
        if excess.max(initial=-1.0) <= 0:
            return beta if _holds(gradient, signs, l1, slack) else None
        # All that are missing at once, while that works out; one alone never turns back at once.
        entering = excess > 0 if round_ < _EXCHANGES else excess == excess.max()
        signs = np.where(entering, np.sign(gradient), signs)
    return None


def _optimum_of(problem: Problem, signs: Floats, l1: float, l2: float) -> tuple[Floats, bool, Floats]:
    """Return the optimum for given signs, whether the active columns are dependent, and the gradient there."""
    beta, dependent = _solve_active(problem, signs.nonzero()[0], l2, problem.target - l1 * signs)
    return beta, dependent, problem.target - problem.moments @ beta - l2 * beta


def _holds(gradient: Floats, signs: Floats, l1: float, slack: Floats) -> bool:
    return bool((np.abs(gradient - l1 * signs) <= slack)[signs != 0].all())


def _up_to_zero(start: Floats, end: Floats, signs: Floats) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Go from `start` toward `end` until the first coefficient vanishes; return where that is, and which do."""
    flipped = end * signs < 0
    share = np.full_like(start, np.inf)
    share[flipped] = np.maximum(start * signs, 0.0)[flipped] / np.abs(end - start)[flipped]
    gone = share <= share.min()
    return np.where(gone, 0.0, start + share.min() * (end - start)), gone


def _solve_active(
    problem: Problem, active: np.ndarray[tuple[int], np.dtype[np.int64]], l2: float, target: Floats
) -> tuple[Floats, bool]:
    """Solve for the active coefficients, and say whether their columns are dependent."""
    beta = np.zeros(len(target))
    if not len(active):
        return beta, False
    wanted = target[active]
    solved = _solve_spd(problem.system(active), l2, wanted)
    if solved is not None:
        beta[active] = solved
        return beta, False
    moments = problem.system(active).copy()
    nudge = l2 + _NUDGE * float(np.diagonal(moments).max())
    for _ in range(2):  # the second time takes the nudge back out, except along the dependence
        step = _solve_spd(problem.system(active), nudge, wanted - moments @ beta[active] - l2 * beta[active])
        beta[active] += np.nan if step is None else step
    return beta, True


def squared_errors(solutions: Solutions, gram: Gram) -> Floats:
    """Return the weighted sum of squared errors of each candidate on the rows of a Gram."""
    beta = solutions.coefficients
    away = gram.mean - solutions.centre
    bias = away[-1] - beta @ away[:-1]
    inner, cross = gram.comoments[:-1, :-1], gram.comoments[:-1, -1]
    spread = gram.comoments[-1, -1] - 2.0 * beta @ cross + np.einsum("ij,ij->i", beta @ inner, beta)
    errors: Floats = np.maximum(spread, 0.0) + gram.weight * bias**2
    return errors


def metric_values(solutions: Solutions, gram: Gram, metric: str) -> Floats:
    """Return `rmse`, `mse` or `r2` of each candidate on held-out rows, as `RegressionEvaluator` has them."""
    errors = squared_errors(solutions, gram)
    if metric == "r2":
        # Spark takes the unbiased variance times (weight - 1): with weights not the centred sum of squares.
        with np.errstate(divide="ignore", invalid="ignore"):
            unbiased = gram.comoments[-1, -1] / (gram.weight - gram.weight_squares / gram.weight)
            ratios: Floats = 1.0 - errors / (unbiased * (gram.weight - 1.0))
        return ratios
    mse: Floats = errors / gram.weight
    return mse if metric == "mse" else np.sqrt(mse)
