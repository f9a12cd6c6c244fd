"""Blend member predictions, calibrate intervals, and find ladders of amounts, from predictions out of fold."""

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
    BOOSTED_PREDICTION,
    CUSTOMER_ROWS,
    FOLD,
    LABEL,
    LINEAR_PREDICTION,
    LOWER,
    PREDICTION,
    PRODUCT_ROWS,
    RESERVED_PREFIX,
    SCALE,
    STEPS,
    UNIT,
    UPPER,
)
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, quoted
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages import (
    BoundedPrediction,
    ConformalIntervals,
    ConformalIntervalsModel,
    CrossedEffectsModel,
    PriceLadder,
    PriceLadderModel,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

    from purchasecast.progress import Steps
    from purchasecast.recipes import Recipe
    from purchasecast.schema import Schema
    from purchasecast.training.members import FittedMember

__all__ = ["Blend", "weigh_and_calibrate"]

logger = logging.getLogger(__name__)

_TOLERANCE = 0.005  # of the error, up to which auto takes one regression where a blend is better
_TITLES = {
    "mean": "the mean of the regressions",
    "fitted": "fitted weights",
    LINEAR_PREDICTION: "linear",
    BOOSTED_PREDICTION: "boosted",
}
_LABEL_LIMIT = 8.0  # base amounts, up to which a label counts in the weights
_MIN_LADDER_SHARE = 0.5  # of the rows, as in the profile
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
    choice : str
        Which combination of the members this is, and why; empty where there is one member.
    ladder : PriceLadderModel or None
        The steps that amounts stand on, with their probabilities; None where most amounts stand on none.
    """

    weights: dict[str, float]
    bend: SoftMinimum | None = None
    intervals: ConformalIntervalsModel | None = None
    choice: str = ""
    ladder: PriceLadderModel | None = None

    def stages(self, schema: Schema) -> list[Any]:
        """Return the last stages of the pipeline."""
        prediction = bounded_prediction(schema, self.weights, self.bend)
        return [prediction, *filter(None, (self.intervals, self.ladder))]


@dataclass(frozen=True, slots=True)
class Losses:
    """Squared errors of candidates on the same rows, as means and as means of their products.

    Attributes
    ----------
    names : tuple of str
        The candidates.
    rows : int
        Number of rows.
    means : ndarray of shape (m,)
        Mean squared error of each candidate.
    products : ndarray of shape (m, m)
        Means of the products of two candidates' squared errors.
    """

    names: tuple[str, ...]
    rows: int
    means: NDArray[np.float64]
    products: NDArray[np.float64]

    def mean(self, name: str) -> float:
        """Return the mean squared error of a candidate."""
        return float(self.means[self.names.index(name)])

    def is_better(self, one: str, other: str, *, errors: float) -> bool:
        """Return whether a candidate is better than another by so many standard errors of the difference."""
        i, j = self.names.index(one), self.names.index(other)
        gain = self.means[j] - self.means[i]
        square = self.products[i, i] + self.products[j, j] - 2.0 * self.products[i, j]
        return bool(gain > errors * math.sqrt(max(square - gain * gain, 0.0) / self.rows))

    def is_as_good(self, one: str, other: str) -> bool:
        """Return whether a root mean squared error is larger by half a percent at most, or by nothing beyond noise."""
        near = self.mean(one) <= (1.0 + _TOLERANCE) ** 2 * self.mean(other)
        return near or not self.is_better(other, one, errors=1.0)

    def described(self, chosen: str, regressions: Sequence[str]) -> str:
        """Return in a sentence what was chosen and how much larger the errors of the regressions are on the folds."""
        others = [
            f"{math.sqrt(self.mean(name) / self.mean(chosen)) - 1.0:+.1%} with {_TITLES.get(name, name)}"
            for name in regressions
            if name != chosen and self.mean(chosen) > 0
        ]
        ending = f"; root mean squared error on the folds {', '.join(others)} alone" if others else ""
        return f"{_TITLES.get(chosen, chosen.removeprefix(RESERVED_PREFIX).replace('_', ' '))}{ending}"

    def better_than(self, reference: str, names: Sequence[str], *, errors: float) -> str:
        """Return the best of the candidates that are better than a reference by so many standard errors, or itself."""
        better = [name for name in names if self.is_better(name, reference, errors=errors)]
        return min(better, key=self.mean, default=reference)


def bounded_prediction(schema: Schema, weights: dict[str, float], bend: SoftMinimum | None) -> BoundedPrediction:
    """Return the stage that blends the members, not below the minimum of the target."""
    minimum, used = schema.target_minimum, {name: weight for name, weight in weights.items() if weight}
    return BoundedPrediction(
        inputCols=list(used),
        weights=list(used.values()),
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
    """Weigh the members, choose the bend toward the minimum, calibrate intervals, and find a ladder.

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
        weights, choice = dict.fromkeys(outputs, 1.0), ""
        if len(outputs) > 1:
            with steps.step("blend"):
                weights, choice = _choose_weights(rows, outputs, recipe)
        with steps.step("intervals"):
            bend = _choose_bend(rows, weights, schema)
            predicted = bounded_prediction(schema, weights, bend).transform(rows)
            intervals = _calibrate(predicted, schema, recipe, stages)
            return Blend(weights, bend, intervals, choice, _find_ladder(predicted, recipe))


def _choose_weights(held_out: DataFrame, members: list[str], recipe: Recipe) -> tuple[dict[str, float], str]:
    """Return the weights of the members, and why these; two passes.

    Fitted weights are the non-negative least-squares ones. On a few thousand rows, of which ten make most of the error,
    they follow chance, and the mean of the regressions errs less on rows to come. So this mean is the rule; fitted
    weights, or a regression alone, must be better by two standard errors of the difference of squared errors, row by
    row. A simple prediction is taken where nothing is better by one. ``auto`` then goes back to one regression where
    that loses at most half a percent, or nothing beyond noise.
    """
    fitted = [name for name in members if name not in recipe.simple]
    candidates = {"mean": {name: float(name in fitted) / len(fitted) for name in members}}
    candidates |= {"fitted": _fitted_weights(held_out, members, is_priced=recipe.is_priced)}
    candidates |= {name: {other: float(other == name) for other in members} for name in members}
    losses = _compare(held_out, candidates, is_priced=recipe.is_priced)
    chosen = losses.better_than("mean", ["fitted", *fitted], errors=2.0)
    if recipe.simple:
        simple = min(recipe.simple, key=losses.mean)
        if not losses.is_better(chosen, simple, errors=1.0):
            chosen = simple
    if recipe.model == "auto":
        good = [name for name in fitted if losses.is_as_good(name, chosen)]
        chosen = next(iter(good), chosen)
    choice = losses.described(chosen, fitted)
    logger.info("%s: %s", recipe.model, choice)
    return candidates[chosen], choice


def _fitted_weights(held_out: DataFrame, members: list[str], *, is_priced: bool) -> dict[str, float]:
    """Return the non-negative least-squares weights of the members; one pass."""
    label, weight = _loss_terms(is_priced=is_priced)
    columns = [*[col(name) for name in members], label]
    row = held_out.agg(*[sf.avg(weight * a * b) for a in columns for b in columns]).collect()[0]
    gram = np.array(row, dtype=float).reshape(len(columns), len(columns))
    weights = nonnegative_weights(gram[:-1, :-1], gram[:-1, -1])
    return dict(zip(members, map(float, weights), strict=True))


def _loss_terms(*, is_priced: bool) -> tuple[Column, Column]:
    """Return the label and the weight of a squared error that the blend is chosen by.

    Where members are multiples of a base amount, squared errors are divided by it, and a label counts up to eight times
    the base amount: else the few largest purchases decide.
    """
    if not is_priced:
        return col(LABEL), sf.lit(1.0)
    base = col(BASE_AMOUNT)
    return sf.least(col(LABEL), _LABEL_LIMIT * base + 1.0), 1.0 / base


def _compare(held_out: DataFrame, candidates: dict[str, dict[str, float]], *, is_priced: bool) -> Losses:
    """Return the means and products of the candidates' squared errors; one pass."""
    label, weight = _loss_terms(is_priced=is_priced)
    columns: list[Column] = []
    for weights in candidates.values():
        blended = sum((sf.lit(share) * col(name) for name, share in weights.items()), start=sf.lit(0.0))
        columns.append((weight * (blended - label) * (blended - label)).alias(f"l{len(columns)}"))
    losses = held_out.select(*columns)
    pairs = [sf.avg(losses[i] * losses[j]) for i in losses.columns for j in losses.columns]
    row = losses.agg(sf.count(sf.lit(1)), *[sf.avg(name) for name in losses.columns], *pairs).collect()[0]
    size = len(candidates)
    numbers = np.array(row[1:], dtype=float)
    return Losses(tuple(candidates), int(row[0]), numbers[:size], numbers[size:].reshape(size, size))


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


def _find_ladder(held_out: DataFrame, recipe: Recipe) -> PriceLadderModel | None:
    """Return the steps that amounts stand on, with their probabilities; None where most amounts stand on none.

    Where there is a quantity, amounts are multiples of it, and their steps say nothing of prices.
    """
    if recipe.is_priced:
        return None
    model: PriceLadderModel = PriceLadder(
        levelCol=recipe.interval_group,
        labelCol=LABEL,
        outputCol=UNIT,
        predictionCol=PREDICTION,
        spreadCol=SCALE if SCALE in held_out.columns else "",
        amountsCol=STEPS,
        lowerCol=LOWER,
        upperCol=UPPER,
    ).fit(held_out)
    return model if model.has_probabilities and model.share(held_out.count()) >= _MIN_LADDER_SHARE else None


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
