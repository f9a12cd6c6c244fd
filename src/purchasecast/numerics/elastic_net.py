"""Elastic nets on a Gram matrix, exact: every share of L1 goes down its path of penalties, all of them abreast.

A candidate's signs are guessed from the two before it on its path. The optimum for given signs is a linear system;
whatever then breaks the optimality conditions changes its sign, and so on until they hold. All shares take each round
together: they have the matrices in common, and one operation on many rows costs little more than on one. Where
exchanging all that is wrong does not settle, a candidate goes on alone, downhill and, at worst, by coordinate descent.

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

#: Coordinate descent goes on by the next of these (duality gap, sweeps) where the exact finish did not hold.
_STAGES = ((1e-4, 30), (1e-6, 300), (1e-9, 3_000), (1e-12, 30_000), (1e-15, 100_000))
#: Rounds of exchanging all that is wrong, steps downhill after them, and how well optimality conditions must hold.
_EXCHANGES, _STEPS, _OPTIMAL = 6, 1_000, 1e-10
#: What goes on the diagonal to choose among the solutions where columns are dependent, relative to it.
_NUDGE = 1e-9
#: Share of the features in an active set up to which it is cheaper to factorise its moments than to take the spectrum.
_FEW = 0.75


@dataclass(slots=True)
class _Rows:
    """Candidates that are solved together, one row each: penalties, signs and coefficients."""

    l1: Floats
    l2: Floats
    signs: Floats
    beta: Floats


def elastic_net_paths(problem: Problem, paths: Sequence[tuple[float, Floats]]) -> list[Floats]:
    """Solve every candidate of some paths.

    Parameters
    ----------
    problem : Problem
        The least-squares problem.
    paths : sequence of (float, ndarray)
        Share of L1, above 0, and the penalties of each path, above 0 and in any order.

    Returns
    -------
    list of ndarray
        For each path the coefficients in the problem's units, one row a penalty.
    """
    orders = [np.argsort(-penalties, kind="stable") for _, penalties in paths]
    found = [np.empty((len(penalties), len(problem.target))) for _, penalties in paths]
    shares = np.array([share for share, _ in paths])
    passed: list[tuple[Floats, Floats]] = []
    for step in range(max(map(len, orders), default=0)):
        going = [place for place, order in enumerate(orders) if step < len(order)]
        penalties = np.full(len(paths), np.nan)
        penalties[going] = [paths[place][1][orders[place][step]] for place in going]
        now, last = penalties[going], [(before[going], beta[going]) for before, beta in passed]
        l1, l2 = now * shares[going], now * (1.0 - shares[going])
        start = last[-1][1].copy() if last else np.zeros((len(going), len(problem.target)))
        solved = _solve(problem, _Rows(l1, l2, _expected_signs(problem, last, now, l1), start))
        betas = np.zeros((len(paths), len(problem.target)))
        betas[going] = solved
        for place in going:
            found[place][orders[place][step]] = betas[place]
        passed = [*passed[-1:], (penalties, betas)]
    return found


def _expected_signs(problem: Problem, passed: list[tuple[Floats, Floats]], penalties: Floats, l1: Floats) -> Floats:
    """Guess the signs of the solutions: coefficients and gradient are nearly straight lines between penalties."""
    b = problem.target
    first: Floats = np.where(np.abs(b) > l1[:, None], np.sign(b), 0.0)
    if not passed:
        return first
    last_penalties, last = passed[-1]
    signs = np.where(last.any(axis=1, keepdims=True), np.sign(last), first)
    if len(passed) < 2:
        return signs
    span = passed[0][0] - last_penalties
    with np.errstate(divide="ignore", invalid="ignore"):
        ahead = ((last_penalties - penalties) / span)[:, None]
    beta = last + np.where(np.isfinite(ahead), ahead, 0.0) * (last - passed[0][1])
    gradient = b - beta @ problem.moments
    entering = np.where(np.abs(gradient) > l1[:, None], np.sign(gradient), 0.0)
    guess: Floats = np.where(last == 0, entering, np.where(beta * last > 0, np.sign(last), 0.0))
    return np.where((span > 0)[:, None], guess, signs)


def _solve(problem: Problem, rows: _Rows) -> Floats:
    """Exchange all that is wrong, in all rows at once; what does not settle goes on alone."""
    start, slack = rows.beta.copy(), _OPTIMAL * problem.norms
    left = np.arange(len(rows.l1))
    for _ in range(_EXCHANGES):
        some = _Rows(rows.l1[left], rows.l2[left], rows.signs[left], rows.beta[left])
        beta, dependent, gradient = _optima(problem, some, slack)
        flipped = beta * some.signs < 0
        missing = (some.signs == 0) & (np.abs(gradient) > some.l1[:, None] + slack)
        signs = np.where(flipped, 0.0, np.where(missing, np.sign(gradient), some.signs))
        for row in np.flatnonzero(dependent & flipped.any(axis=1)):
            # Of dependent columns the penalty keeps only some: let go of the one first to vanish on the way.
            beta[row], gone = _up_to_zero(some.beta[row], beta[row], some.signs[row])
            signs[row] = np.where(gone, 0.0, some.signs[row])
        rows.beta[left], rows.signs[left] = beta, signs
        left = left[flipped.any(axis=1) | missing.any(axis=1)]
        if not len(left):
            break
    held = _holding(problem, rows, slack)
    held[left] = False
    settled, shares = np.flatnonzero(held), rows.l1 / (rows.l1 + rows.l2)
    for row in np.flatnonzero(~held):
        # Of the solutions at hand that of the next share is as a rule closer than that of the penalty before.
        near = settled[np.abs(shares[settled] - shares[row]).argsort()[:1]]
        begin = rows.beta[near[0]] if len(near) else start[row]
        rows.beta[row] = _solve_alone(problem, begin, float(rows.l1[row]), float(rows.l2[row]))
    return rows.beta


def _optima(problem: Problem, rows: _Rows, slack: Floats) -> tuple[Floats, Flags, Floats]:
    """Return the optimum of each row for its signs, whether its columns are dependent, and the gradient there."""
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


def _holding(problem: Problem, rows: _Rows, slack: Floats) -> Flags:
    """Tell which rows meet the optimality conditions of their active features."""
    gradient = problem.target - rows.beta @ problem.moments - rows.l2[:, None] * rows.beta
    off = np.abs(gradient - rows.l1[:, None] * rows.signs) > slack
    holding: Flags = ~(off & (rows.signs != 0)).any(axis=1)
    return holding


def _solve_alone(problem: Problem, start: Floats, l1: float, l2: float) -> Floats:
    """Solve one candidate downhill from `start`, and from ever closer points by coordinate descent."""
    beta, exact = start, _go_downhill(problem, start, l1, l2)
    for stage in _STAGES:
        if exact is not None:
            return exact
        beta = _descend(problem, beta, l1, l2, stage)
        exact = _go_downhill(problem, beta, l1, l2)
    return beta if exact is None else exact


def _go_downhill(problem: Problem, start: Floats, l1: float, l2: float) -> Floats | None:
    """Change the active set by steps that each lower the objective; None where rounding stands in the way.

    One goes along the way to what the active set asks for, up to where a coefficient vanishes, so that no set comes
    twice.
    """
    slack = _OPTIMAL * problem.norms
    beta, signs = start, np.sign(start)
    for round_ in range(_STEPS):
        wanted, _, gradient = _optimum(problem, signs, l1, l2)
        if (wanted * signs < 0).any():
            beta, gone = _up_to_zero(beta, wanted, signs)
            signs = np.where(gone, 0.0, signs)
            continue
        beta = wanted
        excess = np.where(signs == 0, np.abs(gradient) - l1 - slack, -1.0)
        if excess.max(initial=-1.0) <= 0:
            holds = (np.abs(gradient - l1 * signs) <= slack)[signs != 0].all()
            return beta if holds else None
        # All that are missing at once, while that works out; one alone never turns back at once.
        entering = excess > 0 if round_ < _EXCHANGES else excess == excess.max()
        signs = np.where(entering, np.sign(gradient), signs)
    return None


def _descend(problem: Problem, start: Floats, l1: float, l2: float, stage: tuple[float, int]) -> Floats:
    """Run scikit-learn's coordinate descent on the Gram; design and y only give size and norm."""
    # Few searches come here, and every command would wait a second for it to load.
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
            coef_init=start.copy(),  # it would be written over
            check_input=False,
            tol=stage[0],
            max_iter=stage[1],
        )
    beta: Floats = coefficients[:, 0].copy()
    return beta


def _optimum(problem: Problem, signs: Floats, l1: float, l2: float) -> tuple[Floats, bool, Floats]:
    """Return the optimum for given signs, whether the active columns are dependent, and the gradient there."""
    beta, dependent = _solve_active(problem, signs.nonzero()[0], l2, problem.target - l1 * signs)
    return beta, dependent, problem.target - problem.moments @ beta - l2 * beta


def _solve_active(problem: Problem, active: Integers, l2: float, target: Floats) -> tuple[Floats, bool]:
    """Solve for the active coefficients, and say whether their columns are dependent."""
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
    for _ in range(2):  # the second time takes the nudge back out, except along the dependence
        step = solve_spd(problem.system(active), nudge, wanted - moments @ beta[active] - l2 * beta[active])
        beta[active] += np.nan if step is None else step
    return beta, True


def _up_to_zero(start: Floats, end: Floats, signs: Floats) -> tuple[Floats, Flags]:
    """Go from `start` toward `end` until the first coefficient vanishes; return where that is, and which do."""
    flipped = end * signs < 0
    share = np.full_like(start, np.inf)
    share[flipped] = np.maximum(start * signs, 0.0)[flipped] / np.abs(end - start)[flipped]
    gone = share <= share.min()
    return np.where(gone, 0.0, start + share.min() * (end - start)), gone
