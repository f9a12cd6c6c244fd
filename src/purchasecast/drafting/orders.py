"""Find the order of a column's levels: ranges, sizes, and scales that everybody knows."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from purchasecast.drafting.words import SCALES, without_accents

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["find_order"]

_MAX_LEVELS = 40
_UNKNOWN = frozenset({"unknown", "other", "others", "not specified", "n/a", "na", "none/unknown", "unbekannt", "?"})
_NUMBER = r"([0-9]+(?:[.,][0-9]+)?)\s*(k|m|mio|thousand|million)?"
_TO = r"-|\u2013|\u2014|to|bis|a|until|and|und|y|et|\.\."
_RANGE = re.compile(rf"[^0-9]*?{_NUMBER}\s*(?:{_TO})\s*[^0-9]{{0,4}}{_NUMBER}[^0-9]*")
_BELOW = "<=?|\u2264|under|below|less than|up to|unter|bis|menos de|hasta|moins de|meno di|fino a"
_LOWEST = re.compile(rf"(?:{_BELOW})\s*\D{{0,3}}{_NUMBER}\D*")
_ABOVE = ">=?|\u2265|over|above|more than|at least|from|uber|ab|mehr als|mas de|desde|plus de|oltre|piu di"
_HIGHEST = re.compile(rf"(?:{_ABOVE})\s*\D{{0,3}}{_NUMBER}\D*")
_OR_MORE = r"\+|and (?:over|more|above|older)|or (?:more|older|above)|und (?:mehr|alter)|y mas|et plus"
_OPEN = re.compile(rf"\D{{0,3}}{_NUMBER}\s*(?:{_OR_MORE})\D*")
_SINGLE = re.compile(rf"{_NUMBER}(?:\s*(?:years?|jahre?|anos?|ans|persons?|people|personen))?")
_FACTORS = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mio": 1e6, "million": 1e6}


def find_order(levels: Sequence[str]) -> tuple[str, ...] | None:
    """Order the levels of a column, if they have an order.

    Parameters
    ----------
    levels : sequence of str
        All levels.

    Returns
    -------
    tuple of str or None
        The levels, lowest first, with levels such as "Unknown" before all others; None where there is no order.

    Examples
    --------
    >>> find_order(["55+", "0-17", "18-25"])
    ('0-17', '18-25', '55+')
    >>> find_order([">65", "<25", "25-64"])
    ('<25', '25-64', '>65')
    >>> find_order(["250K+", "Under 15K", "15-24K"])
    ('Under 15K', '15-24K', '250K+')
    >>> find_order(["High", "Low", "Medium"])
    ('Low', 'Medium', 'High')
    >>> find_order(["North", "South"]) is None
    True
    """
    known = [level for level in levels if _plain(level) not in _UNKNOWN]
    if not 2 <= len(known) <= _MAX_LEVELS or len(levels) - len(known) > 1:
        return None
    order = _by_ranges(known) or _by_scale(known)
    if order is None:
        return None
    return (*(level for level in levels if _plain(level) in _UNKNOWN), *order)


def _by_ranges(levels: Iterable[str]) -> tuple[str, ...] | None:
    """Order ranges of numbers; None unless they are ranges that do not overlap."""
    bounds = {level: _range_of(_plain(level)) for level in levels}
    ranges = {level: bound for level, bound in bounds.items() if bound is not None}
    if len(ranges) < len(bounds) or all(low == high for low, high in ranges.values()):
        return None  # plain numbers are numbers
    order = sorted(ranges, key=lambda level: (ranges[level][0], ranges[level][1]))
    for lower, upper in pairwise(order):
        if ranges[lower][1] > ranges[upper][0] or ranges[lower] == ranges[upper]:
            return None
    return tuple(order)


def _range_of(text: str) -> tuple[float, float] | None:
    """Read a range such as ``18-25``, ``<25``, ``55+``, ``15-24k`` or a single number."""
    if match := _RANGE.fullmatch(text):
        unit = match[4] or match[2]  # in 15-24k the unit stands once and is meant twice
        low, high = _value(match[1], match[2] or unit), _value(match[3], unit)
        return (low, high) if low <= high else None
    if match := _LOWEST.fullmatch(text):
        return (-math.inf, _value(match[1], match[2]))
    if match := _HIGHEST.fullmatch(text) or _OPEN.fullmatch(text):
        return (_value(match[1], match[2]), math.inf)
    if match := _SINGLE.fullmatch(text):
        return (_value(match[1], match[2]),) * 2
    return None


def _value(number: str, unit: str | None) -> float:
    return float(number.replace(",", ".")) * _FACTORS.get(unit or "", 1.0)


def _by_scale(levels: Sequence[str]) -> tuple[str, ...] | None:
    """Order words of a scale; None unless one scale knows them all, each at a place of its own."""
    for ranks in SCALES:
        places = {level: ranks[plain] for level in levels if (plain := _plain(level)) in ranks}
        if len(places) == len(levels) == len(set(places.values())):
            return tuple(sorted(places, key=lambda level: places[level]))
    return None


def _plain(text: str) -> str:
    return without_accents(text.strip().lower())
