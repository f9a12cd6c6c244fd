"""The page that shows a `DriftReport`: what moved, what held, and every column before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import counted, money, number, percent
from purchasecast.report import charts
from purchasecast.report.elements import Brief, Figure, Fold, Note, Page, Section, Table, Tile

if TYPE_CHECKING:
    from purchasecast.results import ColumnDrift, DriftReport
    from purchasecast.schema import Schema

__all__ = ["drift_page"]

_MOST_LEVELS = 21  # in one picture
_MOST_PICTURES = 12


def drift_page(found: DriftReport, schema: Schema, footer: str) -> Page:
    """Return the page of a comparison.

    Parameters
    ----------
    found : DriftReport
        What `purchasecast.monitoring.monitor` returned.
    schema : Schema
        Description of the rows.
    footer : str
        Last line of the page.
    """
    alarms = found.alarms
    verdict = f"{counted(len(alarms), 'limit')} did not hold." if alarms else "All limits held: no drift was found."
    sections = [_check_section(found), _column_section(found)]
    if found.labelled:
        sections.insert(1, _error_section(found, schema))
    return Page(
        title=f"{schema.title}: drift",
        subtitle="New rows beside those that the model was trained on",
        briefs=(Brief("Has anything moved?", (verdict, *[check.sentence for check in alarms])),),
        actions=(),
        tiles=_tiles(found, schema),
        sections=tuple(sections),
        footer=footer,
    )


def _tiles(found: DriftReport, schema: Schema) -> tuple[Tile, ...]:
    tiles = [
        Tile("Rows compared", f"{found.rows:,}", f"{found.rejected:,} more rejected"),
        Tile("Limits that held", f"{len(found.checks) - len(found.alarms)} of {len(found.checks)}"),
        Tile("Mean prediction", money(found.mean_prediction, schema.money)),
    ]
    if "coverage" in found.figures:
        tiles.append(Tile("Inside their intervals", percent(found.figures["coverage"]), "of the targets"))
    return tuple(tiles)


def _check_section(found: DriftReport) -> Section:
    rows = tuple(
        ("held" if check.held else "NOT HELD", check.sentence, number(check.value), number(check.limit))
        for check in found.checks
    )
    blocks: list[Table | Note] = [
        Table("Every limit, those that did not hold first", ("", "what", "found", "limit"), rows, 2)
    ]
    counted = [(name, f"{count:,}", percent(count / found.rows)) for name, count in found.unseen.items()]
    if counted:
        blocks.append(Table("Rows whose level training has not seen", ("column", "rows", "share"), tuple(counted)))
    blocks += [Note(f"Not compared: {sentence}.") for sentence in found.skipped]
    lead = "A column has moved where its index is past the limit, and past what chance makes of samples of this size."
    return Section("checks", "What held", lead, tuple(blocks))


def _error_section(found: DriftReport, schema: Schema) -> Section:
    figures = found.figures
    names = (("rmse", f"error (RMSE), {schema.money or 'as the target'}"), ("bias", "prediction less target, mean"))
    rows = [(label, number(figures[key]), _or_dash(figures.get(f"holdout_{key}"))) for key, label in names]
    if "coverage" in figures:
        before = figures.get("holdout_coverage")
        rows.append(("inside the intervals", percent(figures["coverage"]), "-" if before is None else percent(before)))
    table = Table("Errors on these rows beside those of the holdout", ("figure", "now", "holdout"), tuple(rows))
    return Section("errors", "Errors", "The rows have the target, so predictions can be held against it.", (table,))


def _or_dash(value: float | None) -> str:
    return "-" if value is None else number(value)


def _column_section(found: DriftReport) -> Section:
    blocks: list[Figure | Fold | Note] = [_shift_figure(column) for column in found.columns[:_MOST_PICTURES]]
    rest = found.columns[_MOST_PICTURES:]
    if rest:
        rows = tuple((column.label, number(column.index)) for column in rest)
        blocks.append(
            Fold(f"{counted(len(rest), 'more column')}", (Table("Smaller shifts", ("column", "index"), rows),))
        )
    if not blocks:
        blocks.append(Note("There is no column to compare."))
    lead = "Share of the rows by level, in the training data and now; columns that moved most come first."
    return Section("columns", "Column by column", lead, tuple(blocks))


def _shift_figure(column: ColumnDrift) -> Figure:
    largest = sorted(column.levels, key=lambda shift: -max(shift.before, shift.after))[:_MOST_LEVELS]
    shown = [shift for shift in column.levels if shift in largest]
    drawn = [
        (shift.level, share, series)
        for shift in shown
        for series, share in (("training", shift.before), ("now", shift.after))
    ]
    rows = tuple((shift.level, percent(shift.before), percent(shift.after)) for shift in column.levels)
    most = max(column.levels, key=lambda shift: abs(shift.after - shift.before))
    title = (
        f"{column.label}: {most.level} went from {percent(most.before)} to {percent(most.after)} of the rows"
        if abs(most.after - most.before) >= 0.005
        else f"{column.label} is as it was"
    )
    return Figure(
        title,
        charts.ranges(drawn, "share of rows", share=True),
        Table(f"{column.label}, share of the rows by level", ("level", "training", "now"), rows),
        note=f"Population stability index {column.index:.3f}; by chance up to {column.chance:.3f}.",
    )
