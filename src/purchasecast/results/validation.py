"""Result of a validation, and the limit on its share of rejected rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from purchasecast.errors import RejectRateError, SettingsError
from purchasecast.results.record import Record

if TYPE_CHECKING:
    from purchasecast.schema import Schema

__all__ = ["ValidationReport", "check_reject_rate"]


@dataclass(frozen=True, slots=True, repr=False)
class ValidationReport(Record):
    """Counts of accepted and rejected rows; prints as text.

    Parameters
    ----------
    rows : int
        Rows in the source.
    accepted, rejected : int
        Accepted and rejected rows; together all rows.
    reasons : dict of str to int
        Rejected rows by reason, most frequent first. A row may have several reasons, so that the sum can exceed
        `rejected`.
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
    def counts(self) -> str:
        """Counts of all rows, as one line of text."""
        return f"{self.rows:,} rows = {self.accepted:,} accepted + {self.rejected:,} rejected"

    def __repr__(self) -> str:
        """Return the counts, and a line for each reason."""
        return "\n".join([self.counts, *(f"{count:>10,}  {reason}" for reason, count in self.reasons.items())])

    @property
    def reject_rate(self) -> float:
        """Share of rejected rows, 0..1; 0 for an empty table."""
        return self.rejected / self.rows if self.rows else 0.0


def check_reject_rate(report: ValidationReport, maximum: float = 0.01, *, schema: Schema | None = None) -> None:
    """Stop a run whose table has too many rejected rows.

    Parameters
    ----------
    report : ValidationReport
        Result of the validation.
    maximum : float, default 0.01
        Largest share of rejected rows to continue with, 0..1.
    schema : Schema, optional
        Description of the table, to say what its columns expect.

    Raises
    ------
    RejectRateError
        If the share is larger.
    SettingsError
        If the maximum is not a share.
    """
    if not 0 <= maximum <= 1:
        raise SettingsError(
            f"max_reject_rate: expected a share from 0 to 1, found {maximum}; give a share such as 0.01."
        )
    if report.reject_rate <= maximum:
        return
    explain = schema.explain if schema is not None else str
    # Three reasons are enough for one sentence; the report has them all.
    top = "; ".join(f"{explain(reason)} ({count:,})" for reason, count in list(report.reasons.items())[:3])
    raise RejectRateError(
        f"rows: expected at most {maximum:.2%} rejected, found {report.rejected:,} of {report.rows:,} "
        f"({report.reject_rate:.2%}), mostly {top}; write them out (rejects=), or raise max_reject_rate=."
    )
