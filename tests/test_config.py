"""Settings are checked once and survive JSON."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest

from purchasecast.config import TrainSettings
from purchasecast.errors import DataError, SettingsError
from purchasecast.results import ValidationReport
from purchasecast.training.train import _check_size


def test_settings_survive_json() -> None:
    settings = TrainSettings(folds=4, reg_param=(0.1, 1.0))
    assert TrainSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "magic"},
        {"minutes": 0.0},
        {"folds": 1},
        {"holdout": 1.0},
        {"holdout": -0.1},
        {"max_reject_rate": 2.0},
        {"seed": -3},
        {"seed": 10**20},
    ],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        TrainSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("accepted", "holdout", "is_enough"), [(60, 0.2, False), (60, 0.0, True), (63, 0.2, True)])
def test_the_folds_need_rows_beside_the_holdout(accepted: int, holdout: float, is_enough: bool) -> None:
    report = ValidationReport(rows=accepted, accepted=accepted, rejected=0)
    with nullcontext() if is_enough else pytest.raises(DataError, match=f"found about 48 of {accepted}"):
        _check_size(report, 5, holdout)
