"""The run from a table of transactions to a bundle: validate, split, fit, evaluate, refit, save."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.bundle import SCORER, Bundle, check_place, save_bundle
from purchasecast.bundle.pipeline import save_pipeline, save_propensity
from purchasecast.config import TrainSettings
from purchasecast.errors import DataError, SettingsError
from purchasecast.evaluation import evaluate, reference_of
from purchasecast.export import export_offers, write_scorer
from purchasecast.profiling import profile
from purchasecast.progress import Steps
from purchasecast.recipes import Recipe, resolve_recipe
from purchasecast.spark import is_remote
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, quoted
from purchasecast.spark.executors import LIBRARIES, check_executors
from purchasecast.stages import PurchasePatternEncoder
from purchasecast.stages.tasks import limit_task_rows
from purchasecast.training.fit import Fitted, fit_recipe, step_count
from purchasecast.training.offers import can_offer, fit_offers
from purchasecast.training.split import holdout_split
from purchasecast.validation import Validated, checked_rows, validate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

    from purchasecast.results import Evaluation, Profile, Reference, SearchResult, ValidationReport
    from purchasecast.schema import Schema
    from purchasecast.stages import PurchasePropensityModel

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
    search : SearchResult or None
        The grid search on the training part; None where the recipe has no linear member.
    seconds : dict of str to float
        Seconds a step.
    boosting : dict or None
        Trees and out-of-fold error of the boosted member; None without one.
    members : dict of str to float
        Weight of each member's column in the prediction.
    choice : str
        Which combination of the members was chosen, and why; empty where there is one member.
    """

    bundle: Bundle
    validation: ValidationReport
    evaluation: Evaluation | None
    search: SearchResult | None
    seconds: dict[str, float]
    boosting: dict[str, Any] | None = None
    members: dict[str, float] = field(default_factory=dict)
    choice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return {
            "model": str(self.bundle.path),
            **self.validation.to_dict(),
            "evaluation": self.evaluation.to_dict() if self.evaluation else None,
            "search": _search_summary(self.search) if self.search else None,
            "boosting": self.boosting,
            "members": self.members,
            "choice": self.choice,
            "seconds": self.seconds,
        }


def _search_summary(search: SearchResult) -> dict[str, Any]:
    best = search.best
    return {
        "candidates": len(search.candidates),
        "folds": search.folds,
        "metric": search.metric,
        "regParam": best.reg_param,
        "elasticNetParam": best.elastic_net_param,
        "average": best.average,
    }


def train(
    raw: DataFrame,
    schema: Schema,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    rejects: str | Path | None = None,
    steps: Steps | None = None,
    pairs: DataFrame | None = None,
) -> TrainResult:
    """Train a model on a table and write its bundle.

    Parameters
    ----------
    raw : DataFrame
        What `purchasecast.io.tables.read_table` returned.
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
    pairs : DataFrame, optional
        Rows to score, as `purchasecast.io.tables.read_table` returned them. The purchase patterns see which customer
        buys which product there, and the same of the holdout.

    Returns
    -------
    TrainResult
        The bundle and what was found on the way.

    Raises
    ------
    RejectRateError
        If more rows are bad than `settings` allows.
    DataError
        If there are too few rows for the folds, or the target of all training rows is the same.
    SettingsError
        If there are `pairs`, and the model has no purchase patterns.
    BundleError
        If no model can be written to `out`.
    SparkUnavailableError
        If the executors of a cluster lack a library.
    SourceError
        If they do not share the disk of `out`.

    Notes
    -----
    The holdout is set aside before anything else looks at a label: encoders, latent factors, the grid search and its
    choice see training rows only. With `settings.refit` the saved model is then fitted on all rows, by the penalty
    chosen before; its own figures are those of the evaluated model, which saw less.
    """
    settings = settings or TrainSettings()
    steps = steps or Steps()
    place = check_place(out)
    libraries = LIBRARIES if settings.model == "linear" else (*LIBRARIES, "xgboost")
    check_executors(raw.sparkSession, libraries, writes=place.parent)
    with ExitStack() as cleanup:
        gate = checked_rows(raw, schema, steps, max_reject_rate=settings.max_reject_rate, rejects=rejects)
        checked = cleanup.enter_context(gate)
        _check_size(checked.report, settings.folds, settings.holdout)
        recipe = resolve_recipe(checked.accepted, schema, settings)
        _limit_tasks(recipe, settings, checked.report.accepted, raw.sparkSession)
        known = None if pairs is None else cleanup.enter_context(_known_pairs(pairs, schema, recipe))
        return _run(checked, schema, recipe, out, settings, steps, known)


def _run(
    checked: Validated,
    schema: Schema,
    recipe: Recipe,
    out: str | Path,
    settings: TrainSettings,
    steps: Steps,
    known: DataFrame | None,
) -> TrainResult:
    rows = checked.accepted
    has_holdout = settings.holdout > 0
    fits_twice = has_holdout and settings.refit
    offers, blends = settings.offers and can_offer(schema), settings.model in {"blend", "auto"}
    once = 4 + blends + has_holdout + offers  # validate, blend, intervals, profile, save
    steps.expect(once + (1 + fits_twice) * step_count(recipe))
    split = holdout_split(rows, schema, share=settings.holdout, by=settings.holdout_by, seed=settings.seed)
    _check_size(checked.report, settings.folds, split.share)  # by time the share may be far from what was asked
    training, held_out = split.training, split.holdout
    _check_target(training, schema)
    journal = Path(out).with_name(f"{Path(out).name}.tuning")
    # What is known of rows to score is known of the holdout, so that its figures are those to come.
    seen = None if known is None else known.unionByName(held_out.select(*known.columns))
    fitted = fit_recipe(training, schema, recipe, settings, steps, journal=journal, pairs=seen)
    evaluation, reference = None, reference_of(training, schema)
    if has_holdout:
        with steps.step("evaluate") as step:
            computed_on = _computed_on(schema, settings, split.share, known)
            evaluation = evaluate(
                fitted.model.transform(held_out), schema, fitted.model, reference, computed_on=computed_on
            )
            evaluation = evaluation.with_transform(fitted.transform_to_dict())
            step.rows = evaluation.overall.rows
    final, final_reference = fitted, reference
    if fits_twice:
        final = fit_recipe(rows, schema, recipe, settings, steps, chosen=fitted, pairs=known)
        final_reference = reference_of(rows, schema)
    propensity = None
    if offers:
        with steps.step("offers"):
            propensity, evaluation = fit_offers(split, rows, schema, settings, evaluation)
    with steps.step("profile") as step:
        described = profile(checked, schema)
        step.rows = described.rows
    with steps.step("save"):
        bundle = _save(out, (final, propensity), schema, settings, checked, evaluation, final_reference, described)
    journal.unlink(missing_ok=True)  # the model holds what was found
    return _result(bundle, checked.report, fitted, evaluation, dict(steps.seconds))


def _result(
    bundle: Bundle,
    report: ValidationReport,
    fitted: Fitted,
    evaluation: Evaluation | None,
    seconds: dict[str, float],
) -> TrainResult:
    evaluation = evaluation.with_seconds(seconds) if evaluation else None
    boosting, blend = asdict(fitted.boosting) if fitted.boosting else None, fitted.blend
    return TrainResult(bundle, report, evaluation, fitted.search, seconds, boosting, blend.weights, blend.choice)


@contextmanager
def _known_pairs(raw: DataFrame, schema: Schema, recipe: Recipe) -> Iterator[DataFrame]:
    """Validate rows to score, and yield their customers and products, which nothing but purchase patterns reads."""
    if not any(isinstance(stage, PurchasePatternEncoder) for stage in recipe.stages):
        raise SettingsError(
            "pairs: expected a model with purchase patterns, which needs a customer and a product and no quantity, "
            "found one without; leave pairs= out."
        )
    unlabelled = raw.drop(schema.target)
    with validate(unlabelled, schema, target="optional", check_duplicates=False) as checked:
        named = [quoted(name) for name in (schema.customer, schema.product) if name]
        with cached(checked.accepted.select(*named).distinct()) as pairs:
            yield pairs


def _limit_tasks(recipe: Recipe, settings: TrainSettings, rows: int, spark: SparkSession) -> None:
    """Decide from all rows, before the first fit, whether fits are solved inside one task or by many."""
    limit = settings.max_task_rows
    if rows > limit:
        # The fit on the training rows must not be of another kind than that on all rows, which is the one saved.
        limit = max(min(limit, int(rows * (1 - settings.holdout)) // 2), 1)
        purpose = "to tune on" if settings.tune else "for trees over Spark Connect" if is_remote(spark) else ""
        if recipe.trees is not None and purpose:
            raise SettingsError(
                f"max_task_rows: expected at most {settings.max_task_rows:,} rows {purpose}, found {rows:,}; raise it "
                "if a task has the memory, or train another model."
            )
    limit_task_rows([*recipe.stages, recipe.trees], limit)


def _check_size(report: ValidationReport, folds: int, holdout: float) -> None:
    minimum, left = 10 * folds, int(report.accepted * (1 - holdout))
    if left < minimum:
        raise DataError(
            f"train: expected at least {minimum} good rows beside the holdout for {folds} folds, found about "
            f"{left} of {report.accepted}; take more data, or lower folds= or holdout=."
        )


def _check_target(training: DataFrame, schema: Schema) -> None:
    """Refuse a target that never varies; one pass over what validation has cached."""
    target = col(schema.target)
    least, most = training.agg(sf.min(target), sf.max(target)).collect()[0]
    if least == most:
        raise DataError(
            f"train: expected a {schema.target} that varies, found {least:,g} in every training row; check the column."
        )


def _computed_on(schema: Schema, settings: TrainSettings, share: float, known: DataFrame | None) -> str:
    by_time = schema.time is not None and settings.holdout_by != "random"
    which = (
        f"the latest {share:.0%} of the rows by {schema.time}"
        if by_time
        else (f"a random {share:.0%} of the rows (hash, seed {settings.seed})")
    )
    nothing = f"Computed on {which}, which no encoder, search or choice has seen."
    if known is None:
        return nothing
    return (
        f"{nothing} Only which customer bought which product is known of them, and of {known.count():,} further pairs "
        "to score: purchase patterns have seen that, without any amount."
    )


def _fingerprint(rows: DataFrame, columns: list[str]) -> dict[str, Any]:
    """Return rows, columns and a hash of the accepted rows that does not depend on their order."""
    digest = sf.bit_xor(sf.xxhash64(*[col(name) for name in columns]))
    count, value = rows.agg(sf.count(sf.lit(1)), digest).collect()[0]
    return {"rows": int(count), "columns": columns, "hash": f"{int(value or 0) & (2**64 - 1):016x}"}


def _save(
    out: str | Path,
    parts: tuple[Fitted, PurchasePropensityModel | None],
    schema: Schema,
    settings: TrainSettings,
    checked: Validated,
    evaluation: Evaluation | None,
    reference: Reference,
    described: Profile,
) -> Bundle:
    final, propensity = parts

    def write_parts(folder: Path) -> None:
        save_pipeline(final.model, folder)
        write_scorer(final.model, schema, checked.accepted, folder / SCORER)
        if propensity is not None:
            save_propensity(propensity, folder)
            export_offers(propensity, folder / SCORER)

    documents: dict[str, dict[str, Any]] = {
        "validation": checked.report.to_dict(),
        "profile": described.to_dict(),
    }
    if final.search:
        documents["search"] = final.search.to_dict()
    if evaluation:
        documents["evaluation"] = evaluation.to_dict()
    names = [name for name in schema.names if name in checked.accepted.columns]
    manifest = {
        "schema": schema.to_dict(),
        "settings": settings.to_dict(),
        "data": _fingerprint(checked.accepted, names),
        "reference": reference.to_dict(),
        "members": final.blend.weights,
        "choice": final.blend.choice,
        "boosting": asdict(final.boosting) if final.boosting else None,
        "target_transform": final.transform_to_dict(),
        "trained_on": "all rows" if settings.refit or not settings.holdout else "training rows only",
        "metrics": {name: getattr(evaluation.overall, name) for name in ("rmse", "mae", "r2")} if evaluation else None,
    }
    return save_bundle(out, write_parts=write_parts, documents=documents, manifest=manifest)
