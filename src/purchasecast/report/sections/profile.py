"""The sections on a `Profile`: the data, the target, the features, and the order of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import counted, money, number, percent, span, with_unit
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Fold, Note, Section, Table, Tile, Tiles
from purchasecast.results import furthest_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.report.elements import Block
    from purchasecast.results import (
        Concentration,
        FeatureProfile,
        LevelProfile,
        NumberProfile,
        Profile,
        ValidationReport,
    )

__all__ = ["data_section", "explained_shares", "feature_section", "order_section", "plural_name", "target_section"]

_MAX_LEVELS = 21  # in one chart
_MIN_PARTS = 3  # of a file whose order is worth a chart
_CURVE_PERCENTS = {1, 5, 10, 20, 50, 80}  # points of a concentration curve that its table lists
_ADVICE = {
    "none": "No transformation is needed",
    "sqrt": "The square root would be less skewed",
    "log": "The logarithm would be less skewed",
}
_LOG_NOTE = "The axis is logarithmic: equal steps are equal ratios."


def plural_name(one: Concentration) -> str:
    """Return the plural for the levels of a column."""
    return {"customer": "customers", "product": "products"}.get(one.role or "", f"levels of {one.label}")


def explained_shares(profile: Profile) -> list[tuple[str, float]]:
    """Return the label of every column and the share of the variance between its levels."""
    shares = [(one.label, one.explained) for one in profile.features]
    return shares + [(one.label, one.explained) for one in profile.concentrations]


def data_section(profile: Profile | None, validation: ValidationReport | None) -> Section:
    """Show accepted, rejected and empty rows, and warnings."""
    blocks: list[Block] = [] if validation is None else _validation_blocks(validation)
    if profile is None:
        blocks.append(Note("This model has no profile, so there are no charts of the data."))
    else:
        blocks += [Note(warning.sentence, "warning") for warning in profile.warnings]
    lead = "Rows that were read, accepted and rejected, and warnings to consider before using the numbers."
    return Section("data", "The data", lead, tuple(blocks))


def _validation_blocks(validation: ValidationReport) -> list[Block]:
    rejected = f"{validation.reject_rate:.2%} of {validation.rows:,}"
    tiles = (
        Tile("Rows in the source", f"{validation.rows:,}"),
        Tile("Accepted", f"{validation.accepted:,}", "all figures describe these"),
        Tile("Rejected", f"{validation.rejected:,}", rejected),
    )
    blocks: list[Block] = [Tiles(tiles)]
    if validation.reasons:
        rows = tuple((reason, f"{count:,}") for reason, count in validation.reasons.items())
        blocks.append(Table("Reasons for rejection (a row may have several)", ("reason", "rows"), rows))
    empty = sorted(((n, name) for name, n in validation.nulls.items() if n), key=lambda pair: -pair[0])
    if empty:
        shares = tuple((name, f"{n:,}", percent(n / validation.accepted)) for n, name in empty)
        blocks.append(Table("Empty values in accepted rows", ("column", "rows", "share"), shares))
    else:
        blocks.append(Note("No accepted row has an empty value."))
    return blocks


def target_section(profile: Profile) -> Section:
    """Show the distribution of the target, its shares of the total, and common amounts."""
    target, unit = profile.target, profile.money
    quartiles = target.numbers.quantiles
    title = f"Half of the rows lie between {number(quartiles['0.25'])} and {money(quartiles['0.75'], unit)}"
    # The largest tenth comes first.
    deciles = [(f"tenth {k + 1}", share, percent(share)) for k, share in enumerate(target.deciles)][::-1]
    shares = Figure(
        f"The largest tenth of the rows holds {percent(target.deciles[-1])} of the total, "
        f"the smallest {percent(target.deciles[0])}",
        charts.bars(deciles, f"share of total {target.label}", share=True),
        Table("Share of the total by tenth of the rows", ("tenth, largest first", "share"), _names_and_texts(deciles)),
    )
    blocks: tuple[Block, ...] = (
        _histogram_figure(title, target.numbers, target.label, unit),
        shares,
        *_mode_blocks(profile),
    )
    return Section("target", target.label, _target_text(profile), blocks)


def _histogram_figure(title: str, numbers: NumberProfile, label: str, unit: str | None) -> Figure:
    shape, median = numbers.histogram, numbers.quantiles["0.5"]
    is_log = shape.scale == "log"
    mark = (median, f"median {number(median)}")
    svg = charts.histogram(shape.edges, shape.rows, with_unit(label, unit), log=is_log, mark=mark)
    table = Table(f"Distribution of {label}", ("measure", unit or "value"), _measures(numbers))
    return Figure(title, svg, table, _LOG_NOTE if is_log else "")


def _measures(numbers: NumberProfile) -> tuple[tuple[str, str], ...]:
    """Return quantiles and moments with their names."""
    moments = {"skewness": numbers.skewness, "excess kurtosis": numbers.kurtosis}
    return (
        *((f"quantile {percent(float(p))}", number(v)) for p, v in numbers.quantiles.items()),
        ("mean", number(numbers.mean)),
        ("standard deviation", number(numbers.sd)),
        ("smallest", number(numbers.minimum)),
        ("largest", number(numbers.maximum)),
        *((name, "-" if value is None else number(value)) for name, value in moments.items()),
    )


def _names_and_texts(rows: Sequence[tuple[str, float, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, _, text in rows)


def _target_text(profile: Profile) -> str:
    """Describe mean, outliers and skewness of the target."""
    target, unit = profile.target, profile.money
    interval = ""
    if target.low is not None and target.high is not None:
        clustered = ", clustered by customer" if profile.concentration("customer") else ""
        interval = f" (95% interval {span(target.low, target.high)}{clustered})"
    outliers = target.outliers_below + target.outliers_above
    skewness = ", ".join(
        f"{'as it is' if name == 'none' else name} {number(value)}"
        for name, value in target.transformation.skewness.items()
    )
    return (
        f"Mean {money(target.numbers.mean, unit)}{interval}. {outliers:,} rows ({percent(outliers / profile.rows)}) "
        f"lie outside Tukey's fences ({span(*target.fences)}) and hold {percent(target.share_of_outliers)} of the "
        f"total. {_ADVICE[target.transformation.advice]} (skewness: {skewness})."
    )


def _mode_blocks(profile: Profile) -> tuple[Fold, ...]:
    modes = profile.target.modes
    if len(modes) < 2:
        return ()
    rows = tuple((number(m.value), span(m.low, m.high), percent(m.share_of_rows)) for m in modes)
    table = Table("Peaks of the smoothed distribution", ("peak", "range", "share of rows"), rows)
    return (Fold(f"{len(modes)} common amounts", (table,)),)


def feature_section(profile: Profile) -> Section:
    """Show the target by the levels of every feature, most related features first."""
    label = profile.target.label
    blocks: list[Block] = []
    strengths = sorted(explained_shares(profile), key=lambda pair: -pair[1])
    if strengths:
        blocks.append(_strength_figure(strengths, label))
    blocks += [_concentration_figure(one, label) for one in profile.concentrations]
    for feature in sorted(profile.features, key=lambda one: -one.explained):
        blocks.append(_feature_figure(feature, profile))
        if feature.numbers is not None:
            quartiles = feature.numbers.quantiles
            title = (
                f"{feature.label}: half of the rows lie between {number(quartiles['0.25'])} and "
                f"{number(quartiles['0.75'])}"
            )
            blocks.append(_histogram_figure(title, feature.numbers, feature.label, feature.unit))
    clustered = " clustered by customer" if profile.concentration("customer") else ""
    lead = (
        f"Share of the rows and mean {label} by level, with 95% intervals{clustered}. The most related columns come "
        "first."
    )
    return Section("features", f"Columns related to {label}", lead, tuple(blocks))


def _strength_figure(strengths: Sequence[tuple[str, float]], label: str) -> Figure:
    rows = [(name, share, percent(share)) for name, share in strengths]
    name, _, text = rows[0]
    return Figure(
        f"{name} alone explains {text} of the differences in {label}",
        charts.bars(rows, "share of variance explained", share=True),
        Table("Explained variance, adjusted for the number of levels", ("column", "share"), _names_and_texts(rows)),
        note="Each column on its own, not in addition to the others. An association does not prove a cause.",
    )


def _concentration_figure(one: Concentration, label: str) -> Figure:
    name = plural_name(one)
    top, median = percent(one.top_fifth), number(one.rows_per_level["0.5"])
    points = tuple((percent(x), percent(y)) for x, y in one.curve if round(x * 100) in _CURVE_PERCENTS)
    svg = charts.curve(
        [(x, y, None, None, name) for x, y in one.curve],
        f"share of {name}, largest first",
        f"share of total {label}",
        share=True,
        mark=(0.2, one.top_fifth, top),
    )
    return Figure(
        f"The largest fifth of the {name} holds {top} of {label}",
        svg,
        Table(f"Share of the total held by the largest {name}", (f"share of {name}", "share of total"), points),
        note=(
            f"{counted(one.levels, 'level')}, {one.once:,} with a single row; median {median} rows. "
            f"Gini coefficient {one.gini:.2f}. Dashed line: all levels equal."
        ),
    )


def _feature_figure(feature: FeatureProfile, profile: Profile) -> Figure:
    """Show the mean of the target by level; dates as a line."""
    mean, name = with_unit(f"mean {profile.target.label}", profile.money), with_unit(feature.label, feature.unit)
    # A line of dates has room for all of them.
    most = len(feature.levels) if feature.kind == "date" else _MAX_LEVELS
    largest = sorted(feature.levels, key=lambda one: -one.rows)[:most]
    shown = [one for one in feature.levels if one in largest]
    notes = []
    if len(shown) < len(feature.levels):
        notes.append(f"The {len(shown)} levels with the most rows, of {len(feature.levels)}.")
    if feature.nulls:
        notes.append(f"{percent(feature.nulls / profile.rows)} of the rows have no value.")
    if feature.spearman is not None:
        notes.append(f"Rank correlation {feature.spearman:+.3f}.")
    if feature.kind == "date":
        svg = charts.curve([(one.level, one.mean, one.low, one.high, "") for one in shown], name, mean)
    else:
        rows = [(one.level, one.mean, one.low, one.high, one.share_of_rows, number(one.mean)) for one in shown]
        svg = charts.levels(rows, mean, sort=feature.kind == "nominal")
    return Figure(_feature_title(feature, shown, profile), svg, _level_table(feature, profile.money), " ".join(notes))


def _feature_title(feature: FeatureProfile, shown: Sequence[LevelProfile], profile: Profile) -> str:
    """Name the two levels that differ most, where any two differ significantly."""
    pair = furthest_apart(shown)
    if pair is None:
        return f"{feature.label}: too few rows to compare levels"
    top, bottom, is_significant = pair
    if not is_significant:
        return f"{feature.label}: no significant difference between the levels"
    unit, means = profile.money, [one.mean for one in shown]
    # Levels with few rows may lie further apart without being significantly different.
    if (top.mean, bottom.mean) != (max(means), min(means)):
        upper, lower = (f"{money(one.mean, unit)} for “{one.level}”" for one in (top, bottom))
        return f"{feature.label}: mean {upper}, {lower}"
    return (
        f"{feature.label}: “{top.level}” has the highest mean, {money(top.mean, unit)}; "
        f"“{bottom.level}” has the lowest, {money(bottom.mean, unit)}"
    )


def _level_table(feature: FeatureProfile, unit: str | None) -> Table:
    rows = tuple(
        (
            one.level,
            f"{one.rows:,}",
            percent(one.share_of_rows),
            percent(one.share_of_total),
            number(one.mean),
            span(one.low, one.high),
        )
        for one in feature.levels
    )
    mean, interval = with_unit("mean", unit), with_unit("95% interval", unit)
    columns = (feature.label, "rows", "share of rows", "share of total", mean, interval)
    return Table(f"{feature.label}: all levels", columns, rows)


def order_section(profile: Profile) -> Section | None:
    """Show the mean of the target along the file; None where the table is too small."""
    parts, unit, mean = profile.file_order, profile.money, profile.target.numbers.mean
    if len(parts) < _MIN_PARTS:
        return None
    title = f"Mean {profile.target.label} is steady along the file"
    if any(warning.kind == "file order" for warning in profile.warnings):
        worst = max(parts, key=lambda one: abs(one.mean - mean))
        title = f"Tenth {worst.level} of the file differs: mean {money(worst.mean, unit)} against {money(mean, unit)}"
    svg = charts.dots(
        [(one.level, one.mean, one.low, one.high, "") for one in parts],
        with_unit(f"mean {profile.target.label}", unit),
    )
    rows = tuple((one.level, f"{one.rows:,}", number(one.mean)) for one in parts)
    figure = Figure(title, svg, Table("Mean by tenth of the file", ("tenth", "rows", "mean"), rows))
    lead = "Whether the rows are in random order. If not, do not split the file by position."
    return Section("order", "Order of the file", lead, (figure,))
