"""How far new data are from those of the training, in numbers; no Spark here, so that a page can be drawn anywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Check", "ColumnDrift", "DriftReport", "LevelShift"]


@dataclass(frozen=True, slots=True)
class LevelShift:
    """Share of the rows that have a level, in the training data and now.

    Attributes
    ----------
    level : str
        The level, or the bin of a number; ``(new)`` holds all levels that training has not seen.
    before, after : float
        Shares of all rows.
    """

    level: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How far the distribution of a column has moved.

    Attributes
    ----------
    name, label : str
        The column, and its name for people.
    role : str
        ``feature`` or ``target``.
    index : float
        Population stability index over `levels`.
    chance : float
        What the index exceeds in one of a thousand samples of this size where nothing has moved.
    levels : tuple of LevelShift
        In the order of the training profile.
    """

    name: str
    label: str
    role: str
    index: float
    chance: float
    levels: tuple[LevelShift, ...]

    def has_moved(self, threshold: float) -> bool:
        """Return whether the index is past a threshold, and past what chance makes of it."""
        return self.index > max(threshold, self.chance)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ColumnDrift:
        """Return what `dataclasses.asdict` was called on."""
        return cls(**{**values, "levels": tuple(LevelShift(**level) for level in values["levels"])})


@dataclass(frozen=True, slots=True)
class Check:
    """One limit, and whether it held.

    Attributes
    ----------
    name : str
        Stable name: ``column:NAME``, ``unseen:ROLE``, ``error`` or ``coverage``.
    value, limit : float
        What was found, and what is allowed.
    held : bool
        Whether the value keeps to the limit.
    sentence : str
        The same for people.
    """

    name: str
    value: float
    limit: float
    held: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class DriftReport:
    """New data beside those that a model was trained on.

    Attributes
    ----------
    rows, rejected : int
        Accepted rows, which all figures are of, and rejected ones.
    labelled : bool
        Whether the rows have the target.
    columns : tuple of ColumnDrift
        Largest index first.
    unseen : dict of str to int
        Rows by role, or by column, whose customer, product or level training has not seen.
    mean_prediction : float
        Mean predicted amount, in money.
    figures : dict of str to float
        Of labelled rows: ``rmse``, ``bias`` (prediction minus target) and ``coverage``, each also as of the holdout
        (``holdout_rmse`` and so on) where there was one.
    checks : tuple of Check
        Every limit, those that did not hold first.
    skipped : tuple of str
        Columns that were not compared, each with the reason.
    seconds : dict of str to float
        Seconds a step.
    """

    rows: int
    rejected: int
    labelled: bool
    columns: tuple[ColumnDrift, ...]
    unseen: dict[str, int]
    mean_prediction: float
    figures: dict[str, float]
    checks: tuple[Check, ...]
    skipped: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def alarms(self) -> tuple[Check, ...]:
        """The limits that did not hold."""
        return tuple(check for check in self.checks if not check.held)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {**asdict(self), "drifted": bool(self.alarms)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DriftReport:
        """Return what `to_dict` was called on, also after a passage through JSON."""
        parts = {
            "columns": tuple(ColumnDrift.from_dict(column) for column in values["columns"]),
            "checks": tuple(Check(**check) for check in values["checks"]),
            "skipped": tuple(values["skipped"]),
        }
        return cls(**{name: value for name, value in {**values, **parts}.items() if name != "drifted"})
