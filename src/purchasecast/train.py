"""The run from a table of transactions to a bundle: validate, split, fit, evaluate, refit, save."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator, PipelineModel
from pyspark.ml.feature import StringIndexer
from pyspark.ml.regression import LinearRegression
from pyspark.sql import functions as sf
from pyspark.storagelevel import StorageLevel

from purchasecast._columns import col, quoted
from purchasecast.bundle import SCORER, Bundle, save_bundle
from purchasecast.config import TrainSettings
from purchasecast.errors import DataError
from purchasecast.evaluate import Evaluation, Reference, evaluate, reference_of
from purchasecast.export import write_scorer
from purchasecast.profile import profile
from purchasecast.progress import Steps
from purchasecast.recipes import (
    FEATURES,
    RAW_PREDICTION,
    FeaturePlan,
    columns_read,
    feature_stages,
    plan_features,
    prediction_stage,
    step_name,
)
from purchasecast.search import DEFAULT_GRID, LinearRegressionGridSearch, SearchResult
from purchasecast.split import FOLD, holdout_split, with_folds
from purchasecast.stages import CrossedEffectsEncoder
from purchasecast.validate import Validated, ValidationReport, check_reject_rate, validate, write_rejects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame

    from purchasecast.profile import Profile
    from purchasecast.schema import Schema

__all__ = ["TrainResult", "train"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training run found; no Spark inside.

    Attributes
    ----------
    bundle : Bundle
        What was written.
    validation : ValidationReport
        Rows in, accepted and rejected.
    evaluation : Evaluation or None
        Figures of the holdout; None without one.
    search : SearchResult
        The grid search on the training part.
    seconds : dict of str to float
        Seconds a step.
    """

    bundle: Bundle
    validation: ValidationReport
    evaluation: Evaluation | None
    search: SearchResult
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        best = self.search.candidates[self.search.chosen]
        return {
            "model": str(self.bundle.path),
            **self.validation.to_dict(),
            "evaluation": self.evaluation.to_dict() if self.evaluation else None,
            "search": {
                "candidates": len(self.search.candidates),
                "folds": self.search.folds,
                "metric": self.search.metric,
                "regParam": best.reg_param,
                "elasticNetParam": best.elastic_net_param,
                "average": best.average,
            },
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A fitted pipeline and what its search chose."""

    model: PipelineModel
    search: SearchResult


def train(
    raw: DataFrame,
    schema: Schema,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    rejects: str | Path | None = None,
    steps: Steps | None = None,
) -> TrainResult:
    """Train a model on a table and write its bundle.

    Parameters
    ----------
    raw : DataFrame
        What `purchasecast.sources.read_table` returned.
    schema : Schema
        Description of the table.
    out : str or Path
        Directory of the bundle; a bundle that is there is replaced.
    settings : TrainSettings, optional
        How to train; the defaults where not given.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    steps : Steps, optional
        Times the steps and tells a watcher.

    Returns
    -------
    TrainResult
        The bundle and what was found on the way.

    Raises
    ------
    RejectRateError
        If more rows are bad than `settings` allows.
    DataError
        If there are too few rows for the folds.

    Notes
    -----
    The holdout is set aside before anything else looks at a label: encoders, latent factors, the grid search and its
    choice see training rows only. With `settings.refit` the saved model is then fitted on all rows, by the penalty
    chosen before; its own figures are those of the evaluated model, which saw less.
    """
    settings = settings or TrainSettings()
    steps = steps or Steps()
    with ExitStack() as cleanup:
        with steps.step("validate") as step:
            checked = cleanup.enter_context(validate(raw, schema, cache=True))
            step.rows = checked.report.rows
        if rejects is not None:
            write_rejects(checked, rejects)
        check_reject_rate(checked.report, settings.max_reject_rate)
        _check_size(checked.report, settings)
        plan = plan_features(checked.accepted, schema)
        return _run(checked, schema, plan, out, settings, steps)


def _run(
    checked: Validated, schema: Schema, plan: FeaturePlan, out: str | Path, settings: TrainSettings, steps: Steps
) -> TrainResult:
    rows = checked.accepted
    has_holdout = settings.holdout > 0
    fits_twice = has_holdout and settings.refit
    steps.expect(3 + (1 + fits_twice) * (2 + len(feature_stages(schema, plan, folds=2, seed=0))) + has_holdout)
    training, held_out = holdout_split(rows, schema, share=settings.holdout, by=settings.holdout_by, seed=settings.seed)
    fitted = _fit(training, schema, plan, settings, steps)
    evaluation, reference = None, reference_of(training, schema)
    if has_holdout:
        with steps.step("evaluate") as step:
            computed_on = _computed_on(schema, settings)
            evaluation = evaluate(
                fitted.model.transform(held_out), schema, fitted.model, reference, computed_on=computed_on
            )
            step.rows = evaluation.overall.rows
    final, final_reference = fitted, reference
    if fits_twice:
        final = _fit(rows, schema, plan, settings, steps, chosen=fitted.search)
        final_reference = reference_of(rows, schema)
    with steps.step("profile") as step:
        described = profile(checked, schema)
        step.rows = described.rows
    with steps.step("save"):
        bundle = _save(out, final, schema, settings, checked, evaluation, final_reference, described)
    seconds = dict(steps.seconds)
    if evaluation:
        evaluation = evaluation.with_seconds(seconds)
    return TrainResult(bundle, checked.report, evaluation, fitted.search, seconds)


def _check_size(report: ValidationReport, settings: TrainSettings) -> None:
    least = 10 * settings.folds
    if report.accepted < least:
        raise DataError(
            f"train: expected at least {least} good rows for {settings.folds} folds, found {report.accepted}; "
            "take more data or fewer --folds."
        )


def _fit(
    rows: DataFrame,
    schema: Schema,
    plan: FeaturePlan,
    settings: TrainSettings,
    steps: Steps,
    *,
    chosen: SearchResult | None = None,
) -> _Fitted:
    """Fit the pipeline stage by stage, as `Pipeline.fit` does, but cached, timed, and without a last idle transform."""
    current = with_folds(rows, schema, folds=settings.folds, seed=settings.seed)
    label = sf.col(quoted(schema.target)).cast("double").alias("label")
    stages: list[Any] = []
    ahead = feature_stages(schema, plan, folds=settings.folds, seed=settings.seed)
    while ahead:
        stage = ahead.pop(0)
        with steps.step(step_name(stage)):
            fitted = stage.fit(current) if isinstance(stage, Estimator) else stage
        stages.append(fitted)
        current = fitted.transform(current)
        if isinstance(stage, StringIndexer | CrossedEffectsEncoder):
            # What several stages read is computed once, of the columns they need, and its plan ends here: over
            # Connect a plan travels whole, and may not be deep.
            needed = columns_read(ahead) | {schema.target, FOLD}
            kept = [name for name in current.columns if name in needed]
            current = current.select(*map(quoted, kept)).localCheckpoint(eager=False)
    with _cached(current.select(FEATURES, label, FOLD)) as table, steps.step("regression") as step:
        regression, search = _regress(table, settings, chosen)
        step.rows = table.count()
    return _Fitted(PipelineModel([*stages, regression, prediction_stage(schema)]), search)


def _regress(table: DataFrame, settings: TrainSettings, chosen: SearchResult | None) -> tuple[Any, SearchResult]:
    if chosen is not None:
        best = chosen.candidates[chosen.chosen]
        regression = LinearRegression(
            featuresCol=FEATURES,
            labelCol="label",
            predictionCol=RAW_PREDICTION,
            regParam=best.reg_param,
            elasticNetParam=best.elastic_net_param,
        )
        return regression.fit(table), chosen
    search = LinearRegressionGridSearch(
        featuresCol=FEATURES,
        labelCol="label",
        predictionCol=RAW_PREDICTION,
        foldCol=FOLD,
        numFolds=settings.folds,
        seed=settings.seed,
        regParam=list(settings.reg_param or DEFAULT_GRID.reg_param),
        elasticNetParam=list(settings.elastic_net_param or DEFAULT_GRID.elastic_net_param),
    ).fit(table)
    return search.bestModel, search.searchResult


@contextmanager
def _cached(frame: DataFrame) -> Iterator[DataFrame]:
    frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()


def _computed_on(schema: Schema, settings: TrainSettings) -> str:
    by_time = schema.time is not None and settings.holdout_by != "random"
    which = (
        f"the latest {settings.holdout:.0%} of the rows by {schema.time}"
        if by_time
        else (f"a random {settings.holdout:.0%} of the rows (hash, seed {settings.seed})")
    )
    return f"Computed on {which}, which no encoder, search or choice has seen."


def _fingerprint(rows: DataFrame, columns: list[str]) -> dict[str, Any]:
    """Return rows, columns and a hash of the accepted rows that does not depend on their order."""
    digest = sf.bit_xor(sf.xxhash64(*[col(name) for name in columns]))
    count, value = rows.agg(sf.count(sf.lit(1)), digest).collect()[0]
    return {"rows": int(count), "columns": columns, "hash": f"{int(value or 0) & (2**64 - 1):016x}"}


def _save(
    out: str | Path,
    final: _Fitted,
    schema: Schema,
    settings: TrainSettings,
    checked: Validated,
    evaluation: Evaluation | None,
    reference: Reference,
    described: Profile,
) -> Bundle:
    def write_parts(folder: Path) -> None:
        final.model.write().save((folder / "pipeline").as_uri())
        write_scorer(final.model, schema, checked.accepted, folder / SCORER)

    documents: dict[str, dict[str, Any]] = {
        "search": final.search.to_dict(),
        "validation": checked.report.to_dict(),
        "profile": described.to_dict(),
    }
    if evaluation:
        documents["evaluation"] = evaluation.to_dict()
    names = [name for name in schema.names if name in checked.accepted.columns]
    manifest = {
        "schema": schema.to_dict(),
        "settings": settings.to_dict(),
        "data": _fingerprint(checked.accepted, names),
        "reference": reference.to_dict(),
        "trained_on": "all rows" if settings.refit or not settings.holdout else "training rows only",
        "metrics": {name: getattr(evaluation.overall, name) for name in ("rmse", "mae", "r2")} if evaluation else None,
    }
    return save_bundle(out, write_parts=write_parts, documents=documents, manifest=manifest)
