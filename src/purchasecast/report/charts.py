"""Pictures by Vega-Lite, drawn to static SVG on this machine.

One size for all, in which letters stay readable from a telephone's width to a printed page. Colours are those of Okabe
and Ito, which people with any colour vision tell apart; letters and lines take the page's own colour, so that a picture
is right on light and on dark.

References
----------
M. Okabe, K. Ito, "Color Universal Design", 2008. https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import altair as alt
import vl_convert

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bars", "curve", "dots", "grid", "histogram", "points", "ranges"]

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
_SERIES = (BLUE, ORANGE, GREEN, PURPLE)
_INK = "currentColor"
_WIDTH = 440  # of the whole picture, in pixels; half a page on a desk, a whole one on a telephone
_STEP = 22  # height of a bar
_CHARACTER = 6.6  # width of a letter of 12 pixels, roughly
_MOST_LABEL = 22  # letters of a level's name
_NUMBER = ",.6~g"
# Ticks from a million on in short: 2.5M, not 2.5e+6; a billion is B, as elsewhere.
_TICK = f"abs(datum.value) < 1e6 ? format(datum.value, '{_NUMBER}') : replace(format(datum.value, '.3~s'), 'G', 'B')"
_LONG = re.compile(r"(\d+\.\d{2})\d+")  # in a tag: a hundredth of a pixel is enough

_CONFIG: dict[str, Any] = {
    "aria": False,  # the page names the picture, and has its numbers as a table
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _INK,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 12,
        "labelLimit": 170,
        "domainColor": _INK,
        "domainOpacity": 0.4,
        "tickColor": _INK,
        "tickOpacity": 0.4,
        "gridColor": _INK,
        "gridOpacity": 0.12,
    },
    "legend": {
        "labelColor": _INK,
        "titleColor": _INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "orient": "top",
        "symbolOpacity": 1,
        "columnPadding": 28,
        "labelLimit": 200,
    },
    "text": {"color": _INK, "fontSize": 12},
    "bar": {"color": BLUE},
}


def _axis(*, share: bool = False, **options: Any) -> alt.Axis:
    """Return an axis of numbers, or of shares."""
    form: dict[str, Any] = {"format": ".0%"} if share else {"labelExpr": _TICK}
    return alt.Axis(**form, **options)


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
    values: list[dict[str, Any]] = [{"name": _short(name), "value": value, "text": text} for name, value, text in rows]
    base = alt.Chart(_data(values)).encode(_names([v["name"] for v in values]))
    reach = max([*(abs(v["value"]) for v in values), 0.0]) or 1.0
    low = min([*(v["value"] for v in values), 0.0])
    room = alt.Scale(domain=[low * 1.3, max(*(v["value"] for v in values), 0.0) + 0.28 * reach], nice=False)
    axis = alt.X(
        "value:Q",
        title=x,
        scale=room,
        axis=_axis(share=share, tickCount=4),
    )
    label: dict[str, Any] = {
        "align": alt.expr("datum.value < 0 ? 'right' : 'left'"),
        "dx": alt.expr("datum.value < 0 ? -4 : 4"),
    }
    text = base.mark_text(baseline="middle", **label).encode(axis, text="text:N")
    return _svg(base.mark_bar(cornerRadiusEnd=2).encode(axis) + text, len(values), _longest(values))


def dots(
    rows: Sequence[tuple[str, float, float | None, float | None, str]],
    x: str,
    *,
    sort: bool = False,
    zero: bool = False,
    share: bool = False,
) -> str:
    """Draw a point a level with its interval, and the number beside it.

    Parameters
    ----------
    rows : sequence of (str, float, float or None, float or None, str)
        Level, value, low and high end, and the name of its series (empty for one series).
    x : str
        Title of the axis, with its unit.
    sort : bool, default False
        Whether to put the largest value first.
    zero : bool, default False
        Whether to draw a line at 0.
    share : bool, default False
        Whether the numbers are shares of 1.

    Returns
    -------
    str
        SVG.
    """
    ordered = sorted(rows, key=lambda row: -row[1]) if sort else list(rows)
    names = list(dict.fromkeys(_short(row[0]) for row in ordered))
    values = [
        {"name": _short(n), "value": v, "low": v if a is None else a, "high": v if b is None else b, "series": s}
        for n, v, a, b, s in ordered
    ]
    series = list(dict.fromkeys(row[4] for row in ordered))
    base = alt.Chart(_data(values)).encode(_names(names))
    axis = alt.X("value:Q", title=x, scale=alt.Scale(zero=share), axis=_axis(share=share, tickCount=4))
    several = len(series) > 1
    colour: Any = _colour(series) if several else alt.value(BLUE)
    spread = several and any(row[2] is not None for row in rows)  # intervals of two series would hide each other
    offset = {"yOffset": alt.YOffset("series:N", sort=series)} if spread else {}
    line = base.mark_rule(strokeWidth=2).encode(alt.X("low:Q"), alt.X2("high:Q"), color=colour, **offset)
    point = base.mark_point(filled=True, size=55, opacity=1).encode(axis, color=colour, shape=_shape(series), **offset)
    drawn = line + point
    if zero:
        drawn = alt.Chart(_data([{"at": 0}])).mark_rule(color=_INK, opacity=0.5).encode(x="at:Q") + drawn
    return _svg(drawn, len(names) * (1.6 if spread else 1), _longest(values))


def ranges(rows: Sequence[tuple[str, float, str]], x: str, *, share: bool = False) -> str:
    """Draw one point a level and series on a common scale, for comparing two or three numbers a level."""
    return dots([(name, value, None, None, series) for name, value, series in rows], x, share=share)


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
    axis = alt.X("from:Q", title=x, scale=scale, axis=_axis(tickCount=5, grid=False))
    top = max(v["share"] for v in values)
    height = alt.Y(
        "share:Q",
        title="share of rows",
        scale=alt.Scale(domain=[0, top * 1.15]),
        axis=alt.Axis(format=".1%", tickCount=4),
    )
    drawn: Any = (
        alt.Chart(_data(values))
        .mark_rect(stroke=None, color=BLUE)
        .encode(axis, alt.X2("to:Q"), height, y2=alt.datum(0))
    )
    if marks:
        data = _data([{"at": at, "name": name} for at, name in marks])
        rule = alt.Chart(data).mark_rule(color=ORANGE, strokeWidth=2).encode(alt.X("at:Q", title=x, scale=scale))
        name = alt.Chart(data).mark_text(align="left", dx=5, baseline="top", y=0)
        drawn = drawn + rule + name.encode(alt.X("at:Q", title=x, scale=scale), text="name:N")
    return _svg(drawn.properties(height=190), None, 0)


def curve(
    rows: Sequence[tuple[float | str, float, float | None, float | None, str]],
    x: str,
    y: str,
    *,
    share: bool = False,
    zero: bool = False,
) -> str:
    """Draw lines, each with its name at its end where there are several, and bands where there are intervals.

    Parameters
    ----------
    rows : sequence of (float or str, float, float or None, float or None, str)
        Place, value, low and high end, and the name of the series.
    x, y : str
        Titles of the axes, with their units.
    share : bool, default False
        Whether both axes are shares of 1.
    zero : bool, default False
        Whether the vertical axis starts at 0.

    Returns
    -------
    str
        SVG.
    """
    values = [{"x": a, "y": b, "low": c, "high": d, "series": s} for a, b, c, d, s in rows]
    series = list(dict.fromkeys(row[4] for row in rows))
    named = any(isinstance(row[0], str) for row in rows)
    if named:
        order = list(dict.fromkeys(str(row[0]) for row in rows))
        crowded = alt.Axis(labelOverlap=True, labelAngle=0, grid=False)
        across: Any = alt.X("x:O", title=x, sort=order, axis=crowded)
    else:
        bounds = alt.Scale(nice=False, zero=share)
        across = alt.X("x:Q", title=x, scale=bounds, axis=_axis(share=share, tickCount=5))
    up = alt.Y("y:Q", title=y, scale=alt.Scale(zero=zero or share), axis=_axis(share=share, tickCount=5))
    colour: Any = _colour(series) if len(series) > 1 else alt.value(BLUE)
    base = alt.Chart(_data(values)).encode(across)
    drawn: Any = base.mark_line(strokeWidth=2.5).encode(up, color=colour)
    if all(row[2] is not None for row in rows):
        band = base.mark_area(opacity=0.25).encode(alt.Y("low:Q", title=y), alt.Y2("high:Q"), color=colour)
        drawn = band + drawn
    if share:
        even = alt.Chart(_data([{"x": 0, "y": 0}, {"x": 1, "y": 1}])).mark_line(
            strokeDash=[4, 4], color=_INK, opacity=0.6
        )
        drawn = drawn + even.encode(alt.X("x:Q", title=x), alt.Y("y:Q", title=y))
    return _svg(drawn.properties(height=210), None, 0)


def grid(
    cells: Sequence[tuple[str, str, float, str]],
    x: str,
    y: str,
    colour: str,
    *,
    reverse: bool = False,
    marked: tuple[str, str] | None = None,
) -> str:
    """Draw a table whose cells are coloured by their number and hold it.

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
    values: list[dict[str, Any]] = [{"x": _short(a, 14), "y": _short(b), "value": c, "text": t} for a, b, c, t in cells]
    columns, names = list(dict.fromkeys(v["x"] for v in values)), list(dict.fromkeys(v["y"] for v in values))
    low, high = min(v["value"] for v in values), max(v["value"] for v in values)
    middle = (low + high) / 2
    narrow = (_WIDTH - 130) / len(columns) < _CHARACTER * max(len(v["text"]) for v in values) + 4
    across = alt.X(
        "x:N", title=x, sort=columns, axis=alt.Axis(labelAngle=-40 if len(columns) > 7 else 0, orient="bottom")
    )
    base = alt.Chart(_data(values)).encode(across, alt.Y("y:N", title=y, sort=names))
    legend = alt.Legend(format=_NUMBER, gradientLength=200, gradientThickness=10, values=[low, middle, high])
    scale = alt.Scale(scheme="blues", reverse=reverse, domain=[low, high])
    drawn: Any = base.mark_rect(stroke="#ffffff", strokeWidth=1).encode(
        color=alt.Color("value:Q", title=colour, scale=scale, legend=legend)
    )
    if not narrow:
        dark = f"datum.value {'<' if reverse else '>'} {middle!r}"
        ink = alt.condition(dark, alt.value("#ffffff"), alt.value("#000000"))
        drawn = drawn + base.mark_text(fontSize=11).encode(text="text:N", color=ink)
    if marked:
        at = {"x": _short(marked[0], 14), "y": _short(marked[1])}
        frame = alt.Chart(_data([at])).mark_rect(filled=False, stroke=ORANGE, strokeWidth=3)
        drawn = drawn + frame.encode(across, alt.Y("y:N", title=y, sort=names))
    return _svg(drawn, len(names), max(len(name) for name in names))


def points(rows: Sequence[tuple[float, float, str]], x: str, y: str, *, diagonal: bool = False) -> str:
    """Draw one point a row, named where there are few; `diagonal` draws the line on which both numbers are equal."""
    values = [{"x": a, "y": b, "name": _short(name)} for a, b, name in rows]
    scale = alt.Scale(zero=False)
    base = alt.Chart(_data(values)).encode(
        alt.X("x:Q", title=x, scale=scale, axis=_axis(tickCount=5)),
        alt.Y("y:Q", title=y, scale=scale, axis=_axis(tickCount=5)),
    )
    drawn: Any = base.mark_point(filled=True, color=BLUE, opacity=0.8, size=55)
    if diagonal:
        ends = [min(min(r[0], r[1]) for r in rows), max(max(r[0], r[1]) for r in rows)]
        line = alt.Chart(_data([{"x": e, "y": e} for e in ends])).mark_line(strokeDash=[4, 4], color=_INK, opacity=0.6)
        drawn = line.encode(alt.X("x:Q", title=x), alt.Y("y:Q", title=y)) + drawn
    if len(rows) <= 12 and not diagonal:
        drawn = drawn + base.mark_text(align="left", dx=6, fontSize=11).encode(text="name:N")
    return _svg(drawn.properties(height=230), None, 0)


def _names(names: Sequence[str]) -> alt.Y:
    return alt.Y("name:N", title=None, sort=list(names), axis=alt.Axis(ticks=False, domain=False, labelPadding=6))


def _colour(series: Sequence[str]) -> alt.Color:
    legend = alt.Legend(title=None) if len(series) > 1 else None
    return alt.Color("series:N", scale=alt.Scale(domain=list(series), range=list(_SERIES)), legend=legend)


def _shape(series: Sequence[str]) -> Any:
    """Tell series by shape too, for those who do not see colours."""
    if len(series) < 2:
        return alt.value("circle")
    shapes = ["circle", "diamond", "square", "triangle-up"]
    return alt.Shape("series:N", scale=alt.Scale(domain=list(series), range=shapes), legend=None)


def _data(values: list[dict[str, Any]]) -> alt.Data:
    return alt.Data(values=values)  # type: ignore[no-untyped-call]


def _short(name: str, most: int = _MOST_LABEL) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _longest(values: Sequence[dict[str, Any]]) -> int:
    return max(len(value["name"]) for value in values)


def _svg(chart: Any, levels: float | None, letters: int) -> str:
    """Draw a chart at the common width; its height follows the number of levels."""
    width = _WIDTH - (30 + letters * (_CHARACTER + 1) if levels is not None else 66)
    sized = chart.properties(width=max(width, 180))
    if levels is not None:
        sized = sized.properties(height=max(_STEP * levels, 40))
    spec = sized.to_dict()
    spec["config"] = _CONFIG
    # A browser's letters may be wider than those measured here: room for them where names stand.
    spec["padding"] = {"left": 5 + (letters if levels is not None else 0), "top": 5, "right": 8, "bottom": 5}
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return _make_fluid(drawn)


def _make_fluid(svg: str) -> str:
    """Let the page set the size, and leave out what a browser does not need."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    size = f'viewBox="{box.group(0)[9:-1]}" style="--width:{box.group(1)}px"' if box else ""
    inner = svg[svg.index(">") + 1 :]
    inner = re.sub(r"<[^>]+>", lambda tag: _LONG.sub(r"\1", tag.group(0)), inner)
    # Vega numbers gradients and clips from 0 in every picture; on one page their names must differ.
    own = hashlib.sha256(inner.encode()).hexdigest()[:10]
    inner = re.sub(r'(\bid="|url\(#)', rf"\g<1>{own}-", inner)
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" aria-hidden="true" focusable="false" {size}>{inner}'
