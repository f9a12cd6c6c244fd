"""Result of planning a campaign: whom to offer what, whom to leave alone, and what more budget or stock would bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

from purchasecast.formatting import compact, counted, html_table, money, number, percent, text_table
from purchasecast.results.record import Record

__all__ = ["BudgetPoint", "ControlGroup", "Plan", "ProductUse"]

_SHOWN = 5  # products whose stock is worth most, in a printed table


@dataclass(frozen=True, slots=True)
class ControlGroup(Record):
    """Planned customers who are not contacted, so that the campaign can be measured.

    Attributes
    ----------
    customers, contacts : int
        Customers in the group, and the contacts that were planned for them.
    contacted : int
        Planned customers who are contacted and can be compared with the group; customers with lines that must be are
        not drawn and not compared.
    strata : int
        Groups of customers with a similar expected profit, from each of which the same share was drawn.
    expected_lift : float
        Lift of the revenue from the offered products that the campaign is expected to bring, as a share.
    visible_lift : float or None
        Smallest lift that is seen with a power of 80 %, when the expected revenue of each customer is adjusted for;
        None without a control group.
    power : float
        Probability that the expected lift is seen.
    needed : int or None
        Size of the control group at which the expected lift is seen with a power of 80 %, of the same planned
        customers; None where no division of them is enough.
    needed_unadjusted : int or None
        The same where the expected revenue is not adjusted for.
    needed_customers : int
        Planned customers, half of them in the control group, that are enough.
    """

    customers: int
    contacts: int
    contacted: int
    strata: int
    expected_lift: float
    visible_lift: float | None
    power: float
    needed: int | None
    needed_unadjusted: int | None
    needed_customers: int

    def sentence(self) -> str:
        """Return what the group can show, in one or two sentences."""
        if not self.customers:
            return "There is no control group, so nobody will know what the campaign has changed."
        group = f"{counted(self.customers, 'customer')} in the control group"
        seen = "" if self.visible_lift is None else f" show a lift of {percent(self.visible_lift)} with a power of 80 %"
        wanted = f"for the expected lift of {percent(self.expected_lift)}"
        if self.needed is None:
            many = f"about {self.needed_customers:,} planned customers are needed, half of them held out"
            return f"{group}{seen}; {wanted}, {many}."
        if self.needed > self.customers:
            return f"{group}{seen}; {wanted}, take a control group of {self.needed:,}."
        return f"{group}{seen}; {wanted}, {self.needed:,} are enough."


@dataclass(frozen=True, slots=True)
class ProductUse(Record):
    """A product of the plan.

    Attributes
    ----------
    product : str
        The product.
    contacts : int
        Customers to whom it is offered.
    expected_units : float
        Units that they are expected to buy.
    stock : float or None
        Units there are; None where the stock is not limited.
    shortage : float or None
        Probability that they buy more than there are.
    unit_price : float
        Profit that one more unit of stock would bring, in money.
    contact_price : float
        Profit that one more customer for this product would bring, beyond the largest number allowed.
    """

    product: str
    contacts: int
    expected_units: float
    stock: float | None
    shortage: float | None
    unit_price: float
    contact_price: float


@dataclass(frozen=True, slots=True)
class BudgetPoint(Record):
    """What the best plan of a budget is expected to bring, if no customer is held out.

    Attributes
    ----------
    budget : float
        Contacts, or money.
    contacts : int
        Contacts of the plan.
    cost, revenue, profit : float
        Cost of the contacts, expected revenue and expected profit after that cost, in money.
    """

    budget: float
    contacts: int
    cost: float
    revenue: float
    profit: float


@dataclass(frozen=True, slots=True, repr=False)
class Plan(Record):
    """Figures of a planned campaign. The lists themselves are beside it, as ``contacts.csv`` and ``control.csv``.

    Attributes
    ----------
    settings : dict
        `PlanSettings` by name.
    columns : dict of str to str
        Names of the columns ``customer``, ``product`` and ``amount`` in the lists and in the results of the campaign.
    money : str or None
        Unit of money.
    offers : int
        Lines to choose from.
    contacts, customers : int
        Lines to send, and the customers who get them.
    cost : float
        Cost of the contacts.
    expected_purchases, expected_revenue, expected_profit : float
        What the contacted customers are expected to buy of the offered products, with and without the campaign's own
        effect; the profit is after the cost of the contacts.
    profit_interval : (float, float)
        Interval of the profit from chance alone, if the probabilities and amounts are right.
    gap : float
        Largest share by which any other choice within the limits could be expected to bring more.
    bound : float
        Profit that no choice exceeds, control group included.
    break_even : float or None
        Share of the expected profit before cost that the contacts must cause to pay for themselves; None where contacts
        cost nothing.
    budget_price : float
        Profit that one more unit of the budget would bring.
    control : ControlGroup
        Who is left alone, and what that can show.
    products : tuple of ProductUse
        Products of the plan: those first of which one more unit, or one more customer, would bring most.
    curve : tuple of BudgetPoint
        Profit against budget.
    seconds : dict of str to float
        Seconds per step.
    """

    settings: dict[str, Any]
    columns: dict[str, str]
    money: str | None
    offers: int
    contacts: int
    customers: int
    cost: float
    expected_purchases: float
    expected_revenue: float
    expected_profit: float
    profit_interval: tuple[float, float]
    gap: float
    bound: float
    break_even: float | None
    budget_price: float
    control: ControlGroup
    products: tuple[ProductUse, ...]
    curve: tuple[BudgetPoint, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the plan as text: the figures, what more would bring, and the control group."""
        parts = [text_table(*self._table()), *self.sentences()]
        if self.scarce:
            parts += ["", text_table(*self._scarce_table())]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        """Return the same as HTML, for a notebook."""
        notes = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences())
        return html_table(*self._table()) + notes + (html_table(*self._scarce_table()) if self.scarce else "")

    @property
    def scarce(self) -> tuple[ProductUse, ...]:
        """Products of which more stock, or more customers, would bring a profit."""
        return tuple(one for one in self.products if one.unit_price > 0 or one.contact_price > 0)

    @property
    def budget_unit(self) -> str:
        """One unit of the budget, as words."""
        return "contact" if self.settings.get("budget_in") == "contacts" else (self.money or "unit of money")

    def sentences(self) -> list[str]:
        """Return what to know of the plan, in sentences.

        Returns
        -------
        list of str
            The gap, the price of the budget, what the contacts must cause, and what the control group can show.
        """
        best = "No other choice within the limits is expected to bring more."
        if self.gap >= 5e-7:
            best = f"No other choice within the limits is expected to bring over {percent(self.gap)} more."
        lines = [best]
        if self.budget_price > 0:
            lines.append(f"One more {self.budget_unit} would bring {money(self.budget_price, self.money)}.")
        elif self.settings.get("budget") is not None:
            lines.append("More budget would bring nothing.")
        if self.break_even is not None:
            lines.append(
                f"The contacts pay for themselves if they cause {percent(self.break_even)} of the expected profit; the "
                "rest would be bought without them."
            )
        return [*lines, self.control.sentence()]

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        low, high = self.profit_interval
        lines: list[tuple[str, ...]] = [
            ("contacts", f"{self.contacts:,} of {self.offers:,} offers"),
            ("customers", f"{self.customers:,} and {self.control.customers:,} in the control group"),
            ("cost", money(self.cost, self.money)),
            ("expected purchases", number(self.expected_purchases)),
            ("expected revenue", money(self.expected_revenue, self.money)),
            ("expected profit", f"{money(self.expected_profit, self.money)} ({compact(low)} to {compact(high)})"),
        ]
        return ("plan", ""), lines

    def _scarce_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        headers = ("product", "contacts", "expected units", "stock", "one more unit brings", "one more customer brings")
        lines: list[tuple[str, ...]] = [
            (
                one.product,
                f"{one.contacts:,}",
                number(one.expected_units),
                "" if one.stock is None else number(one.stock),
                money(one.unit_price, self.money) if one.unit_price > 0 else "",
                money(one.contact_price, self.money) if one.contact_price > 0 else "",
            )
            for one in self.scarce[:_SHOWN]
        ]
        return headers, lines
