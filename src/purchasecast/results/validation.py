"""What validation found, in numbers; no Spark here, so that a report can be drawn anywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from purchasecast.errors import RejectRateError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ValidationReport", "check_reject_rate"]


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Count good and bad rows.

    Parameters
    ----------
    rows : int
        Rows in the source.
    accepted, rejected : int
        Good and bad ones; together all rows.
    reasons : dict of str to int
        Rows by reason, most frequent first. A row may have several, so they may exceed `rejected` in sum.
    nulls : dict of str to int
        Empty values among the accepted rows, by column, for the columns that may be empty.

    Raises
    ------
    ValueError
        If the counts do not add up.

    Examples
    --------
    >>> ValidationReport(rows=200, accepted=199, rejected=1, reasons={"duplicate key": 1}).reject_rate
    0.005
    """

    rows: int
    accepted: int
    rejected: int
    reasons: dict[str, int] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rows != self.accepted + self.rejected:
            raise ValueError(
                f"expected accepted and rejected to add up to {self.rows} rows, "
                f"found {self.accepted} and {self.rejected}"
            )

    @property
    def reject_rate(self) -> float:
        """Share of bad rows, 0..1; 0 for an empty table."""
        return self.rejected / self.rows if self.rows else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-safe values.

        Returns
        -------
        dict
            What `from_dict` reads.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ValidationReport:
        """Build a report from what `to_dict` returned.

        Parameters
        ----------
        values : mapping
            The fields by name.

        Returns
        -------
        ValidationReport
            The report.
        """
        return cls(**values)


def check_reject_rate(report: ValidationReport, maximum: float = 0.01) -> None:
    """Stop a run whose table has too many bad rows.

    Parameters
    ----------
    report : ValidationReport
        What validation found.
    maximum : float, default 0.01
        The largest share of bad rows to go on with, 0..1.

    Raises
    ------
    RejectRateError
        If more rows are bad.
    SettingsError
        If the maximum is no share.
    """
    if not 0 <= maximum <= 1:
        raise SettingsError(f"expected a largest share of bad rows from 0 to 1, found {maximum}")
    if report.reject_rate <= maximum:
        return
    top = ", ".join(f"{reason} ({count})" for reason, count in list(report.reasons.items())[:3])
    raise RejectRateError(
        f"expected at most {maximum:.2%} bad rows, found {report.rejected} of {report.rows} "
        f"({report.reject_rate:.2%}), mostly {top}; write them out with --rejects DIR to see them, "
        "or raise --max-reject-rate"
    )
