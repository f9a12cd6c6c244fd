"""Fit a recipe: its stages in order, its members, then weights and intervals from out-of-fold predictions."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pyspark.ml import Estimator, PipelineModel
from pyspark.ml.feature import StringIndexer
from pyspark.sql import functions as sf

from purchasecast.schema.reserved_columns import (
    BASE_AMOUNT,
    BOOSTED_PREDICTION,
    FEATURES,
    FOLD,
    LABEL,
    ORDER,
    RATIO_WEIGHT,
)
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, quoted
from purchasecast.stages import CrossedEffectsEncoder, PurchasePatternEncoder, UnitPriceEncoder
from purchasecast.training.blend import Blend, weigh_and_calibrate
from purchasecast.training.members import FittedMember, members_of
from purchasecast.training.pipeline_steps import columns_read, step_name
from purchasecast.training.split import with_folds
from purchasecast.training.target_transform import TransformChoice, choose_transform

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame

    from purchasecast.config import TrainSettings
    from purchasecast.progress import Steps
    from purchasecast.recipes import Recipe
    from purchasecast.results import SearchResult
    from purchasecast.schema import Schema
    from purchasecast.training.members import Boosting, Member

__all__ = ["Fitted", "fit_recipe", "step_count"]

logger = logging.getLogger(__name__)

# What a training with trees takes in all, in units of the time up to the regression: trees on every fold take about as
# long as all before them, and the refit takes the encoders and one more fit of the trees.
_TIMES_ALONE, _TIMES_WITH_REFIT = 2.0, 3.2
_MIDDLE_SHARE = 0.3  # of the median base amount: smaller amounts weigh no more each


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted recipe.

    Attributes
    ----------
    model : PipelineModel
        From accepted rows to predictions and, where rows have out-of-fold predictions, intervals.
    members : tuple of FittedMember
        The members with what they chose.
    blend : Blend
        Weights of the members, the bend toward the minimum, and intervals.
    transform : TransformChoice
        Transformation of the target, and the errors that it was chosen by.
    """

    model: PipelineModel
    members: tuple[FittedMember, ...]
    blend: Blend
    transform: TransformChoice

    @property
    def search(self) -> SearchResult | None:
        """The grid search of the linear member; None without one."""
        return next((member.search for member in self.members if member.search), None)

    @property
    def boosting(self) -> Boosting | None:
        """What early stopping chose; None without a boosted member."""
        return next((member.boosting for member in self.members if member.boosting), None)

    def transform_to_dict(self) -> dict[str, Any]:
        """Return the transformation of the target as JSON-safe data, with each member's smearing means."""
        smearing = {member.output: list(member.smearing) for member in self.members if member.smearing}
        return {**asdict(self.transform), "smearing": smearing}


def step_count(recipe: Recipe) -> int:
    """Return how many steps `fit_recipe` reports."""
    members = int(recipe.has_linear_member) + int(recipe.trees is not None)
    return len(recipe.stages) + 1 + members  # the stages, the target, the members


def fit_recipe(
    rows: DataFrame,
    schema: Schema,
    recipe: Recipe,
    settings: TrainSettings,
    steps: Steps,
    *,
    chosen: Fitted | None = None,
    journal: Path | None = None,
    pairs: DataFrame | None = None,
) -> Fitted:
    """Fit the stages and members of a recipe, as `Pipeline.fit` does, but cached, timed, and without a last transform.

    Parameters
    ----------
    rows : DataFrame
        Accepted training rows.
    schema : Schema
        Description of the rows.
    recipe : Recipe
        The resolved recipe.
    settings : TrainSettings
        Folds, seed and grid.
    steps : Steps
        Times the steps.
    chosen : Fitted, optional
        An earlier fit on fewer rows: what it chose, its weights and its intervals are taken over.
    journal : Path, optional
        File of the trials, where the trees are tuned.
    pairs : DataFrame, optional
        Rows without a label, of which the purchase patterns see customer and product.

    Returns
    -------
    Fitted
        The pipeline, and what was chosen.
    """
    started = time.monotonic()
    if chosen is not None and not chosen.blend.weights.get(BOOSTED_PREDICTION):
        recipe = recipe.without_trees()
    forward = recipe.is_priced and schema.time is not None
    by: Literal["hash", "time"] = "time" if forward else "hash"
    folded = with_folds(rows, schema, folds=settings.folds, seed=settings.seed, by=by)
    named = schema.key or [name for name in schema.names if name in folded.columns]
    folded = folded.withColumn(ORDER, sf.xxhash64(*map(quoted, named)))
    stages, encoded = _encode(folded, schema, recipe, steps, pairs)
    label = sf.col(quoted(schema.target)).cast("double").alias(LABEL)
    read = dict.fromkeys([*recipe.member_columns, *recipe.interval_columns])
    if forward:
        encoded = encoded.withColumn(FOLD, col(FOLD) - 1)
    with cached(encoded.select(label, *[quoted(name) for name in read if name in encoded.columns])) as table:
        with steps.step("target") as step:
            transform = chosen.transform if chosen else _choose_transform(table, schema, recipe, settings)
            step.rows = table.count()
        labelled = _with_weights(table) if recipe.is_priced else table
        # The first block of time has no unit price and trains no member.
        folds = settings.folds - 1 if forward else settings.folds
        unfitted = members_of(recipe, replace(settings, folds=folds), transform.chosen, journal)
        if chosen is None:
            members = _fit_members(unfitted, labelled, recipe, settings, steps, started)
            latest_from = folds // 2 if forward else 0
            blend = weigh_and_calibrate(members, labelled, schema, recipe, stages, steps, latest_from=latest_from)
        else:
            blend, before = chosen.blend, {member.output: member for member in chosen.members}
            used = [member for member in unfitted if blend.weights.get(member.output)]
            members = tuple(member.refit(labelled, steps, before[member.output]) for member in used)
    tail = [stage for member in members if blend.weights[member.output] for stage in member.stages]
    return Fitted(PipelineModel([*stages, *tail, *blend.stages(schema)]), members, blend, transform)


def _fit_members(
    unfitted: list[Member], table: DataFrame, recipe: Recipe, settings: TrainSettings, steps: Steps, started: float
) -> tuple[FittedMember, ...]:
    """Fit the members; where ``auto`` chooses, without trees that would take longer than allowed."""
    members: list[FittedMember] = []
    for member in unfitted:
        if recipe.model == "auto" and member.output == BOOSTED_PREDICTION:
            minutes = (time.monotonic() - started) / 60.0 * (_TIMES_WITH_REFIT if settings.refit else _TIMES_ALONE)
            if minutes > settings.minutes:
                logger.warning(
                    "auto: leaves out the trees, with which it would take about %.0f minutes; at most %g are allowed",
                    minutes,
                    settings.minutes,
                )
                continue
        members.append(member.fit(table, steps))
    return tuple(members)


def _encode(
    rows: DataFrame, schema: Schema, recipe: Recipe, steps: Steps, pairs: DataFrame | None
) -> tuple[list[Any], DataFrame]:
    """Fit the stages up to the features; return them and the rows with their features."""
    current, stages = rows, []
    at_the_end = {schema.target, *recipe.member_columns, *recipe.interval_columns}
    for place, stage in enumerate(recipe.stages):
        with steps.step(step_name(stage)):
            fitted = stage.fit(_with_pairs(stage, current, pairs)) if isinstance(stage, Estimator) else stage
        stages.append(fitted)
        current = fitted.transform(current)
        if isinstance(stage, UnitPriceEncoder):
            # What has no unit price, such as the first block of time, trains nothing.
            current = current.where(col(BASE_AMOUNT) > 0)
        if isinstance(stage, StringIndexer | CrossedEffectsEncoder | UnitPriceEncoder):
            # What several stages read is computed once, of the columns they need, and its plan ends here: over
            # Connect a plan travels whole, and may not be deep.
            needed = columns_read(recipe.stages[place + 1 :]) | at_the_end
            kept = [name for name in current.columns if name in needed]
            current = current.select(*map(quoted, kept)).localCheckpoint(eager=False)
    return stages, current


def _with_pairs(stage: Any, rows: DataFrame, pairs: DataFrame | None) -> DataFrame:
    """Return the rows that a stage is fitted on: for purchase patterns, those without a label too."""
    if pairs is None or not isinstance(stage, PurchasePatternEncoder):
        return rows
    named = [quoted(stage.getOrDefault(name)) for name in ("userCol", "itemCol")]
    return rows.select(*named).unionByName(pairs.select(*named))


def _with_weights(table: DataFrame) -> DataFrame:
    """Add the weight of each row in a regression of ratios: its error in money, less for the largest amounts.

    An error of a ratio is one in money times the base amount; the squared error in money is then divided by the base
    amount, so that a few large purchases do not decide alone.
    """
    base = col(BASE_AMOUNT)
    middle = table.agg(sf.percentile_approx(base, sf.lit(0.5), 10_000)).collect()[0][0]
    weight = base * base / sf.greatest(base, sf.lit(_MIDDLE_SHARE * float(middle)))
    mean = float(table.agg(sf.avg(weight)).collect()[0][0])
    return table.withColumn(RATIO_WEIGHT, weight / mean)


def _choose_transform(table: DataFrame, schema: Schema, recipe: Recipe, settings: TrainSettings) -> TransformChoice:
    if recipe.is_priced:
        return TransformChoice("ratio")
    columns = {"features": FEATURES, "fold": FOLD, "order": ORDER}
    return choose_transform(table, LABEL, settings, least=schema.target_minimum, **columns, trees=recipe.trees)
