"""Plan a campaign: choose lines, hold out a control group, and say what more would bring."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.errors import DataError
from purchasecast.io import take_small_table
from purchasecast.numerics.assignment import AssignmentProblem, assign
from purchasecast.numerics.power import (
    Spend,
    customers_needed,
    group_needed,
    half_width,
    power_of,
    visible_difference,
)
from purchasecast.planning.campaign import PlannedCampaign, list_of, write_campaign
from purchasecast.planning.control import draw_control
from purchasecast.planning.lines import read_lines, read_stock
from purchasecast.planning.offers import take_offers
from purchasecast.progress import Steps
from purchasecast.results import BudgetPoint, ControlGroup, Plan, ProductUse

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from purchasecast.config import PlanSettings
    from purchasecast.numerics.assignment import AssignmentResult
    from purchasecast.planning.lines import Lines

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["plan_offers"]

_CURVE = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)  # of the budget
_CURVE_WITHOUT_BUDGET = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)  # of what all lines that pay cost
_CURVE_STEPS = 60
_ROUNDING = 1e-9  # by which a budget in money may lack to a whole number of contacts
_MAX_PRODUCTS = 100


def plan_offers(
    offers: Any,
    settings: PlanSettings,
    columns: dict[str, str],
    *,
    money: str | None = None,
    stock: Any = None,
    must: Any = None,
    must_not: Any = None,
    out: str | Path | None = None,
    steps: Steps | None = None,
) -> PlannedCampaign:
    """Choose the lines with the highest expected profit, and hold out a control group.

    Parameters
    ----------
    offers : path, Spark DataFrame, pandas, Polars or PyArrow table, or list of dict
        One row per customer and product, with ``probability`` and ``amount``; optional ``margin`` (share of the amount)
        or ``cost_of_goods`` (of a purchase), and ``units`` (of a purchase, for the stock).
    settings : PlanSettings
        Budget, costs and limits.
    columns : dict of str to str
        Names of the columns ``customer`` and ``product``, and of ``amount`` in the results of the campaign.
    money : str, optional
        Unit of money.
    stock : path or table, optional
        Units of each product, in the columns of the product and ``stock``.
    must, must_not : path or table, optional
        Lines that must be in the plan; lines, customers or products that must not.
    out : str or Path, optional
        Folder for the lists, the figures and the page.
    steps : Steps, optional
        Measures the seconds per step.

    Returns
    -------
    PlannedCampaign
        The figures, the contacts and the control group.

    Raises
    ------
    DataError
        If the offers cannot be used, or the lines that must be exceed a limit.
    SourceError
        If `out` cannot be written.
    """
    steps, names = steps or Steps(), (columns["customer"], columns["product"])
    steps.expect(3)
    with steps.step("read offers") as step:
        few = [None if table is None else take_small_table(table, *names) for table in (stock, must, must_not)]
        only_customers = settings.max_per_product is None and all(table is None for table in few)
        table = take_offers(offers, settings, *names, only_customers_are_limited=only_customers)
        lines = read_lines(table, *names, settings, *few[1:])
        units = read_stock(few[0], names[1], lines)
        step.rows = len(lines)
    with steps.step("choose"):
        problem = _problem(lines, units, settings)
        result, is_control, strata = _choose(lines, problem, settings)
    with steps.step("curve"):
        curve = _curve(lines, problem, settings, result)
    held = is_control[lines.customer[result.lines]]
    sent, kept = result.lines[~held], result.lines[held]
    plan = replace(
        _figures(lines, settings, sent, result, units, money),
        columns=dict(columns),
        control=_describe_control(lines, settings, sent, kept, strata),
        curve=curve,
        seconds=dict(steps.seconds),
    )
    campaign = PlannedCampaign(plan, *(list_of(lines, chosen, *names, settings) for chosen in (sent, kept)))
    if out is not None:
        from purchasecast.report import render_plan  # noqa: PLC0415  an extra

        write_campaign(campaign, out, render_plan(plan))
    return campaign


def _max_contacts(settings: PlanSettings) -> float:
    """Return how many contacts the budget pays for."""
    if settings.budget is None:
        return math.inf
    return math.floor(settings.budget / (settings.cost if settings.budget_in == "money" else 1) + _ROUNDING)


def _problem(lines: Lines, stock: Floats, settings: PlanSettings) -> AssignmentProblem:
    """Return what may be chosen beside the lines that must be, within what these leave of the limits."""
    fixed = np.flatnonzero(lines.must)
    by_customer = np.bincount(lines.customer[fixed], minlength=len(lines.customers))
    by_product = np.bincount(lines.product[fixed], minlength=len(lines.products))
    units = np.bincount(lines.product[fixed], weights=lines.expected_units[fixed], minlength=len(lines.products))
    left = _max_contacts(settings) - len(fixed)
    customer_limit = settings.max_per_customer - by_customer.astype(float)
    product_limit = (settings.max_per_product or math.inf) - by_product.astype(float)
    for found, what in (
        (left, "the budget"),
        (customer_limit.min(), "max_per_customer"),
        (product_limit.min(), "max_per_product"),
        ((stock - units).min(), "the stock"),
    ):
        if found < -1e-9:
            raise DataError(f"must: expected lines within {what}, found {-found:g} too many; raise it, or name fewer.")
    profit = np.where(lines.must | lines.must_not, -np.inf, lines.profit - settings.cost)
    return AssignmentProblem(
        profit=profit,
        cost=np.ones(len(lines)),  # of one contact
        units=lines.expected_units,
        customer=lines.customer,
        product=lines.product,
        customer_limit=customer_limit,
        product_limit=product_limit,
        stock=stock - units,
        budget=left,
    )


def _choose(
    lines: Lines, problem: AssignmentProblem, settings: PlanSettings
) -> tuple[AssignmentResult, NDArray[np.bool_], int]:
    """Choose lines and draw the control group, so that the budget is spent on those who are contacted."""
    share = settings.control_share
    if settings.control_size is not None:
        count = len(np.unique(problem.customer[assign(problem, polish=False).lines]))
        share = settings.control_size / (settings.control_size + count) if count else 0.0
    # What the control group would have cost goes to other customers.
    raised = math.floor(problem.budget / (1 - share) + _ROUNDING) if math.isfinite(problem.budget) else math.inf
    result = assign(replace(problem, budget=raised))
    fixed = np.flatnonzero(lines.must)
    planned = np.union1d(result.lines, fixed)
    per_line = lines.profit - settings.cost
    result = replace(
        result,
        lines=planned,
        profit=result.profit + float(per_line[fixed].sum()),
        bound=result.bound + float(per_line[fixed].sum()),
    )
    # A customer with a line that must be cannot be left alone.
    customers = np.setdiff1d(lines.customer[planned], lines.customer[fixed])
    held_lines = planned[np.isin(lines.customer[planned], lines.customer[fixed])]
    extra = len(held_lines) - len(fixed)
    size = settings.control_size if settings.control_size is not None else round(share * len(customers))
    profit = lines.of_customer(per_line, planned)[customers]
    contacts = lines.of_customer(problem.cost, planned)[customers]
    drawn, strata = draw_control(profit, contacts, min(size, len(customers)), problem.budget - extra, settings.seed)
    is_control = np.zeros(len(lines.customers), bool)
    is_control[customers[drawn]] = True
    return result, is_control, strata if drawn.any() else 0


def _figures(
    lines: Lines, settings: PlanSettings, sent: Ints, result: AssignmentResult, stock: Floats, money: str | None
) -> Plan:
    cost = settings.cost * len(sent)
    before = float(lines.profit[sent].sum())
    deviation = math.sqrt(float(lines.profit_variance[sent].sum()))
    half = deviation * half_width(settings.level)
    return Plan(
        settings=settings.to_dict(),
        columns={},
        money=money,
        offers=len(lines),
        contacts=len(sent),
        customers=len(np.unique(lines.customer[sent])),
        cost=cost,
        expected_purchases=float(lines.probability[sent].sum()),
        expected_revenue=float(lines.revenue[sent].sum()),
        expected_profit=before - cost,
        profit_interval=(before - cost - half, before - cost + half),
        gap=result.gap,
        bound=result.bound,
        break_even=cost / before if cost and before > 0 else None,
        budget_price=result.prices.budget / (settings.cost if settings.budget_in == "money" else 1),
        control=_NO_CONTROL,
        products=_products(lines, sent, result, stock),
        curve=(),
    )


_NO_CONTROL = ControlGroup(0, 0, 0, 0, 0.0, None, 0.0, None, None, 0)


def _products(lines: Lines, sent: Ints, result: AssignmentResult, stock: Floats) -> tuple[ProductUse, ...]:
    """Return the products of the plan, those first of which more would bring most."""
    size = len(lines.products)
    contacts = np.bincount(lines.product[sent], minlength=size)
    units = np.bincount(lines.product[sent], weights=lines.expected_units[sent], minlength=size)
    variance = (lines.units**2 * lines.probability * (1 - lines.probability))[sent]
    deviation = np.sqrt(np.bincount(lines.product[sent], weights=variance, minlength=size))
    worth = np.maximum(result.prices.unit, result.prices.line)
    order = np.lexsort((np.arange(size), -contacts, -worth))
    order = order[(contacts[order] > 0) | (worth[order] > 0)][:_MAX_PRODUCTS]
    return tuple(
        ProductUse(
            product=str(lines.products[p]),
            contacts=int(contacts[p]),
            expected_units=float(units[p]),
            stock=float(stock[p]) if np.isfinite(stock[p]) else None,
            shortage=_shortage(float(units[p]), float(deviation[p]), float(stock[p])),
            unit_price=float(result.prices.unit[p]),
            contact_price=float(result.prices.line[p]),
        )
        for p in order
    )


def _shortage(mean: float, deviation: float, stock: float) -> float | None:
    """Return the probability that a sum of purchases exceeds the stock, by the normal distribution."""
    if not math.isfinite(stock):
        return None
    if deviation == 0:
        return float(mean > stock)
    # Half a unit more, because what is bought comes in whole units.
    return 0.5 * math.erfc((stock + 0.5 - mean) / deviation / math.sqrt(2))


def _describe_control(lines: Lines, settings: PlanSettings, sent: Ints, kept: Ints, strata: int) -> ControlGroup:
    fixed = np.unique(lines.customer[lines.must])
    compared = np.setdiff1d(lines.customer[sent], fixed)
    held = np.unique(lines.customer[kept])
    everyone = np.concatenate([compared, held])
    both = np.concatenate([sent, kept])
    variance = lines.amount**2 * lines.probability * (1 - lines.probability)
    spend = Spend.of(lines.of_customer(lines.revenue, both)[everyone], lines.of_customer(variance, both)[everyone])
    lift, level = settings.expected_lift, settings.level
    difference, sizes = lift * spend.mean, (len(compared), len(held))
    visible = None
    if all(sizes) and spend.mean > 0:
        visible = visible_difference(*sizes, spend.adjusted, level) / spend.mean
    return ControlGroup(
        customers=len(held),
        contacts=len(kept),
        contacted=len(compared),
        strata=strata,
        expected_lift=lift,
        visible_lift=visible,
        power=power_of(difference, *sizes, spend.adjusted, level),
        needed=group_needed(difference, sum(sizes), spend.adjusted, level),
        needed_unadjusted=group_needed(difference, sum(sizes), spend.unadjusted, level),
        needed_customers=customers_needed(difference, spend.adjusted, level),
    )


def _curve(
    lines: Lines, problem: AssignmentProblem, settings: PlanSettings, result: AssignmentResult
) -> tuple[BudgetPoint, ...]:
    """Return the profit of the best plan at several budgets, if nobody is held out."""
    shares, whole = _CURVE, _max_contacts(settings)
    if math.isinf(whole):
        shares, whole = _CURVE_WITHOUT_BUDGET, len(result.lines)
    in_money = settings.budget_in == "money"
    fixed = np.flatnonzero(lines.must)
    points: list[BudgetPoint] = []
    start = None
    for budget in (math.floor(share * whole) for share in shares):
        if budget < max(len(fixed), 1):
            continue
        chosen = assign(replace(problem, budget=budget - len(fixed)), steps=_CURVE_STEPS, start=start, polish=False)
        start = chosen.prices
        both = np.concatenate([chosen.lines, fixed])
        cost = settings.cost * len(both)
        profit, revenue = float(lines.profit[both].sum()) - cost, float(lines.revenue[both].sum())
        points.append(BudgetPoint(budget * settings.cost if in_money else budget, len(both), cost, revenue, profit))
        if len(both) < budget:
            break  # everything that pays is in it
    return tuple(points)
