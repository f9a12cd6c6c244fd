"""Turn the guesses about one column into what a schema says of it: type, bounds, domain, empty values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from purchasecast.drafting.calendars import CalendarColumn
from purchasecast.drafting.ignored import is_share
from purchasecast.drafting.money import find_unit
from purchasecast.drafting.survey import DIRTY
from purchasecast.schema import Column

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from purchasecast.drafting.kinds import Attribute, KindGuess
    from purchasecast.drafting.survey import SurveyedColumn

__all__ = ["describe_feature", "describe_role"]

_MAX_DOMAIN = 25  # levels that a closed domain may have
_MIN_LEVEL_ROWS = 10  # of the rarest level; a rarer one says that others may come
_MONTHS_FROM_DAYS = 400  # a span in which every month comes more than once
_DAYS_FROM_DAYS = 60


def describe_role(
    column: SurveyedColumn, role: str, days: NDArray[np.float64] | None, taken: Collection[CalendarColumn] = ()
) -> tuple[Column, list[str]]:
    """Describe a column that has a role.

    Parameters
    ----------
    column : SurveyedColumn
        The column.
    role : str
        Its role.
    days : array of float or None
        For the time: the sampled days.
    taken : collection of CalendarColumn, optional
        For the time: parts of the date that another column holds already.

    Returns
    -------
    tuple of (Column, list of str)
        What the schema says, and further reasons.
    """
    if role == "time":
        assert days is not None  # noqa: S101
        return _time(column, days, taken)
    if role == "target":
        bound, reasons = _lower_bound(column)
        return Column(column.name, "numeric", role="target", minimum=bound), reasons
    if role == "quantity":
        return _quantity(column)
    nullable = role in {"customer", "product", "quantity"} and column.counts.empty > 0
    reasons = []
    if nullable:
        reasons.append(f"empty in {column.counts.empty:,} rows: sales to nobody that is known, which are kept")
    return (
        Column(
            column.name,
            "nominal",
            type=_nominal_type(column),
            role="row" if role in {"visit", "row"} else role,  # type: ignore[arg-type]
            null="unknown" if nullable else "forbidden",
        ),
        reasons,
    )


def describe_feature(column: SurveyedColumn, kind: KindGuess, attribute: Attribute) -> tuple[Column, list[str]]:
    """Describe a column without a role."""
    fields: dict[str, Any] = {"of": attribute.of, "unit": find_unit(column.name)}
    reasons: list[str] = []
    if column.counts.empty:
        fields["null"], reason = _meaning_of_empty(column, kind, attribute)
        reasons.append(reason)
    if kind.kind == "numeric":
        fields |= _numeric_fields(column, reasons)
    elif kind.kind == "date":
        date_format = column.date_format
        fields |= {"format": date_format.pattern if date_format else None, "calendar": ("year",)}
    elif kind.kind == "ordinal":
        fields["order"] = kind.order
        left_out = [level for level in column.counts.levels if level not in kind.order]
        if left_out:
            rows = sum(column.counts.levels[level] for level in left_out)
            reasons.append(
                f"{rows:,} rows with {', '.join(left_out[:5])} are rejected: they have no place in the order"
            )
    else:
        fields["type"] = _nominal_type(column)
        domain = _closed_domain(column, attribute)
        if domain:
            fields["domain"] = domain
    return Column(column.name, kind.kind, **fields), reasons


def _nominal_type(column: SurveyedColumn) -> Literal["integer"] | None:
    return "integer" if column.content == "integer" else None


def _time(
    column: SurveyedColumn, days: NDArray[np.float64], taken: Collection[CalendarColumn]
) -> tuple[Column, list[str]]:
    date_format = column.date_format
    assert date_format is not None  # noqa: S101
    known = days[np.isfinite(days)]
    span = float(known.max() - known.min()) if len(known) else 0.0
    parts = []
    if span >= _MONTHS_FROM_DAYS:
        parts.append(CalendarColumn.MONTH)
    elif span >= _DAYS_FROM_DAYS:
        parts.append(CalendarColumn.DAY)
    if span >= 14:
        parts.append(CalendarColumn.WEEKDAY)
    reasons = [f"{span:,.0f} days from the first to the last"]
    if date_format.pattern is not None:
        reasons.append(f"written as {date_format.pattern}")
    described = Column(
        column.name,
        "date",
        type="timestamp" if date_format.has_time else None,
        role="time",
        format=date_format.pattern,
        calendar=tuple(part.value for part in parts if part not in taken),
    )
    return described, reasons


def _quantity(column: SurveyedColumn) -> tuple[Column, list[str]]:
    bound, reasons = _lower_bound(column)
    counts = column.counts
    if bound == 0 and counts.zeros <= DIRTY * counts.filled and column.content == "integer":
        bound = 1
    fields: dict[str, Any] = {"role": "quantity", "minimum": bound, "unit": find_unit(column.name)}
    if column.content == "integer":
        fields["type"] = "integer"
    return Column(column.name, "numeric", **fields), reasons


def _lower_bound(column: SurveyedColumn) -> tuple[int, list[str]]:
    """Return the least amount that is allowed: 0, or room for returns where there are many."""
    counts = column.counts
    share = counts.negatives / max(counts.filled, 1)
    if share == 0:
        return 0, []
    if share <= DIRTY:
        return 0, [f"{counts.negatives:,} rows below 0 ({share:.2%}) are rejected"]
    low = -int(10 ** math.ceil(math.log10(max(-(counts.minimum or -1.0), 1.0))))
    return low, [f"{counts.negatives:,} rows are below 0 ({share:.1%}), such as returns; they are kept"]


def _numeric_fields(column: SurveyedColumn, reasons: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": "integer"} if column.content == "integer" else {}
    counts = column.counts
    if counts.negatives <= DIRTY * counts.filled:
        fields["minimum"] = 0
        if column.content == "decimal" and is_share(column) and not fields.get("unit"):
            fields["maximum"] = 1
            if (counts.maximum or 0) > 1:
                reasons.append("values above 1 are so few that they are rejected as wrong")
    return fields


def _closed_domain(column: SurveyedColumn, attribute: Attribute) -> tuple[str, ...]:
    """Return all levels where they look complete; new products bring new levels, so those stay open."""
    counts = column.counts
    if attribute.of == "product" or not counts.complete or counts.distinct > _MAX_DOMAIN:
        return ()
    if min(counts.levels.values(), default=0) < _MIN_LEVEL_ROWS:
        return ()
    if column.content != "integer":
        return tuple(sorted(counts.levels))
    return tuple(str(level) for level in sorted({int(float(level)) for level in counts.levels}))


def _meaning_of_empty(column: SurveyedColumn, kind: KindGuess, attribute: Attribute) -> tuple[str, str]:
    share = column.counts.empty / column.counts.rows
    where = f"empty in {column.counts.empty:,} rows ({share:.1%})"
    if kind.kind in {"numeric", "date"}:
        return "unknown", f"{where}: filled in by the median"
    if attribute.of is not None:
        return "level", f"{where}: to have none, or to be unknown, says something of a {attribute.of}"
    return "unknown", f"{where}: not known"
