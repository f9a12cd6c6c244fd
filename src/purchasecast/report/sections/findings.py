"""The section on the findings: a card per chart, grouped by theme, and a table of further findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.formatting import compact, counted, money, number, percent
from purchasecast.report.elements import Card, Fold, Heading, Note, Related, Section, Table
from purchasecast.report.sections.findings_chart import finding_figure

if TYPE_CHECKING:
    from purchasecast.report.elements import Block
    from purchasecast.results import Finding, Insights

__all__ = ["finding_section", "theme_of"]

_TITLE, _ID = "What to do", "findings"
_LEAD = (
    "In each theme, the findings with the most certain money come first. All numbers are associations in these data, "
    "and do not prove a cause."
)
_THEMES = {
    "Where the revenue comes from": ("concentration",),
    "Which customers spend more or less": ("segment", "segment-mix", "customers"),
    "What to stock": ("inventory",),
    "Prices and reach": ("pricing", "reach"),
    "What to offer to whom": ("offer",),
}
_OTHER_THEME = "More findings"
_MAX_CARDS = 4  # per theme


def theme_of(kind: str) -> str:
    """Return the theme of a kind of findings."""
    return next((title for title, kinds in _THEMES.items() if kind in kinds), _OTHER_THEME)


def finding_section(insights: Insights | None) -> Section:
    """Show every finding with its number, what it rests on, what to do, and its limits."""
    if insights is None:
        text = "This report has no findings. Run “purchasecast insights MODEL DATA --out DIR” to compute them."
        return Section(_ID, _TITLE, _LEAD, (Note(text),))
    blocks: list[Block] = []
    for theme in (*_THEMES, _OTHER_THEME):
        findings = [finding for finding in insights.findings if theme_of(finding.kind) == theme]
        if findings:
            blocks += [Heading(theme), *_theme_blocks(findings, insights)]
    if not blocks:
        blocks.append(Note("Nothing stands out beyond what chance explains."))
    if insights.campaigns:
        blocks.append(_campaign_fold(insights))
    blocks += [Note(reason) for reason in dict.fromkeys(absent.reason for absent in insights.absent)]
    return Section(_ID, _TITLE, f"{_LEAD} {insights.computed_on}".strip(), tuple(blocks))


def _theme_blocks(findings: list[Finding], insights: Insights) -> list[Block]:
    """Return a card for each chart, and a table of the findings after the first cards."""
    # Findings on the levels of one column have the same chart, which is shown once.
    by_chart: dict[Any, list[Finding]] = {}
    for finding in findings:
        chart = finding.chart
        by_chart.setdefault((chart.title, chart.rows) if chart else finding.id, []).append(finding)
    groups = list(by_chart.values())
    blocks: list[Block] = [_card(group, insights) for group in groups[:_MAX_CARDS]]
    rest = [finding for group in groups[_MAX_CARDS:] for finding in group]
    if rest:
        rows = tuple((one.claim, one.action, _stake(one, insights)) for one in rest)
        table = Table("Further findings of this theme", ("finding", "action", "at stake"), rows, names=3)
        blocks.append(Fold(f"{counted(len(rest), 'more finding')} of this theme", (table,)))
    return blocks


def _campaign_fold(insights: Insights) -> Fold:
    rows = tuple(
        (
            one.title,
            ", ".join(one.files),
            f"{one.rows:,}",
            "" if one.expected_revenue is None else money(one.expected_revenue, insights.money_unit),
        )
        for one in insights.campaigns
    )
    table = Table("Lists and tables", ("list", "files", "lines", "expected revenue"), rows, names=2)
    return Fold(f"{counted(len(rows), 'list or table', 'lists and tables')}, ready to use", (table,))


def _card(group: list[Finding], insights: Insights) -> Card:
    """Return the card of the first finding, with the others that share its chart."""
    first, *others = group
    facts = [] if first.money is None else [("At stake", _stake(first, insights))]
    facts += [("Value", _value(first, insights)), ("Based on", _support(first))]
    if first.q_value is not None:
        facts.append(("False findings", f"{_false_share(first.q_value)} of findings this certain"))
    figure = finding_figure(first.chart) if first.chart and first.chart.rows else None
    related = tuple(Related(one.id, one.claim, _short_facts(one, insights), one.action) for one in others)
    return Card(first.id, first.claim, tuple(facts), first.action, first.method, first.caveat, figure, related)


def _short_facts(finding: Finding, insights: Insights) -> tuple[str, ...]:
    facts = [] if finding.money is None else [_stake(finding, insights)]
    facts.append(_support(finding))
    if finding.q_value is not None:
        facts.append(f"false findings: {_false_share(finding.q_value)}")
    return tuple(facts)


def _stake(finding: Finding, insights: Insights) -> str:
    if finding.money is None:
        return ""
    return f"{money(finding.money, insights.money_unit)}{f': {finding.stake}' if finding.stake else ''}"


def _support(finding: Finding) -> str:
    customers = finding.support.customers
    return f"{finding.support.rows:,} rows" + ("" if customers is None else f" of {customers:,} customers")


def _false_share(q_value: float) -> str:
    return "below 0.1%" if q_value < 0.001 else f"at most {percent(q_value)}"


def _value(finding: Finding, insights: Insights) -> str:
    """Write the number of a finding with its interval and unit."""
    is_share = finding.unit.startswith("share")
    is_money = (insights.money_unit or "") in finding.unit
    write = percent if is_share else compact if is_money else number
    unit = finding.unit.removeprefix("share").strip()
    value = f"{write(finding.value)} {unit}".strip()
    if not finding.interval:
        return value
    low, high = map(write, finding.interval)
    return f"{value} ({insights.level:.0%} interval {low} to {high})"
