"""The kinds of chart. Each function takes plain values and returns an SVG; `vega` decides how it looks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt

from purchasecast.report.vega import (
    BLUE,
    INK,
    LETTER_WIDTH,
    ORANGE,
    SPARE_WIDTH,
    TICK_LABEL,
    WIDTH,
    color_scale,
    data_of,
    level_axis,
    number_axis,
    plot_width,
    series_shape,
    shorten,
    to_svg,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: Level, value, low and high end of its interval, and series (empty where there is one series only).
    Point = tuple[str, float, float | None, float | None, str]

__all__ = ["bars", "curve", "dots", "grid", "histogram", "levels", "points", "ranges"]

# Widths of the three parts of `levels`, in pixels.
_SHARES_WIDTH, _NUMBERS_WIDTH, _MIN_MEANS_WIDTH = 66, 48, 110
_MAX_LEVEL_LETTERS, _MAX_COLUMN_LETTERS = 16, 14
_CELL_LETTER_WIDTH = 6.4  # of the smaller letters inside the cells of `grid`
_MAX_NAMED_POINTS = 12


def bars(rows: Sequence[tuple[str, float, str]], x: str, *, share: bool = False) -> str:
    """Draw bars of (name, length, number as text) in the given order, with the number at the end of each bar."""
    values = [{"name": shorten(name), "value": value, "text": text} for name, value, text in rows]
    names, lengths = [shorten(row[0]) for row in rows], [row[1] for row in rows]
    base = alt.Chart(data_of(values)).encode(level_axis(names))
    width = plot_width(_longest(names))
    scale = alt.Scale(domain=_bar_domain(lengths, _longest([row[2] for row in rows]), width), nice=False)
    axis = alt.X("value:Q", title=x, scale=scale, axis=number_axis(share=share, tickCount=4))
    beside: dict[str, Any] = {
        "align": alt.expr("datum.value < 0 ? 'right' : 'left'"),
        "dx": alt.expr("datum.value < 0 ? -4 : 4"),
    }
    text = base.mark_text(baseline="middle", **beside).encode(axis, text="text:N")
    return to_svg(base.mark_bar(cornerRadiusEnd=2).encode(axis) + text, levels=len(values), letters=_longest(names))


def _bar_domain(lengths: Sequence[float], letters: int, width: float) -> list[float]:
    """Return the ends of an axis with room for the numbers beyond the ends of the bars."""
    low, high = min([*lengths, 0.0]), max([*lengths, 0.0])
    pixels = letters * (LETTER_WIDTH + SPARE_WIDTH) + 8
    room = (high - low or 1.0) * pixels / max(width - (2 if low < 0 else 1) * pixels, pixels)
    return [low - room if low < 0 else low, high + room]


def dots(
    rows: Sequence[Point],
    x: str,
    *,
    sort: bool = False,
    rule: float | None = None,
    share: bool = False,
    from_zero: bool = False,
) -> str:
    """Draw a point with its interval per level; `sort` puts the largest first, `rule` draws a vertical line."""
    ordered = sorted(rows, key=lambda row: -row[1]) if sort else list(rows)
    names, series = _unique(shorten(row[0]) for row in ordered), _unique(row[4] for row in ordered)
    base = alt.Chart(data_of(list(map(_point_values, ordered)))).encode(level_axis(names))
    # The padding keeps the first point off the names of the levels.
    scale = alt.Scale(zero=True) if from_zero else alt.Scale(zero=False, padding=8)
    axis = alt.X("value:Q", title=x, scale=scale, axis=number_axis(share=share, tickCount=4))
    color = color_scale(series)
    # Intervals of two series would cover each other, so they go on lines of their own.
    apart = len(series) > 1 and any(row[2] is not None for row in rows)
    offset = {"yOffset": alt.YOffset("series:N", sort=series)} if apart else {}
    line = base.mark_rule(strokeWidth=2).encode(alt.X("low:Q"), alt.X2("high:Q"), color=color, **offset)
    point = base.mark_point(filled=True, size=55, opacity=1)
    drawn = line + point.encode(axis, color=color, shape=series_shape(series), **offset)
    if rule is not None:
        drawn = alt.Chart(data_of([{"at": rule}])).mark_rule(color=INK, opacity=0.5).encode(x="at:Q") + drawn
    return to_svg(drawn, levels=len(names) * (1.4 if apart else 1), letters=_longest(names))


def _point_values(row: Point) -> dict[str, Any]:
    name, value, low, high, series = row
    ends = {"low": value if low is None else low, "high": value if high is None else high}
    return {"name": shorten(name), "value": value, "series": series, **ends}


def levels(
    rows: Sequence[tuple[str, float, float | None, float | None, float, str]], x: str, *, sort: bool = False
) -> str:
    """Draw (level, mean, low, high, share of rows, mean as text): the share, and beside it the mean with interval."""
    ordered = sorted(rows, key=lambda row: -row[1]) if sort else list(rows)
    names = [shorten(row[0], _MAX_LEVEL_LETTERS) for row in ordered]
    values = [
        {
            **_point_values((name, *row[1:4], "")),
            "share": row[4],
            "percent": f"{row[4]:.0%}" if row[4] >= 0.005 or not row[4] else "<1%",
            "text": row[5],
        }
        for name, row in zip(names, ordered, strict=True)
    ]
    base, height = alt.Chart(data_of(values)), max(24 * len(values), 48)
    width = max(WIDTH - 34 - _longest(names) * (LETTER_WIDTH + SPARE_WIDTH) - _SHARES_WIDTH - _NUMBERS_WIDTH, 0)
    width = max(width, _MIN_MEANS_WIDTH)
    parts = (
        _share_part(base, names, max(row[4] for row in ordered)).properties(width=_SHARES_WIDTH, height=height),
        _mean_part(base, names, x, width).properties(width=width, height=height),
    )
    return to_svg(alt.hconcat(*parts), letters=_longest(names))


def _share_part(base: alt.Chart, names: Sequence[str], largest: float) -> Any:
    scale = alt.Scale(domain=[0, largest * 1.9], nice=False)  # room for the numbers
    # Invisible labels keep the titles of both parts at one height.
    blank = alt.Axis(labelOpacity=0, ticks=False, grid=False)
    named = base.encode(level_axis(names), alt.X("share:Q", title="rows (%)", scale=scale, axis=blank))
    return named.mark_bar(color=INK, opacity=0.35) + named.mark_text(align="left", dx=3).encode(text="percent:N")


def _mean_part(base: alt.Chart, names: Sequence[str], x: str, width: float) -> Any:
    bare = alt.Y("name:N", title=None, sort=list(names), axis=None)
    axis = alt.X("value:Q", title=x, scale=alt.Scale(zero=False), axis=number_axis(tickCount=3))
    line = base.mark_rule(strokeWidth=2, color=BLUE).encode(bare, alt.X("low:Q"), alt.X2("high:Q"))
    point = base.mark_point(filled=True, size=55, opacity=1, color=BLUE).encode(bare, axis)
    return line + point + base.mark_text(align="left").encode(bare, x=alt.value(width + 5), text="text:N")


def ranges(rows: Sequence[tuple[str, float, str]], x: str, *, share: bool = False) -> str:
    """Draw points of (level, value, series), to compare two or three numbers of each level."""
    return dots([(name, value, None, None, series) for name, value, series in rows], x, share=share, from_zero=share)


def histogram(edges: Sequence[float], rows: Sequence[int], x: str, *, log: bool, mark: tuple[float, str]) -> str:
    """Draw the share of the rows in each bin, with a vertical line at (position, label)."""
    total = sum(rows) or 1
    bins = zip(edges[:-1], edges[1:], rows, strict=True)
    values = [{"from": low, "to": high, "share": count / total} for low, high, count in bins]
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(nice=False, zero=False)
    axis = alt.X("from:Q", title=x, scale=scale, axis=number_axis(tickCount=5, grid=False))
    # The label of the mark stands above the highest bar.
    tall = alt.Scale(domain=[0, 1.15 * max(rows) / total])
    up = alt.Y("share:Q", title="share of rows", scale=tall, axis=alt.Axis(format="~%", tickCount=4))
    boxes: Any = alt.Chart(data_of(values)).mark_rect(stroke=None, color=BLUE)
    marked = alt.Chart(data_of([{"at": mark[0], "name": mark[1]}])).encode(alt.X("at:Q", title=x, scale=scale))
    line = marked.mark_rule(color=ORANGE, strokeWidth=2)
    label = marked.mark_text(align="left", dx=5, baseline="top", y=0).encode(text="name:N")
    drawn = boxes.encode(axis, alt.X2("to:Q"), up, y2=alt.datum(0)) + line + label
    return to_svg(drawn.properties(height=190))


def curve(
    rows: Sequence[tuple[float | str, float, float | None, float | None, str]],
    x: str,
    y: str,
    *,
    share: bool = False,
    mark: tuple[float, float, str] | None = None,
) -> str:
    """Draw lines of (position, value, low, high, series), with bands where there are intervals."""
    values = [{"x": a, "y": b, "low": c, "high": d, "series": s} for a, b, c, d, s in rows]
    base = alt.Chart(data_of(values)).encode(_curve_axis(rows, x, share=share))
    up = alt.Y("y:Q", title=y, scale=alt.Scale(zero=share), axis=number_axis(up=True, share=share, tickCount=5))
    color = color_scale(_unique(row[4] for row in rows))
    drawn: Any = base.mark_line(strokeWidth=2.5).encode(up, color=color)
    if all(row[2] is not None for row in rows):
        drawn = base.mark_area(opacity=0.25).encode(alt.Y("low:Q", title=y), alt.Y2("high:Q"), color=color) + drawn
    if share:
        drawn = drawn + _diagonal(0, 1, x, y)
    if mark:
        at = alt.Chart(data_of([{"x": mark[0], "y": mark[1], "name": mark[2]}])).encode(
            alt.X("x:Q", title=x), alt.Y("y:Q", title=y)
        )
        label = at.mark_text(align="left", baseline="top", dx=8, dy=4).encode(text="name:N")
        drawn = drawn + at.mark_point(filled=True, size=70, color=ORANGE, opacity=1) + label
    return to_svg(drawn.properties(height=210))


def _curve_axis(rows: Sequence[tuple[float | str, *tuple[Any, ...]]], x: str, *, share: bool) -> alt.X:
    if not any(isinstance(row[0], str) for row in rows):
        scale = alt.Scale(nice=False, zero=share)
        return alt.X("x:Q", title=x, scale=scale, axis=number_axis(share=share, tickCount=5))
    crowded = alt.Axis(labelOverlap=True, labelSeparation=20, labelAngle=0, grid=False)
    return alt.X("x:O", title=x, sort=_unique(str(row[0]) for row in rows), axis=crowded)


def _diagonal(low: float, high: float, x: str, y: str) -> alt.Chart:
    """Return the dashed line on which both axes show the same number."""
    line = alt.Chart(data_of([{"x": end, "y": end} for end in (low, high)]))
    drawn: alt.Chart = line.mark_line(strokeDash=[4, 4], color=INK, opacity=0.6)
    return drawn.encode(alt.X("x:Q", title=x), alt.Y("y:Q", title=y))


def grid(
    cells: Sequence[tuple[str, str, float, str]],
    x: str,
    y: str,
    color: str,
    *,
    reverse: bool = False,
    marked: tuple[str, str] | None = None,
) -> str:
    """Draw (column, row, number, number as text) as coloured cells, in the order of their first appearance."""
    values = [{**_cell_place(a, b), "value": number, "text": text} for a, b, number, text in cells]
    columns, names = _unique(str(v["x"]) for v in values), _unique(str(v["y"]) for v in values)
    column_width = (WIDTH - 56 - _longest(names) * LETTER_WIDTH) / len(columns)
    slanted = _longest(columns) * LETTER_WIDTH > column_width
    across = alt.X("x:N", title=x, sort=columns, axis=alt.Axis(labelAngle=-40 if slanted else 0, orient="bottom"))
    # The letters of a browser are wider than measured here: keep the title off the labels.
    padding = 4 + math.ceil(_longest(names) * SPARE_WIDTH)
    base = alt.Chart(data_of(values)).encode(
        across, alt.Y("y:N", title=y, sort=names, axis=alt.Axis(titlePadding=padding))
    )
    has_text = column_width >= _CELL_LETTER_WIDTH * _longest([cell[3] for cell in cells]) + 2
    drawn = _cells(base, [cell[2] for cell in cells], color, reverse=reverse, has_text=has_text)
    if marked:
        frame = base.properties(data=data_of([_cell_place(*marked)]))
        drawn = drawn + frame.mark_rect(filled=False, stroke=ORANGE, strokeWidth=3)
    return to_svg(drawn, levels=len(names), letters=_longest(names) + 3)


def _cell_place(column: str, row: str) -> dict[str, Any]:
    return {"x": shorten(column, _MAX_COLUMN_LETTERS), "y": shorten(row, _MAX_LEVEL_LETTERS)}


def _cells(base: alt.Chart, numbers: Sequence[float], color: str, *, reverse: bool, has_text: bool) -> Any:
    """Draw the cells, with numbers inside or with a legend above."""
    low, high = min(numbers), max(numbers)
    legend = alt.Legend(labelExpr=TICK_LABEL, gradientLength=200, gradientThickness=10, values=[low, high])
    scale = alt.Scale(scheme="blues", reverse=reverse, domain=[low, high])
    drawn: Any = base.mark_rect(stroke="#ffffff", strokeWidth=1).encode(
        color=alt.Color("value:Q", title=color, scale=scale, legend=None if has_text else legend)
    )
    if not has_text:
        return drawn
    dark = f"datum.value {'<' if reverse else '>'} {(low + high) / 2!r}"
    ink = alt.condition(dark, alt.value("#ffffff"), alt.value("#000000"))
    return (drawn + base.mark_text(fontSize=11).encode(text="text:N", color=ink)).properties(title=color)


def points(rows: Sequence[tuple[float, float, str]], x: str, y: str, *, diagonal: bool = False) -> str:
    """Draw points of (x, y, name), with names or with the line of equal numbers."""
    values = [{"x": a, "y": b, "name": shorten(name)} for a, b, name in rows]
    across, up = (
        alt.X("x:Q", title=x, scale=alt.Scale(zero=False), axis=number_axis(tickCount=5)),
        alt.Y("y:Q", title=y, scale=alt.Scale(zero=False), axis=number_axis(up=True, tickCount=5)),
    )
    base = alt.Chart(data_of(values)).encode(across, up)
    drawn: Any = base.mark_point(filled=True, color=BLUE, opacity=0.8, size=55)
    if diagonal:
        ends = [number for row in rows for number in row[:2]]
        drawn = _diagonal(min(ends), max(ends), x, y) + drawn
    elif len(rows) <= _MAX_NAMED_POINTS:
        drawn = drawn + base.mark_text(align="left", dx=6).encode(text="name:N")
    return to_svg(drawn.properties(height=230))


def _unique(names: Any) -> list[str]:
    return list(dict.fromkeys(names))


def _longest(texts: Sequence[str]) -> int:
    return max(map(len, texts))
