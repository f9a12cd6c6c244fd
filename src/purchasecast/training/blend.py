"""Blend member predictions and calibrate intervals, from predictions out of fold."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as sf

from purchasecast.numerics.nonnegative import nonnegative_weights
from purchasecast.numerics.soft_minimum import MIN_SHARE, SoftMinimum, solve_soft_minimum
from purchasecast.schema.reserved_columns import (
    BASE_AMOUNT,
    CUSTOMER_ROWS,
    FOLD,
    LABEL,
    PREDICTION,
    PRODUCT_ROWS,
    SCALE,
)
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, quoted
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages import BoundedPrediction, ConformalIntervals, ConformalIntervalsModel, CrossedEffectsModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import Column, DataFrame

    from purchasecast.progress import Steps
    from purchasecast.recipes import Recipe
    from purchasecast.schema import Schema
    from purchasecast.training.members import FittedMember

__all__ = ["Blend", "weigh_and_calibrate"]

logger = logging.getLogger(__name__)

_LABEL_LIMIT = 8.0  # base amounts, up to which a label counts in the weights
_MAX_BEND_ROWS = 200_000  # the bend is chosen on at most so many rows


@dataclass(frozen=True, slots=True)
class Blend:
    """How the members' predictions become one, with an interval.

    Attributes
    ----------
    weights : dict of str to float
        Weight of each member's column.
    bend : SoftMinimum or None
        Bend of the predictions toward the minimum of the target; None where they are cut off at it.
    intervals : ConformalIntervalsModel or None
        The calibrated intervals; None where no row has an out-of-fold prediction.
    """

    weights: dict[str, float]
    bend: SoftMinimum | None = None
    intervals: ConformalIntervalsModel | None = None

    def stages(self, schema: Schema) -> list[Any]:
        """Return the last stages of the pipeline."""
        prediction = bounded_prediction(schema, self.weights, self.bend)
        return [prediction, *([self.intervals] if self.intervals else [])]


def bounded_prediction(schema: Schema, weights: dict[str, float], bend: SoftMinimum | None) -> BoundedPrediction:
    """Return the stage that blends the members, not below the minimum of the target."""
    minimum = schema.target_minimum
    return BoundedPrediction(
        inputCols=list(weights),
        weights=list(weights.values()),
        outputCol=PREDICTION,
        minimum=[] if minimum is None else [minimum],
        bend=[bend.origin, bend.width] if bend else [],
    )


def weigh_and_calibrate(
    members: Sequence[FittedMember],
    table: DataFrame,
    schema: Schema,
    recipe: Recipe,
    stages: list[Any],
    steps: Steps,
    *,
    latest_from: int = 0,
) -> Blend:
    """Weigh the members, choose the bend toward the minimum, and calibrate intervals.

    Parameters
    ----------
    members : sequence of FittedMember
        The fitted members.
    table : DataFrame
        Training rows with features, label and fold.
    schema : Schema
        Description of the rows.
    recipe : Recipe
        The resolved recipe.
    stages : list of Transformer
        The fitted stages up to the features; the crossed effects among them hold variance components.
    steps : Steps
        Times the steps.
    latest_from : int, default 0
        First fold to look at. Where folds are blocks of time, early ones are predicted from little, unlike the rows to
        come.

    Returns
    -------
    Blend
        Where a member has no out-of-fold predictions, all weigh the same, without bend and intervals.
    """
    outputs = [member.output for member in members]
    held_out = table
    for member in members:
        if member.out_of_fold is None:
            if len(outputs) > 1:
                logger.warning("blend: %s has no out-of-fold predictions, so all members weigh the same", member.output)
            return Blend(dict.fromkeys(outputs, 1.0 / len(outputs)))
        held_out = member.out_of_fold(held_out)
    if latest_from:
        held_out = held_out.where(col(FOLD) >= latest_from)
    needed = [name for name in (LABEL, *outputs, BASE_AMOUNT, *recipe.interval_columns) if name in held_out.columns]
    with cached(held_out.select(*map(quoted, needed))) as rows:  # the members predict once
        weights = dict.fromkeys(outputs, 1.0)
        if len(outputs) > 1:
            with steps.step("blend"):
                weights = _blend_weights(rows, outputs, is_priced=recipe.is_priced)
                weights = _not_worse_than(rows, weights, recipe)
        with steps.step("intervals"):
            bend = _choose_bend(rows, weights, schema)
            predicted = bounded_prediction(schema, weights, bend).transform(rows)
            return Blend(weights, bend, _calibrate(predicted, schema, recipe, stages))


def _blend_weights(held_out: DataFrame, members: list[str], *, is_priced: bool) -> dict[str, float]:
    """Return the non-negative least-squares weights of the members; one pass.

    Where members are multiples of a base amount, squared errors are divided by it, and a label counts up to eight times
    the base amount: else the few largest purchases decide.
    """
    label, weight = _loss_terms(is_priced=is_priced)
    columns = [*[col(name) for name in members], label]
    row = held_out.agg(*[sf.avg(weight * a * b) for a in columns for b in columns]).collect()[0]
    gram = np.array(row, dtype=float).reshape(len(columns), len(columns))
    weights = nonnegative_weights(gram[:-1, :-1], gram[:-1, -1])
    return dict(zip(members, map(float, weights), strict=True))


def _loss_terms(*, is_priced: bool) -> tuple[Column, Column]:
    """Return the label and the weight of a squared error that the blend is chosen by."""
    if not is_priced:
        return col(LABEL), sf.lit(1.0)
    base = col(BASE_AMOUNT)
    return sf.least(col(LABEL), _LABEL_LIMIT * base + 1.0), 1.0 / base


def _not_worse_than(held_out: DataFrame, weights: dict[str, float], recipe: Recipe) -> dict[str, float]:
    """Return the weights, or those of the best simple prediction alone where the blend is not clearly better; one pass.

    Clearly means by more than one standard error of the difference of their squared errors, row by row.
    """
    if not recipe.simple:
        return weights
    label, weight = _loss_terms(is_priced=recipe.is_priced)
    blended = sum((sf.lit(share) * col(name) for name, share in weights.items()), start=sf.lit(0.0))
    loss = weight * (blended - label) * (blended - label)
    differences = [weight * (col(name) - label) * (col(name) - label) - loss for name in recipe.simple]
    row = held_out.agg(
        sf.count(sf.lit(1)),
        *[sf.avg(difference) for difference in differences],
        *[sf.stddev(difference) for difference in differences],
    ).collect()[0]
    count, gains = row[0], [float(value) for value in row[1 : 1 + len(differences)]]
    best = gains.index(min(gains))
    error = float(row[1 + len(differences) + best] or 0.0) / math.sqrt(count)
    if gains[best] > error:
        return weights
    logger.info("blend: not clearly better than %s, which is taken alone", recipe.simple[best])
    return {name: float(name == recipe.simple[best]) for name in weights}


def _choose_bend(held_out: DataFrame, weights: dict[str, float], schema: Schema) -> SoftMinimum | None:
    """Return the bend of predictions toward the minimum of the target; mostly one pass and no bend."""
    minimum = schema.target_minimum
    if minimum is None:
        return None
    total = bounded_prediction(schema, weights, None).total()
    rows = held_out.select(total.alias("value"), col(LABEL).alias("label")).where("value is not null")
    count, below = rows.agg(sf.count(sf.lit(1)), sf.count_if(sf.col("value") < minimum)).collect()[0]
    if below < MIN_SHARE * count:
        return None
    every = -(-count // _MAX_BEND_ROWS)
    if every > 1:
        rows = rows.where(f"pmod(xxhash64(value, label), {every}) = 0")
    work = partial(solve_soft_minimum, minimum=minimum)
    bends = map_in_tasks(rows.repartition(1), work, "origin double, width double").collect()
    return SoftMinimum(minimum, bends[0]["origin"], bends[0]["width"]) if bends else None


def _calibrate(held_out: DataFrame, schema: Schema, recipe: Recipe, stages: list[Any]) -> ConformalIntervalsModel:
    """Calibrate intervals on out-of-fold predictions."""
    encoders = [stage for stage in stages if isinstance(stage, CrossedEffectsModel)]
    counts: list[str] = []
    shrinkages: list[float] = []
    variance = 0.0
    if encoders:
        components = encoders[0].components[-1]
        variance = components.residual
        by_count = dict(zip(encoders[0].getOrDefault("countCols"), components.groups, strict=True))
        counts = [name for name in (CUSTOMER_ROWS, PRODUCT_ROWS) if by_count.get(name)]
        shrinkages = [variance / by_count[name] for name in counts]
    minimum = schema.target_minimum
    estimator = ConformalIntervals(
        labelCol=LABEL,
        predictionCol=PREDICTION,
        spreadCol=SCALE if SCALE in held_out.columns else "",
        countCols=counts,
        shrinkages=shrinkages,
        variance=variance,
        groupCol=recipe.interval_group,
        hasMinimum=minimum is not None,
        minimum=minimum or 0.0,
    )
    model: ConformalIntervalsModel = estimator.fit(held_out.where(col(PREDICTION).isNotNull()))
    return model
