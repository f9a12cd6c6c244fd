"""A scored and labelled frame becomes an `Evaluation`: metrics beside baselines, overall and by slice.

Every figure is of rows that no encoder, search or choice has seen, where the caller keeps such rows; this module only
counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.results import PREDICTION_TENTH, Evaluation, Reference, Slice
from purchasecast.schema.reserved_columns import CUSTOMER_ROWS, PREDICTION, PRODUCT_ROWS
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import Column, DataFrame

    from purchasecast.schema import Schema

__all__ = ["Evaluation", "Reference", "Slice", "evaluate", "reference_of"]

SMALL_CATEGORY = 0.01  # of the evaluated rows: below it a category is one of the smallest
_PRODUCT_MEAN = "_pc_product_mean"
_TENTHS = [k / 10 for k in range(1, 10)]
_WHERE_THERE = (CUSTOMER_ROWS, PRODUCT_ROWS, "lower", "upper")


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
    total = rows.agg(sf.count(sf.lit(1)), sf.avg(col(schema.target))).collect()[0]
    if not total[0]:
        raise DataError("training: expected labelled rows, found none; check the table and its holdout share.")
    heavy = 0.0
    if schema.customer:
        per_customer = rows.groupBy(col(schema.customer)).agg(sf.count(sf.lit(1)).alias("rows"))
        heavy = float(per_customer.agg(sf.percentile("rows", sf.lit(0.5))).collect()[0][0])
    return Reference(int(total[0]), float(total[1]), heavy)


def evaluate(
    scored: DataFrame, schema: Schema, model: PipelineModel, reference: Reference, *, computed_on: str
) -> Evaluation:
    """Measure predictions on labelled rows.

    Parameters
    ----------
    scored : DataFrame
        What the model made of labelled rows: the target, ``prediction``, the counts of training rows, and, where there
        are intervals, ``lower`` and ``upper``.
    schema : Schema
        Description of the rows.
    model : PipelineModel
        The model, which knows every product's mean in training.
    reference : Reference
        Figures of the training rows.
    computed_on : str
        Which rows these are, for the reader.

    Returns
    -------
    Evaluation
        Figures of all rows and of each slice.

    Raises
    ------
    DataError
        If there is no row.

    Notes
    -----
    Two passes over the scored rows, which are kept for it, narrowed: one for the borders of the tenths, then one in
    which each row counts in a handful of slices, whose sums are formed on the executors; the driver receives a dozen
    numbers a slice.
    """
    interval = _interval_of(model)
    frame = _with_product_mean(scored, schema, model, reference)
    read = [schema.target, schema.main_category, PREDICTION, _PRODUCT_MEAN, *_WHERE_THERE]
    with cached(frame.select(*[col(name) for name in dict.fromkeys(read) if name in frame.columns])) as narrow:
        tenths = narrow.agg(sf.percentile_approx(col(PREDICTION), sf.lit(_TENTHS), 10_000)).collect()[0][0] or []
        sums = _slice_sums(narrow, schema, reference, interval, sorted(set(map(float, tenths))))
    everything = sums.pop(("all", "all"), None)
    if everything is None:
        raise DataError("evaluate: expected labelled rows, found none; check the table or the holdout share.")
    _add_smallest(sums, everything)
    overall = _to_slice(("all", "all"), everything, reference.mean)
    ordered = sorted(sums, key=lambda key: _order(key, schema))
    slices = tuple(_to_slice(key, sums[key], reference.mean) for key in ordered)
    level = interval[0] if interval else None
    return Evaluation(overall, slices, computed_on, level=level, money=schema.money)


def _interval_of(model: PipelineModel) -> tuple[float, tuple[float, float]] | None:
    """Return the level of the model's intervals, and what one of constant width would add to a prediction."""
    stages: list[Any] = [stage for stage in model.stages if hasattr(stage, "constant_bounds")]
    return (float(stages[-1].getLevel()), stages[-1].constant_bounds()) if stages else None


def _with_product_mean(scored: DataFrame, schema: Schema, model: PipelineModel, reference: Reference) -> DataFrame:
    from purchasecast.stages import CrossedEffectsModel  # noqa: PLC0415  the stages load only where Spark runs

    mean = sf.lit(reference.mean)
    encoders = [stage for stage in model.stages if isinstance(stage, CrossedEffectsModel)]
    if not schema.product or not encoders:
        return scored.withColumn(_PRODUCT_MEAN, mean)
    table = (
        encoders[0].level_table(schema.product).select(col("level").alias("_pc_level"), col("mean").alias("_pc_mean"))
    )
    joined = scored.join(table, col(schema.product) == col("_pc_level"), "left")
    return joined.withColumn(_PRODUCT_MEAN, sf.coalesce("_pc_mean", mean)).drop("_pc_level", "_pc_mean")


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
    above = sf.expr(f"size(filter(array({', '.join(f'{border!r}D' for border in tenths)}), x -> x < {PREDICTION}))")
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
    error = prediction - target
    has_interval = {"lower", "upper"} <= set(frame.columns)
    centred = target - reference.mean  # squares of centred values: no digits lost to a large mean
    terms = {
        "error": error,
        "squares": error * error,
        "absolute": sf.abs(error),
        "target": centred,
        "target_squares": centred * centred,
        "product_mean": (col(_PRODUCT_MEAN) - target) * (col(_PRODUCT_MEAN) - target),
    }
    if has_interval:
        inside = (target >= col("lower")) & (target <= col("upper"))
        terms |= {"inside": sf.when(inside, 1.0).otherwise(0.0), "width": col("upper") - col("lower")}
    if has_interval and interval:
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
    spread = sums["target_squares"] - sums["target"] ** 2 / rows
    return Slice(
        by=key[0],
        level=key[1],
        rows=int(rows),
        rmse=math.sqrt(sums["squares"] / rows),
        mae=sums["absolute"] / rows,
        r2=1.0 - sums["squares"] / spread if spread > 0 else None,
        bias=sums["error"] / rows,
        baseline_rmse={
            "mean": math.sqrt(sums["target_squares"] / rows),
            "product_mean": math.sqrt(sums["product_mean"] / rows),
        },
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
