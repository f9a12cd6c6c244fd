"""What a recipe does where its members have no predictions that have not seen their row."""

from __future__ import annotations

import logging

import pytest

from purchasecast.progress import Steps
from purchasecast.recipes import Recipe
from purchasecast.schema import load_schema
from purchasecast.training.blend import Blend, weigh_and_calibrate
from purchasecast.training.members import FittedMember


@pytest.mark.parametrize("outputs", [["a"], ["a", "b"], ["a", "b", "c", "d"]])
def test_members_without_predictions_out_of_fold_weigh_alike(
    outputs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        members = [FittedMember(output, (), None) for output in outputs]
        blend = weigh_and_calibrate(
            members, object(), load_schema("black_friday"), Recipe("blend", (), None), [], Steps()
        )
    assert blend == Blend(dict.fromkeys(outputs, 1 / len(outputs)), None, None)
    assert ("weigh the same" in caplog.text) == (len(outputs) > 1)
