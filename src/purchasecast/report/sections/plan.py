"""The page of a `Plan`: what to send, what more would bring, and who is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import counted, money, number, percent, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Note, Page, Section, Summary, Table, Tile

if TYPE_CHECKING:
    from purchasecast.report.elements import Block
    from purchasecast.results import Plan

__all__ = ["plan_page"]

_MAX_BARS = 15


def plan_page(plan: Plan, footer: str) -> Page:
    """Return the page of a planned campaign."""
    low, high = plan.profit_interval
    what = (
        f"Send {counted(plan.contacts, 'contact')} to {counted(plan.customers, 'customer')} for "
        f"{money(plan.cost, plan.money)}. They are expected to bring {money(plan.expected_profit, plan.money)} after "
        f"that cost; if the probabilities are right, {percent(plan.settings['level'])} of such campaigns bring "
        f"{money(low, plan.money)} to {money(high, plan.money)}."
    )
    return Page(
        title="Campaign plan",
        subtitle="Whom to offer what, and whom to leave alone",
        summaries=(Summary("What to do", (what, *plan.sentences())),),
        actions=(),
        tiles=_tiles(plan),
        sections=tuple(filter(None, (_curve_section(plan), _product_section(plan), _control_section(plan)))),
        footer=footer,
    )


def _tiles(plan: Plan) -> tuple[Tile, ...]:
    return (
        Tile("Contacts", f"{plan.contacts:,}", f"of {plan.offers:,} offers"),
        Tile("Customers", f"{plan.customers:,}", f"and {plan.control.customers:,} in the control group"),
        Tile("Expected purchases", number(plan.expected_purchases)),
        Tile("Expected revenue", money(plan.expected_revenue, plan.money)),
        Tile("Cost", money(plan.cost, plan.money)),
        Tile("Expected profit", money(plan.expected_profit, plan.money), "after the cost of the contacts"),
    )


def _curve_section(plan: Plan) -> Section | None:
    if len(plan.curve) < 2:
        return None
    in_contacts = plan.settings["budget_in"] == "contacts"
    unit = "contacts" if in_contacts else with_unit("budget", plan.money)
    points = [(point.budget, point.profit, None, None, "profit") for point in plan.curve]
    own = next((point for point in plan.curve if point.budget == plan.settings["budget"]), None)
    mark = (own.budget, own.profit, "plan") if own else None
    rows = tuple(
        (number(p.budget), f"{p.contacts:,}", number(p.cost), number(p.revenue), number(p.profit)) for p in plan.curve
    )
    columns = ("budget", "contacts", "cost", "revenue", "profit")
    figure = Figure(
        _curve_title(plan),
        charts.curve(points, unit, with_unit("profit", plan.money), mark=mark),
        Table(with_unit("Expected profit of the best plan of each budget", plan.money), columns, rows),
        note="If nobody is left out for a control group.",
    )
    lead = "What the best plan of each budget is expected to bring, after the cost of the contacts."
    return Section("budget", "Profit and budget", lead, (figure,))


def _curve_title(plan: Plan) -> str:
    if plan.budget_price > 0:
        return f"One more {plan.budget_unit} would bring {money(plan.budget_price, plan.money)}"
    return "More budget would bring nothing"


def _product_section(plan: Plan) -> Section:
    headers = ("product", "contacts", "expected units", "stock", "runs out with", "one more unit", "one more customer")
    rows = tuple(
        (
            one.product,
            f"{one.contacts:,}",
            number(one.expected_units),
            "-" if one.stock is None else number(one.stock),
            "-" if one.shortage is None else percent(one.shortage),
            number(one.unit_price) if one.unit_price else "-",
            number(one.contact_price) if one.contact_price else "-",
        )
        for one in plan.products
    )
    blocks: list[Block] = [Table(with_unit("Products of the plan", plan.money), headers, rows)]
    scarce = sorted(plan.scarce, key=lambda one: -max(one.unit_price, one.contact_price))[:_MAX_BARS]
    if scarce:
        bars = [(one.product, max(one.unit_price, one.contact_price), "") for one in scarce]
        shown = tuple((name, number(price)) for name, price, _ in bars)
        title = f"{scarce[0].product} is worth most: {money(bars[0][1], plan.money)} for one more"
        axis = with_unit("profit of one more", plan.money)
        table = Table(title, ("product", axis), shown)
        blocks.insert(0, Figure(title, charts.ranges(bars, axis), table, note="One more unit, or one more customer."))
    lead = "Those products come first of which one more unit of stock, or one more customer, would bring most."
    return Section("products", "Products", lead, tuple(blocks))


def _control_section(plan: Plan) -> Section:
    control = plan.control
    rows = [
        ("customers in the control group", f"{control.customers:,}"),
        ("customers contacted and compared", f"{control.contacted:,}"),
        ("power for the expected lift", percent(control.power)),
        ("size with a power of 80 %", _or_none(control.needed)),
        ("the same, without the expected revenue of each customer", _or_none(control.needed_unadjusted)),
        ("planned customers needed, half of them held out", f"{control.needed_customers:,}"),
    ]
    if control.visible_lift is not None:
        rows.insert(2, ("smallest lift that is seen with a power of 80 %", percent(control.visible_lift)))
    how = (
        "The control group is drawn at random, the same share of customers of high and of low expected profit. Nobody "
        "contacts them; measure compares what both groups buy."
    )
    blocks: tuple[Block, ...] = (Table("Control group", ("", "value"), tuple(rows)), Note(how))
    return Section("control", "Control group", control.sentence(), blocks)


def _or_none(count: int | None) -> str:
    return "none is large enough" if count is None else f"{count:,}"
