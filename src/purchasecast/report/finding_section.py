"""The section that shows what was found, one card a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast._words import money, number, percent
from purchasecast.report import charts
from purchasecast.report.parts import Card, Figure, Fold, Note, Section, Table

if TYPE_CHECKING:
    from purchasecast.finding import Chart, Finding, Insights

__all__ = ["finding_section", "summary_sentences"]

_TITLE, _ID = "What to do", "findings"
_LEAD = "Ranked by money and certainty. Every number is an association in this data and not a proof of cause."
_MOST_SUMMARY = 4


def summary_sentences(insights: Insights | None) -> tuple[str, ...]:
    """Return the claims that a manager reads first."""
    if insights is None:
        return ()
    shown = insights.findings[:_MOST_SUMMARY]
    unit = insights.money_unit
    return tuple(f"{one.claim}{f' At stake: {money(one.money, unit)}.' if one.money else ''}" for one in shown)


def finding_section(insights: Insights | None) -> Section:
    """Show every finding with its number, its support, what to do and what it does not say.

    Parameters
    ----------
    insights : Insights or None
        The findings of a run.

    Returns
    -------
    Section
        With a sentence instead of cards where there are none.
    """
    if insights is None:
        text = "No findings were handed to this report; “purchasecast insights MODEL --out DIR” makes them."
        return Section(_ID, _TITLE, _LEAD, (Note(text),))
    drawn: set[tuple[Any, ...]] = set()
    blocks: list[Any] = [_card(finding, insights, drawn) for finding in insights.findings]
    if not blocks:
        blocks.append(Note("Nothing was found that stands out beyond chance."))
    if insights.campaigns:
        rows = tuple(
            (
                one.title,
                f"{one.rows:,}",
                "" if one.expected_revenue is None else money(one.expected_revenue, insights.money_unit),
                ", ".join(one.files),
            )
            for one in insights.campaigns
        )
        table = Table("Target lists", ("list", "lines", "expected revenue", "files"), rows)
        blocks.append(Fold(f"{len(rows)} target lists, ready to use", (table,)))
    blocks += [Note(absent.reason) for absent in insights.absent]
    return Section(_ID, _TITLE, f"{_LEAD} {insights.computed_on}".strip(), tuple(blocks))


def _card(finding: Finding, insights: Insights, drawn: set[tuple[Any, ...]]) -> Card:
    """Return a finding's card; a picture that an earlier card has is named, not drawn again."""
    support = f"{finding.support.rows:,} rows"
    if finding.support.customers is not None:
        support += f" of {finding.support.customers:,} customers"
    is_share = "share" in finding.unit
    value = percent(finding.value) if is_share else number(finding.value)
    if finding.interval:
        low, high = (percent(end) if is_share else number(end) for end in finding.interval)
        value += f" ({low} to {high})"
    value += (
        f" {finding.unit.removeprefix('share').strip()}" if finding.unit.startswith("share") else f" {finding.unit}"
    )
    facts = [("Number", value.strip()), ("Support", support)]
    if finding.money is not None:
        facts.append(("At stake", money(finding.money, insights.money_unit)))
    if finding.q_value is not None:
        chance = "below 0.1%" if finding.q_value < 0.001 else percent(finding.q_value)
        facts.append(("Chance of a false find", chance))
    figure = None
    if finding.chart and finding.chart.rows:
        picture = (finding.chart.title, finding.chart.rows)
        if picture in drawn:
            facts.append(("Picture", f"above: {finding.chart.title}"))
        else:
            drawn.add(picture)
            figure = _figure(finding.chart)
    return Card(finding.id, finding.claim, tuple(facts), finding.action, finding.method, finding.caveat, figure)


def _figure(chart: Chart) -> Figure:
    rows = [dict(zip(chart.columns, row, strict=True)) for row in chart.rows]
    table = Table(
        chart.title,
        chart.columns,
        tuple(tuple(_text(value) for value in row) for row in chart.rows),
        names=sum(isinstance(value, str) for value in chart.rows[0]),
    )
    return Figure(chart.title, _draw(chart, rows), table)


def _text(value: str | float | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else number(value)


def _draw(chart: Chart, rows: list[dict[str, Any]]) -> str:
    """Hand a finding's chart to the function that draws its kind."""
    is_text = {name: all(isinstance(row[name], str) for row in rows) for name in (chart.x, chart.y)}
    measure, name = (chart.x, chart.y) if is_text[chart.y] else (chart.y, chart.x)
    axis = f"{measure} ({chart.unit})" if chart.unit and chart.unit not in measure else measure
    if chart.kind == "bar":
        return charts.bars([(str(row[name]), float(row[measure]), number(row[measure])) for row in rows], axis)
    if chart.kind == "interval":
        return charts.dots(
            [(str(r[name]), float(r[measure]), r["low"], r["high"], str(r.get("series", ""))) for r in rows], axis
        )
    if chart.kind == "heatmap":
        value = chart.columns[-1]
        cells = [(str(r[chart.x]), str(r[chart.y]), float(r[value]), _brief(r[value])) for r in rows]
        return charts.grid(cells, chart.x, chart.y, f"{value} ({chart.unit})" if chart.unit else value)
    if chart.kind == "line":
        lines = [(r[chart.x], float(r[chart.y]), None, None, str(r.get("series", ""))) for r in rows]
        share = "share" in chart.x and "share" in chart.y
        up = f"{chart.y} ({chart.unit})" if chart.unit else chart.y
        return charts.curve(lines, chart.x, up, share=share)
    others = [column for column in chart.columns if column not in {chart.x, chart.y}]
    label = others[0] if others else chart.x
    return charts.points([(float(r[chart.x]), float(r[chart.y]), str(r[label])) for r in rows], chart.x, chart.y)


def _brief(value: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return number(value)
