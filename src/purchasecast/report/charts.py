"""The kinds of picture: what is drawn where. Titles, which state the finding, are the page's.

Each function takes plain values and returns an SVG; how it looks is settled in `vega`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt

from purchasecast.report.vega import (
    BLUE,
    CHARACTER,
    INK,
    ORANGE,
    SPARE,
    TICK,
    WIDTH,
    axis_of,
    colour_of,
    data_of,
    names_of,
    shape_of,
    shorten,
    to_svg,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bars", "curve", "dots", "grid", "histogram", "levels", "points", "ranges"]

_SHARES, _VALUES, _MEANS = 66, 48, 110  # widths of the parts of `levels`
_LEVEL_LETTERS = 16
_COLUMN_LETTERS = 14
_CELL_LETTER = 6.4  # width of a letter in a cell


def bars(rows: Sequence[tuple[str, float, str]], x: str, *, share: bool = False) -> str:
    """Draw horizontal bars, longest first as given, each with its number.

    Parameters
    ----------
    rows : sequence of (str, float, str)
        Name, length, and the number as it is to be read.
    x : str
        Title of the axis, with its unit.
    share : bool, default False
        Whether the numbers are shares of 1.

    Returns
    -------
    str
        SVG.
    """
    values: list[dict[str, Any]] = [{"name": shorten(name), "value": value, "text": text} for name, value, text in rows]
    base = alt.Chart(data_of(values)).encode(names_of([v["name"] for v in values]))
    low, high = min([*(v["value"] for v in values), 0.0]), max([*(v["value"] for v in values), 0.0])
    # Room for the numbers, which stand beyond the bars, on the sides that have some.
    room = (high - low or 1.0) * (0.06 + 0.03 * max(len(v["text"]) for v in values))
    scale = alt.Scale(domain=[low - room if low < 0 else low, high + room], nice=False)
    axis = alt.X("value:Q", title=x, scale=scale, axis=axis_of(share=share, tickCount=4))
    label: dict[str, Any] = {
        "align": alt.expr("datum.value < 0 ? 'right' : 'left'"),
        "dx": alt.expr("datum.value < 0 ? -4 : 4"),
    }
    text = base.mark_text(baseline="middle", **label).encode(axis, text="text:N")
    return to_svg(base.mark_bar(cornerRadiusEnd=2).encode(axis) + text, levels=len(values), letters=_longest(values))


def dots(
    rows: Sequence[tuple[str, float, float | None, float | None, str]],
    x: str,
    *,
    sort: bool = False,
    rule: float | None = None,
    share: bool = False,
    from_zero: bool = False,
) -> str:
    """Draw a point a level with its interval.

    Parameters
    ----------
    rows : sequence of (str, float, float or None, float or None, str)
        Level, value, low and high end, and the name of its series (empty for one series).
    x : str
        Title of the axis, with its unit.
    sort : bool, default False
        Whether to put the largest value first.
    rule : float, optional
        Where to draw a line down, such as 0.
    share : bool, default False
        Whether the numbers are shares of 1.
    from_zero : bool, default False
        Whether the axis begins at 0.

    Returns
    -------
    str
        SVG.
    """
    ordered = sorted(rows, key=lambda row: -row[1]) if sort else list(rows)
    names = list(dict.fromkeys(shorten(row[0]) for row in ordered))
    values = [
        {"name": shorten(n), "value": v, "low": v if a is None else a, "high": v if b is None else b, "series": s}
        for n, v, a, b, s in ordered
    ]
    series = list(dict.fromkeys(row[4] for row in ordered))
    base = alt.Chart(data_of(values)).encode(names_of(names))
    axis = alt.X("value:Q", title=x, scale=alt.Scale(zero=from_zero), axis=axis_of(share=share, tickCount=4))
    several = len(series) > 1
    colour: Any = colour_of(series) if several else alt.value(BLUE)
    spread = several and any(row[2] is not None for row in rows)  # intervals of two series would hide each other
    offset = {"yOffset": alt.YOffset("series:N", sort=series)} if spread else {}
    line = base.mark_rule(strokeWidth=2).encode(alt.X("low:Q"), alt.X2("high:Q"), color=colour, **offset)
    point = base.mark_point(filled=True, size=55, opacity=1).encode(
        axis, color=colour, shape=shape_of(series), **offset
    )
    drawn = line + point
    if rule is not None:
        drawn = alt.Chart(data_of([{"at": rule}])).mark_rule(color=INK, opacity=0.5).encode(x="at:Q") + drawn
    return to_svg(drawn, levels=len(names) * (1.4 if spread else 1), letters=_longest(values))


def levels(
    rows: Sequence[tuple[str, float, float | None, float | None, float, str]],
    x: str,
    *,
    sort: bool = False,
) -> str:
    """Draw, side by side, how many rows each level has and its mean with the interval and the number.

    Parameters
    ----------
    rows : sequence of (str, float, float or None, float or None, float, str)
        Level, mean, low and high end, share of the rows, and the mean as it is to be read.
    x : str
        Title of the means' axis, with its unit.
    sort : bool, default False
        Whether to put the largest mean first.

    Returns
    -------
    str
        SVG.
    """
    ordered = sorted(rows, key=lambda row: -row[1]) if sort else list(rows)
    values: list[dict[str, Any]] = [
        {
            "name": shorten(name, _LEVEL_LETTERS),
            "value": mean,
            "low": mean if low is None else low,
            "high": mean if high is None else high,
            "share": share,
            "percent": f"{share:.0%}" if share >= 0.005 or not share else "<1%",
            "text": text,
        }
        for name, mean, low, high, share, text in ordered
    ]
    base = alt.Chart(data_of(values))
    most = max(v["share"] for v in values)
    scale = alt.Scale(domain=[0, most * 1.9], nice=False)
    blank = alt.Axis(labelOpacity=0, ticks=False, grid=False)  # titles of both parts stand at one height
    across = alt.X("share:Q", title="rows (%)", scale=scale, axis=blank)
    named = base.encode(names_of([v["name"] for v in values]), across)
    shares = named.mark_bar(color=INK, opacity=0.35) + named.mark_text(align="left", dx=3).encode(text="percent:N")
    bare = alt.Y("name:N", title=None, sort=[v["name"] for v in values], axis=None)
    width = max(WIDTH - 34 - _longest(values) * (CHARACTER + SPARE) - _SHARES - _VALUES, _MEANS)
    axis = alt.X("value:Q", title=x, scale=alt.Scale(zero=False), axis=axis_of(tickCount=3))
    line = base.mark_rule(strokeWidth=2, color=BLUE).encode(bare, alt.X("low:Q"), alt.X2("high:Q"))
    point = base.mark_point(filled=True, size=55, opacity=1, color=BLUE).encode(bare, axis)
    text = base.mark_text(align="left").encode(bare, x=alt.value(width + 5), text="text:N")
    height = max(24 * len(values), 48)
    parts = (
        shares.properties(width=_SHARES, height=height),
        (line + point + text).properties(width=width, height=height),
    )
    return to_svg(alt.hconcat(*parts), letters=_longest(values))


def ranges(rows: Sequence[tuple[str, float, str]], x: str, *, share: bool = False) -> str:
    """Draw one point a level and series on a common scale, for comparing two or three numbers a level."""
    return dots([(name, value, None, None, series) for name, value, series in rows], x, share=share, from_zero=share)


def histogram(
    edges: Sequence[float], rows: Sequence[int], x: str, *, log: bool, marks: Sequence[tuple[float, str]]
) -> str:
    """Draw rows by bin, with named marks above.

    Parameters
    ----------
    edges, rows : sequence of float, of int
        Bins, and the rows in each.
    x : str
        Title of the axis, with its unit.
    log : bool
        Whether the axis is logarithmic.
    marks : sequence of (float, str)
        Where to draw a line across, and its name.

    Returns
    -------
    str
        SVG.
    """
    whole = sum(rows) or 1
    bins = zip(edges[:-1], edges[1:], rows, strict=True)
    values = [{"from": a, "to": b, "share": n / whole} for a, b, n in bins]
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(nice=False, zero=False)
    axis = alt.X("from:Q", title=x, scale=scale, axis=axis_of(tickCount=5, grid=False))
    top = max(v["share"] for v in values)
    height = alt.Y(
        "share:Q",
        title="share of rows",
        scale=alt.Scale(domain=[0, top * 1.15]),
        axis=alt.Axis(format="~%", tickCount=4),
    )
    drawn: Any = (
        alt.Chart(data_of(values))
        .mark_rect(stroke=None, color=BLUE)
        .encode(axis, alt.X2("to:Q"), height, y2=alt.datum(0))
    )
    if marks:
        data = data_of([{"at": at, "name": name} for at, name in marks])
        rule = alt.Chart(data).mark_rule(color=ORANGE, strokeWidth=2).encode(alt.X("at:Q", title=x, scale=scale))
        name = alt.Chart(data).mark_text(align="left", dx=5, baseline="top", y=0)
        drawn = drawn + rule + name.encode(alt.X("at:Q", title=x, scale=scale), text="name:N")
    return to_svg(drawn.properties(height=190))


def curve(
    rows: Sequence[tuple[float | str, float, float | None, float | None, str]],
    x: str,
    y: str,
    *,
    share: bool = False,
    mark: tuple[float, float, str] | None = None,
) -> str:
    """Draw lines, each with its name where there are several, and bands where there are intervals.

    Parameters
    ----------
    rows : sequence of (float or str, float, float or None, float or None, str)
        Place, value, low and high end, and the name of the series.
    x, y : str
        Titles of the axes, with their units.
    share : bool, default False
        Whether both axes are shares of 1.
    mark : (float, float, str), optional
        A point to name.

    Returns
    -------
    str
        SVG.
    """
    values = [{"x": a, "y": b, "low": c, "high": d, "series": s} for a, b, c, d, s in rows]
    series = list(dict.fromkeys(row[4] for row in rows))
    if any(isinstance(row[0], str) for row in rows):
        order = list(dict.fromkeys(str(row[0]) for row in rows))
        crowded = alt.Axis(labelOverlap=True, labelSeparation=20, labelAngle=0, grid=False)
        across: Any = alt.X("x:O", title=x, sort=order, axis=crowded)
    else:
        bounds = alt.Scale(nice=False, zero=share)
        across = alt.X("x:Q", title=x, scale=bounds, axis=axis_of(share=share, tickCount=5))
    up = alt.Y("y:Q", title=y, scale=alt.Scale(zero=share), axis=axis_of(share=share, tickCount=5))
    colour: Any = colour_of(series) if len(series) > 1 else alt.value(BLUE)
    base = alt.Chart(data_of(values)).encode(across)
    drawn: Any = base.mark_line(strokeWidth=2.5).encode(up, color=colour)
    if all(row[2] is not None for row in rows):
        band = base.mark_area(opacity=0.25).encode(alt.Y("low:Q", title=y), alt.Y2("high:Q"), color=colour)
        drawn = band + drawn
    if share:
        even = alt.Chart(data_of([{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(
            strokeDash=[4, 4], color=INK, opacity=0.6
        )
        drawn = drawn + even.encode(alt.X("x:Q", title=x), alt.Y("y:Q", title=y))
    if mark:
        at = alt.Chart(data_of([{"x": mark[0], "y": mark[1], "name": mark[2]}])).encode(
            alt.X("x:Q", title=x), alt.Y("y:Q", title=y)
        )
        text = at.mark_text(align="left", baseline="top", dx=8, dy=4).encode(text="name:N")
        drawn = drawn + at.mark_point(filled=True, size=70, color=ORANGE, opacity=1) + text
    return to_svg(drawn.properties(height=210))


def grid(
    cells: Sequence[tuple[str, str, float, str]],
    x: str,
    y: str,
    colour: str,
    *,
    reverse: bool = False,
    marked: tuple[str, str] | None = None,
) -> str:
    """Draw a table whose cells are coloured by their number and hold it, where they are wide enough.

    Parameters
    ----------
    cells : sequence of (str, str, float, str)
        Column, row, number, and the number as it is to be read; columns and rows in the order of their first cell.
    x, y : str
        Titles of the axes.
    colour : str
        What the number is, with its unit.
    reverse : bool, default False
        Whether the smallest number is the darkest.
    marked : (str, str), optional
        A cell to draw a frame around.

    Returns
    -------
    str
        SVG.
    """
    values: list[dict[str, Any]] = [
        {"x": shorten(a, _COLUMN_LETTERS), "y": shorten(b, _LEVEL_LETTERS), "value": c, "text": t}
        for a, b, c, t in cells
    ]
    columns, names = list(dict.fromkeys(v["x"] for v in values)), list(dict.fromkeys(v["y"] for v in values))
    low, high = min(v["value"] for v in values), max(v["value"] for v in values)
    letters = max(len(name) for name in names)
    a_column = (WIDTH - 56 - letters * CHARACTER) / len(columns)
    narrow = a_column < _CELL_LETTER * max(len(v["text"]) for v in values) + 2
    slanted = max(len(name) for name in columns) * CHARACTER > a_column
    across = alt.X("x:N", title=x, sort=columns, axis=alt.Axis(labelAngle=-40 if slanted else 0, orient="bottom"))
    # A browser's letters are wider than those measured here: the title must not lie on them.
    down = alt.Y("y:N", title=y, sort=names, axis=alt.Axis(titlePadding=4 + math.ceil(letters * SPARE)))
    base = alt.Chart(data_of(values)).encode(across, down)
    bar = alt.Legend(labelExpr=TICK, gradientLength=200, gradientThickness=10, values=[low, high])
    scale = alt.Scale(scheme="blues", reverse=reverse, domain=[low, high])
    drawn: Any = base.mark_rect(stroke="#ffffff", strokeWidth=1).encode(
        color=alt.Color("value:Q", title=colour, scale=scale, legend=bar if narrow else None)
    )
    if not narrow:
        dark = f"datum.value {'<' if reverse else '>'} {(low + high) / 2!r}"
        ink = alt.condition(dark, alt.value("#ffffff"), alt.value("#000000"))
        drawn = (drawn + base.mark_text(fontSize=11).encode(text="text:N", color=ink)).properties(title=colour)
    if marked:
        at = {"x": shorten(marked[0], _COLUMN_LETTERS), "y": shorten(marked[1], _LEVEL_LETTERS)}
        frame = alt.Chart(data_of([at])).mark_rect(filled=False, stroke=ORANGE, strokeWidth=3)
        drawn = drawn + frame.encode(across, down)
    return to_svg(drawn, levels=len(names), letters=letters + 3)


def points(rows: Sequence[tuple[float, float, str]], x: str, y: str, *, diagonal: bool = False) -> str:
    """Draw one point a row, named where there are few; `diagonal` draws the line on which both numbers are equal."""
    values = [{"x": a, "y": b, "name": shorten(name)} for a, b, name in rows]
    scale = alt.Scale(zero=False)
    base = alt.Chart(data_of(values)).encode(
        alt.X("x:Q", title=x, scale=scale, axis=axis_of(tickCount=5)),
        alt.Y("y:Q", title=y, scale=scale, axis=axis_of(tickCount=5)),
    )
    drawn: Any = base.mark_point(filled=True, color=BLUE, opacity=0.8, size=55)
    if diagonal:
        ends = [min(min(r[0], r[1]) for r in rows), max(max(r[0], r[1]) for r in rows)]
        line = alt.Chart(data_of([{"x": e, "y": e} for e in ends])).mark_line(strokeDash=[4, 4], color=INK, opacity=0.6)
        drawn = line.encode(alt.X("x:Q", title=x), alt.Y("y:Q", title=y)) + drawn
    if len(rows) <= 12 and not diagonal:
        drawn = drawn + base.mark_text(align="left", dx=6).encode(text="name:N")
    return to_svg(drawn.properties(height=230))


def _longest(values: Sequence[dict[str, Any]]) -> int:
    return max(len(value["name"]) for value in values)
