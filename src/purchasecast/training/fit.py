"""Fit a recipe: stage by stage, then its members, then intervals from predictions that have not seen their row."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator, PipelineModel
from pyspark.ml.feature import StringIndexer
from pyspark.ml.regression import LinearRegression
from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.recipes import FeaturePlan, boosted_stage, columns_read, feature_stages, prediction_stage, step_name
from purchasecast.schema.reserved_columns import (
    BOOSTED_PREDICTION,
    FEATURES,
    FOLD,
    LABEL,
    LINEAR_PREDICTION,
    ORDER,
    TARGET,
)
from purchasecast.search import DEFAULT_GRID, LinearRegressionGridSearch
from purchasecast.spark.columns import col, quoted
from purchasecast.stages import CrossedEffectsEncoder, Retransform
from purchasecast.stages.retransform import transformed
from purchasecast.training.blend import cached, interval_columns, weigh_and_calibrate
from purchasecast.training.out_of_fold import out_of_fold
from purchasecast.training.split import with_folds
from purchasecast.training.target_transform import TransformChoice, choose_transform, curved, retransform_stage
from purchasecast.training.tuning import Tuned, tune_trees

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from purchasecast.config import TrainSettings
    from purchasecast.numerics.soft_minimum import SoftMinimum
    from purchasecast.progress import Steps
    from purchasecast.results import SearchResult
    from purchasecast.schema import Schema
    from purchasecast.stages import BoostedTreesRegressor, ConformalIntervalsModel

__all__ = ["Boosting", "Fitted", "fit_recipe"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted pipeline and what was chosen on the way.

    Attributes
    ----------
    model : PipelineModel
        From accepted rows to predictions and, where there are any, intervals.
    search : SearchResult or None
        The grid search of the linear member; None without one.
    boosting : Boosting or None
        What the boosted member found; None without one.
    members : dict of str to float
        Weight of each member's column in the prediction.
    intervals : ConformalIntervalsModel or None
        The calibration; None where no row has an out-of-fold prediction.
    transform : TransformChoice
        What the target was put through before the regressions.
    bend : SoftMinimum or None
        How predictions come near to the least purchase; None where they are cut off at it.
    """

    model: PipelineModel
    search: SearchResult | None
    boosting: Boosting | None
    members: dict[str, float]
    intervals: ConformalIntervalsModel | None
    transform: TransformChoice
    bend: SoftMinimum | None = None


@dataclass(frozen=True, slots=True)
class Boosting:
    """What early stopping found.

    Attributes
    ----------
    rounds : int
        Trees.
    error : float or None
        Root mean squared error on the fold that was left out, on the scale that the trees are fitted on.
    tuned : Tuned or None
        What a search found; None without one.
    """

    rounds: int
    error: float | None
    tuned: Tuned | None = None


@dataclass(frozen=True, slots=True)
class _Regressed:
    """A fitted regression, its search and, for each fold, the line of the other folds."""

    stage: Any
    search: SearchResult
    lines: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class _Members:
    """The fitted members of a recipe and rows with their out-of-fold predictions, or None where there are none."""

    stages: list[Any]
    search: SearchResult | None
    boosting: Boosting | None
    outputs: list[str]
    held_out: DataFrame | None
    transform: TransformChoice


def fit_recipe(
    rows: DataFrame,
    schema: Schema,
    plan: FeaturePlan,
    settings: TrainSettings,
    steps: Steps,
    *,
    chosen: Fitted | None = None,
    journal: Path | None = None,
) -> Fitted:
    """Fit the pipeline stage by stage, as `Pipeline.fit` does, but cached, timed, and without a last idle transform.

    Parameters
    ----------
    rows : DataFrame
        Accepted training rows.
    schema : Schema
        Description of the rows.
    plan : FeaturePlan
        How each column is encoded.
    settings : TrainSettings
        The recipe, folds, seed and grid.
    steps : Steps
        Times the steps.
    chosen : Fitted, optional
        An earlier fit on fewer rows: what it chose, and its intervals, are taken over.
    journal : Path, optional
        File of the trials, where the trees are tuned.

    Returns
    -------
    Fitted
        The pipeline.
    """
    current = with_folds(rows, schema, folds=settings.folds, seed=settings.seed)
    named = schema.key or [name for name in schema.names if name in current.columns]
    current = current.withColumn(ORDER, sf.xxhash64(*map(quoted, named)))
    stages, current = _encode(current, schema, plan, settings, steps)
    trees = boosted_stage(schema, plan, seed=settings.seed) if settings.model != "linear" else None
    vector = [FEATURES] if settings.model != "boosted" else []
    columns = [*vector, FOLD, ORDER, *(trees.getInputCols() if trees else []), *interval_columns(schema)]
    label = sf.col(quoted(schema.target)).cast("double").alias(LABEL)
    chosen_columns = [quoted(name) for name in dict.fromkeys(columns) if name in current.columns]
    with cached(current.select(label, *chosen_columns)) as table:
        members = _fit_members(table, schema, trees, settings, steps, chosen, journal)
        if chosen is not None:
            weights, bend, intervals = chosen.members, chosen.bend, chosen.intervals
        else:
            weights, bend, intervals = weigh_and_calibrate(members.outputs, members.held_out, schema, stages, steps)
    tail = [*members.stages, prediction_stage(schema, weights, bend), *([intervals] if intervals else [])]
    model = PipelineModel([*stages, *tail])
    return Fitted(model, members.search, members.boosting, weights, intervals, members.transform, bend)


def _encode(
    current: DataFrame, schema: Schema, plan: FeaturePlan, settings: TrainSettings, steps: Steps
) -> tuple[list[Any], DataFrame]:
    """Fit the stages up to the features; return them and the rows with their features."""
    stages: list[Any] = []
    ahead = feature_stages(schema, plan, folds=settings.folds, seed=settings.seed, model=settings.model)
    trees = boosted_stage(schema, plan, seed=0).getInputCols() if settings.model != "linear" else []
    at_the_end = {schema.target, FOLD, ORDER, *trees, *interval_columns(schema)}
    while ahead:
        stage = ahead.pop(0)
        with steps.step(step_name(stage)):
            fitted = stage.fit(current) if isinstance(stage, Estimator) else stage
        stages.append(fitted)
        current = fitted.transform(current)
        if isinstance(stage, StringIndexer | CrossedEffectsEncoder):
            # What several stages read is computed once, of the columns they need, and its plan ends here: over
            # Connect a plan travels whole, and may not be deep.
            needed = columns_read(ahead) | at_the_end
            kept = [name for name in current.columns if name in needed]
            current = current.select(*map(quoted, kept)).localCheckpoint(eager=False)
    return stages, current


def _fit_members(
    table: DataFrame,
    schema: Schema,
    trees: BoostedTreesRegressor | None,
    settings: TrainSettings,
    steps: Steps,
    chosen: Fitted | None,
    journal: Path | None,
) -> _Members:
    """Fit the members that the recipe has."""
    with steps.step("target") as step:
        choice = chosen.transform if chosen else _choose_transform(table, schema, trees, settings)
        step.rows = table.count()
    labelled = table.withColumn(TARGET, transformed(col(LABEL), choice.chosen))
    stages: list[Any] = []
    held_out: DataFrame | None = labelled
    search, boosting, outputs = None, None, []
    if settings.model != "boosted":
        with steps.step("regression"):
            found = _regress(labelled, settings, chosen, curved(LINEAR_PREDICTION, choice.chosen))
        search = found.search
        outputs.append(LINEAR_PREDICTION)
        held_out = None
        if found.lines is not None:
            predicted = out_of_fold(found.lines, FEATURES, FOLD)
            held_out = labelled.withColumn(curved(LINEAR_PREDICTION, choice.chosen), predicted)
        held_out = _add_member(stages, found.stage, LINEAR_PREDICTION, choice, held_out)
    if trees is not None:
        if chosen is not None and chosen.boosting is not None:
            trees = trees.copy({trees.validationFold: -1, trees.numRounds: chosen.boosting.rounds})
        column = curved(BOOSTED_PREDICTION, choice.chosen)
        trees = trees.copy({trees.labelCol: TARGET, trees.predictionCol: column})
        tuned = chosen.boosting.tuned if chosen and chosen.boosting else None
        if settings.tune and journal is not None and chosen is None:
            tuned = tune_trees(labelled, trees, settings, journal, steps)
        if tuned:
            trees = trees.copy({trees.getParam(name): value for name, value in tuned.params.items()})
        with steps.step(step_name(trees)):
            boosted = trees.fit(labelled)
        stopped = boosted.without_folds.get(trees.getOrDefault("validationFold"))
        error = stopped.error if stopped else None
        boosting = Boosting(boosted.rounds, error, tuned)
        outputs.append(BOOSTED_PREDICTION)
        held_out = boosted.out_of_fold(held_out) if held_out is not None and boosted.without_folds else None
        held_out = _add_member(stages, boosted, BOOSTED_PREDICTION, choice, held_out)
    return _Members(stages, search, chosen.boosting if chosen else boosting, outputs, held_out, choice)


def _choose_transform(
    table: DataFrame, schema: Schema, trees: BoostedTreesRegressor | None, settings: TrainSettings
) -> TransformChoice:
    columns = {"features": FEATURES, "fold": FOLD, "order": ORDER}
    return choose_transform(table, LABEL, settings, least=schema.target_minimum, **columns, trees=trees)


def _add_member(
    stages: list[Any], fitted: Any, output: str, choice: TransformChoice, held_out: DataFrame | None
) -> DataFrame | None:
    """Add a member's stages, the one that leads back to money included, and return the held-out rows with its values.

    The means of the residuals are those of the first fit; the fit on all rows takes them over.
    """
    stages.append(fitted)
    if choice.chosen == "none":
        return held_out
    column = curved(output, choice.chosen)
    if held_out is not None and output not in choice.smearing:
        stage = retransform_stage(held_out, LABEL, column, output, choice.chosen)
        choice.smearing[output] = list(stage.getOrDefault("smearing"))
    means = choice.smearing.get(output)
    if means is None:
        raise DataError(
            f"target-transform: expected predictions out of fold to turn {choice.chosen} back by, found none; "
            "take none."
        )
    back = Retransform(inputCol=column, outputCol=output, transformName=choice.chosen, smearing=means)
    stages.append(back)
    return back.transform(held_out) if held_out is not None else None


def _regress(table: DataFrame, settings: TrainSettings, chosen: Fitted | None, output: str) -> _Regressed:
    if chosen is not None and chosen.search is not None:
        best = chosen.search.best
        regression = LinearRegression(
            featuresCol=FEATURES,
            labelCol=TARGET,
            predictionCol=output,
            regParam=best.reg_param,
            elasticNetParam=best.elastic_net_param,
        )
        return _Regressed(regression.fit(table), chosen.search, None)
    search = LinearRegressionGridSearch(
        featuresCol=FEATURES,
        labelCol=TARGET,
        predictionCol=output,
        foldCol=FOLD,
        numFolds=settings.folds,
        seed=settings.seed,
        regParam=list(settings.reg_param or DEFAULT_GRID.reg_param),
        elasticNetParam=list(settings.elastic_net_param or DEFAULT_GRID.elastic_net_param),
    ).fit(table)
    if search.foldLines is None:
        logger.warning("a search by Spark's CrossValidator keeps no fold's fit: this model has no intervals")
    return _Regressed(search.bestModel, search.searchResult, search.foldLines)
