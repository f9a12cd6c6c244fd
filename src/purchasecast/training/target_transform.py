"""Choose what the target is put through before the regressions, by the error in money on rows not seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.schema.reserved_columns import TARGET
from purchasecast.search import fold_lines
from purchasecast.spark.columns import col
from purchasecast.stages import Retransform
from purchasecast.stages.retransform import SMEARED, smearing_terms, transformed
from purchasecast.training.out_of_fold import out_of_fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

    from purchasecast.config import TrainSettings

__all__ = ["TARGET", "TransformChoice", "choose_transform", "smearing_means"]

_TRIAL_PENALTY = (0.001, 0.0)
_TRIAL_TREES, _TRIAL_RATE = 60, 0.2
_TRIED = "_pc_tried"
_MOST_TRIED = 100_000  # rows: what tells scales apart by a thousandth of the error


@dataclass(frozen=True, slots=True)
class TransformChoice:
    """What the target was put through, and why.

    Attributes
    ----------
    chosen : str
        ``none``, ``log1p`` or ``sqrt``.
    rmse : dict of str to float
        Root mean squared error in money of a trial fit by transformation, on folds it has not seen and after
        smearing; without those whose error is not finite, and empty where the transformation was asked for.
    """

    chosen: str = "none"
    rmse: dict[str, float] = field(default_factory=dict)


def choose_transform(
    table: DataFrame,
    label: str,
    settings: TrainSettings,
    *,
    least: float | None,
    features: str,
    fold: str,
    order: str,
    trees: Any,
) -> TransformChoice:
    """Return the transformation asked for, or the one whose trial fit errs least.

    Parameters
    ----------
    table : DataFrame
        Training rows with label, fold and, for recipes with a linear member, the vector.
    label : str
        Target, in money.
    settings : TrainSettings
        The recipe and what was asked for.
    least : float or None
        Least value that the schema allows; below 0 or unknown, and only ``none`` is possible.
    features, fold, order : str
        Columns; the last is a hash of what names the row.
    trees : BoostedTreesRegressor or None
        What a recipe without a linear member tries.

    Returns
    -------
    TransformChoice
        The name, and the errors that it was chosen by.

    Raises
    ------
    SettingsError
        If a transformation was asked for that the target's range does not allow.

    Notes
    -----
    Tried on at most about 100,000 rows, drawn by hash. A trial is a ridge regression of little penalty, one pass each;
    for trees a short fit. Then three passes: the means of the smearing terms, and the errors.
    """
    asked = settings.target_transform
    possible = least is not None and least >= 0
    if asked in SMEARED and not possible:
        raise SettingsError(
            f"target_transform: expected a target of at least 0 for {asked}, found a schema that allows less or says "
            "nothing; give the target a minimum, or take none."
        )
    if asked != "auto" or not possible:
        return TransformChoice("none" if asked == "auto" else asked)
    drawn = -(-table.count() // _MOST_TRIED)
    sample = table.where(sf.pmod(col(order), sf.lit(drawn)) == 0) if drawn > 1 else table
    tried = sample
    for name in ("none", *SMEARED):
        labelled = sample.withColumn(TARGET, transformed(col(label), name))
        column = f"{_TRIED}_{name}"
        if features in table.columns:
            lines = fold_lines(
                labelled, features=features, label=TARGET, fold=fold, folds=settings.folds, penalty=_TRIAL_PENALTY
            )
            tried = tried.withColumn(column, out_of_fold(lines, features, fold))
        else:
            quick = {trees.numRounds: _TRIAL_TREES, trees.learningRate: _TRIAL_RATE, trees.everyFold: False}
            trial = trees.copy({**quick, trees.labelCol: TARGET, trees.predictionCol: column}).fit(labelled)
            tried = trial.out_of_fold(tried)
    # A logarithm that is predicted far off comes back as an infinite amount: such a trial is out, and in no document.
    errors = {name: error for name, error in _errors(tried, label).items() if math.isfinite(error)}
    return TransformChoice(min(errors, key=lambda name: errors[name], default="none"), errors)


def _errors(tried: DataFrame, label: str) -> dict[str, float]:
    money = {"none": col(f"{_TRIED}_none")}
    for name in SMEARED:
        column = f"{_TRIED}_{name}"
        means = smearing_means(tried, label, column, name)
        stage = Retransform(inputCol=column, outputCol=f"{column}_money", transformName=name, smearing=list(means))
        tried = stage.transform(tried)
        money[name] = col(f"{column}_money")
    error: Callable[[Column], Column] = lambda value: sf.sqrt(sf.avg((value - col(label)) * (value - col(label))))  # noqa: E731
    row = tried.agg(*[error(value).alias(name) for name, value in money.items()]).collect()[0]
    return {name: float(row[name]) for name in money}


def smearing_means(held_out: DataFrame, label: str, column: str, transform: str) -> tuple[float, ...]:
    """Return the means of the smearing terms over residuals of predictions out of fold; one pass.

    Parameters
    ----------
    held_out : DataFrame
        Rows with the label in money and the prediction on the transformed scale.
    label, column : str
        Their columns.
    transform : {"log1p", "sqrt"}
        Transformation of the target.

    Returns
    -------
    tuple of float
        Two means, for `purchasecast.stages.Retransform`.
    """
    terms = smearing_terms(transformed(col(label), transform) - col(column), transform)
    return tuple(map(float, held_out.agg(*[sf.avg(term) for term in terms]).collect()[0]))
