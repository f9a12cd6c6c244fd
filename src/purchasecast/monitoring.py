"""Watch a model in use: whether new rows are like those of the training, and predictions as good as they were.

Two passes over the checked rows: one counts the levels of every column, one scores and adds up errors. Rows of one
customer or product go together, so that chance is judged by how many of those there are, not by rows.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf
from scipy.stats import chi2

from purchasecast.config import MonitorSettings
from purchasecast.errors import BundleError, DataError
from purchasecast.evaluation import error_terms
from purchasecast.formatting import number, percent
from purchasecast.numerics.stability import population_stability
from purchasecast.prediction import score
from purchasecast.prediction.predict import checked_for_model
from purchasecast.prediction.scoring import unseen_flags
from purchasecast.progress import Steps
from purchasecast.results import Check, ColumnDrift, DriftReport, Evaluation, LevelShift, Profile
from purchasecast.schema.reserved_columns import NULL_LEVELS, PREDICTION
from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.results import Concentration, FeatureProfile, Histogram
    from purchasecast.schema import Column, Schema
    from purchasecast.validation import Validated

__all__ = ["monitor"]

logger = logging.getLogger(__name__)

NEW = "(new)"
OTHERS = "(all others)"
_RARE = 1e-3  # chance of a false alarm that a column is allowed
_DEVIATIONS = 3.0  # an error or a coverage must be so many standard errors past its limit
_LEAST_BIN = 0.05  # share of the training rows that a bin of a number holds at least


@dataclass(frozen=True, slots=True)
class _Compared:
    """A column, its rows by level in the training data, and the expression that gives a row's place among them."""

    name: str
    label: str
    role: str
    of: str | None
    levels: tuple[str, ...]
    before: tuple[float, ...]
    place: SparkColumn


def monitor(
    raw: DataFrame,
    bundle: Bundle,
    settings: MonitorSettings | None = None,
    *,
    max_reject_rate: float = 0.01,
    rejects: str | Path | None = None,
    steps: Steps | None = None,
) -> DriftReport:
    """Compare new rows with those that a model was trained on.

    Parameters
    ----------
    raw : DataFrame
        What `purchasecast.io.tables.read_table` returned; with the target, errors are watched, too.
    bundle : Bundle
        The model, with the profile of its training rows.
    settings : MonitorSettings, optional
        How much drift is too much.
    max_reject_rate : float, default 0.01
        Largest share of bad rows that a run goes on with.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    steps : Steps, optional
        Times the steps and tells a watcher.

    Returns
    -------
    DriftReport
        Every column's shift, unseen levels, errors, and which limits held.

    Raises
    ------
    BundleError
        If the model has no profile.
    RejectRateError
        If more rows are bad than allowed.
    DataError
        If there is no row.

    Notes
    -----
    Two passes over the checked rows, and one exchange for each of customer and product; the driver receives a count a
    level. A column has moved where its index is past the threshold and past what it exceeds in one of a thousand
    samples without a shift; dates are not compared, as they always move.
    """
    settings, steps = settings or MonitorSettings(), steps or Steps()
    document = bundle.document("profile")
    if document is None:
        raise BundleError(f"monitor: expected a profile in {bundle.path}, found none; train the model again.")
    profile, schema = Profile.from_dict(document), bundle.schema
    labelled = schema.target in raw.columns
    steps.expect(3)
    target: Any = "required" if labelled else "optional"
    with checked_for_model(raw, bundle, steps, target, max_reject_rate, rejects) as checked:
        if not checked.report.accepted:
            raise DataError("monitor: expected accepted rows, found none; see validate for the reasons.")
        with steps.step("compare columns") as step:
            columns = _compare(checked, profile, schema, labelled=labelled)
            step.rows = checked.report.accepted
        with steps.step("score") as step:
            sums, unseen = _score(checked.accepted, bundle, labelled=labelled)
            step.rows = checked.report.accepted
    return _report(bundle, checked, columns, sums, unseen, settings, steps)


def _compare(checked: Validated, profile: Profile, schema: Schema, *, labelled: bool) -> tuple[ColumnDrift, ...]:
    compared = [_of_feature(one, schema) for one in profile.features if one.kind != "date"]
    compared += [_of_many_levels(one, schema, profile.rows) for one in profile.concentrations if one.common]
    if labelled:
        target = profile.target
        column = _of_number(target.name, target.label, "target", None, target.numbers.histogram, 0)
        compared.append(column)
    counts = _count_levels(checked.accepted, compared)
    sizes = {role: _effective_size(checked.accepted, name) for role, name in _owners(schema).items()}
    found = []
    for k, one in enumerate(compared):
        after = [counts.get((k, place), 0) for place in range(len(one.levels))]
        concentration = profile.concentration(one.of) if one.of else None
        before_size = concentration.levels if concentration else profile.rows
        after_size = sizes[one.of] if one.of in sizes else float(checked.report.accepted)
        freedom = max(sum(1 for a, b in zip(one.before, after, strict=True) if a or b) - 1, 1)
        chance = (1 / before_size + 1 / after_size) * float(chi2.ppf(1 - _RARE, freedom))
        whole = sum(one.before), sum(after)
        shifts = tuple(
            LevelShift(level, a / whole[0], b / whole[1])
            for level, a, b in zip(one.levels, one.before, after, strict=True)
            if a or b
        )
        index = population_stability(one.before, after)
        found.append(ColumnDrift(one.name, one.label, one.role, index, chance, shifts))
    return tuple(sorted(found, key=lambda drift: -drift.index))


def _owners(schema: Schema) -> dict[str, str]:
    """Return the columns whose rows go together, by role."""
    return {role: name for role, name in (("customer", schema.customer), ("product", schema.product)) if name}


def _of_feature(feature: FeatureProfile, schema: Schema) -> _Compared:
    column = schema.column(feature.name)
    if feature.numbers is not None:
        histogram = feature.numbers.histogram
        return _of_number(feature.name, feature.label, "feature", column.of, histogram, feature.nulls)
    return _of_levels(feature.label, column, {level.level: float(level.rows) for level in feature.levels}, NEW, 0.0)


def _of_many_levels(one: Concentration, schema: Schema, rows: int) -> _Compared:
    """Compare a feature of very many levels by those with the most rows; all others, new ones too, are one level."""
    common = {level: float(count) for level, count in one.common}
    return _of_levels(one.label, schema.column(one.name), common, OTHERS, rows - sum(common.values()))


def _of_levels(label: str, column: Column, levels: dict[str, float], last: str, last_rows: float) -> _Compared:
    value = sf.coalesce(col(column.name).cast("string"), sf.lit(NULL_LEVELS[column.null]))
    # 1 for the first level; 0 where the level is not among them, which goes last.
    found = sf.array_position(sf.lit(list(levels)), value) if levels else sf.lit(0)
    place = sf.when(found > 0, found - 1).otherwise(len(levels))
    return _Compared(
        name=column.name,
        label=label,
        role="feature",
        of=column.of,
        levels=(*levels, last),
        before=(*levels.values(), last_rows),
        place=place.cast("int"),
    )


def _of_number(name: str, label: str, role: str, of: str | None, histogram: Histogram, nulls: int) -> _Compared:
    """Compare a number by bins of at least a twentieth of the training rows; what lies outside goes to the ends."""
    inner, rows = _coarse(histogram)
    places = [sf.when(col(name) >= edge, 1).otherwise(0) for edge in inner]
    place = sf.when(col(name).isNull(), len(rows)).otherwise(sum(places, sf.lit(0)))
    names = ["any value"]
    if inner:
        between = [f"{low:,.6g} to {high:,.6g}" for low, high in pairwise(inner)]
        names = [f"below {inner[0]:,.6g}", *between, f"{inner[-1]:,.6g} or more"]
    return _Compared(name, label, role, of, (*names, "(none)"), (*rows, float(nulls)), place.cast("int"))


def _coarse(histogram: Histogram) -> tuple[list[float], list[float]]:
    """Return the edges between joined bins, and their rows."""
    least = _LEAST_BIN * sum(histogram.rows)
    edges: list[float] = []
    rows = [0.0]
    for left, count in zip(histogram.edges[:-1], histogram.rows, strict=True):
        if rows[-1] >= least and count:
            edges.append(left)
            rows.append(0.0)
        rows[-1] += count
    if len(rows) > 1 and rows[-1] < least:
        edges.pop()
        last = rows.pop()
        rows[-1] += last
    return edges, rows


def _count_levels(rows: DataFrame, compared: Sequence[_Compared]) -> dict[tuple[int, int], int]:
    """Count the rows by column and place, in one pass."""
    if not compared:
        return {}
    places = sf.array(*[sf.struct(sf.lit(k).alias("k"), one.place.alias("place")) for k, one in enumerate(compared)])
    found = rows.select(sf.explode(places).alias("one")).groupBy("one.k", "one.place").count().collect()
    return {(int(row[0]), int(row[1])): int(row[2]) for row in found}


def _effective_size(rows: DataFrame, name: str) -> float:
    """Return Kish's effective number of a column's levels: rows squared over the sum of squared rows a level."""
    counted = rows.groupBy(col(name)).agg(sf.count(sf.lit(1)).cast("double").alias("n"))
    whole, squares = counted.agg(sf.sum("n"), sf.sum(sf.col("n") * sf.col("n"))).collect()[0]
    return float(whole) ** 2 / float(squares)


def _score(rows: DataFrame, bundle: Bundle, *, labelled: bool) -> tuple[dict[str, float], dict[str, int]]:
    """Return sums over the scored rows, and the rows by role or column that training has not seen."""
    target = bundle.schema.target
    scored = score(rows, bundle, [target] if labelled else [])
    flags = unseen_flags(scored)
    sums = {"rows": sf.count(sf.lit(1)), "prediction": sf.sum(PREDICTION)}
    if labelled:
        terms = error_terms(bundle.schema, scored)
        sums |= {"error": sf.sum(terms["error"]), "squared": sf.sum(terms["squares"])}
        sums["fourth"] = sf.sum(terms["squares"] * terms["squares"])
        if "inside" in terms:
            sums["inside"] = sf.sum(terms["inside"])
    named = [column.alias(name) for name, column in sums.items()]
    named += [sf.count_if(flag).alias(f"unseen {name}") for name, flag in flags.items()]
    row = scored.agg(*named).collect()[0].asDict()
    return {name: float(row[name]) for name in sums}, {name: int(row[f"unseen {name}"]) for name in flags}


def _report(
    bundle: Bundle,
    checked: Validated,
    columns: tuple[ColumnDrift, ...],
    sums: Mapping[str, float],
    unseen: dict[str, int],
    settings: MonitorSettings,
    steps: Steps,
) -> DriftReport:
    document = bundle.document("evaluation")
    evaluation = Evaluation.from_dict(document) if document else None
    labelled = "squared" in sums
    checks = [_column_check(one, settings) for one in columns]
    checks += [_unseen_check(role, unseen[role], sums["rows"], settings) for role in _roles(unseen)]
    figures: dict[str, float] = {}
    if labelled:
        figures = _figures(sums, evaluation)
        checks += _error_checks(sums, figures, evaluation, settings)
    dates = [column for column in bundle.schema.columns if column.kind == "date" and column.role != "row"]
    return DriftReport(
        rows=checked.report.accepted,
        rejected=checked.report.rejected,
        labelled=labelled,
        columns=columns,
        unseen={name: count for name, count in unseen.items() if count or name in _roles(unseen)},
        mean_prediction=sums["prediction"] / sums["rows"],
        figures=figures,
        checks=tuple(sorted(checks, key=lambda check: check.held)),
        skipped=tuple(f"{column.label}, because dates always change" for column in dates),
        seconds=dict(steps.seconds),
    )


def _roles(unseen: Mapping[str, int]) -> list[str]:
    return [role for role in ("customer", "product") if role in unseen]


def _column_check(drift: ColumnDrift, settings: MonitorSettings) -> Check:
    moved = drift.has_moved(settings.threshold)
    limit = max(settings.threshold, drift.chance)
    largest = max(drift.levels, key=lambda shift: abs(shift.after - shift.before))
    sentence = (
        f"{drift.label} {'has changed' if moved else 'has not changed'}: index {drift.index:.3f}, limit {limit:.3f}; "
        f"largest change in {largest.level}, from {percent(largest.before)} to {percent(largest.after)} of the rows."
    )
    return Check(f"column:{drift.name}", drift.index, limit, not moved, sentence)


def _unseen_check(role: str, count: int, rows: float, settings: MonitorSettings) -> Check:
    share = count / rows
    held = share <= settings.max_unseen
    limit = percent(settings.max_unseen)
    sentence = f"{percent(share)} of the rows have a {role} that the training data do not have; limit {limit}."
    return Check(f"unseen:{role}", share, settings.max_unseen, held, sentence)


def _figures(sums: Mapping[str, float], evaluation: Evaluation | None) -> dict[str, float]:
    rows = sums["rows"]
    found = {"rmse": math.sqrt(sums["squared"] / rows), "bias": sums["error"] / rows}
    if "inside" in sums:
        found["coverage"] = sums["inside"] / rows
    if evaluation:
        whole = evaluation.overall
        found |= {"holdout_rmse": whole.rmse, "holdout_bias": whole.bias}
        if whole.coverage is not None:
            found["holdout_coverage"] = whole.coverage
    return found


def _error_checks(
    sums: Mapping[str, float], figures: Mapping[str, float], evaluation: Evaluation | None, settings: MonitorSettings
) -> list[Check]:
    """Hold error and coverage against the holdout's, each by more than chance would make of it."""
    if evaluation is None:
        return []
    rows, checks = sums["rows"], []
    limit = evaluation.overall.rmse * (1 + settings.max_error_growth)
    squared = sums["squared"] / rows
    deviation = math.sqrt(max(sums["fourth"] / rows - squared**2, 0.0) / rows)
    held = squared - _DEVIATIONS * deviation <= limit**2
    before = evaluation.overall.rmse
    sentence = (
        f"The error (RMSE) is {number(figures['rmse'])}; it was {number(before)} on the holdout, and the limit is "
        f"{number(limit)}."
    )
    checks.append(Check("error", figures["rmse"], limit, held, sentence))
    if "coverage" in figures and evaluation.level is not None:
        level, found = evaluation.level, figures["coverage"]
        least = level - settings.max_coverage_loss
        held = found + _DEVIATIONS * math.sqrt(level * (1 - level) / rows) >= least
        sentence = f"{percent(found)} of the targets are inside their {level:.0%} interval; limit {percent(least)}."
        checks.append(Check("coverage", found, least, held, sentence))
    return checks
