"""Draw the chart of a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.formatting import number, percent, short, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Table

if TYPE_CHECKING:
    from purchasecast.results import Chart

__all__ = ["finding_figure"]


def finding_figure(chart: Chart) -> Figure:
    """Return the figure of a chart that has rows, with its numbers as a table."""
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
    """Draw a chart by its kind."""
    # Either axis may hold the levels; the other one is the measure.
    has_levels_up = all(isinstance(row[chart.y], str) for row in rows)
    measure, level = (chart.x, chart.y) if has_levels_up else (chart.y, chart.x)
    is_share = "share" in measure
    title = measure if chart.unit and chart.unit in measure else with_unit(measure, chart.unit)
    if chart.kind == "bar":
        write = percent if is_share else short
        return charts.bars([(str(r[level]), float(r[measure]), write(r[measure])) for r in rows], title, share=is_share)
    if chart.kind == "interval":
        rule = 0.0 if any(row["low"] < 0 for row in rows) else None
        points = [(str(r[level]), float(r[measure]), r["low"], r["high"], str(r.get("series", ""))) for r in rows]
        return charts.dots(points, title, rule=rule, share=is_share)
    if chart.kind == "heatmap":
        value = chart.columns[-1]
        cells = [(str(r[chart.x]), str(r[chart.y]), float(r[value]), short(r[value])) for r in rows]
        return charts.grid(cells, chart.x, chart.y, with_unit(value, chart.unit))
    if chart.kind == "line":
        lines = [(r[chart.x], float(r[chart.y]), None, None, str(r.get("series", ""))) for r in rows]
        share = "share" in chart.y and "share" in chart.x
        return charts.curve(lines, chart.x, with_unit(chart.y, chart.unit), share=share)
    others = [column for column in chart.columns if column not in {chart.x, chart.y}]
    label = others[0] if others else chart.x
    return charts.points([(float(r[chart.x]), float(r[chart.y]), str(r[label])) for r in rows], chart.x, chart.y)
