"""The members of a recipe: each is fitted on the training rows, and again on all rows with what it chose before."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from pyspark.ml.regression import LinearRegression
from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.schema.reserved_columns import (
    BASE_AMOUNT,
    BOOSTED_PREDICTION,
    FEATURES,
    FOLD,
    LABEL,
    LINEAR_PREDICTION,
    RATIO_WEIGHT,
    TARGET,
)
from purchasecast.search import DEFAULT_GRID, LinearRegressionGridSearch, fit_exact
from purchasecast.spark.columns import col
from purchasecast.stages import Retransform, ScaledColumns
from purchasecast.stages.retransform import transformed
from purchasecast.training.out_of_fold import out_of_fold
from purchasecast.training.pipeline_steps import step_name
from purchasecast.training.target_transform import smearing_means
from purchasecast.training.tuning import Tuned, tune_trees

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import DataFrame

    from purchasecast.config import TrainSettings
    from purchasecast.progress import Steps
    from purchasecast.recipes import Recipe
    from purchasecast.results import SearchResult
    from purchasecast.stages import BoostedTreesRegressor

__all__ = ["Boosting", "FittedMember", "Member", "TargetScale", "members_of"]

logger = logging.getLogger(__name__)

_RATIO_LIMIT = (
    8.0  # base amounts: 3 and 8 were tried on two groceries (docs/decisions/0017-multiples-of-quantity-times-price.md)
)


@dataclass(frozen=True, slots=True)
class Boosting:
    """What early stopping chose.

    Attributes
    ----------
    rounds : int
        Number of trees.
    error : float or None
        Root mean squared error on the validation fold, on the scale that the trees are fitted on.
    tuned : Tuned or None
        Result of the hyper-parameter search; None without one.
    """

    rounds: int
    error: float | None
    tuned: Tuned | None = None


@dataclass(frozen=True, slots=True)
class FittedMember:
    """A fitted member.

    Attributes
    ----------
    output : str
        Column of its predictions, in units of the target.
    stages : tuple of Transformer
        From features to `output`.
    out_of_fold : callable or None
        Adds `output` to training rows, each predicted by a fit that has not seen its fold; None where there is none.
    search : SearchResult or None
        The grid search; None for trees.
    boosting : Boosting or None
        What early stopping chose; None for the regression.
    smearing : tuple of float
        Means of the smearing terms; empty where the target is not transformed.
    """

    output: str
    stages: tuple[Any, ...]
    out_of_fold: Callable[[DataFrame], DataFrame] | None
    search: SearchResult | None = None
    boosting: Boosting | None = None
    smearing: tuple[float, ...] = field(default=())


class Member(Protocol):
    """A regression on the features of a recipe.

    Attributes
    ----------
    output : str
        Column of its predictions, in units of the target.
    """

    output: str

    def fit(self, table: DataFrame, steps: Steps) -> FittedMember:
        """Choose hyper-parameters on the folds of `table` and fit on all its rows."""

    def refit(self, table: DataFrame, steps: Steps, chosen: FittedMember) -> FittedMember:
        """Fit on all rows of `table` with the hyper-parameters of an earlier fit."""


@dataclass(frozen=True, slots=True)
class TargetScale:
    """Scale that a member is fitted on.

    Attributes
    ----------
    name : {"none", "log1p", "sqrt", "ratio"}
        Transformation of the target, or its ratio to the base amount.
    limit : float
        Largest ratio to learn from, and to predict: a few rows with a wrong price must not own a level.
    """

    name: str
    limit: float = math.inf

    def label(self, table: DataFrame) -> DataFrame:
        """Return the rows with the target on this scale."""
        if self.name == "ratio":
            return table.withColumn(TARGET, sf.least(col(LABEL) / col(BASE_AMOUNT), sf.lit(self.limit)))
        return table.withColumn(TARGET, transformed(col(LABEL), self.name))

    def column(self, output: str) -> str:
        """Return the column of a member's prediction on this scale."""
        return output if self.name == "none" else f"{output}_{self.name}"

    def to_amount(self, member: FittedMember, table: DataFrame) -> FittedMember:
        """Add the stage that turns predictions on this scale into amounts.

        The means of a transformation are those of the residuals out of fold; a refit takes over those of the first fit.
        """
        if self.name == "none":
            return member
        column, smearing, before = self.column(member.output), member.smearing, member.out_of_fold
        if self.name == "ratio":
            back: Any = ScaledColumns(
                inputCols=[column], outputCols=[member.output], scaleCol=BASE_AMOUNT, lower=0.0, upper=self.limit
            )
        else:
            if not smearing and before is not None:
                smearing = smearing_means(before(table), LABEL, column, self.name)
            if not smearing:
                raise DataError(
                    f"target_transform: expected predictions out of fold to turn {self.name} back by, found none; "
                    "use none."
                )
            if not all(map(math.isfinite, smearing)):
                raise DataError(
                    f"target_transform: expected residuals of {self.name} that come back as amounts, found infinite "
                    "ones; use none."
                )
            back = Retransform(
                inputCol=column, outputCol=member.output, transformName=self.name, smearing=list(smearing)
            )
        after = None if before is None else lambda rows: back.transform(before(rows))
        return replace(member, stages=(*member.stages, back), out_of_fold=after, smearing=smearing)


def members_of(recipe: Recipe, settings: TrainSettings, transform: str, journal: Path | None) -> list[Member]:
    """Return the members of a recipe before they are fitted.

    Parameters
    ----------
    recipe : Recipe
        The resolved recipe.
    settings : TrainSettings
        Grid, folds, seed and tuning budget.
    transform : {"none", "log1p", "sqrt", "ratio"}
        Scale of the members.
    journal : Path or None
        File of the trials where the trees are tuned.

    Returns
    -------
    list of Member
        In the order of their columns.
    """
    members: list[Member] = []
    if recipe.has_linear_member:
        members.append(LinearMember(settings, TargetScale(transform, _RATIO_LIMIT)))
    if recipe.trees is not None:
        members.append(BoostedMember(recipe.trees, settings, TargetScale(transform, _RATIO_LIMIT), journal))
    return [*members, *[SimpleMember(name) for name in recipe.simple]]


class SimpleMember:
    """A simple prediction that a stage has made, such as the product's mean.

    Parameters
    ----------
    column : str
        Its column; in training rows it is out of fold already.
    """

    def __init__(self, column: str) -> None:
        self.output = column

    def fit(self, table: DataFrame, steps: Steps) -> FittedMember:  # noqa: ARG002  every member takes them
        """Return the column as it is."""
        return FittedMember(self.output, (), lambda rows: rows)

    def refit(self, table: DataFrame, steps: Steps, chosen: FittedMember) -> FittedMember:  # noqa: ARG002
        """Return the column as it is."""
        return chosen


class LinearMember:
    """A linear regression whose penalty a grid search chooses in one pass.

    Parameters
    ----------
    settings : TrainSettings
        Grid, folds and seed.
    scale : TargetScale
        Scale of the target.
    """

    def __init__(self, settings: TrainSettings, scale: TargetScale) -> None:
        self.output = LINEAR_PREDICTION
        self._settings = settings
        self._scale = scale
        self._column = scale.column(LINEAR_PREDICTION)
        self._weight: dict[str, Any] = {"weightCol": RATIO_WEIGHT} if scale.name == "ratio" else {}

    def fit(self, table: DataFrame, steps: Steps) -> FittedMember:
        """Search the grid and fit the best candidate; one pass over the rows, and Spark's own fit."""
        settings = self._settings
        with steps.step("regression"):
            search = LinearRegressionGridSearch(
                featuresCol=FEATURES,
                labelCol=TARGET,
                predictionCol=self._column,
                foldCol=FOLD,
                numFolds=settings.folds,
                seed=settings.seed,
                regParam=list(settings.reg_param or DEFAULT_GRID.reg_param),
                elasticNetParam=list(settings.elastic_net_param or DEFAULT_GRID.elastic_net_param),
                **self._weight,
            ).fit(self._scale.label(table))
        lines, column = search.foldLines, self._column
        if lines is None:
            logger.warning("a search by Spark's CrossValidator keeps no fold's fit: this model has no intervals")
        fitted = FittedMember(
            self.output,
            (search.bestModel,),
            None if lines is None else lambda rows: rows.withColumn(column, out_of_fold(lines, FEATURES, FOLD)),
            search=search.searchResult,
        )
        return self._scale.to_amount(fitted, table)

    def refit(self, table: DataFrame, steps: Steps, chosen: FittedMember) -> FittedMember:
        """Fit with the penalty of the earlier search."""
        if chosen.search is None:
            return self.fit(table, steps)
        best = chosen.search.best
        with steps.step("regression"):
            regression = LinearRegression(
                featuresCol=FEATURES,
                labelCol=TARGET,
                predictionCol=self._column,
                regParam=best.reg_param,
                elasticNetParam=best.elastic_net_param,
                **self._weight,
            )
            model = fit_exact(regression, self._scale.label(table))
        return self._scale.to_amount(replace(chosen, stages=(model,), out_of_fold=None), table)


class BoostedMember:
    """Boosted trees, their number chosen by early stopping on a fold.

    Parameters
    ----------
    trees : BoostedTreesRegressor
        The trees of the recipe.
    settings : TrainSettings
        Seed and tuning budget.
    scale : TargetScale
        Scale of the target.
    journal : Path or None
        File of the trials where the trees are tuned.
    """

    def __init__(
        self, trees: BoostedTreesRegressor, settings: TrainSettings, scale: TargetScale, journal: Path | None
    ) -> None:
        self.output = BOOSTED_PREDICTION
        self._trees = trees.copy({trees.labelCol: TARGET, trees.predictionCol: scale.column(BOOSTED_PREDICTION)})
        self._settings = settings
        self._scale = scale
        self._journal = journal

    def fit(self, table: DataFrame, steps: Steps) -> FittedMember:
        """Tune where asked, then fit with early stopping."""
        tuned = None
        if self._settings.tune and self._journal is not None:
            tuned = tune_trees(self._scale.label(table), self._trees, self._settings, self._journal, steps)
        return self._fit(table, steps, self._trees, tuned)

    def refit(self, table: DataFrame, steps: Steps, chosen: FittedMember) -> FittedMember:
        """Fit as many trees as before, with the settings tuned before."""
        if chosen.boosting is None:
            return self.fit(table, steps)
        trees = self._trees
        fixed = trees.copy({trees.validationFold: -1, trees.numRounds: chosen.boosting.rounds})
        fitted = self._fit(table, steps, fixed, chosen.boosting.tuned, chosen.smearing)
        return replace(fitted, boosting=chosen.boosting)

    def _fit(
        self,
        table: DataFrame,
        steps: Steps,
        trees: BoostedTreesRegressor,
        tuned: Tuned | None,
        smearing: tuple[float, ...] = (),
    ) -> FittedMember:
        if tuned:
            trees = trees.copy({trees.getParam(name): value for name, value in tuned.params.items()})
        with steps.step(step_name(trees)):
            model = trees.fit(self._scale.label(table))
        stopped = model.without_folds.get(trees.getOrDefault("validationFold"))
        fitted = FittedMember(
            self.output,
            (model,),
            model.out_of_fold if model.without_folds else None,
            boosting=Boosting(model.rounds, stopped.error if stopped else None, tuned),
            smearing=smearing,
        )
        return self._scale.to_amount(fitted, table)
