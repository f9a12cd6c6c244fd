"""Tuning of the trees: it finds what is planted to be better, keeps to its budget, and goes on where it was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from purchasecast.config import TrainSettings
from purchasecast.errors import SettingsError
from purchasecast.progress import Steps
from purchasecast.stages import BoostedTreesRegressor
from purchasecast.training.tuning import tune_trees

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


def shaky(spark: SparkSession) -> tuple[DataFrame, BoostedTreesRegressor]:
    """Return rows of much noise, and trees whose own settings learn it by heart."""
    random = np.random.default_rng(4)
    x = random.normal(size=(600, 2))
    label = 3.0 * x[:, 0] + random.normal(0, 3.0, 600)
    rows = [(float(a), float(b), float(y), k % 3, k) for k, ((a, b), y) in enumerate(zip(x, label, strict=True))]
    frame = spark.createDataFrame(rows, "a double, b double, label double, fold int, place long").persist()
    trees = BoostedTreesRegressor(
        inputCols=["a", "b"], orderCol="place", numRounds=30, learningRate=0.2, minRows=2.0, maxLeaves=255, ridge=0.1
    )
    return frame, trees


def test_it_beats_poor_settings_and_goes_on_where_it_was(spark: SparkSession, tmp_path: Path) -> None:
    frame, trees = shaky(spark)
    steps, journal = Steps(), tmp_path / "model.tuning"
    first = tune_trees(frame, trees, TrainSettings(model="boosted", folds=3, tune="3"), journal, steps)
    assert first.trials == 3
    assert len(steps.seconds) == 3
    assert first.default_error == pytest.approx(np.mean([trees.error_without(frame, fold) for fold in range(3)]))
    again = Steps()
    more = tune_trees(frame, trees, TrainSettings(model="boosted", folds=3, tune="8"), journal, again)
    assert more.trials == 8
    assert list(again.seconds) == [f"tune, trial {number}" for number in range(4, 9)]
    assert more.error < 0.98 * more.default_error
    changed = trees.copy({trees.getParam(name): value for name, value in more.params.items()})
    assert np.mean([changed.error_without(frame, fold) for fold in range(3)]) == pytest.approx(more.error)
    other = tune_trees(frame.limit(300), trees, TrainSettings(model="boosted", folds=3, tune="1"), journal, Steps())
    assert other.trials == 1  # other rows are another search


def test_a_trial_that_was_cut_off_is_measured_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, trees = shaky(spark)
    settings, journal = TrainSettings(model="boosted", folds=3, tune="2"), tmp_path / "model.tuning"

    def cut_off(*_: object) -> float:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BoostedTreesRegressor, "error_without", cut_off)
        with pytest.raises(KeyboardInterrupt):
            tune_trees(frame, trees, settings, journal, Steps())
    found = tune_trees(frame, trees, settings, journal, Steps())
    assert found.trials == 2
    assert found.default_error is not None
    more = tune_trees(frame, trees, TrainSettings(model="boosted", folds=3, tune="4"), journal, Steps())
    assert more.trials == 4
    study = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(journal))))
    measured = [tuple(sorted(trial.params.items())) for trial in study.trials if trial.state.name != "FAIL"]
    assert len(measured) == len(set(measured)) == 4  # none is drawn twice


@pytest.mark.parametrize("tune", ["0", "-3", "15 minutes", "min", "1.5"])
def test_a_budget_that_is_none_is_refused(tune: str) -> None:
    with pytest.raises(SettingsError, match="tune"):
        TrainSettings(model="boosted", tune=tune)


def test_budgets_are_trials_or_minutes_and_need_trees() -> None:
    assert TrainSettings(model="blend", tune="20").tune_budget == (20, None)
    assert TrainSettings(model="boosted", tune="1.5min").tune_budget == (None, 90.0)
    with pytest.raises(SettingsError, match="boosted, blend or auto"):
        TrainSettings(tune="20")
