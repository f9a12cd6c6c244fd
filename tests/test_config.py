"""Settings are checked once and survive JSON."""

from __future__ import annotations

import json

import pytest

from purchasecast.config import TrainSettings
from purchasecast.errors import SettingsError


def test_settings_survive_json() -> None:
    settings = TrainSettings(folds=4, reg_param=(0.1, 1.0))
    assert TrainSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    "wrong", [{"model": "magic"}, {"folds": 1}, {"holdout": 1.0}, {"holdout": -0.1}, {"max_reject_rate": 2.0}]
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        TrainSettings(**wrong)  # type: ignore[arg-type]
