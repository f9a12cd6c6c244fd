"""A scored and labelled frame becomes an `Evaluation`: metrics beside baselines, overall and by slice.

Every figure is of rows that no encoder, search or choice has seen, where the caller keeps such rows; this module only
counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.results import (
    PREDICTION_TENTH,
    AmountEvaluation,
    CalibrationBin,
    Evaluation,
    LargestErrors,
    Reference,
    Slice,
)
from purchasecast.schema.reserved_columns import (
    CUSTOMER_ROWS,
    LOWER,
    PREDICTION,
    PRODUCT_MEAN,
    PRODUCT_MEDIAN,
    PRODUCT_ROWS,
    STEPS,
    UNIT_PRICE_AMOUNT,
    UPPER,
)
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, number_literal

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame

    from purchasecast.schema import Schema

__all__ = ["EVALUATED", "error_terms", "evaluate", "has_ladder", "reference_of"]

SMALL_CATEGORY = 0.01  # of the evaluated rows: below it a category is one of the smallest
MAX_LEVELS = 50  # of the main category that are kept, those with the largest squared error
_LARGEST = 10  # errors that are looked at one by one
_BASELINES = {"product_mean": PRODUCT_MEAN, "product_median": PRODUCT_MEDIAN, "unit_price": UNIT_PRICE_AMOUNT}
_TENTHS = [k / 10 for k in range(1, 10)]
#: Columns that an evaluation reads where the model makes them, beside the prediction.
EVALUATED = (CUSTOMER_ROWS, PRODUCT_ROWS, LOWER, UPPER, *_BASELINES.values())


def reference_of(rows: DataFrame, schema: Schema) -> Reference:
    """Summarize the training rows for evaluations, in one or two passes.

    Parameters
    ----------
    rows : DataFrame
        Training rows.
    schema : Schema
        Their description.

    Returns
    -------
    Reference
        Number of rows, mean of the target, and the border between light and heavy customers.

    Raises
    ------
    DataError
        If there are no rows.
    """
    target = col(schema.target)
    middle = sf.percentile_approx(target, sf.lit(0.5), 10_000)
    total = rows.agg(sf.count(sf.lit(1)), sf.avg(target), middle).collect()[0]
    if not total[0]:
        raise DataError("training: expected labelled rows, found none; check the table and its holdout share.")
    heavy = 0.0
    if schema.customer:
        per_customer = rows.groupBy(col(schema.customer)).agg(sf.count(sf.lit(1)).alias("rows"))
        heavy = float(per_customer.agg(sf.percentile("rows", sf.lit(0.5))).collect()[0][0])
    return Reference(int(total[0]), float(total[1]), heavy, float(total[2]))


def evaluate(
    scored: DataFrame, schema: Schema, model: PipelineModel, reference: Reference, *, computed_on: str
) -> Evaluation:
    """Measure predictions on labelled rows.

    Parameters
    ----------
    scored : DataFrame
        Scored rows with the target, ``prediction`` and, where the model makes them, bounds of the interval, numbers of
        training rows, and the simple predictions that are baselines.
    schema : Schema
        Description of the rows.
    model : PipelineModel
        The model, or those of its stages that hold levels and intervals.
    reference : Reference
        Figures of the training rows.
    computed_on : str
        Which rows these are, for the reader.

    Returns
    -------
    Evaluation
        Figures of all rows and of each slice; of the main category's levels, the `MAX_LEVELS` with the largest squared
        error.

    Raises
    ------
    DataError
        If there is no row.

    Notes
    -----
    Three passes over the scored rows, which are kept for them, narrowed: the borders of the tenths, the largest errors,
    and one in which each row counts in a handful of slices, whose sums are formed on the executors. The driver receives
    two dozen numbers a slice. Where amounts stand on steps, a fourth pass compares these.
    """
    interval = _interval_of(model)
    read = [schema.target, schema.main_category, PREDICTION, *EVALUATED, STEPS]
    narrow = scored.select(*[col(name) for name in dict.fromkeys(read) if name in scored.columns])
    with cached(narrow) as rows:
        tenths = rows.agg(sf.percentile_approx(col(PREDICTION), sf.lit(_TENTHS), 10_000)).collect()[0][0] or []
        largest = _largest_errors(rows, schema)
        sums = _slice_sums(rows, schema, reference, interval, sorted(set(map(float, tenths))))
        amounts = _amount_quality(rows, schema, model)
    everything = sums.pop(("all", "all"), None)
    if everything is None:
        raise DataError("evaluate: expected labelled rows, found none; check the table or the holdout share.")
    _add_smallest(sums, everything)
    kept = _with_largest_error(sums, schema)
    ordered = sorted(kept, key=lambda key: _order(key, schema))
    overall = _to_slice(("all", "all"), everything, reference.mean)
    return Evaluation(
        overall,
        tuple(_to_slice(key, sums[key], reference.mean) for key in ordered),
        computed_on,
        level=interval[0] if interval else None,
        money=schema.money,
        largest=_largest_of(largest, everything),
        amounts=amounts,
    )


def has_ladder(model: PipelineModel) -> bool:
    """Return whether a model gives the probability of each step that amounts may stand on.

    Parameters
    ----------
    model : PipelineModel
        The model, or those of its stages that hold levels, intervals and ladders.

    Returns
    -------
    bool
        True if one of the stages does.
    """
    return any(getattr(stage, "has_probabilities", False) for stage in model.stages)


def _amount_quality(rows: DataFrame, schema: Schema, model: PipelineModel) -> AmountEvaluation | None:
    """Compare the probabilities and sets of steps with the amounts that came; one pass, where there are any."""
    if STEPS not in rows.columns or not has_ladder(model):
        return None
    target = col(schema.target)
    step = sf.explode(STEPS).alias("step")
    each = rows.where(f"{STEPS} IS NOT NULL").select(target.alias("target"), step).select("target", "step.*")
    came = (sf.col("target") >= sf.col("low")) & (sf.col("target") <= sf.col("high"))
    tenth = sf.least(sf.floor(sf.col("probability") * 10), sf.lit(9))
    in_set = sf.col("in_set").cast("double")
    terms = {
        "pairs": sf.lit(1.0),
        "expected": sf.col("probability"),
        "actual": came.cast("double"),
        "inside": came.cast("double") * in_set,
        "steps": in_set,
        "length": in_set * (sf.col("high") - sf.col("low")),
    }
    sums = each.groupBy(tenth.alias("tenth")).agg(*[sf.sum(term).alias(name) for name, term in terms.items()])
    found = sorted(sums.collect(), key=lambda row: row["tenth"])  # ten rows
    count = rows.where(f"{STEPS} IS NOT NULL").count()
    if not count:
        return None
    whole = {name: sum(row[name] for row in found) / count for name in ("inside", "length", "steps")}
    stages: list[Any] = [stage for stage in model.stages if getattr(stage, "has_probabilities", False)]
    level = float(stages[-1].getLevel())
    bins = tuple(CalibrationBin(int(row["pairs"]), row["expected"], row["actual"]) for row in found)
    return AmountEvaluation(count, level, whole["inside"], whole["length"], whole["steps"], bins, schema.money)


def error_terms(schema: Schema, frame: DataFrame) -> dict[str, Column]:
    """Return what a scored and labelled row adds to sums of errors: the one definition, also of `monitor`.

    Parameters
    ----------
    schema : Schema
        Names the target.
    frame : DataFrame
        Scored rows.

    Returns
    -------
    dict of str to Column
        ``error`` (prediction minus target), ``squares``, ``absolute``; and, with intervals, ``inside`` and ``width``.
    """
    target, error = col(schema.target), col(PREDICTION) - col(schema.target)
    terms = {"error": error, "squares": error * error, "absolute": sf.abs(error)}
    if {LOWER, UPPER} <= set(frame.columns):
        inside = (target >= col(LOWER)) & (target <= col(UPPER))
        terms |= {"inside": sf.when(inside, 1.0).otherwise(0.0), "width": col(UPPER) - col(LOWER)}
    return terms


def _largest_errors(rows: DataFrame, schema: Schema) -> list[float]:
    """Return the largest squared errors."""
    squares = rows.select(error_terms(schema, rows)["squares"].alias("squares")).where("squares IS NOT NULL")
    return [float(row[0]) for row in squares.orderBy(sf.desc("squares")).limit(_LARGEST).collect()]


def _largest_of(squares: list[float], everything: dict[str, float]) -> LargestErrors:
    rows, total = everything["rows"] - len(squares), everything["squares"]
    rest = max(total - sum(squares), 0.0)
    return LargestErrors(
        len(squares), sum(squares) / total if total > 0 else 0.0, math.sqrt(rest / rows) if rows > 0 else 0.0
    )


def _with_largest_error(sums: dict[tuple[str, str], dict[str, float]], schema: Schema) -> list[tuple[str, str]]:
    """Return all slices but the levels of the main category past the largest `MAX_LEVELS`."""
    levels = [key for key in sums if key[0] == schema.main_category]
    by_error = sorted(levels, key=lambda key: (-sums[key]["squares"], key))
    return [key for key in sums if key not in set(by_error[MAX_LEVELS:])]


def _interval_of(model: PipelineModel) -> tuple[float, tuple[float, float]] | None:
    """Return the level of the model's intervals, and what one of constant width would add to a prediction."""
    stages: list[Any] = [stage for stage in model.stages if hasattr(stage, "constant_bounds")]
    return (float(stages[-1].getLevel()), stages[-1].constant_bounds()) if stages else None


def _slices_of_row(frame: DataFrame, schema: Schema, reference: Reference, tenths: list[float]) -> Column:
    def part(by: str, level: Column) -> Column:
        return sf.struct(sf.lit(by).alias("by"), level.alias("level"))

    parts = [part("all", sf.lit("all"))]
    for role, rows in (("product", PRODUCT_ROWS), ("customer", CUSTOMER_ROWS)):
        if rows in frame.columns:
            parts.append(part(role, sf.when(col(rows) > 0, "seen").otherwise("unseen")))
    if CUSTOMER_ROWS in frame.columns:
        heavy = col(CUSTOMER_ROWS) > reference.heavy_customer_rows
        parts.append(part("customer activity", sf.when(heavy, "heavy").otherwise("light")))
    category = schema.main_category
    if category:
        parts.append(part(category, sf.coalesce(col(category), sf.lit("(none)"))))
    above = sf.expr(f"size(filter(array({', '.join(map(number_literal, tenths))}), x -> x < {PREDICTION}))")
    parts.append(part(PREDICTION_TENTH, (above + 1 if tenths else sf.lit(1)).cast("string")))
    return sf.array(*parts)


def _slice_sums(
    frame: DataFrame,
    schema: Schema,
    reference: Reference,
    interval: tuple[float, tuple[float, float]] | None,
    tenths: list[float],
) -> dict[tuple[str, str], dict[str, float]]:
    """Return sums of errors, squares and hits, a dict a slice."""
    target, prediction = col(schema.target), col(PREDICTION)
    centred = target - reference.mean  # squares of centred values: no digits lost to a large mean
    terms = error_terms(schema, frame) | {"target": centred, "target_squares": centred * centred}
    for name, baseline in _baselines(frame, schema, reference).items():
        terms |= {f"{name} squares": (baseline - target) ** 2, f"{name} absolute": sf.abs(baseline - target)}
    if "inside" in terms and interval:
        terms |= _interval_terms(target, prediction, interval, schema.target_minimum)
    exploded = frame.select(
        sf.explode(_slices_of_row(frame, schema, reference, tenths)).alias("slice"),
        *[term.cast("double").alias(name) for name, term in terms.items()],
    )
    grouped = exploded.groupBy("slice.by", "slice.level").agg(
        sf.count(sf.lit(1)).cast("double").alias("rows"), *[sf.sum(name).alias(name) for name in terms]
    )
    found = {}
    for row in grouped.collect():  # one row a slice: a few, and the levels of one category
        values = row.asDict()
        key = (values.pop("by"), values.pop("level"))
        found[key] = {name: float(value) for name, value in values.items()}
    return found


def _baselines(frame: DataFrame, schema: Schema, reference: Reference) -> dict[str, Column]:
    """Return the simple predictions that the model is compared with."""
    overall = {"mean": sf.lit(reference.mean), "product_mean": sf.lit(reference.mean)}
    if reference.median is not None:
        overall["median"] = sf.lit(reference.median)
    made = {name: col(column) for name, column in _BASELINES.items() if column in frame.columns}
    if schema.quantity is None:
        made.pop("unit_price", None)  # without a quantity it is the product's mean
    return overall | made


def _interval_terms(
    target: Column, prediction: Column, interval: tuple[float, tuple[float, float]], minimum: float | None
) -> dict[str, Column]:
    """Return each row's Winkler score, and the width that an interval of constant width has there."""
    level, (low, high) = interval
    missed = sf.greatest(col("lower") - target, target - col("upper"), sf.lit(0.0))
    bottom = prediction + low
    held = bottom if minimum is None else sf.greatest(bottom, sf.lit(minimum))
    score = col("upper") - col("lower") + 2.0 / (1.0 - level) * missed
    return {"score": score, "constant": prediction + high - held}


def _add_smallest(sums: dict[tuple[str, str], dict[str, float]], everything: dict[str, float]) -> None:
    """Add the slices with and without the smallest categories, as sums of what is there."""
    known = {"product", "customer", "customer activity", PREDICTION_TENTH}
    categories = [value for (by, _), value in sums.items() if by not in known]
    for level, chosen in (
        ("all but the smallest", [c for c in categories if c["rows"] >= SMALL_CATEGORY * everything["rows"]]),
        ("the smallest", [c for c in categories if c["rows"] < SMALL_CATEGORY * everything["rows"]]),
    ):
        if chosen and len(chosen) < len(categories):
            sums[("categories", level)] = {name: sum(c[name] for c in chosen) for name in everything}


def _to_slice(key: tuple[str, str], sums: dict[str, float], mean: float) -> Slice:
    rows = sums["rows"]
    baselines = [name.removesuffix(" squares") for name in sums if name.endswith(" squares")]
    spread = sums["target_squares"] - sums["target"] ** 2 / rows
    return Slice(
        by=key[0],
        level=key[1],
        rows=int(rows),
        rmse=math.sqrt(sums["squares"] / rows),
        mae=sums["absolute"] / rows,
        r2=1.0 - sums["squares"] / spread if spread > 0 else None,
        bias=sums["error"] / rows,
        baseline_rmse={name: math.sqrt(sums[f"{name} squares"] / rows) for name in baselines},
        baseline_mae={name: sums[f"{name} absolute"] / rows for name in baselines},
        coverage=sums["inside"] / rows if "inside" in sums else None,
        mean_width=sums["width"] / rows if "width" in sums else None,
        interval_score=sums["score"] / rows if "score" in sums else None,
        constant_width=sums["constant"] / rows if "constant" in sums else None,
        mean_prediction=mean + (sums["target"] + sums["error"]) / rows,
    )


def _order(key: tuple[str, str], schema: Schema) -> tuple[Any, ...]:
    """Sort roles first, then the categories' levels, codes by number."""
    by, level = key
    place = ["product", "customer", "customer activity", "categories", schema.main_category, PREDICTION_TENTH].index(by)
    return (place, not level.isdigit(), int(level) if level.isdigit() else 0, level)
