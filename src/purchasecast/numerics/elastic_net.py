"""Exact elastic nets on a Gram matrix: a path of decreasing penalties for each L1 ratio, all L1 ratios together.

The signs of a solution are predicted from the two solutions before it on its path. The optimum for given signs is a
linear system; coefficients that violate the optimality conditions get another sign, until the conditions hold. All L1
ratios take each step together: they share the matrices, and one operation on many rows costs little more than on one.
A candidate whose signs do not settle is solved alone, by steps that decrease the objective and, if rounding stops
these, by coordinate descent.

References
----------
H. Lee, A. Battle, R. Raina, A. Y. Ng, "Efficient sparse coding algorithms", NeurIPS 2006.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from purchasecast.numerics.normal_equations import solve_spd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.numerics.gram import Floats, Integers
    from purchasecast.numerics.normal_equations import Problem

    Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

__all__ = ["elastic_net_paths"]

_EXCHANGES = 6  # rounds in which all wrong signs change at once
_STEPS = 1_000  # steps that decrease the objective, for a candidate solved alone
_OPTIMAL = 1e-10  # tolerance of the optimality conditions, as a share of the largest possible gradient
# Duality gap and sweeps of coordinate descent; the next stage follows where the exact solution from it still fails.
_STAGES = ((1e-4, 30), (1e-6, 300), (1e-9, 3_000), (1e-12, 30_000), (1e-15, 100_000))
_NUDGE = 1e-9  # added to the diagonal, relative to it, to pick one of the solutions where columns are dependent
_FEW = 0.75  # share of active features up to which a Cholesky factorisation is cheaper than the spectrum


@dataclass(slots=True)
class _Rows:
    """Candidates that are solved together, one row each."""

    l1: Floats
    l2: Floats
    signs: Floats
    beta: Floats


def elastic_net_paths(problem: Problem, paths: Sequence[tuple[float, Floats]]) -> list[Floats]:
    """Solve all candidates of some paths.

    Parameters
    ----------
    problem : Problem
        The least-squares problem.
    paths : sequence of (float, ndarray)
        L1 ratio, above 0, and penalties, above 0 and in any order, of each path.

    Returns
    -------
    list of ndarray
        Coefficients of each path in the problem's units, one row a penalty.
    """
    orders = [np.argsort(-penalties, kind="stable") for _, penalties in paths]
    coefficients = [np.empty((len(penalties), len(problem.target))) for _, penalties in paths]
    ratios = np.array([ratio for ratio, _ in paths])
    previous: list[tuple[Floats, Floats]] = []  # penalties and coefficients of the last two steps
    for step in range(max(map(len, orders), default=0)):
        open_paths = [path for path, order in enumerate(orders) if step < len(order)]
        penalties = np.full(len(paths), np.nan)
        penalties[open_paths] = [paths[path][1][orders[path][step]] for path in open_paths]
        now, last = penalties[open_paths], [(before[open_paths], beta[open_paths]) for before, beta in previous]
        l1, l2 = now * ratios[open_paths], now * (1.0 - ratios[open_paths])
        start = last[-1][1].copy() if last else np.zeros((len(open_paths), len(problem.target)))
        betas = np.zeros((len(paths), len(problem.target)))
        betas[open_paths] = _solve(problem, _Rows(l1, l2, _predicted_signs(problem, last, now, l1), start))
        for path in open_paths:
            coefficients[path][orders[path][step]] = betas[path]
        previous = [*previous[-1:], (penalties, betas)]
    return coefficients


def _predicted_signs(problem: Problem, previous: list[tuple[Floats, Floats]], penalties: Floats, l1: Floats) -> Floats:
    """Predict the signs of the solutions by linear extrapolation of coefficients and gradient over the penalty."""
    b = problem.target
    first: Floats = np.where(np.abs(b) > l1[:, None], np.sign(b), 0.0)
    if not previous:
        return first
    last_penalties, last = previous[-1]
    signs = np.where(last.any(axis=1, keepdims=True), np.sign(last), first)
    if len(previous) < 2:
        return signs
    span = previous[0][0] - last_penalties
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = ((last_penalties - penalties) / span)[:, None]
    beta = last + np.where(np.isfinite(ahead), ahead, 0.0) * (last - previous[0][1])
    gradient = b - beta @ problem.moments
    entering = np.where(np.abs(gradient) > l1[:, None], np.sign(gradient), 0.0)
    guess: Floats = np.where(last == 0, entering, np.where(beta * last > 0, np.sign(last), 0.0))
    return np.where((span > 0)[:, None], guess, signs)


def _solve(problem: Problem, rows: _Rows) -> Floats:
    """Correct all wrong signs of all rows at once, and solve rows that do not settle alone."""
    start, slack = rows.beta.copy(), _OPTIMAL * problem.norms
    open_rows = np.arange(len(rows.l1))
    for _ in range(_EXCHANGES):
        some = _Rows(rows.l1[open_rows], rows.l2[open_rows], rows.signs[open_rows], rows.beta[open_rows])
        beta, dependent, gradient = _optima(problem, some, slack)
        flipped = beta * some.signs < 0
        missing = (some.signs == 0) & (np.abs(gradient) > some.l1[:, None] + slack)
        signs = np.where(flipped, 0.0, np.where(missing, np.sign(gradient), some.signs))
        for row in np.flatnonzero(dependent & flipped.any(axis=1)):
            # The penalty keeps only some of dependent columns: drop the coefficient that reaches 0 first.
            beta[row], dropped = _step_to_zero(some.beta[row], beta[row], some.signs[row])
            signs[row] = np.where(dropped, 0.0, some.signs[row])
        rows.beta[open_rows], rows.signs[open_rows] = beta, signs
        open_rows = open_rows[flipped.any(axis=1) | missing.any(axis=1)]
        if not len(open_rows):
            break
    solved = _are_optimal(problem, rows, slack)
    solved[open_rows] = False
    settled, ratios = np.flatnonzero(solved), rows.l1 / (rows.l1 + rows.l2)
    for row in np.flatnonzero(~solved):
        # The solution of the nearest L1 ratio is usually a better start than that of the previous penalty.
        near = settled[np.abs(ratios[settled] - ratios[row]).argsort()[:1]]
        begin = rows.beta[near[0]] if len(near) else start[row]
        rows.beta[row] = _solve_alone(problem, begin, float(rows.l1[row]), float(rows.l2[row]))
    return rows.beta


def _optima(problem: Problem, rows: _Rows, slack: Floats) -> tuple[Floats, Flags, Floats]:
    """Return the optimum of each row for its signs, whether its active columns are dependent, and the gradient."""
    wanted = problem.target - rows.l1[:, None] * rows.signs
    beta, dependent = np.empty_like(wanted), np.zeros(len(wanted), dtype=bool)
    active = rows.signs != 0
    by_spectrum = np.zeros(len(wanted), dtype=bool)
    if problem.spectrum is not None:
        by_spectrum = problem.spectrum.is_sharp(rows.l2) & (active.sum(axis=1) > _FEW * active.shape[1])
        if by_spectrum.any():
            beta[by_spectrum] = problem.spectrum.solve(rows.l2[by_spectrum], wanted[by_spectrum], ~active[by_spectrum])
    for row in np.flatnonzero(~by_spectrum):
        beta[row], dependent[row] = _solve_active(
            problem, np.flatnonzero(active[row]), float(rows.l2[row]), wanted[row]
        )
    gradient = problem.target - beta @ problem.moments - rows.l2[:, None] * beta
    if by_spectrum.any():
        off = np.abs(gradient - rows.l1[:, None] * rows.signs) * active > 0.1 * slack
        for row in np.flatnonzero(by_spectrum & off.any(axis=1)):
            l1, l2 = float(rows.l1[row]), float(rows.l2[row])
            beta[row], dependent[row], gradient[row] = _optimum(problem, rows.signs[row], l1, l2)
    return beta, dependent, gradient


def _are_optimal(problem: Problem, rows: _Rows, slack: Floats) -> Flags:
    """Return which rows meet the optimality conditions of their active features."""
    gradient = problem.target - rows.beta @ problem.moments - rows.l2[:, None] * rows.beta
    off = np.abs(gradient - rows.l1[:, None] * rows.signs) > slack
    optimal: Flags = ~(off & (rows.signs != 0)).any(axis=1)
    return optimal


def _solve_alone(problem: Problem, start: Floats, l1: float, l2: float) -> Floats:
    """Solve one candidate from `start` or, where that fails, from the results of coordinate descent."""
    beta, exact = start, _decrease(problem, start, l1, l2)
    for stage in _STAGES:
        if exact is not None:
            return exact
        beta = _descend(problem, beta, l1, l2, stage)
        exact = _decrease(problem, beta, l1, l2)
    return beta if exact is None else exact


def _decrease(problem: Problem, start: Floats, l1: float, l2: float) -> Floats | None:
    """Change the active set by steps that each decrease the objective; return None where rounding prevents it.

    A step goes toward the optimum of the active set and stops where a coefficient reaches 0. The objective decreases,
    so no active set occurs twice.
    """
    slack = _OPTIMAL * problem.norms
    beta, signs = start, np.sign(start)
    for round_ in range(_STEPS):
        wanted, _, gradient = _optimum(problem, signs, l1, l2)
        if (wanted * signs < 0).any():
            beta, dropped = _step_to_zero(beta, wanted, signs)
            signs = np.where(dropped, 0.0, signs)
            continue
        beta = wanted
        excess = np.where(signs == 0, np.abs(gradient) - l1 - slack, -1.0)
        if excess.max(initial=-1.0) <= 0:
            holds = (np.abs(gradient - l1 * signs) <= slack)[signs != 0].all()
            return beta if holds else None
        # At first all missing features enter at once; a single one that enters cannot leave in the next step.
        entering = excess > 0 if round_ < _EXCHANGES else excess == excess.max()
        signs = np.where(entering, np.sign(gradient), signs)
    return None


def _descend(problem: Problem, start: Floats, l1: float, l2: float, stage: tuple[float, int]) -> Floats:
    """Run scikit-learn's coordinate descent on the Gram matrix; design and y only give size and norm."""
    # scikit-learn takes a second to load, and few searches need it.
    from sklearn import config_context  # noqa: PLC0415
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.linear_model import enet_path  # noqa: PLC0415

    design = np.zeros((1, len(problem.target)), order="F")
    y = np.array([np.sqrt(problem.yy)])
    with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the next stage goes on from here
        _, coefficients, _ = enet_path(
            design,
            y,
            l1_ratio=l1 / (l1 + l2),
            alphas=[l1 + l2],
            precompute=problem.moments,
            Xy=problem.target,
            coef_init=start.copy(),  # scikit-learn overwrites it
            check_input=False,
            tol=stage[0],
            max_iter=stage[1],
        )
    beta: Floats = coefficients[:, 0].copy()
    return beta


def _optimum(problem: Problem, signs: Floats, l1: float, l2: float) -> tuple[Floats, bool, Floats]:
    """Return the optimum for given signs, whether the active columns are dependent, and the gradient."""
    beta, dependent = _solve_active(problem, signs.nonzero()[0], l2, problem.target - l1 * signs)
    return beta, dependent, problem.target - problem.moments @ beta - l2 * beta


def _solve_active(problem: Problem, active: Integers, l2: float, target: Floats) -> tuple[Floats, bool]:
    """Return the coefficients, 0 for inactive features, and whether the active columns are dependent."""
    beta = np.zeros(len(target))
    if not len(active):
        return beta, False
    wanted = target[active]
    solved = solve_spd(problem.system(active), l2, wanted)
    if solved is not None:
        beta[active] = solved
        return beta, False
    moments = problem.system(active).copy()
    nudge = l2 + _NUDGE * float(np.diagonal(moments).max())
    for _ in range(2):  # the second solve removes the effect of the nudge, except along the dependence
        step = solve_spd(problem.system(active), nudge, wanted - moments @ beta[active] - l2 * beta[active])
        beta[active] += np.nan if step is None else step
    return beta, True


def _step_to_zero(start: Floats, end: Floats, signs: Floats) -> tuple[Floats, Flags]:
    """Return the point between `start` and `end` at which the first coefficient reaches 0, and which ones do."""
    flipped = end * signs < 0
    share = np.full_like(start, np.inf)
    share[flipped] = np.maximum(start * signs, 0.0)[flipped] / np.abs(end - start)[flipped]
    dropped = share <= share.min()
    return np.where(dropped, 0.0, start + share.min() * (end - start)), dropped
