r"""Choose the lines with the highest profit within limits of a budget, customers, products and stock.

Of lines :math:`l` of customer :math:`c(l)` and product :math:`p(l)`, with profit :math:`g_l`, cost :math:`b_l` and
expected units :math:`u_l`, those :math:`x_l \in \{0, 1\}` are chosen that

.. math:: \max \sum_l g_l x_l \quad \text{with} \quad \sum_l b_l x_l \le B, \quad \sum_{c(l) = c} x_l \le K_c, \quad
   \sum_{p(l) = p} x_l \le M_p, \quad \sum_{p(l) = p} u_l x_l \le S_p.

With prices :math:`\lambda` of the budget, :math:`\mu_p` of a line of a product and :math:`\nu_p` of a unit, every
customer takes the best lines by :math:`r_l = g_l - \lambda b_l - \mu_{p(l)} - \nu_{p(l)} u_l`, as long as it is
positive. What they bring, plus the limits at their prices, is an upper bound for any :math:`\lambda, \mu, \nu \ge 0`;
subgradient steps with Polyak's length bring it down. The prices then order the lines for a greedy choice, which is
feasible. Where a gap remains, lines whose reduced profit is further from being taken, or dropped, than the gap are
fixed, and the few others go to the solver HiGHS.

References
----------
M. Held, P. Wolfe, H. P. Crowder, "Validation of subgradient optimization", Mathematical Programming 6, 1974.
https://doi.org/10.1007/BF01580223
Q. Huangfu, J. A. J. Hall, "Parallelizing the dual revised simplex method", Mathematical Programming Computation 10,
2018. https://doi.org/10.1007/s12532-017-0130-5
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["AssignmentProblem", "AssignmentResult", "Prices", "assign"]

_HALVINGS = 50  # of the interval of the budget's price
_PATIENCE = 8  # steps without a better bound until the steps are halved
_REPAIR_EVERY = 25  # steps
_FEW = 200_000  # lines that a step takes no time for
_NEAR = 0.5  # of the price of the budget alone: limits of products lower it
_MAX_CORE = 6_000  # lines that HiGHS decides on in seconds
_MAX_NODES = 500  # of its tree: a limit of time would give other lists on another machine
_TOLERANCE = 1e-9  # relative


@dataclass(frozen=True, slots=True)
class AssignmentProblem:
    """Lines, and the limits of what may be chosen.

    Attributes
    ----------
    profit, cost, units : array of float
        Of each line; cost and units are 0 or more.
    customer, product : array of int
        Place of each line's customer and product in the limits.
    customer_limit, product_limit, stock : array of float
        Most lines of each customer and product, and most units of each product; infinite where there is no limit.
    budget : float
        Largest sum of the costs; may be infinite.
    """

    profit: Floats
    cost: Floats
    units: Floats
    customer: Ints
    product: Ints
    customer_limit: Floats
    product_limit: Floats
    stock: Floats
    budget: float

    def reduced(self, prices: Prices) -> Floats:
        """Return the profit of each line after paying for what it uses."""
        return (
            self.profit - prices.budget * self.cost - prices.line[self.product] - prices.unit[self.product] * self.units
        )

    def use(self, lines: Ints) -> tuple[float, Floats, Floats]:
        """Return what chosen lines use of the budget, and of each product lines and units."""
        product = self.product[lines]
        size = len(self.stock)
        by_line = np.bincount(product, minlength=size).astype(np.float64)
        units = np.bincount(product, weights=self.units[lines], minlength=size).astype(np.float64)
        return float(self.cost[lines].sum()), by_line, units


@dataclass(frozen=True, slots=True)
class Prices:
    """What one more unit of a limit brings: of the budget, and of each product a line and a unit of stock."""

    budget: float
    line: Floats
    unit: Floats


@dataclass(frozen=True, slots=True)
class AssignmentResult:
    """The chosen lines, in order of their places, and a bound that no choice exceeds."""

    lines: Ints
    profit: float
    bound: float
    prices: Prices

    @property
    def gap(self) -> float:
        """Return the largest share of the profit that a better choice could add."""
        return max(self.bound / self.profit - 1, 0.0) if self.profit > 0 else 0.0


def assign(
    problem: AssignmentProblem, *, steps: int = 200, start: Prices | None = None, polish: bool = True
) -> AssignmentResult:
    """Choose the lines with the highest profit; `start` are the prices of a similar problem."""
    useful = np.flatnonzero(
        (problem.profit > 0)
        & (problem.customer_limit[problem.customer] >= 1)
        & (problem.product_limit[problem.product] >= 1)
        & (problem.units <= problem.stock[problem.product])
        & (problem.cost <= problem.budget)
    )
    core = _part(problem, useful)
    best, bound, prices = _search_among_near(core, steps, start or _first_prices(core))
    profit = float(core.profit[best].sum())
    if polish and bound > profit * (1 + _TOLERANCE):
        best, bound = _solve_core(core, best, bound, prices)
        profit = float(core.profit[best].sum())
    return AssignmentResult(np.sort(useful[best]), profit, max(bound, profit), prices)


def _search_among_near(problem: AssignmentProblem, steps: int, start: Prices) -> tuple[Ints, float, Prices]:
    """Search prices among the lines that may be worth their use of the budget, and with all lines if that changes it.

    Of millions of lines, a budget pays for few: the others cost time in every step, and nothing else.
    """
    near = np.flatnonzero(problem.profit >= _NEAR * start.budget * problem.cost)
    if len(problem.profit) <= _FEW or len(near) == len(problem.profit):
        return _search_prices(problem, steps, start)
    best, bound, prices = _search_prices(_part(problem, near), steps, start)
    reduced = problem.reduced(prices)
    reduced[near] = -np.inf
    if (reduced > 0).any():
        return _search_prices(problem, steps, prices)
    # No other line would be taken at these prices, so that the bound holds for all; some may fill what is left.
    best, filled = near[best], _fill(problem, problem.reduced(prices))
    return (filled if problem.profit[filled].sum() > problem.profit[best].sum() else best), bound, prices


def _part(problem: AssignmentProblem, lines: Ints) -> AssignmentProblem:
    names = ("profit", "cost", "units", "customer", "product")
    return replace(problem, **{name: getattr(problem, name)[lines] for name in names})


def _take(problem: AssignmentProblem, reduced: Floats) -> tuple[Ints, Ints, Ints]:
    """Return the lines with a positive reduced profit, best first of each customer, their ranks, and those taken."""
    live = np.flatnonzero(reduced > 0)
    order = live[np.lexsort((-reduced[live], problem.customer[live]))]
    customer = problem.customer[order]
    places = np.arange(len(order))
    first = np.r_[True, customer[1:] != customer[:-1]] if len(order) else np.zeros(0, bool)
    rank = places - np.maximum.accumulate(np.where(first, places, 0)) if len(order) else places
    return order, rank, order[rank < problem.customer_limit[customer]]


def _first_prices(problem: AssignmentProblem) -> Prices:
    """Return the price of the budget at which it is just kept when products have no limits."""
    none = np.zeros(len(problem.stock))
    high = 0.0
    if np.isfinite(problem.budget) and (problem.cost > 0).any():
        paid = problem.cost > 0
        low, high = 0.0, float((problem.profit[paid] / problem.cost[paid]).max(initial=0.0))
        if problem.use(_take(problem, problem.profit)[2])[0] <= problem.budget:
            high = 0.0
        for _ in range(_HALVINGS if high else 0):
            middle = (low + high) / 2
            taken = _take(problem, problem.profit - middle * problem.cost)[2]
            low, high = (middle, high) if problem.cost[taken].sum() > problem.budget else (low, middle)
    return Prices(high, none, none)


def _search_prices(problem: AssignmentProblem, steps: int, prices: Prices) -> tuple[Ints, float, Prices]:
    """Lower the bound by subgradient steps; return the best feasible choice, the bound and its prices."""
    limits = (problem.budget, problem.product_limit, problem.stock)
    # In units of the root of its limit, a step moves the prices of scarce and of plentiful things alike.
    scales = [_scale(limit) for limit in limits]
    best, profit, bound, best_prices = np.zeros(0, np.int64), 0.0, np.inf, prices
    length, without = 1.0, 0
    for step in range(steps):
        reduced = problem.reduced(prices)
        taken = _take(problem, reduced)[2]
        value = float(reduced[taken].sum()) + sum(_worth(p, k) for p, k in zip(_parts(prices), limits, strict=True))
        if value < bound * (1 - _TOLERANCE) or step == 0:
            bound, best_prices, without = min(value, bound), prices, 0
        else:
            without += 1
        if step % _REPAIR_EVERY == 0:
            choice = _fill(problem, reduced)
            if problem.profit[choice].sum() > profit:
                best, profit = choice, float(problem.profit[choice].sum())
        if without >= _PATIENCE:
            length, without, prices = length / 2, 0, best_prices
            continue
        slopes = [
            _slope(used, limit, price, scale)
            for used, limit, price, scale in zip(problem.use(taken), limits, _parts(prices), scales, strict=True)
        ]
        norm = sum(float(np.sum(slope**2)) for slope in slopes)
        if norm == 0 or bound <= profit * (1 + _TOLERANCE):
            break
        size = length * max(value - profit, _TOLERANCE * abs(value)) / norm
        moved = [np.maximum(p + size * s * k, 0) for p, s, k in zip(_parts(prices), slopes, scales, strict=True)]
        prices = Prices(float(moved[0]), moved[1], moved[2])
    choice = _fill(problem, problem.reduced(best_prices))
    best = choice if problem.profit[choice].sum() > profit else best
    return best, bound, best_prices


def _parts(prices: Prices) -> tuple[Any, Any, Any]:
    return prices.budget, prices.line, prices.unit


def _scale(limit: Any) -> Any:
    return 1 / np.sqrt(np.where(np.isfinite(limit), np.maximum(limit, 1), 1))


def _worth(price: Any, limit: Any) -> float:
    """Return the limits at their prices; what has no limit has no price."""
    return float(np.sum(np.where(np.isfinite(limit), price, 0) * np.where(np.isfinite(limit), limit, 0)))


def _slope(used: Any, limit: Any, price: Any, scale: Any) -> Any:
    """Return how far each limit is exceeded; 0 where a price of 0 cannot fall."""
    over = np.where(np.isfinite(limit), used - np.where(np.isfinite(limit), limit, 0), 0) * scale
    return np.where((price <= 0) & (over < 0), 0, over)


def _fill(problem: AssignmentProblem, reduced: Floats) -> Ints:
    """Choose lines by their reduced profit, the best first, as long as every limit holds."""
    order = np.argsort(-reduced, kind="stable")
    customers, products, stock = (
        limit.tolist() for limit in (problem.customer_limit, problem.product_limit, problem.stock)
    )
    columns = (problem.customer, problem.product, problem.units, problem.cost)
    left = problem.budget * (1 + _TOLERANCE)
    cheapest = float(problem.cost.min(initial=0.0))
    chosen = []
    for line, c, p, units, cost in zip(order.tolist(), *(column[order].tolist() for column in columns), strict=True):
        if customers[c] < 1 or products[p] < 1 or stock[p] < units or left < cost:
            continue
        customers[c] -= 1
        products[p] -= 1
        stock[p] -= units
        left -= cost
        chosen.append(line)
        if left < cheapest:
            break
    return np.array(chosen, np.int64)


def _solve_core(problem: AssignmentProblem, best: Ints, bound: float, prices: Prices) -> tuple[Ints, float]:
    """Decide by HiGHS on the lines that the gap leaves open, where these are few."""
    profit = float(problem.profit[best].sum())
    gap = bound - profit
    reduced = problem.reduced(prices)
    order, rank, taken = _take(problem, reduced)
    # The worst line that a customer takes, and the best one that she leaves: at least 0, which is to take none.
    worst, following = np.zeros(len(problem.customer_limit)), np.zeros(len(problem.customer_limit))
    limit = problem.customer_limit[problem.customer[order]]
    worst[problem.customer[order[rank == limit - 1]]] = reduced[order[rank == limit - 1]]
    following[problem.customer[order[rank == limit]]] = reduced[order[rank == limit]]
    regret = worst[problem.customer] - reduced
    regret[taken] = reduced[taken] - following[problem.customer[taken]]
    is_open = regret <= gap
    fixed = np.setdiff1d(taken, np.flatnonzero(is_open))
    free = np.flatnonzero(is_open)
    if len(free) > _MAX_CORE:
        return best, bound
    rows, limits = _constraints(problem, fixed, free)
    solved = optimize.milp(
        -problem.profit[free],
        constraints=optimize.LinearConstraint(rows, ub=limits),
        bounds=optimize.Bounds(0, 1),
        integrality=np.ones(len(free)),
        options={"node_limit": _MAX_NODES, "mip_rel_gap": _TOLERANCE},
    )
    base = float(problem.profit[fixed].sum())
    if solved.x is not None:
        choice = np.concatenate([fixed, free[solved.x > 0.5]])
        if problem.profit[choice].sum() > profit:
            best, profit = choice, float(problem.profit[choice].sum())
    if solved.mip_dual_bound is not None and np.isfinite(solved.mip_dual_bound):
        bound = min(bound, base - solved.mip_dual_bound)
    return best, max(bound, profit)


def _constraints(problem: AssignmentProblem, fixed: Ints, free: Ints) -> tuple[Any, Floats]:
    """Return the constraints that free lines can break, and what fixed lines leave of the limits."""
    spent, lines, units = problem.use(fixed)
    by_customer = np.bincount(problem.customer[fixed], minlength=len(problem.customer_limit))
    limits = (
        (problem.customer, np.ones(len(problem.profit)), problem.customer_limit - by_customer),
        (problem.product, np.ones(len(problem.profit)), problem.product_limit - lines),
        (problem.product, problem.units, problem.stock - units),
        (np.zeros(len(problem.profit), np.int64), problem.cost, np.array([problem.budget - spent])),
    )
    blocks, left = [], []
    for group, weight, limit in limits:
        block = sparse.csr_array((weight[free], (group[free], np.arange(len(free)))), shape=(len(limit), len(free)))
        kept = np.flatnonzero(np.isfinite(limit) & (block.sum(axis=1) > limit))
        blocks.append(block[kept])
        left.append(limit[kept])
    return sparse.vstack(blocks), np.concatenate(left)
