"""Result of a comparison of new rows with the training data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from purchasecast.results.record import Record

__all__ = ["Check", "ColumnDrift", "DriftReport", "LevelShift"]


@dataclass(frozen=True, slots=True)
class LevelShift(Record):
    """Share of the rows that have a level, in the training data and in the new rows.

    Attributes
    ----------
    level : str
        The level, or the bin of a number; ``(new)`` stands for all levels that the training data do not have.
    before, after : float
        Share of all rows in the training data, and in the new rows.
    """

    level: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class ColumnDrift(Record):
    """How far the distribution of a column has moved.

    Attributes
    ----------
    name, label : str
        The column, and its name in reports.
    role : str
        ``feature`` or ``target``.
    index : float
        Population stability index over `levels`.
    chance : float
        The index that one of a thousand samples of this size exceeds by chance, when nothing has moved.
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
        """Return whether the index exceeds both a threshold and what chance explains."""
        return self.index > max(threshold, self.chance)


@dataclass(frozen=True, slots=True)
class Check(Record):
    """One limit, and whether the new rows keep it.

    Attributes
    ----------
    name : str
        Stable name: ``column:NAME``, ``unseen:ROLE``, ``error`` or ``coverage``.
    value, limit : float
        The value of the new rows, and the limit.
    held : bool
        Whether the value keeps the limit.
    sentence : str
        The same as a sentence.
    """

    name: str
    value: float
    limit: float
    held: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class DriftReport(Record):
    """New rows compared with the training data of a model.

    Attributes
    ----------
    rows, rejected : int
        Accepted rows, which all figures describe, and rejected rows.
    labelled : bool
        Whether the rows have the target.
    columns : tuple of ColumnDrift
        Largest index first.
    unseen : dict of str to int
        Rows whose customer, product or level the training data do not have, by role or column.
    mean_prediction : float
        Mean predicted amount, in money.
    figures : dict of str to float
        Of labelled rows: ``rmse``, ``bias`` (prediction minus target) and ``coverage``; where the model was evaluated
        on a holdout also ``holdout_rmse``, ``holdout_bias`` and ``holdout_coverage``.
    checks : tuple of Check
        All limits, exceeded ones first.
    skipped : tuple of str
        Columns that were not compared, each with the reason.
    seconds : dict of str to float
        Seconds per step.
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
        """The limits that are exceeded."""
        return tuple(check for check in self.checks if not check.held)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, and ``drifted``: whether any limit is exceeded.

        Returns
        -------
        dict
            What `from_dict` reads.
        """
        return {**asdict(self), "drifted": bool(self.alarms)}
