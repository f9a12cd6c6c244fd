"""The sections that show a `Profile`: the data, the target, each feature, concentrations and the order of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.formatting import compact, counted, money, number, percent
from purchasecast.report import charts
from purchasecast.report.elements import Figure, Fold, Note, Section, Table, Tile, Tiles
from purchasecast.results.profile import furthest_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.results import (
        Concentration,
        FeatureProfile,
        LevelProfile,
        NumberProfile,
        Profile,
        ValidationReport,
    )

__all__ = [
    "data_section",
    "explained",
    "feature_section",
    "order_section",
    "plural_name",
    "target_section",
]

_MOST_LEVELS = 21  # in one picture


def plural_name(one: Concentration) -> str:
    """Return what the levels of a column are called."""
    return {"customer": "customers", "product": "products"}.get(one.role or "", f"levels of {one.label}")


def data_section(profile: Profile | None, validation: ValidationReport | None) -> Section:
    """Say what the data are: rows, rejects, empty values, and what a careful reader would point at."""
    blocks: list[Tiles | Table | Note | Figure] = []
    if validation is not None:
        rejected = f"{validation.reject_rate:.2%} of {validation.rows:,}"
        blocks.append(
            Tiles(
                (
                    Tile("Rows in the source", f"{validation.rows:,}"),
                    Tile("Accepted", f"{validation.accepted:,}", "all figures are of these"),
                    Tile("Rejected", f"{validation.rejected:,}", rejected),
                )
            )
        )
        if validation.reasons:
            rows = tuple((reason, f"{count:,}") for reason, count in validation.reasons.items())
            blocks.append(Table("Why rows were rejected; a row may have several reasons", ("reason", "rows"), rows))
        empty = [(name, count) for name, count in validation.nulls.items() if count]
        if empty:
            shares = tuple((name, f"{n:,}", percent(n / validation.accepted)) for name, n in _largest(empty))
            blocks.append(Table("Empty values among the accepted rows", ("column", "rows", "share"), shares))
        else:
            blocks.append(Note("No accepted row has an empty value."))
    if profile is None:
        blocks.append(Note("There is no profile in this model, so the pictures of the data are left out."))
    elif profile.warnings:
        blocks += [Note(warning.sentence, "warning") for warning in profile.warnings]
    lead = "What was read, what was turned away, and what a careful reader should know before using a number."
    return Section("data", "The data", lead, tuple(blocks))


def _largest(pairs: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(pairs, key=lambda pair: -pair[1])


def target_section(profile: Profile) -> Section:
    """Show how the target is distributed."""
    target, unit = profile.target, profile.money
    numbers, label = target.numbers, profile.target.label
    axis = f"{label} ({unit})" if unit else label
    quartiles = numbers.quantiles
    histogram = Figure(
        f"Half of all rows lie between {number(quartiles['0.25'])} and {money(quartiles['0.75'], unit)}",
        charts.histogram(
            numbers.histogram.edges,
            numbers.histogram.rows,
            axis,
            log=numbers.histogram.scale == "log",
            marks=[(quartiles["0.5"], f"median {number(quartiles['0.5'])}")],
        ),
        Table(
            f"Distribution of {label}",
            ("measure", unit or "value"),
            _measures(numbers),
        ),
        note="The axis is logarithmic: equal steps are equal ratios." if numbers.histogram.scale == "log" else "",
    )
    deciles = [(f"tenth {k + 1}", share, percent(share)) for k, share in enumerate(target.deciles)][::-1]
    shares = Figure(
        f"The largest tenth of the rows brings {percent(target.deciles[-1])} of the total, "
        f"the smallest {percent(target.deciles[0])}",
        charts.bars(deciles, f"share of total {label}", share=True),
        Table("Share of the total by tenth of the rows", ("tenth, largest first", "share"), _two(deciles)),
    )
    facts = _target_facts(profile)
    modes = _modes_table(profile)
    return Section("target", label, facts, (histogram, shares, *modes))


def _two(rows: Sequence[tuple[str, float, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, _, text in rows)


def _target_facts(profile: Profile) -> str:
    target, unit = profile.target, profile.money
    reach = ""
    if target.low is not None and target.high is not None:
        reach = f" (95% interval {number(target.low)} to {number(target.high)}, rows of a customer taken together)"
    if profile.concentration("customer") is None:
        reach = reach.replace(", rows of a customer taken together", "")
    outliers = target.outliers_below + target.outliers_above
    advice = {
        "none": "No transformation is needed",
        "sqrt": "Its square root would be less skewed",
        "log": "Its logarithm would be less skewed",
    }[target.transformation.advice]
    skewness = target.transformation.skewness
    shown = ", ".join(f"{'as it is' if name == 'none' else name} {number(value)}" for name, value in skewness.items())
    return (
        f"Mean {money(target.numbers.mean, unit)}{reach}. {outliers:,} rows ({percent(outliers / profile.rows)}) lie "
        f"outside Tukey's fences of {number(target.fences[0])} and {number(target.fences[1])} and hold "
        f"{percent(target.share_of_outliers)} of the total. {advice} (skewness: {shown})."
    )


def _modes_table(profile: Profile) -> tuple[Fold, ...]:
    modes = profile.target.modes
    if len(modes) < 2:
        return ()
    rows = tuple((number(m.value), f"{number(m.low)} to {number(m.high)}", percent(m.share_of_rows)) for m in modes)
    table = Table("Where rows gather: peaks of the smoothed distribution", ("peak", "between", "share of rows"), rows)
    return (Fold(f"{len(modes)} price levels stand out", (table,)),)


def explained(profile: Profile) -> list[tuple[str, float]]:
    """Return every column's name for people and the share of variance between its levels."""
    found = [(one.label, one.explained) for one in profile.features]
    return found + [(one.label, one.explained) for one in profile.concentrations]


def feature_section(profile: Profile) -> Section:
    """Show the target by the levels of every feature, strongest first, and the concentration of the largest ids."""
    label = profile.target.label
    strengths = sorted(
        explained(profile),
        key=lambda pair: -pair[1],
    )
    blocks: list[Figure | Note] = []
    if strengths:
        rows = [(name, share, percent(share)) for name, share in strengths]
        first = strengths[0]
        blocks.append(
            Figure(
                f"{first[0]} alone accounts for {percent(first[1])} of the differences in {label}",
                charts.bars(rows, "share of variance between the levels", share=True),
                Table("Strength of association, corrected for the number of levels", ("column", "share"), _two(rows)),
                note="A column by itself, and not what it adds to the others; association is not cause.",
            )
        )
    blocks += [_concentration_figure(one, label) for one in profile.concentrations]
    for feature in sorted(profile.features, key=lambda one: -one.explained):
        blocks.append(_feature_figure(feature, profile))
        if feature.numbers is not None:
            blocks.append(_distribution_figure(feature, feature.numbers))
    lead = (
        f"Share of the rows and mean {label} by level, with 95% intervals"
        f"{' that take the rows of a customer together' if profile.concentration('customer') else ''}; "
        "columns with the strongest association first."
    )
    return Section("features", "What goes with it", lead, tuple(blocks))


def _concentration_figure(one: Concentration, label: str) -> Figure:
    name = plural_name(one)
    rows = [(x, y, None, None, name) for x, y in one.curve]
    picked = tuple((percent(x), percent(y)) for x, y in one.curve if round(x * 100) in {1, 5, 10, 20, 50, 80})
    return Figure(
        f"The largest fifth of the {name} holds {percent(one.top_fifth)} of {label}",
        charts.curve(
            rows,
            f"share of {name}, largest first",
            f"share of total {label}",
            share=True,
            mark=(0.2, one.top_fifth, f"20% hold {percent(one.top_fifth)}"),
        ),
        Table(f"Share of the total held by the largest {name}", (f"share of {name}", "share of total"), picked),
        note=(
            f"{counted(one.levels, 'level')}, {one.once:,} with a single row; the median has "
            f"{number(one.rows_per_level['0.5'])} rows. Gini coefficient {one.gini:.2f}. Dashed: all equal."
        ),
    )


def _feature_figure(feature: FeatureProfile, profile: Profile) -> Figure:
    axis = f"mean {profile.target.label}" + (f" ({profile.money})" if profile.money else "")
    most = len(feature.levels) if feature.kind == "date" else _MOST_LEVELS
    levels = sorted(feature.levels, key=lambda one: -one.rows)[:most]
    shown = [one for one in feature.levels if one in levels]
    left_out = len(shown) < len(feature.levels)
    notes = [f"The {len(shown)} levels with most rows of {len(feature.levels)}."] if left_out else []
    if feature.nulls:
        notes.append(f"{percent(feature.nulls / profile.rows)} of the rows have no value.")
    if feature.spearman is not None:
        notes.append(f"Rank correlation {feature.spearman:+.3f}.")
    unit = f"{feature.label} ({feature.unit})" if feature.unit else feature.label
    if feature.kind == "date":
        lines = [(one.level, one.mean, one.low, one.high, "") for one in feature.levels]
        svg = charts.curve(lines, unit, axis)
    else:
        rows = [(one.level, one.mean, one.low, one.high, one.share_of_rows, number(one.mean)) for one in shown]
        svg = charts.levels(rows, axis, sort=feature.kind == "nominal")
    return Figure(_feature_title(feature, shown, profile), svg, _levels_table(feature, profile.money), " ".join(notes))


def _distribution_figure(feature: FeatureProfile, numbers: NumberProfile) -> Figure:
    """Show how a numeric feature itself is distributed."""
    unit = f"{feature.label} ({feature.unit})" if feature.unit else feature.label
    low, median, high = (numbers.quantiles[share] for share in ("0.25", "0.5", "0.75"))
    shape = numbers.histogram
    is_log = shape.scale == "log"
    return Figure(
        f"{feature.label}: half of the rows lie between {number(low)} and {number(high)}",
        charts.histogram(shape.edges, shape.rows, unit, log=is_log, marks=[(median, f"median {number(median)}")]),
        Table(f"Distribution of {feature.label}", ("measure", "value"), _measures(numbers)),
        "The axis is logarithmic: equal steps are equal ratios." if is_log else "",
    )


def _measures(numbers: NumberProfile) -> tuple[tuple[str, str], ...]:
    """Return quantiles and moments, named and written."""
    moments = {"skewness": numbers.skewness, "excess kurtosis": numbers.kurtosis}
    return (
        *((f"quantile {percent(float(p))}", number(v)) for p, v in numbers.quantiles.items()),
        ("mean", number(numbers.mean)),
        ("standard deviation", number(numbers.sd)),
        ("smallest", number(numbers.minimum)),
        ("largest", number(numbers.maximum)),
        *((name, "-" if value is None else number(value)) for name, value in moments.items()),
    )


def _feature_title(feature: FeatureProfile, shown: Sequence[LevelProfile], profile: Profile) -> str:
    """Say which levels lie furthest apart; or that none can be told from another."""
    found = furthest_apart(shown)
    if found is None:
        return f"{feature.label}: too few rows to compare levels"
    top, bottom, is_real = found
    if not is_real:
        return f"{feature.label}: no level's mean can be told from another's"
    unit = f" {profile.money}" if profile.money else ""
    means = [one.mean for one in shown]
    if (top.mean, bottom.mean) != (max(means), min(means)):  # these lie further apart, of too few rows to be sure
        pair = (f"“{one.level}” brings {compact(one.mean)}{unit}" for one in (top, bottom))
        return f"{feature.label}: {', '.join(pair)}"
    return (
        f"{feature.label}: “{top.level}” has the highest mean, {compact(top.mean)}{unit}; "
        f"“{bottom.level}” the lowest, {compact(bottom.mean)}{unit}"
    )


def _levels_table(feature: FeatureProfile, unit: str | None) -> Table:
    of = f" ({unit})" if unit else ""
    rows = tuple(
        (
            one.level,
            f"{one.rows:,}",
            percent(one.share_of_rows),
            percent(one.share_of_total),
            number(one.mean),
            "" if one.low is None or one.high is None else f"{number(one.low)} to {number(one.high)}",
        )
        for one in feature.levels
    )
    columns = (feature.label, "rows", "share of rows", "share of total", f"mean{of}", f"95% interval{of}")
    return Table(f"{feature.label}, level by level", columns, rows)


def order_section(profile: Profile) -> Section | None:
    """Show the target along the file."""
    if len(profile.file_order) < 3:
        return None
    rows = [(one.level, one.mean, one.low, one.high, "") for one in profile.file_order]
    drifts = any(warning.kind == "file order" for warning in profile.warnings)
    worst = max(profile.file_order, key=lambda one: abs(one.mean - profile.target.numbers.mean))
    unit = profile.money
    title = (
        f"Tenth {worst.level} of the file differs: mean {money(worst.mean, unit)} "
        f"against {money(profile.target.numbers.mean, unit)}"
        if drifts
        else f"Mean {profile.target.label} is steady along the file"
    )
    axis = f"mean {profile.target.label}" + (f" ({unit})" if unit else "")
    figure = Figure(
        title,
        charts.dots(rows, axis),
        Table(
            "Mean by tenth of the file",
            ("tenth", "rows", "mean"),
            tuple((one.level, f"{one.rows:,}", number(one.mean)) for one in profile.file_order),
        ),
    )
    lead = "Whether the order of the rows says something; where it does, a split by position would mislead."
    return Section("order", "Along the file", lead, (figure,))
