"""Findings: one `Finding` per claim, and `Insights` for all findings of a run.

A report only renders these values. It computes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from purchasecast.errors import DataError
from purchasecast.results.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Absent", "Campaign", "Chart", "ChartKind", "Finding", "Insights", "Support"]

ChartKind = Literal["bar", "line", "interval", "heatmap", "scatter"]


@dataclass(frozen=True, slots=True)
class Chart(Record):
    """The data of one chart.

    Parameters
    ----------
    kind : {"bar", "line", "interval", "heatmap", "scatter"}
        ``interval`` has the columns ``low`` and ``high``, the interval of `x`; ``heatmap`` colours the cells of `x` and
        `y` by its last column; ``line`` and ``interval`` may have a column ``series``.
    columns : tuple of str
        Names of the columns of `rows`.
    rows : tuple of tuple of (str, float or None)
        The data, in drawing order.
    title : str
        The message of the chart, in a few words.
    x, y : str
        Columns of the horizontal and the vertical axis; their names are the titles of the axes.
    unit : str, optional
        Unit of the numbers, such as ``USD``.

    Raises
    ------
    DataError
        If the kind is unknown, an axis is not a column, or a row has the wrong number of values.

    Examples
    --------
    >>> chart = Chart("bar", ("city", "revenue"), (("A", 2.0), ("B", 1.0)), "City A sells most", "revenue", "city")
    >>> Chart.from_dict(chart.to_dict()) == chart
    True
    """

    kind: ChartKind
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    title: str
    x: str
    y: str
    unit: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(ChartKind):
            raise DataError(f"chart: expected one of {', '.join(get_args(ChartKind))}, found {self.kind}.")
        for axis in (self.x, self.y):
            if axis not in self.columns:
                raise DataError(f"chart {self.title!r}: expected axes of {', '.join(self.columns)}, found {axis}.")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise DataError(f"chart {self.title!r}: expected {len(self.columns)} values a row, found {row}.")

    @classmethod
    def bars(cls, name: str, value: str, rows: Iterable[tuple[str, float]], title: str, unit: str | None) -> Chart:
        """Return a chart of one bar per row, in the given order.

        Parameters
        ----------
        name, value : str
            Names of the two columns.
        rows : iterable of (str, float)
            Name and length of each bar.
        title : str
            The message of the chart.
        unit : str or None
            Unit of the lengths.

        Returns
        -------
        Chart
            Of the kind ``bar``.
        """
        return cls("bar", (name, value), tuple(rows), title, value, name, unit)

    @classmethod
    def intervals(
        cls, name: str, value: str, rows: Iterable[tuple[str | float, ...]], title: str, unit: str | None
    ) -> Chart:
        """Return a chart of points with their intervals.

        Parameters
        ----------
        name, value : str
            Names of the columns of the levels and of the points.
        rows : iterable of tuple
            Level, point, low end, high end and, where there are several series, the name of the series.
        title : str
            The message of the chart.
        unit : str or None
            Unit of the points.

        Returns
        -------
        Chart
            Of the kind ``interval``.
        """
        data = tuple(rows)
        # A fifth value in the rows is the name of a series.
        series = ("series",) if data and len(data[0]) > 4 else ()
        return cls("interval", (name, value, "low", "high", *series), data, title, value, name, unit)


@dataclass(frozen=True, slots=True)
class Support(Record):
    """How much data a claim rests on.

    Attributes
    ----------
    rows : int
        Transactions.
    customers : int or None
        Customers; None where the table has no customer column.
    """

    rows: int
    customers: int | None = None


@dataclass(frozen=True, slots=True)
class Finding(Record):
    """One claim, its number, and what to do about it.

    A finding with `who` is a decision: somebody can act on it, and `money` is the gain to expect. All others describe
    the shop, and have no `money`.

    Attributes
    ----------
    id : str
        Stable name: the same claim about other data of this schema has the same id.
    kind : str
        Topic: ``concentration``, ``segment``, ``segment-mix``, ``inventory``, ``pricing``, ``offer``,
        ``reach``, ``customers``, ``leaving``, ``trend``, ``season`` or ``growth``.
    claim : str
        One sentence.
    value : float
        Number of the claim.
    unit : str
        Unit of the value, such as ``USD per purchase`` or ``share``.
    interval : (float, float) or None
        Low and high end, at `Insights.level`; None where the value is a count of all rows.
    support : Support
        Rows and customers that the claim rests on.
    method : str
        How the number was computed.
    action : str
        What to do; empty for a description.
    money : float or None
        Gain to expect from the action, in the unit of the target; None for a description.
    caveat : str
        Limits of the claim.
    chart : Chart or None, default None
        Chart of the claim.
    q_value : float or None, default None
        Expected share of false findings among those of the same family of tests that are at least as certain,
        adjusted for the number of families (`purchasecast.insights.significance`); None where nothing was tested.
    stake : str, default ""
        What `money` is, as a phrase to follow it.
    money_interval : (float, float) or None, default None
        Interval of `money`, at `Insights.level`; None where nothing measures its uncertainty.
    who : str, default ""
        Who acts, such as ``Marketing``; empty for a description.
    when : str, default ""
        By when to act.
    checked : str, default ""
        What was seen on purchases that the finding was not computed from, in one sentence; empty where nothing was
        hidden.
    wrong_if : str, default ""
        What would show that the decision was wrong, in one sentence.
    """

    id: str
    kind: str
    claim: str
    value: float
    unit: str
    interval: tuple[float, float] | None
    support: Support
    method: str
    action: str
    money: float | None
    caveat: str
    chart: Chart | None = None
    q_value: float | None = None
    stake: str = ""
    money_interval: tuple[float, float] | None = None
    who: str = ""
    when: str = ""
    checked: str = ""
    wrong_if: str = ""

    @property
    def is_decision(self) -> bool:
        """Whether somebody can act on it."""
        return bool(self.who)


@dataclass(frozen=True, slots=True)
class Absent(Record):
    """A kind of findings that could not be computed.

    Attributes
    ----------
    kind : str
        As in `Finding`.
    reason : str
        The reason, and what is needed, in one sentence.
    """

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Campaign(Record):
    """A target list that was written to files.

    Attributes
    ----------
    name : str
        Stable name, from which the file names are made.
    title : str
        What the list contains, for readers.
    files : tuple of str
        Names of the files, relative to the folder of the run.
    rows : int
        Lines of the list.
    expected_revenue : float or None
        Sum over the list, in the unit of the target; None where the list has no expected revenue.
    """

    name: str
    title: str
    files: tuple[str, ...]
    rows: int
    expected_revenue: float | None


@dataclass(frozen=True, slots=True)
class Insights(Record):
    """All findings of a run, best first.

    Attributes
    ----------
    findings : tuple of Finding
        Decisions first, by the gain that is certain; then descriptions.
    absent : tuple of Absent
        Kinds of findings that could not be computed, and why.
    campaigns : tuple of Campaign
        Target lists.
    computed_on : str
        The rows that the findings describe, in one sentence.
    money_unit : str or None
        Unit of all amounts.
    false_discovery_rate : float
        Largest share of false findings among the tested ones.
    level : float
        Level of the intervals.
    seconds : dict of str to float
        Seconds per step.
    """

    findings: tuple[Finding, ...]
    absent: tuple[Absent, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    computed_on: str = ""
    money_unit: str | None = None
    false_discovery_rate: float = 0.1
    level: float = 0.9
    seconds: dict[str, float] = field(default_factory=dict)
