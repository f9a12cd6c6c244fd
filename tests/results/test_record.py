"""Records go to JSON and come back as they were, whatever their fields hold."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from purchasecast.results import Evaluation, Slice
from purchasecast.results.record import Record


@dataclass(frozen=True, slots=True)
class Part(Record):
    name: str
    ends: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Whole(Record):
    parts: tuple[Part, ...]
    best: Part | None
    rows: tuple[tuple[str | float | None, ...], ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


WHOLE = Whole((Part("a", (1.0, 2.0)), Part("b")), Part("c"), (("x", 1.5, None),), {"k": 3})


@pytest.mark.parametrize("whole", [WHOLE, Whole((), None)])
def test_nested_records_tuples_and_missing_values_survive_json(whole: Whole) -> None:
    assert Whole.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_fields_of_a_later_version_are_ignored_and_missing_ones_have_their_default() -> None:
    document = {**WHOLE.to_dict(), "added later": 1}
    del document["counts"]
    assert Whole.from_dict(document) == Whole(WHOLE.parts, WHOLE.best, WHOLE.rows)


def test_a_tuple_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        Part.from_dict({"name": "a", "ends": [1.0]})


def test_an_evaluation_keeps_the_figures_of_all_rows_at_the_top() -> None:
    part = Slice("all", "all", 10, 2.0, 1.5, 0.4, -0.1, {"mean": 3.0}, coverage=0.9)
    evaluation = Evaluation(part, (Slice("city", "A", 4, 1.0, 0.5, None, 0.0, {}),), "On a test.", {"s": 1.0}, 0.9)
    document = json.loads(json.dumps(evaluation.to_dict()))
    assert (document["rmse"], document["coverage"]) == (2.0, 0.9)
    assert Evaluation.from_dict(document) == evaluation
