"""The section on pairs of features: the mean of the target by two features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import named, number, percent, short, span, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Section, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.results import PairCell, PairProfile, Profile

__all__ = ["pair_section"]

_MAX_PAIRS = 6
_MAX_DOWN, _MAX_ACROSS = 14, 8  # levels in one chart
_WEAK = 0.005  # an interaction that explains less of the variance is not worth acting on


def pair_section(profile: Profile) -> Section | None:
    """Show the target by pairs of features; None where there is no pair."""
    if not profile.pairs:
        return None
    figures = tuple(_figure(pair, profile) for pair in profile.pairs[:_MAX_PAIRS])
    lead = (
        "Mean by two columns, and the share of the variance that their combination explains beyond the two separate "
        "effects."
    )
    return Section("pairs", "Pairs of columns", lead, figures)


def _figure(pair: PairProfile, profile: Profile) -> Figure:
    sides = _levels(pair, 0, profile), _levels(pair, 1, profile)
    # The feature with fewer levels goes across, because a page is narrow.
    across = 1 if len(sides[1]) <= len(sides[0]) else 0
    kept = [_largest(pair, side, sides[side], _MAX_ACROSS if side == across else _MAX_DOWN) for side in (0, 1)]
    by_levels = {(cell.first, cell.second): cell for cell in pair.cells}
    cells = [by_levels[a, b] for a in kept[0] for b in kept[1] if (a, b) in by_levels]
    mean = with_unit(f"mean {profile.target.label}", profile.money)
    labels = (pair.first_label, pair.second_label)
    rows = [(_level(c, across), _level(c, 1 - across), c.mean, short(c.mean)) for c in cells]
    note = f"The combination explains {percent(pair.interaction)} of the variance beyond the two separate effects."
    if any(len(some) < len(side) for some, side in zip(kept, sides, strict=True)):
        note += f" The levels with the most rows are shown: at most {_MAX_DOWN} down and {_MAX_ACROSS} across."
    svg = charts.grid(rows, labels[across], labels[1 - across], mean)
    return Figure(_title(pair, cells), svg, _table(pair, cells, mean), note)


def _title(pair: PairProfile, cells: Sequence[PairCell]) -> str:
    """Say whether the combination matters, and where the mean is highest."""
    if pair.interaction < _WEAK:
        return f"The effect of {pair.second_label} is about the same for every {pair.first_label}"
    known = [cell for cell in cells if cell.low is not None]
    if not known:
        return f"{pair.first_label} by {pair.second_label}"
    most = max(known, key=lambda cell: cell.mean)
    first, second = named(pair.first_label, most.first), named(pair.second_label, most.second)
    effect = f"The effect of {pair.second_label} depends on {pair.first_label}"
    return f"{effect}; the mean is highest for {first} with {second}"


def _table(pair: PairProfile, cells: Sequence[PairCell], mean: str) -> Table:
    rows = tuple((c.first, c.second, f"{c.rows:,}", number(c.mean), span(c.low, c.high)) for c in cells)
    columns = (pair.first_label, pair.second_label, "rows", mean, "95% interval")
    return Table(f"{pair.first_label} and {pair.second_label}", columns, rows, names=2)


def _levels(pair: PairProfile, side: int, profile: Profile) -> list[str]:
    """Return the levels of one feature in its order; nominal levels by number or name."""
    feature = profile.feature(pair.second if side else pair.first)
    levels = [one.level for one in feature.levels] if feature else list({_level(cell, side) for cell in pair.cells})
    if feature and feature.kind != "nominal":
        return levels
    # Numbers used as names sort by value: 2 before 10.
    return sorted(levels, key=lambda level: (not level.isdigit(), int(level) if level.isdigit() else 0, level))


def _largest(pair: PairProfile, side: int, levels: Sequence[str], most: int) -> list[str]:
    """Return the levels with the most rows, in their order."""
    rows = dict.fromkeys(levels, 0)
    for cell in pair.cells:
        rows[_level(cell, side)] += cell.rows
    kept = sorted(levels, key=lambda level: -rows[level])[:most]
    return [level for level in levels if level in kept]


def _level(cell: PairCell, side: int) -> str:
    return cell.second if side else cell.first
