"""A finding's chart, as data, becomes a figure of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.formatting import brief, number, percent
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Table

if TYPE_CHECKING:
    from purchasecast.results import Chart

__all__ = ["figure_of"]


def figure_of(chart: Chart) -> Figure:
    """Return the picture of a chart, with its numbers as a table.

    Parameters
    ----------
    chart : Chart
        The data; it has rows.

    Returns
    -------
    Figure
        Drawn.
    """
    rows = [dict(zip(chart.columns, row, strict=True)) for row in chart.rows]
    table = Table(
        chart.title,
        chart.columns,
        tuple(tuple(_text(value, name) for name, value in row.items()) for row in rows),
        names=sum(isinstance(value, str) for value in chart.rows[0]),
    )
    return Figure(chart.title, _draw(chart, rows), table)


def _text(value: str | float | None, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return percent(value) if "share" in name else number(value)


def _draw(chart: Chart, rows: list[dict[str, Any]]) -> str:
    """Hand a chart to the function that draws its kind."""
    is_text = {name: all(isinstance(row[name], str) for row in rows) for name in (chart.x, chart.y)}
    measure, name = (chart.x, chart.y) if is_text[chart.y] else (chart.y, chart.x)
    axis = f"{measure} ({chart.unit})" if chart.unit and chart.unit not in measure else measure
    share = "share" in measure
    if chart.kind == "bar":
        write = percent if share else brief
        return charts.bars(
            [(str(row[name]), float(row[measure]), write(row[measure])) for row in rows], axis, share=share
        )
    if chart.kind == "interval":
        rule = 0.0 if any(row["low"] < 0 for row in rows) else None
        return charts.dots(
            [(str(r[name]), float(r[measure]), r["low"], r["high"], str(r.get("series", ""))) for r in rows],
            axis,
            rule=rule,
            share=share,
        )
    if chart.kind == "heatmap":
        value = chart.columns[-1]
        cells = [(str(r[chart.x]), str(r[chart.y]), float(r[value]), brief(r[value])) for r in rows]
        return charts.grid(cells, chart.x, chart.y, f"{value} ({chart.unit})" if chart.unit else value)
    if chart.kind == "line":
        lines = [(r[chart.x], float(r[chart.y]), None, None, str(r.get("series", ""))) for r in rows]
        share = share and "share" in chart.x
        up = f"{chart.y} ({chart.unit})" if chart.unit else chart.y
        return charts.curve(lines, chart.x, up, share=share)
    others = [column for column in chart.columns if column not in {chart.x, chart.y}]
    label = others[0] if others else chart.x
    return charts.points([(float(r[chart.x]), float(r[chart.y]), str(r[label])) for r in rows], chart.x, chart.y)
