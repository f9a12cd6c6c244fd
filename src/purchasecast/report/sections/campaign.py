"""The page of a `Measurement`: whether the campaign has worked, whether it paid, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import compact, counted, money, number, percent, span, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Note, Page, Section, Summary, Table, Tile

if TYPE_CHECKING:
    from purchasecast.report.elements import Block
    from purchasecast.results import Measurement

__all__ = ["measurement_page"]

_MAX_SEGMENTS = 20


def measurement_page(measured: Measurement, footer: str) -> Page:
    """Return the page of a measured campaign."""
    return Page(
        title="Campaign results",
        subtitle="What the campaign has changed, by comparison with customers who were left alone",
        summaries=(Summary("Did it work?", tuple(measured.sentences())),),
        actions=(),
        tiles=_tiles(measured),
        sections=tuple(filter(None, (_lift_section(measured), _segment_section(measured)))),
        footer=footer,
    )


def _tiles(measured: Measurement) -> tuple[Tile, ...]:
    main = measured.main
    lift = "-" if main.lift is None else percent(main.lift)
    ends = "" if main.lift_interval is None else f"{percent(main.lift_interval[0])} to {percent(main.lift_interval[1])}"
    low, high = measured.profit_interval
    return (
        Tile("Contacted", f"{measured.contacted:,}", "customers compared"),
        Tile("Left alone", f"{measured.control:,}", "customers of the control group"),
        Tile("Lift", lift, ends),
        Tile("Profit", money(measured.profit, measured.money), f"{compact(low)} to {compact(high)}"),
        Tile("Cost", money(measured.cost, measured.money)),
    )


def _lift_section(measured: Measurement) -> Section:
    headers = ("per customer", "contacted", "control", "difference", "interval", "lift", "interval of the lift")
    rows = tuple(
        (
            with_unit(one.label, measured.money if one.is_money else None),
            number(one.contacted),
            number(one.control),
            number(one.difference),
            span(*one.interval),
            "-" if one.lift is None else percent(one.lift),
            "-" if one.lift_interval is None else " to ".join(map(percent, one.lift_interval)),
        )
        for one in measured.lifts
    )
    how = (
        "Both groups are compared as they were planned, whoever was contacted indeed, and adjusted for what the plan "
        f"expected of each customer. The intervals have a level of {percent(measured.level)}."
    )
    lead = f"{counted(measured.outside, 'purchase')} of customers outside the plan are not counted."
    blocks: list[Block] = [Table("What the campaign has changed", headers, rows), Note(how)]
    points = [
        (one.label, one.lift, *one.lift_interval, "")
        for one in measured.lifts
        if one.lift is not None and one.lift_interval is not None
    ]
    if points:
        shares = tuple((name, percent(lift), percent(low), percent(high)) for name, lift, low, high, _ in points)
        title = f"The lift of the {points[0][0]} is {percent(points[0][1])}"
        table = Table("Lift", ("outcome", "lift", "low", "high"), shares)
        blocks.insert(0, Figure(title, charts.dots(points, "lift", share=True, rule=0.0), table))
    return Section("lift", "Lift", lead, tuple(blocks))


def _segment_section(measured: Measurement) -> Section | None:
    if not measured.segments:
        return None
    headers = ("segment", "contacted", "control", "difference", "interval", "p", "adjusted p")
    rows = tuple(
        (
            f"{one.by}: {one.level}",
            f"{one.contacted:,}",
            f"{one.control:,}",
            number(one.difference),
            span(*one.interval),
            f"{one.p_value:.3f}",
            f"{one.adjusted_p_value:.3f}",
        )
        for one in measured.segments
    )
    shown = sorted(measured.segments, key=lambda one: -one.difference)[:_MAX_SEGMENTS]
    points = [(f"{one.by}: {one.level}", one.difference, *one.interval, "") for one in shown]
    axis = with_unit("revenue per customer, difference", measured.money)
    table = Table(with_unit("Lift by segment", measured.money), headers, rows)
    note = "Where intervals overlap, the segments need not differ."
    figure = Figure(
        f"{shown[0].by} {shown[0].level} has the largest difference", charts.dots(points, axis, rule=0.0), note=note
    )
    lead = (
        "A segment has shown a lift where its adjusted p, which holds for all segments together, is below "
        f"{percent(1 - measured.level)}. {counted(measured.segments_left_out, 'segment')} with fewer than 20 customers "
        "in a group are left out."
    )
    return Section("segments", "Segments", lead, (figure, table))
