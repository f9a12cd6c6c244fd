"""Recognise how dates are written, in Spark's pattern letters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from purchasecast.schema.date_format import MONTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DateFormat", "find_date_format"]

_MONTHS = tuple(name[:3] for name in MONTHS)
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_TIME = (
    r"(?:(?P<between>T| +)(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?P<fraction>[.][0-9]{1,9})?)?(?P<half> ?[AaPp][Mm])?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)
_DAYS = {  # by order of the fields; "?" is day or month
    "ymd": r"^(?P<y>[0-9]{4})(?P<sep>[-/.])(?P<m>[0-9]{1,2})(?P=sep)(?P<d>[0-9]{1,2})",
    "??y": r"^(?P<a>[0-9]{1,2})(?P<sep>[-/.])(?P<b>[0-9]{1,2})(?P=sep)(?P<y>[0-9]{4}|[0-9]{2})",
    "dMy": r"^(?P<d>[0-9]{1,2})(?P<sep>[-/ ]?)(?P<name>[A-Z][a-z]{2})(?P=sep)(?P<y>[0-9]{4}|[0-9]{2})",
    "compact": r"^(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})",
    "month": r"^(?P<y>[0-9]{4})(?P<sep>[-/]?)(?P<m>[0-9]{2})",
}
_PATTERNS = {order: re.compile(day + _TIME) for order, day in _DAYS.items()}


@dataclass(frozen=True, slots=True)
class DateFormat:
    """Tell how a column writes its dates.

    Parameters
    ----------
    pattern : str, optional
        In Spark's pattern letters; None for ISO 8601, which needs none.
    has_time : bool
        Whether there is a time of day beside the day.
    other : str, optional
        A second pattern that fits as well: day and month could change places.
    days : dict of str to date
        By text: the day that it names.
    """

    pattern: str | None
    has_time: bool
    other: str | None
    days: dict[str, date]


def find_date_format(levels: Mapping[str, int], tolerance: float = 0.002) -> DateFormat | None:
    """Find the format of a column's dates.

    Parameters
    ----------
    levels : mapping of str to int
        Rows by value.
    tolerance : float, default 0.002
        Largest share of rows that may be no date.

    Returns
    -------
    DateFormat or None
        The format; None if the column holds something else.

    Examples
    --------
    >>> find_date_format({"11/8/2016": 3, "6/12/2016": 2, "10/25/2016": 1}).pattern
    'M/d/yyyy'
    >>> find_date_format({"20240131": 1, "20240201": 1}).pattern
    'yyyyMMdd'
    >>> find_date_format({"12": 4, "13": 5}) is None
    True
    """
    rows = sum(levels.values())
    if not rows:
        return None
    for order, pattern in _PATTERNS.items():
        matches = {text: match for text in levels if (match := pattern.match(text))}
        if sum(levels[text] for text in matches) < (1 - tolerance) * rows:
            continue
        result = _read(order, matches, levels, (1 - tolerance) * rows)
        if result is not None:
            return result
    return None


def _read(
    order: str, matches: Mapping[str, re.Match[str]], levels: Mapping[str, int], enough: float
) -> DateFormat | None:
    """Read the days of values that look alike; None if they are no days, or not all written alike."""
    separators = {match.groupdict().get("sep") or "" for match in matches.values()}
    years = {len(match["y"]) for match in matches.values()}
    if len(separators) > 1 or len(years) > 1:
        return None
    separator, long_year = separators.pop(), years.pop() == 4
    if order == "month" and not _looks_like_months(matches):
        return None
    # ISO needs no pattern, and with none Spark reads it with and without seconds
    is_iso = order == "ymd" and separator == "-" and not any(match["half"] for match in matches.values())
    time = "" if is_iso else _time_pattern(matches.values())
    if time is None:
        return None
    fits = []
    for fields in ("dm", "md") if order == "??y" else ("",):
        days = {text: day for text, match in matches.items() if (day := _day(match, fields))}
        if sum(levels[text] for text in days) >= enough:
            fits.append((fields, days))
    if not fits:
        return None
    fits.sort(key=lambda fit: _plausibility(fit[0], fit[1], separator), reverse=True)
    fields, days = fits[0]
    has_time = any(not _is_midnight(match) for match in matches.values())
    written = [_day_pattern(order, kind, separator, long_year=long_year) + time for kind, _ in fits]
    return DateFormat(None if is_iso else written[0], has_time, written[1] if len(fits) > 1 else None, days)


def _plausibility(fields: str, days: Mapping[str, date], separator: str) -> tuple[bool, int]:
    """Rank two readings: a point parts day from month in that order; else days vary more than months do."""
    return (separator == "." and fields == "dm", len({day.day for day in days.values()}))


def _day(match: re.Match[str], fields: str) -> date | None:
    parts = match.groupdict()
    year = int(parts["y"]) + (0 if len(parts["y"]) == 4 else 2000)  # Spark, too, reads 95 as 2095
    if parts.get("name"):
        name = parts["name"]
        month, day = (_MONTHS.index(name) + 1 if name in _MONTHS else 0), int(parts["d"])
    elif fields:
        day, month = (int(parts["a"]), int(parts["b"])) if fields == "dm" else (int(parts["b"]), int(parts["a"]))
    else:
        month, day = int(parts["m"]), int(parts.get("d") or 1)
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    if parts.get("hour") and (int(parts["hour"]) > 23 or int(parts["minute"]) > 59):
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _looks_like_months(matches: Mapping[str, re.Match[str]]) -> bool:
    """Tell 202401 from any other number of six digits: months of a few years, most of the twelve among them."""
    months = {(int(match["y"]), int(match["m"])) for match in matches.values()}
    years = {year for year, _ in months}
    plausible = all(1990 <= year <= 2060 for year in years) and all(1 <= month <= 12 for _, month in months)
    return plausible and len(months) >= 2 and len(years) <= 1 + len(months) / 2


def _is_midnight(match: re.Match[str]) -> bool:
    hour = match["hour"]
    if hour is None:
        return True
    of_twelve = match["half"] is not None and match["half"].strip().lower() == "am" and hour == "12"
    return (int(hour) == 0 or of_twelve) and int(match["minute"]) == 0 and int(match["second"] or 0) == 0


def _day_pattern(order: str, fields: str, separator: str, *, long_year: bool) -> str:
    year = "yyyy" if long_year else "yy"
    if order == "compact":
        return "yyyyMMdd"
    if order == "month":
        return f"yyyy{separator}MM"
    if order == "ymd":
        return f"yyyy{separator}M{separator}d"
    if order == "dMy":
        return f"d{separator}MMM{separator}{year}"
    first, second = ("d", "M") if fields == "dm" else ("M", "d")
    return f"{first}{separator}{second}{separator}{year}"


def _time_pattern(matches: Iterable[re.Match[str]]) -> str | None:
    """Return the pattern of the time of day, empty without one; None where values write it differently."""
    written = set()
    for match in matches:
        if match["hour"] is None:
            written.add("")
            continue
        between = "'T'" if match["between"] == "T" else match["between"]
        hour = "h" if match["half"] else "H"
        second = ":ss" if match["second"] else ""
        fraction = "." + "S" * (len(match["fraction"]) - 1) if match["fraction"] else ""
        half = (" a" if match["half"].startswith(" ") else "a") if match["half"] else ""
        if match["zone"]:
            return None  # no pattern for them; ISO needs none
        written.add(f"{between}{hour}:mm{second}{fraction}{half}")
    return written.pop() if len(written) == 1 else None
