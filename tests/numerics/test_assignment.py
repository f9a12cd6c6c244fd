"""Chosen lines against brute force, against the linear program, and within every limit."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse

from purchasecast.numerics import assignment
from purchasecast.numerics.assignment import AssignmentProblem, assign


def draw(seed: int, customers: int, products: int, each: int, **limits: Any) -> AssignmentProblem:
    """Draw lines of popular and less popular products."""
    random = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, products + 1) ** 0.7
    popularity /= popularity.sum()
    chosen = [random.choice(products, min(each, products), replace=False, p=popularity) for _ in range(customers)]
    product = np.concatenate(chosen)
    customer = np.repeat(np.arange(customers), len(chosen[0]))
    units = random.beta(1, 8, len(product)) + 0.01
    price = random.lognormal(9, 0.5, products)
    profit = 0.3 * units * price[product] - 200
    return AssignmentProblem(
        profit,
        limits.get("cost", np.ones(len(product))),
        units,
        customer,
        product,
        np.full(customers, limits.get("per_customer", np.inf)),
        np.full(products, limits.get("per_product", np.inf)),
        np.full(products, limits.get("stock", np.inf)),
        limits.get("budget", np.inf),
    )


def is_kept(problem: AssignmentProblem, lines: Any) -> bool:
    spent, by_product, units = problem.use(np.asarray(lines, int))
    by_customer = np.bincount(problem.customer[lines], minlength=len(problem.customer_limit))
    near = 1 + 1e-6
    return bool(
        spent <= problem.budget * near
        and (by_customer <= problem.customer_limit).all()
        and (by_product <= problem.product_limit).all()
        and (units <= problem.stock * near).all()
    )


def brute_force(problem: AssignmentProblem) -> float:
    everything = range(len(problem.profit))
    choices = (list(lines) for size in range(len(problem.profit) + 1) for lines in combinations(everything, size))
    return max(float(problem.profit[lines].sum()) for lines in choices if is_kept(problem, lines))


def bound_of_the_linear_program(problem: AssignmentProblem) -> float:
    lines = np.arange(len(problem.profit))
    limits = (
        (problem.customer, np.ones(len(lines)), problem.customer_limit),
        (problem.product, np.ones(len(lines)), problem.product_limit),
        (problem.product, problem.units, problem.stock),
        (np.zeros(len(lines), int), problem.cost, np.array([problem.budget])),
    )
    rows = [sparse.csr_array((w, (g, lines)), shape=(len(k), len(lines)))[np.isfinite(k)] for g, w, k in limits]
    ends = np.concatenate([k[np.isfinite(k)] for _, _, k in limits])
    return -optimize.linprog(-problem.profit, sparse.vstack(rows), ends, bounds=(0, 1)).fun


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1, 2, np.inf]),
    st.sampled_from([1, 2, np.inf]),
    st.sampled_from([0.25, 0.5, np.inf]),
    st.sampled_from([2, 4, np.inf]),
)
def test_no_choice_is_better(seed: int, per_customer: float, per_product: float, stock: float, budget: float) -> None:
    limits = {"per_customer": per_customer, "per_product": per_product, "stock": stock, "budget": budget}
    problem = draw(seed, 4, 3, 3, **limits)
    result = assign(problem)
    assert is_kept(problem, result.lines)
    assert result.profit == pytest.approx(brute_force(problem))
    assert result.bound == pytest.approx(result.profit, rel=1e-6)


def test_costs_that_differ_are_weighed_against_the_profit() -> None:
    random = np.random.default_rng(5)
    problem = draw(5, 4, 3, 3, cost=random.uniform(1, 5, 12), budget=9.0, per_customer=2)
    result = assign(problem)
    assert is_kept(problem, result.lines)
    assert result.profit == pytest.approx(brute_force(problem))


@pytest.mark.parametrize("limits", [{"per_product": 8}, {"stock": 3.0}, {"per_product": 12, "stock": 2.0}])
def test_the_bound_is_that_of_the_linear_program(limits: dict[str, float]) -> None:
    problem = draw(3, 300, 200, 30, per_customer=5, budget=600, **limits)
    result = assign(problem)
    linear = bound_of_the_linear_program(problem)
    assert is_kept(problem, result.lines)
    assert result.profit <= linear * (1 + 1e-9)
    assert result.bound <= linear * 1.002  # the bound of the prices is never far from that of the program
    assert result.gap <= 0.002


@pytest.mark.parametrize("limits", [{"per_product": 8}, {"stock": 0.5}])  # of the second, little of the budget is used
def test_many_lines_are_searched_among_those_near_the_budget(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, float]
) -> None:
    problem = draw(3, 300, 200, 30, per_customer=5, budget=600, **limits)
    among_all = assign(problem, polish=False)
    monkeypatch.setattr(assignment, "_FEW", 0)
    among_near = assign(problem, polish=False)
    assert is_kept(problem, among_near.lines)
    assert among_near.bound == pytest.approx(among_all.bound, rel=1e-3)
    assert among_near.bound >= among_all.profit
    assert among_near.profit >= among_all.profit * 0.99


def test_the_price_of_the_budget_is_what_one_more_contact_brings() -> None:
    limits = {"per_customer": 5, "per_product": 8}
    profits = [assign(draw(3, 300, 200, 30, budget=budget, **limits)).profit for budget in (595, 605)]
    price = assign(draw(3, 300, 200, 30, budget=600, **limits)).prices.budget
    assert price == pytest.approx((profits[1] - profits[0]) / 10, rel=0.02)


def test_the_price_of_stock_is_what_one_more_unit_brings() -> None:
    problem = draw(3, 300, 200, 30, per_customer=5, budget=600, stock=2.0)
    result = assign(problem)
    scarce = int(np.argmax(result.prices.unit))
    more = problem.stock.copy()
    more[scarce] += 1.0
    changed = bound_of_the_linear_program(
        AssignmentProblem(**{n: getattr(problem, n) for n in problem.__slots__ if n != "stock"}, stock=more)
    )
    assert 0 < result.prices.unit[scarce] * 0.3 < changed - bound_of_the_linear_program(problem)


def test_nothing_is_chosen_where_nothing_pays() -> None:
    problem = draw(3, 5, 4, 3, budget=4)
    poor = AssignmentProblem(
        **{n: getattr(problem, n) for n in problem.__slots__ if n != "profit"}, profit=-problem.cost
    )
    result = assign(poor)
    assert (len(result.lines), result.profit, result.bound) == (0, 0.0, 0.0)
