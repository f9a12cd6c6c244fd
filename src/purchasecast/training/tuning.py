"""Tune the settings of the boosted trees on the folds, within a budget; an interrupted search goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame

    from purchasecast.config import TrainSettings
    from purchasecast.progress import Steps
    from purchasecast.stages import BoostedTreesRegressor

__all__ = ["Tuned", "tune_trees"]

logger = logging.getLogger(__name__)

_MOST_FOLDS = 3  # a trial that lasts is measured on so many; a poor one on the first only
# Param: type, least and most, and whether steps are ratios.
_SPACE: dict[str, tuple[type, float, float, bool]] = {
    "maxLeaves": (int, 15, 255, True),
    "learningRate": (float, 0.02, 0.2, True),
    "minRows": (float, 2.0, 200.0, True),
    "rowShare": (float, 0.5, 1.0, False),
    "columnShare": (float, 0.2, 1.0, False),
    "ridge": (float, 0.1, 100.0, True),
}


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found.

    Attributes
    ----------
    params : dict of str to float
        The best settings.
    error : float
        Their root mean squared error, averaged over the folds, on the scale that the trees are fitted on.
    default_error : float or None
        That of the settings that need no search.
    trials, finished : int
        Trials begun, and those that were not given up after a fold.
    """

    params: dict[str, float] = field(default_factory=dict)
    error: float = float("nan")
    default_error: float | None = None
    trials: int = 0
    finished: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return asdict(self)


def tune_trees(
    table: DataFrame, trees: BoostedTreesRegressor, settings: TrainSettings, journal: Path, steps: Steps
) -> Tuned:
    """Search settings by the error on folds that the trees have not seen.

    Parameters
    ----------
    table : DataFrame
        Training rows with the features, kept in memory.
    trees : BoostedTreesRegressor
        What is tuned; its own settings are the first trial.
    settings : TrainSettings
        With the budget and the number of folds.
    journal : Path
        File that every trial is written to. A search of the same rows and settings that finds it goes on from there.
    steps : Steps
        Times each trial and tells a watcher.

    Returns
    -------
    Tuned
        The best settings.

    Raises
    ------
    SettingsError
        If Optuna is not installed.

    Notes
    -----
    Candidates are drawn by a tree-structured Parzen estimator. Each is fitted without a first fold and, by successive
    halving, only the better third without a second, and a third one. A fit is a pass over the kept rows.

    References
    ----------
    J. Bergstra and others, "Algorithms for hyper-parameter optimization", NeurIPS 2011. K. Jamieson, A. Talwalkar,
    "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016.
    """
    try:
        import optuna  # noqa: PLC0415  an extra
        from optuna.storages import JournalStorage  # noqa: PLC0415
        from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            "tune: expected Optuna, found none; run `pip install purchasecast[tune]`, or leave tune= out."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    most, seconds = settings.tune_budget
    study = optuna.create_study(
        study_name=_name(table, trees, settings),
        storage=JournalStorage(JournalFileBackend(str(journal))),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        load_if_exists=True,
    )
    own = {name: trees.getOrDefault(name) for name in _SPACE}
    _take_up(study, own)
    # Another seed each time: the same would draw candidates again that an interrupted run has measured.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.trials))
    folds = min(settings.folds, _MOST_FOLDS)
    until = time.monotonic() + seconds if seconds else float("inf")
    while _done(study) < (most or float("inf")) and time.monotonic() < until:
        trial = study.ask()
        with steps.step(f"tune, trial {trial.number + 1}") as step:
            step.rows = None
            _run(study, trial, table, trees, folds)
    finished = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    best = min(finished, key=lambda trial: float(trial.value or 0.0))
    default = [float(t.value) for t in finished if t.params == own and t.value is not None]
    return Tuned(dict(best.params), float(best.value or 0.0), min(default, default=None), _done(study), len(finished))


def _take_up(study: Any, own: dict[str, Any]) -> None:
    """Let the settings that need no search be the first trial; give up the trial that an earlier run was stopped in."""
    for trial in study.trials:
        if trial.state.name == "RUNNING":
            study.tell(trial.number, state=_state("FAIL"))
    if study.trials:
        logger.info("tune: goes on after %d trials of an earlier run", _done(study))
    measured = [trial for trial in study.trials if trial.state.name != "FAIL"]
    if not any(trial.params == own or trial.system_attrs.get("fixed_params") == own for trial in measured):
        study.enqueue_trial(own)


def _state(name: str) -> Any:
    import optuna  # noqa: PLC0415  an extra

    return optuna.trial.TrialState[name]


def _done(study: Any) -> int:
    """Return the trials that were measured; one that was stopped on the way does not count."""
    return sum(trial.state.name in {"COMPLETE", "PRUNED"} for trial in study.trials)


def _run(study: Any, trial: Any, table: DataFrame, trees: BoostedTreesRegressor, folds: int) -> None:
    """Measure one candidate fold after fold, and give it up where it is not among the better ones."""
    params = {
        name: trial.suggest_int(name, int(least), int(most), log=log)
        if kind is int
        else trial.suggest_float(name, least, most, log=log)
        for name, (kind, least, most, log) in _SPACE.items()
    }
    changed = trees.copy({trees.getParam(name): value for name, value in params.items()})
    errors: list[float] = []
    for fold in range(folds):
        errors.append(changed.error_without(table, fold))
        trial.report(sum(errors) / len(errors), fold + 1)
        if fold + 1 < folds and trial.should_prune():
            study.tell(trial, state=_state("PRUNED"))
            return
    study.tell(trial, sum(errors) / len(errors))


def _name(table: DataFrame, trees: BoostedTreesRegressor, settings: TrainSettings) -> str:
    """Return a name that rows, features and settings share with no other search, but for its budget."""
    label = col(trees.getLabelCol())
    rows, total = table.agg(sf.count(sf.lit(1)), sf.round(sf.sum(label), 2)).collect()[0]
    known = {name: value for name, value in settings.to_dict().items() if name != "tune"}
    text = json.dumps([known, trees.getInputCols(), int(rows), str(total)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
