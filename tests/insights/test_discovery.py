"""Many tests, few claims: q-values by the book, and an order that money and certainty decide."""

from __future__ import annotations

import numpy as np
import pytest

from purchasecast.finding import Finding, Support
from purchasecast.insights.discovery import Trials, certainty, q_values, rank_findings


def finding(name: str, kind: str = "segment", **changes: object) -> Finding:
    values: dict[str, object] = {
        "id": name,
        "kind": kind,
        "claim": "",
        "value": 10.0,
        "unit": "USD",
        "interval": None,
        "support": Support(1),
        "method": "",
        "action": "",
        "money": 100.0,
        "caveat": "",
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


def slow_q_values(p: list[float]) -> list[float]:
    """Return each q-value by its definition: the smallest rate at which the step-up procedure keeps the test."""
    ordered = sorted(p)
    bounds = [len(p) * value / (place + 1) for place, value in enumerate(ordered)]
    return [min([*bounds[ordered.index(value) :], 1.0]) for value in p]


def test_q_values_are_those_of_the_step_up_procedure() -> None:
    p = np.random.default_rng(1).uniform(size=30) ** 3
    found = q_values([Trials(p[:10], 10), Trials(p[10:], 20)])
    assert np.allclose(np.concatenate(found), slow_q_values(p.tolist()))


def test_tests_that_were_left_behind_still_count() -> None:
    p = np.random.default_rng(2).uniform(size=200) ** 2
    everything = q_values([Trials(p, 200)])[0]
    few = q_values([Trials(p[p <= 0.1], 200)])[0]
    kept = everything <= 0.1
    assert kept.sum() == (few <= 0.1).sum() > 10
    assert (few >= everything[p <= 0.1] - 1e-12).all()


def test_no_tests_at_all_give_no_q_values() -> None:
    assert [len(q) for q in q_values([Trials(np.empty(0), 0), Trials(np.empty(0), 5)])] == [0, 0]


@pytest.mark.parametrize(
    ("changes", "sure"),
    [
        ({}, 1.0),
        ({"interval": (8.0, 12.0)}, 0.8),
        ({"interval": (-1.0, 21.0)}, 0.0),
        ({"value": -10.0, "interval": (-12.0, -5.0), "q_value": 0.1}, 0.45),
    ],
)
def test_certainty_is_the_near_end_of_the_interval(changes: dict[str, object], sure: float) -> None:
    assert certainty(finding("a", **changes)) == pytest.approx(sure)


def test_certain_money_comes_first_whatever_the_order() -> None:
    found = [
        finding("large but vague", money=500.0, interval=(1.0, 19.0)),
        finding("certain", money=90.0),
        finding("small", money=10.0),
        finding("no money", money=None),
    ]
    expected = ["certain", "large but vague", "small", "no money"]
    assert [f.id for f in rank_findings(found, most_of_a_kind=10)] == expected
    assert [f.id for f in rank_findings(found[::-1], most_of_a_kind=10)] == expected


def test_one_kind_does_not_fill_the_list() -> None:
    found = [finding(f"s{i}", money=float(i)) for i in range(20)] + [finding("o", "offer", money=1.0)]
    kept = rank_findings(found, most_of_a_kind=3)
    assert [f.id for f in kept] == ["s19", "s18", "s17", "o"]
