"""The section that shows what was found: themes, a card a picture, and in a table what comes after the first cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.formatting import compact, money, number, percent
from purchasecast.report.elements import Card, Fold, Heading, Note, Related, Section, Table
from purchasecast.report.sections.findings_chart import figure_of

if TYPE_CHECKING:
    from purchasecast.results import Finding, Insights

__all__ = ["finding_section", "theme_of"]

_TITLE, _ID = "What to do", "findings"
_LEAD = (
    "Within a theme most money first, weighed by how certain it is. Every number is an association in these data, not "
    "a proof of cause."
)
_THEMES = (
    ("Where the revenue is", ("concentration",)),
    ("Who spends more, who less", ("segment", "segment-mix", "customers")),
    ("What to stock", ("inventory",)),
    ("Prices and reach", ("pricing", "reach")),
    ("Whom to offer what", ("offer",)),
)
_OTHERS = "More"
_MOST_CARDS = 4  # of a theme


def theme_of(kind: str) -> str:
    """Return the theme under which a kind of finding stands."""
    return next((title for title, kinds in _THEMES if kind in kinds), _OTHERS)


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
    blocks: list[Any] = []
    for title in (*[title for title, _ in _THEMES], _OTHERS):
        found = [finding for finding in insights.findings if theme_of(finding.kind) == title]
        if found:
            blocks += [Heading(title), *_theme(found, insights)]
    if not blocks:
        blocks.append(Note("Nothing was found that stands out beyond chance."))
    if insights.campaigns:
        blocks.append(_lists(insights))
    blocks += [Note(reason) for reason in dict.fromkeys(absent.reason for absent in insights.absent)]
    return Section(_ID, _TITLE, f"{_LEAD} {insights.computed_on}".strip(), tuple(blocks))


def _theme(found: list[Finding], insights: Insights) -> list[Card | Fold]:
    """Return a card for each picture, and a table of the findings past the first cards."""
    by_picture: dict[Any, list[Finding]] = {}
    for finding in found:
        chart = finding.chart
        by_picture.setdefault((chart.title, chart.rows) if chart else finding.id, []).append(finding)
    groups = list(by_picture.values())
    blocks: list[Card | Fold] = [_card(group, insights) for group in groups[:_MOST_CARDS]]
    rest = [finding for group in groups[_MOST_CARDS:] for finding in group]
    if rest:
        rows = tuple((one.claim, one.action, _stake(one, insights)) for one in rest)
        table = Table("Further findings of this theme", ("finding", "what to do", "at stake"), rows, names=3)
        blocks.append(Fold(f"{len(rest)} more of this theme", (table,)))
    return blocks


def _lists(insights: Insights) -> Fold:
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
    return Fold(f"{len(rows)} lists and tables, ready to use", (table,))


def _card(group: list[Finding], insights: Insights) -> Card:
    """Return the card of a finding, with the others that its picture shows."""
    first, *others = group
    facts = [("Number", _value(first, insights)), ("Support", _support(first))]
    if first.money is not None:
        facts.insert(0, ("At stake", _stake(first, insights)))
    if first.q_value is not None:
        facts.append(("False finds", f"{_chance(first.q_value)} of finds as certain as this"))
    figure = figure_of(first.chart) if first.chart and first.chart.rows else None
    related = tuple(Related(one.id, one.claim, _brief_facts(one, insights), one.action) for one in others)
    return Card(first.id, first.claim, tuple(facts), first.action, first.method, first.caveat, figure, related)


def _brief_facts(finding: Finding, insights: Insights) -> tuple[str, ...]:
    facts = [] if finding.money is None else [f"{_stake(finding, insights)}"]
    facts.append(_support(finding))
    return (*facts, *([] if finding.q_value is None else [f"false finds: {_chance(finding.q_value)}"]))


def _stake(finding: Finding, insights: Insights) -> str:
    if finding.money is None:
        return ""
    return f"{money(finding.money, insights.money_unit)}{f': {finding.stake}' if finding.stake else ''}"


def _support(finding: Finding) -> str:
    customers = finding.support.customers
    return f"{finding.support.rows:,} rows" + ("" if customers is None else f" of {customers:,} customers")


def _chance(q_value: float) -> str:
    return "below 0.1%" if q_value < 0.001 else f"at most {percent(q_value)}"


def _value(finding: Finding, insights: Insights) -> str:
    """Write a finding's number with its interval and unit."""
    is_share = finding.unit.startswith("share")
    unit = finding.unit.removeprefix("share").strip()
    write = percent if is_share else compact if (insights.money_unit or "") in finding.unit else number
    level = f"{insights.level:.0%} interval "
    ends = f" ({level}{write(finding.interval[0])} to {write(finding.interval[1])})" if finding.interval else ""
    return f"{write(finding.value)} {unit}".strip() + ends
