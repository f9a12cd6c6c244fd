"""The sections on the findings: decisions by gain, and descriptions of the shop by theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.formatting import compact, counted, money, number, percent
from purchasecast.report.elements import Card, Fold, Heading, Note, Related, Section, Table
from purchasecast.report.sections.findings_chart import finding_figure

if TYPE_CHECKING:
    from purchasecast.report.elements import Block
    from purchasecast.results import Finding, Insights

__all__ = ["decision_section", "description_section", "gain_of", "theme_of"]

_LEAD = "The largest certain gain comes first in each theme. Start each action with a control group, and measure it."
_SHOP_LEAD = "All numbers describe these data. They are associations, and do not prove a cause."
_THEMES = {
    "How revenue develops": ("trend", "season", "growth"),
    "What to offer to whom": ("offer",),
    "What to stock": ("inventory",),
    "Which customers to contact": ("customers", "leaving"),
    "Where the revenue comes from": ("concentration",),
    "Which customers spend more or less": ("segment", "segment-mix"),
    "Prices and reach": ("pricing", "reach"),
}
_OTHER_THEME = "More findings"
_MAX_CARDS = 4  # per theme


def theme_of(kind: str) -> str:
    """Return the theme of a kind of findings."""
    return next((title for title, kinds in _THEMES.items() if kind in kinds), _OTHER_THEME)


def decision_section(insights: Insights | None) -> Section:
    """Show every decision: who does what by when, the gain to expect, and how it was checked."""
    title, section_id = "What to do", "findings"
    if insights is None:
        text = "This report has no findings. Run “purchasecast insights MODEL DATA --out DIR” to compute them."
        return Section(section_id, title, _LEAD, (Note(text),))
    decisions = [finding for finding in insights.findings if finding.is_decision]
    blocks = _by_theme(decisions, insights) or [Note("No action promises a gain beyond what chance explains.")]
    if insights.campaigns:
        blocks.append(_campaign_fold(insights))
    blocks += [Note(reason) for reason in dict.fromkeys(absent.reason for absent in insights.absent)]
    return Section(section_id, title, f"{_LEAD} {insights.computed_on}".strip(), tuple(blocks))


def description_section(insights: Insights | None) -> Section | None:
    """Show what describes the shop; None where there is nothing."""
    if insights is None:
        return None
    descriptions = [finding for finding in insights.findings if not finding.is_decision]
    blocks = _by_theme(descriptions, insights)
    return Section("shop", "Know your shop", _SHOP_LEAD, tuple(blocks)) if blocks else None


def _by_theme(findings: list[Finding], insights: Insights) -> list[Block]:
    blocks: list[Block] = []
    for theme in (*_THEMES, _OTHER_THEME):
        own = [finding for finding in findings if theme_of(finding.kind) == theme]
        if own:
            blocks += [Heading(theme), *_theme_blocks(own, insights)]
    return blocks


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
        decisions = any(one.is_decision for one in rest)
        columns = ("finding", "action", "gain to expect") if decisions else ("finding",)
        rows = tuple((one.claim, one.action, _gain(one, insights))[: len(columns)] for one in rest)
        table = Table("Further findings of this theme", columns, rows, names=len(columns))
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
    facts = [("Gain to expect", _gain(first, insights)), ("Who", first.who), ("When", first.when)]
    facts += [("Checked", first.checked), ("Wrong if", first.wrong_if)]
    facts = [fact for fact in facts if fact[1]]
    facts += [("Value", _value(first, insights)), ("Based on", _support(first))]
    if first.q_value is not None:
        facts.append(("False findings", f"{_false_share(first.q_value)} of findings this certain"))
    figure = finding_figure(first.chart) if first.chart and first.chart.rows else None
    related = tuple(Related(one.id, one.claim, _short_facts(one, insights), one.action) for one in others)
    return Card(first.id, first.claim, tuple(facts), first.action, first.method, first.caveat, figure, related)


def _short_facts(finding: Finding, insights: Insights) -> tuple[str, ...]:
    facts = [] if finding.money is None else [_gain(finding, insights)]
    facts.append(_support(finding))
    if finding.q_value is not None:
        facts.append(f"false findings: {_false_share(finding.q_value)}")
    return tuple(facts)


def _gain(finding: Finding, insights: Insights) -> str:
    if finding.money is None:
        return ""
    text = gain_of(finding, insights)
    return f"{text}: {finding.stake}" if finding.stake else text


def gain_of(finding: Finding, insights: Insights) -> str:
    """Write the gain to expect with its interval."""
    text = money(finding.money or 0.0, insights.money_unit)
    if finding.money_interval is None:
        return text
    low, high = map(compact, finding.money_interval)
    return f"{text} ({insights.level:.0%} interval {low} to {high})"


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
