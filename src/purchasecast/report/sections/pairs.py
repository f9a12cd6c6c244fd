"""The section that shows the target by two features at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import brief, named, number, percent
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Section, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.results import PairCell, PairProfile, Profile

__all__ = ["pair_section"]

_MOST_PAIRS = 6
_MOST_DOWN, _MOST_ACROSS = 14, 8  # levels of a picture's sides
_LITTLE = 0.005  # of the variance: less of it is nothing to act on


def pair_section(profile: Profile) -> Section | None:
    """Show the target by pairs of features; None where no two features can be crossed."""
    if not profile.pairs:
        return None
    blocks = tuple(_figure(pair, profile) for pair in profile.pairs[:_MOST_PAIRS])
    lead = (
        "Mean by two columns at once. The share says how much of the differences lies in the combination, beyond the "
        "sum of both columns' effects."
    )
    return Section("pairs", "What goes together", lead, blocks)


def _figure(pair: PairProfile, profile: Profile) -> Figure:
    sides = _levels(pair, 0, profile), _levels(pair, 1, profile)
    across = 1 if len(sides[1]) <= len(sides[0]) else 0
    kept = [_most(pair, side, sides[side], _MOST_ACROSS if side == across else _MOST_DOWN) for side in (0, 1)]
    by_levels = {(cell.first, cell.second): cell for cell in pair.cells}
    cells = [by_levels[a, b] for a in kept[0] for b in kept[1] if (a, b) in by_levels]
    axis = f"mean {profile.target.label}" + (f" ({profile.money})" if profile.money else "")
    labels = (pair.first_label, pair.second_label)
    drawn = [(_level(c, across), _level(c, 1 - across), c.mean, brief(c.mean)) for c in cells]
    left_out = any(len(some) < len(side) for some, side in zip(kept, sides, strict=True))
    return Figure(
        _title(pair, cells),
        charts.grid(drawn, labels[across], labels[1 - across], axis),
        _table(pair, cells, axis),
        f"Combination beyond both columns: {percent(pair.interaction)} of the variance."
        + (f" Levels with most rows only, {_MOST_DOWN} down and {_MOST_ACROSS} across." if left_out else ""),
    )


def _title(pair: PairProfile, cells: Sequence[PairCell]) -> str:
    """Say what the combination adds: nothing to speak of, or where it is largest."""
    if pair.interaction < _LITTLE:
        return f"{pair.second_label} shifts every {pair.first_label} about alike"
    known = [cell for cell in cells if cell.low is not None]
    if not known:
        return f"{pair.first_label} by {pair.second_label}"
    most = max(known, key=lambda cell: cell.mean)
    first, second = named(pair.first_label, most.first), named(pair.second_label, most.second)
    return f"{pair.second_label} matters otherwise for each {pair.first_label}: most where {first} meets {second}"


def _table(pair: PairProfile, cells: Sequence[PairCell], axis: str) -> Table:
    rows = tuple(
        (
            c.first,
            c.second,
            f"{c.rows:,}",
            number(c.mean),
            "" if c.low is None else f"{number(c.low)} to {number(c.high or 0)}",
        )
        for c in cells
    )
    columns = (pair.first_label, pair.second_label, "rows", axis, "95% interval")
    return Table(f"{pair.first_label} and {pair.second_label}", columns, rows, names=2)


def _levels(pair: PairProfile, side: int, profile: Profile) -> list[str]:
    """Return the levels of one side, in the order of the feature."""
    feature = profile.feature(pair.second if side else pair.first)
    levels = [one.level for one in feature.levels] if feature else list({_level(cell, side) for cell in pair.cells})
    if feature and feature.kind != "nominal":
        return levels
    return sorted(levels, key=lambda level: (not level.isdigit(), int(level) if level.isdigit() else 0, level))


def _most(pair: PairProfile, side: int, levels: Sequence[str], most: int) -> list[str]:
    """Keep the levels with most rows, in their order."""
    rows = dict.fromkeys(levels, 0)
    for cell in pair.cells:
        rows[_level(cell, side)] += cell.rows
    kept = sorted(levels, key=lambda level: -rows[level])[:most]
    return [level for level in levels if level in kept]


def _level(cell: PairCell, side: int) -> str:
    return cell.second if side else cell.first
