"""What was found in the data, as plain values: one `Finding` a claim, and `Insights`, all of a run.

This module knows neither Spark nor NumPy: a report renders what it reads here, and computes nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from purchasecast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Absent", "Campaign", "Chart", "ChartKind", "Finding", "Insights", "Support"]

ChartKind = Literal["bar", "line", "interval", "heatmap", "scatter"]


@dataclass(frozen=True, slots=True)
class Chart:
    """The data of one picture; whoever draws it computes nothing.

    Parameters
    ----------
    kind : {"bar", "line", "interval", "heatmap", "scatter"}
        ``interval`` has columns ``low`` and ``high`` around `x`; ``heatmap`` colours the cells of `x` and `y` by its
        last column; ``line`` and ``interval`` may have a column ``series``.
    columns : tuple of str
        Names of the columns of `rows`.
    rows : tuple of tuple of (str, float or None)
        The data, in the order to be drawn in.
    title : str
        The finding in a few words.
    x, y : str
        Which columns the horizontal and the vertical axis show; they also name the axes.
    unit : str, optional
        Unit of the numbers, such as ``USD``.

    Raises
    ------
    DataError
        If the kind is unknown, an axis is no column, or a row has too few or too many values.

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

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {**asdict(self), "columns": list(self.columns), "rows": [list(row) for row in self.rows]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Chart:
        """Return what `to_dict` was called on."""
        values = dict(data)
        return cls(
            **{**values, "columns": tuple(values["columns"]), "rows": tuple(tuple(row) for row in values["rows"])}
        )


@dataclass(frozen=True, slots=True)
class Support:
    """How much data stands behind a claim.

    Attributes
    ----------
    rows : int
        Transactions.
    customers : int or None
        Customers; None where the table names none.
    """

    rows: int
    customers: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim, the number behind it, and what to do about it.

    Attributes
    ----------
    id : str
        Stable name: the same claim of other data of this schema has the same one.
    kind : str
        What it is about: ``concentration``, ``segment``, ``segment-mix``, ``inventory``, ``pricing``, ``offer``,
        ``reach`` or ``customers``.
    claim : str
        One plain sentence.
    value : float
        The number of the claim.
    unit : str
        Unit of the value, such as ``USD a purchase`` or ``share``.
    interval : (float, float) or None
        Low and high end, at the level that `method` names; None where the value is a count of all rows.
    support : Support
        Rows and customers behind it.
    method : str
        How the number was computed, in a sentence or two.
    action : str
        What to do.
    money : float or None
        Money at stake, in the unit of the target; None where no honest amount can be named.
    caveat : str
        What the number does not say.
    chart : Chart or None, default None
        A picture of it.
    q_value : float or None, default None
        Share of false findings among all of its question that are at least as certain, raised by what it costs to
        ask several questions (``insights/discovery.py``); None where nothing was tested.
    stake : str, default ""
        What `money` is, in a few words that go after it.
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

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["interval"] = list(self.interval) if self.interval else None
        values["support"] = asdict(self.support)
        values["chart"] = self.chart.to_dict() if self.chart else None
        return values

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """Return what `to_dict` was called on."""
        values = dict(data)
        interval, chart = values["interval"], values.get("chart")
        values["interval"] = (float(interval[0]), float(interval[1])) if interval else None
        values["support"] = Support(**values["support"])
        values["chart"] = Chart.from_dict(chart) if chart else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Absent:
    """Findings that could not be looked for.

    Attributes
    ----------
    kind : str
        Which, as in `Finding`.
    reason : str
        Why, and what would bring them, in one sentence.
    """

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """A target list that was written.

    Attributes
    ----------
    name : str
        Stable name; the files are called after it.
    title : str
        What the list holds, for people.
    files : tuple of str
        Its files, relative to the folder of the run.
    rows : int
        Lines of the list; at most the cap of the run, where it has one.
    expected_revenue : float or None
        Sum over the list, in the unit of the target; None for a list that promises none.
    """

    name: str
    title: str
    files: tuple[str, ...]
    rows: int
    expected_revenue: float | None


@dataclass(frozen=True, slots=True)
class Insights:
    """All findings of a run, best first.

    Attributes
    ----------
    findings : tuple of Finding
        Ranked by money and certainty.
    absent : tuple of Absent
        What was not looked for, and why.
    campaigns : tuple of Campaign
        Target lists.
    computed_on : str
        Which rows the findings are of, in one sentence.
    money_unit : str or None
        Unit of all money.
    false_discovery_rate : float
        Largest share of false findings among the tested ones.
    level : float
        Level of the intervals.
    seconds : dict of str to float
        Seconds a step.
    """

    findings: tuple[Finding, ...]
    absent: tuple[Absent, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    computed_on: str = ""
    money_unit: str | None = None
    false_discovery_rate: float = 0.1
    level: float = 0.9
    seconds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "absent": [asdict(absent) for absent in self.absent],
            "campaigns": [{**asdict(campaign), "files": list(campaign.files)} for campaign in self.campaigns],
            "computed_on": self.computed_on,
            "money_unit": self.money_unit,
            "false_discovery_rate": self.false_discovery_rate,
            "level": self.level,
            "seconds": dict(self.seconds),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Insights:
        """Return what `to_dict` was called on."""
        values = dict(data)
        campaigns = [Campaign(**{**campaign, "files": tuple(campaign["files"])}) for campaign in values["campaigns"]]
        return cls(
            **{
                **values,
                "findings": tuple(Finding.from_dict(finding) for finding in values["findings"]),
                "absent": tuple(Absent(**absent) for absent in values["absent"]),
                "campaigns": tuple(campaigns),
            }
        )
