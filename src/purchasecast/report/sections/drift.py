"""The page of a `DriftReport`: the checks, and every column before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import counted, money, number, percent, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Fold, Note, Page, Section, Summary, Table, Tile

if TYPE_CHECKING:
    from purchasecast.report.elements import Block
    from purchasecast.results import ColumnDrift, DriftReport
    from purchasecast.schema import Schema

__all__ = ["drift_page"]

_MAX_LEVELS = 21  # in one chart
_MAX_CHARTS = 12
_SAME = 0.005  # change of a share that a reader would call no change


def drift_page(report: DriftReport, schema: Schema, footer: str) -> Page:
    """Return the page of a comparison of new rows with the training data."""
    alarms = report.alarms
    verdict = f"{counted(len(alarms), 'check')} failed." if alarms else "All checks passed: no drift was found."
    sections = [_check_section(report), _column_section(report)]
    if report.labelled:
        sections.insert(1, _error_section(report, schema))
    return Page(
        title=f"{schema.title}: drift",
        subtitle="New rows compared with the training data",
        summaries=(Summary("Has anything changed?", (verdict, *[check.sentence for check in alarms])),),
        actions=(),
        tiles=_tiles(report, schema),
        sections=tuple(sections),
        footer=footer,
    )


def _tiles(report: DriftReport, schema: Schema) -> tuple[Tile, ...]:
    passed = len(report.checks) - len(report.alarms)
    tiles = [
        Tile("Rows compared", f"{report.rows:,}", f"and {report.rejected:,} rejected"),
        Tile("Checks passed", f"{passed} of {len(report.checks)}"),
        Tile("Mean prediction", money(report.mean_prediction, schema.money)),
    ]
    if "coverage" in report.figures:
        tiles.append(Tile("Inside the interval", percent(report.figures["coverage"]), "of actual amounts"))
    return tuple(tiles)


def _check_section(report: DriftReport) -> Section:
    rows = tuple(("passed" if check.held else "FAILED", check.sentence) for check in report.checks)
    blocks: list[Block] = [Table("All checks, failed ones first", ("result", "check"), rows, names=2)]
    unseen = tuple((name, f"{count:,}", percent(count / report.rows)) for name, count in report.unseen.items())
    if unseen:
        blocks.append(
            Table("Rows with a level that the training data do not have", ("column", "rows", "share"), unseen)
        )
    blocks += [Note(f"Not compared: {sentence}.") for sentence in report.skipped]
    lead = "A column fails where its index exceeds both the limit and what chance explains in samples of this size."
    return Section("checks", "Checks", lead, tuple(blocks))


def _error_section(report: DriftReport, schema: Schema) -> Section:
    figures = report.figures
    rows = [
        (with_unit(label, schema.money), number(figures[key]), _or_dash(figures.get(f"holdout_{key}")))
        for key, label in (("rmse", "RMSE"), ("bias", "mean of prediction minus actual"))
    ]
    if "coverage" in figures:
        before = figures.get("holdout_coverage")
        rows.append(("inside the interval", percent(figures["coverage"]), "-" if before is None else percent(before)))
    table = Table("Errors on the new rows and on the holdout", ("measure", "new rows", "holdout"), tuple(rows))
    return Section("errors", "Errors", "The new rows have the target, so the predictions can be checked.", (table,))


def _or_dash(value: float | None) -> str:
    return "-" if value is None else number(value)


def _column_section(report: DriftReport) -> Section:
    blocks: list[Block] = [_shift_figure(column) for column in report.columns[:_MAX_CHARTS]]
    rest = report.columns[_MAX_CHARTS:]
    if rest:
        rows = tuple((column.label, number(column.index)) for column in rest)
        table = Table("Columns with a smaller index", ("column", "index"), rows)
        blocks.append(Fold(counted(len(rest), "more column"), (table,)))
    if not blocks:
        blocks.append(Note("There is no column to compare."))
    lead = "Share of the rows by level, in the training data and in the new rows. The largest changes come first."
    return Section("columns", "Column by column", lead, tuple(blocks))


def _shift_figure(column: ColumnDrift) -> Figure:
    # Levels that are frequent on either side are shown, in the order of the profile.
    largest = sorted(column.levels, key=lambda shift: -max(shift.before, shift.after))[:_MAX_LEVELS]
    points = [
        (shift.level, share, series)
        for shift in column.levels
        if shift in largest
        for series, share in (("training data", shift.before), ("new rows", shift.after))
    ]
    rows = tuple((shift.level, percent(shift.before), percent(shift.after)) for shift in column.levels)
    most = max(column.levels, key=lambda shift: abs(shift.after - shift.before))
    change = f"{most.level} changed from {percent(most.before)} to {percent(most.after)} of the rows"
    return Figure(
        f"{column.label}: {change if abs(most.after - most.before) >= _SAME else 'no change'}",
        charts.ranges(points, "share of rows", share=True),
        Table(f"{column.label}: share of the rows by level", ("level", "training data", "new rows"), rows),
        note=f"Population stability index {column.index:.3f}; chance explains up to {column.chance:.3f}.",
    )
