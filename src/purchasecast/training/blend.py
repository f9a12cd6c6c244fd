"""What a recipe's members make together: weights, the bend at the least purchase, and intervals.

All of it from predictions that have not seen their row.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as sf
from pyspark.storagelevel import StorageLevel

from purchasecast.numerics.nonnegative import nonnegative_weights
from purchasecast.numerics.soft_minimum import LEAST_SHARE, SoftMinimum, solve_soft_minimum
from purchasecast.recipes import prediction_stage, weighed_sum
from purchasecast.schema.reserved_columns import CUSTOMER_ROWS, LABEL, PREDICTION, PRODUCT_ROWS, SCALE
from purchasecast.spark.columns import col, quoted
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages import ConformalIntervals, ConformalIntervalsModel, CrossedEffectsModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame

    from purchasecast.progress import Steps
    from purchasecast.schema import Schema

__all__ = ["LABEL", "cached", "interval_columns", "weigh_and_calibrate"]

logger = logging.getLogger(__name__)

_MOST_BENT = 200_000  # rows that the bend is found on


def weigh_and_calibrate(
    outputs: list[str], held_out: DataFrame | None, schema: Schema, stages: list[Any], steps: Steps
) -> tuple[dict[str, float], SoftMinimum | None, ConformalIntervalsModel | None]:
    """Return the members' weights, the bend toward the least purchase, and the intervals.

    Parameters
    ----------
    outputs : list of str
        Column of each member.
    held_out : DataFrame or None
        Training rows with members' predictions that have not seen them; None where there are none.
    schema : Schema
        Description of the rows.
    stages : list of Transformer
        The fitted stages up to the features; the crossed effects among them know variances.
    steps : Steps
        Times the steps.

    Returns
    -------
    tuple of (dict, SoftMinimum or None, ConformalIntervalsModel or None)
        Without such predictions all weigh alike, and there is neither bend nor interval.
    """
    if held_out is None:
        if len(outputs) > 1:
            logger.warning("blend: no member has predictions out of fold, so that all weigh the same")
        return dict.fromkeys(outputs, 1.0 / len(outputs)), None, None
    needed = [name for name in (LABEL, *outputs, *interval_columns(schema)) if name in held_out.columns]
    with cached(held_out.select(*map(quoted, needed))) as rows:  # the members predict once
        weights = dict.fromkeys(outputs, 1.0)
        if len(outputs) > 1:
            with steps.step("blend"):
                weights = _blend_weights(rows, outputs)
        with steps.step("intervals"):
            bend = _bend(rows, weights, schema)
            predicted = prediction_stage(schema, weights, bend).transform(rows)
            return weights, bend, _calibrate(predicted, schema, stages)


def _blend_weights(held_out: DataFrame, members: list[str]) -> dict[str, float]:
    """Return the non-negative least-squares weights of the members, from their out-of-fold predictions."""
    columns = [*members, LABEL]
    products = [col(a) * col(b) for a in columns for b in columns]
    row = held_out.agg(*[sf.avg(product) for product in products]).collect()[0]
    gram = np.array(row, dtype=float).reshape(len(columns), len(columns))
    found = nonnegative_weights(gram[:-1, :-1], gram[:-1, -1])
    return dict(zip(members, map(float, found), strict=True))


def _bend(held_out: DataFrame, weights: dict[str, float], schema: Schema) -> SoftMinimum | None:
    """Return how predictions come near to the least purchase, from those out of fold; mostly one pass and no bend."""
    minimum = schema.target_minimum
    if minimum is None:
        return None
    rows = held_out.selectExpr(f"{weighed_sum(weights)} as value", f"{quoted(LABEL)} as label").where(
        "value is not null"
    )
    count, below = rows.selectExpr("count(1)", f"count_if(value < {float(minimum)!r}D)").collect()[0]
    if below < LEAST_SHARE * count:
        return None
    drawn = -(-count // _MOST_BENT)
    if drawn > 1:
        rows = rows.where(f"pmod(xxhash64(value, label), {drawn}) = 0")
    work = partial(solve_soft_minimum, minimum=minimum)
    found = map_in_tasks(rows.repartition(1), work, "origin double, width double").collect()
    return SoftMinimum(minimum, found[0]["origin"], found[0]["width"]) if found else None


def interval_columns(schema: Schema) -> list[str]:
    """Return the columns that intervals read beside the prediction."""
    category = schema.main_category
    return [CUSTOMER_ROWS, PRODUCT_ROWS, SCALE, *([category] if category else [])]


def _calibrate(held_out: DataFrame, schema: Schema, stages: list[Any]) -> ConformalIntervalsModel:
    """Calibrate intervals on rows whose prediction has not seen them."""
    encoders = [stage for stage in stages if isinstance(stage, CrossedEffectsModel)]
    counts: list[str] = []
    shrinkages: list[float] = []
    variance = 0.0
    if encoders:
        components = encoders[0].components[-1]
        variance = components.residual
        by_count = dict(zip(encoders[0].getCountCols(), components.groups, strict=True))
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
        groupCol=schema.main_category or "",
        hasMinimum=minimum is not None,
        minimum=minimum or 0.0,
    )
    model: ConformalIntervalsModel = estimator.fit(held_out.where(col(PREDICTION).isNotNull()))
    return model


@contextmanager
def cached(frame: DataFrame) -> Iterator[DataFrame]:
    """Keep a frame while it is worked with."""
    frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()
