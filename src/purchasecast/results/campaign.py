"""Result of measuring a campaign: what it has changed, for whom, and how certain that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from purchasecast.formatting import compact, counted, html_table, money, number, percent, text_table
from purchasecast.results.record import Record

__all__ = ["MeasuredLift", "Measurement", "SegmentLift"]


@dataclass(frozen=True, slots=True)
class MeasuredLift(Record):
    """What a campaign has changed in one outcome, per customer.

    Attributes
    ----------
    name : str
        Stable name: ``offered_revenue``, ``offered_purchases``, ``offered_profit`` (of the offered products, before the
        cost of the contacts), ``all_revenue`` or ``all_purchases``.
    label : str
        Name for readers.
    is_money : bool
        Whether it is an amount.
    contacted, control : float
        Mean of the contacted customers and of the control group, both adjusted to the expected revenue of all.
    difference : float
        Contacted minus control.
    interval : (float, float)
        Interval of the difference.
    lift : float or None
        The difference as a share of the control group's mean; None where that mean is not above 0.
    lift_interval : (float, float) or None
        Interval of the lift.
    p_value : float
        Probability of a difference at least as large by chance.
    correlation : float
        Of the outcome with what the plan expected, in both groups.
    narrowed : float
        Share by which the adjustment for what the plan expected has made the interval narrower.
    """

    name: str
    label: str
    is_money: bool
    contacted: float
    control: float
    difference: float
    interval: tuple[float, float]
    lift: float | None
    lift_interval: tuple[float, float] | None
    p_value: float
    correlation: float
    narrowed: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval of the difference does not contain 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True, slots=True)
class SegmentLift(Record):
    """What a campaign has changed in the revenue from the offered products, for customers of one segment.

    Attributes
    ----------
    by, level : str
        The column and its level; ``expected revenue`` for thirds of the customers by what the plan expected.
    contacted, control : int
        Customers of both groups.
    difference : float
        Contacted minus control, per customer.
    interval : (float, float)
        Interval of the difference, of this segment alone.
    p_value, adjusted_p_value : float
        Alone, and adjusted for the number of all segments (Holm).
    """

    by: str
    level: str
    contacted: int
    control: int
    difference: float
    interval: tuple[float, float]
    p_value: float
    adjusted_p_value: float


@dataclass(frozen=True, slots=True, repr=False)
class Measurement(Record):
    """What a campaign has brought, by comparing those who were to be contacted with the control group.

    Attributes
    ----------
    contacted, control : int
        Customers compared.
    level : float
        Level of all intervals.
    money : str or None
        Unit of money.
    lifts : tuple of MeasuredLift
        The revenue from the offered products first.
    profit : float
        Profit that the campaign has brought from the compared customers, after the cost of their contacts.
    profit_interval : (float, float)
        Interval of the profit.
    cost : float
        Cost of the contacts of the compared customers.
    expected_lift : float
        Lift that the plan expected.
    more_customers : int
        More planned customers with whom the expected lift would be seen with a power of 80 %; 0 where these are enough.
    segments : tuple of SegmentLift
        Largest certainty first.
    segments_left_out : int
        Segments with too few customers in a group.
    contacted_share, control_contacted_share : float or None
        Share of each group that was contacted indeed; None where the results do not say.
    purchases, outside : int
        Rows of the results with a purchase, and those of customers who were not planned.
    seconds : dict of str to float
        Seconds per step.
    """

    contacted: int
    control: int
    level: float
    money: str | None
    lifts: tuple[MeasuredLift, ...]
    profit: float
    profit_interval: tuple[float, float]
    cost: float
    expected_lift: float
    more_customers: int
    segments: tuple[SegmentLift, ...] = ()
    segments_left_out: int = 0
    contacted_share: float | None = None
    control_contacted_share: float | None = None
    purchases: int = 0
    outside: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the measurement as text: what it says, every outcome, and segments."""
        parts = [*self.sentences(), "", text_table(*self._table())]
        if self.segments:
            parts += ["", text_table(*self._segment_table())]
        return "\n".join(parts)

    def _repr_html_(self) -> str:
        """Return the same as HTML, for a notebook."""
        notes = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences())
        return notes + html_table(*self._table()) + (html_table(*self._segment_table()) if self.segments else "")

    @property
    def main(self) -> MeasuredLift:
        """The outcome that the campaign is judged by."""
        return self.lifts[0]

    def sentences(self) -> list[str]:
        """Return what the campaign has brought, in sentences.

        Returns
        -------
        list of str
            The lift, the profit, what narrowed the interval, and who was not contacted as planned.
        """
        main = self.main
        lines = [self._lift_sentence(), self._profit_sentence()]
        if main.narrowed > 0:
            lines.append(
                f"What the model expected of each customer made the interval {percent(main.narrowed)} narrower."
            )
        if self.contacted_share is not None and (self.contacted_share < 1 or self.control_contacted_share):
            lines.append(
                f"{percent(self.contacted_share)} of those planned were contacted, and "
                f"{percent(self.control_contacted_share or 0.0)} of the control group; the figures compare the groups "
                "as they were planned."
            )
        certain = [one for one in self.segments if one.adjusted_p_value <= 1 - self.level]
        return lines + [
            f"{one.by} {one.level}: {money(one.difference, self.money)} per customer, certain also among "
            f"{counted(len(self.segments), 'segment')}."
            for one in certain[:3]
        ]

    def _lift_sentence(self) -> str:
        main = self.main
        low, high = main.interval
        per = f"{money(main.difference, self.money)} per customer ({compact(low)} to {compact(high)})"
        if main.is_certain:
            verb = "raised" if main.difference > 0 else "lowered"
            share = f", {percent(abs(main.lift))}" if main.lift is not None else ""
            return f"The campaign {verb} the {main.label} by {per}{share}."
        return f"Whether the campaign changed the {main.label} cannot be told yet: {per}. {self._more_sentence()}"

    def _more_sentence(self) -> str:
        wanted = f"a lift of {percent(self.expected_lift)}"
        if self.more_customers:
            return f"To see {wanted}, about {self.more_customers:,} more customers are needed."
        return f"The customers would have been enough to see {wanted} with a power of 80 %."

    def _profit_sentence(self) -> str:
        low, high = self.profit_interval
        what = f"{money(self.profit, self.money)} ({compact(low)} to {compact(high)}) after a cost of "
        what += money(self.cost, self.money)
        if low > 0:
            return f"It paid: it brought {what}."
        if high < 0:
            return f"It did not pay: it brought {what}."
        return f"Whether it paid cannot be told yet: it brought {what}."

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        headers = ("per customer", "contacted", "control", "difference", f"{self.level:.0%} interval", "lift")
        lines: list[tuple[str, ...]] = [
            (
                f"{one.label}{f' ({self.money})' if one.is_money and self.money else ''}",
                number(one.contacted),
                number(one.control),
                number(one.difference),
                f"{number(one.interval[0])} to {number(one.interval[1])}",
                "" if one.lift is None else percent(one.lift),
            )
            for one in self.lifts
        ]
        return headers, lines

    def _segment_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        headers = ("segment", "contacted", "control", "difference", f"{self.level:.0%} interval", "p", "adjusted p")
        lines: list[tuple[str, ...]] = [
            (
                f"{one.by}: {one.level}",
                f"{one.contacted:,}",
                f"{one.control:,}",
                number(one.difference),
                f"{number(one.interval[0])} to {number(one.interval[1])}",
                f"{one.p_value:.3f}",
                f"{one.adjusted_p_value:.3f}",
            )
            for one in self.segments
        ]
        return headers, lines
