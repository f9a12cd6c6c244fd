"""Many tests, few claims: q-values by the book, and an order that money and certainty decide."""

from __future__ import annotations

import numpy as np
import pytest

from purchasecast.insights.significance import Trials, certainty, judge, normal_interval, q_values, rank_findings
from purchasecast.results import Finding, Support


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
        "who": "Marketing",
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


def slow_q_values(p: list[float]) -> list[float]:
    """Return each q-value by its definition: the smallest rate at which the step-up procedure keeps the test."""
    ordered = sorted(p)
    bounds = [len(p) * value / (place + 1) for place, value in enumerate(ordered)]
    return [min([*bounds[ordered.index(value) :], 1.0]) for value in p]


def test_q_values_are_those_of_the_step_up_procedure() -> None:
    p = np.random.default_rng(1).uniform(size=30) ** 3
    assert np.allclose(q_values([Trials(p, 30)], 0.1)[0], slow_q_values(p.tolist()))


def test_a_family_in_which_nothing_is_makes_the_others_stricter() -> None:
    random = np.random.default_rng(3)
    some, none = random.uniform(size=30) ** 3, random.uniform(0.2, 1, size=40)
    alone = np.array(slow_q_values(some.tolist()))
    assert (alone <= 0.1).sum() > 3
    found, nothing = q_values([Trials(some, 30), Trials(none, 40)], 0.1)
    assert np.allclose(found, np.minimum(2 * alone, 1))
    assert (nothing > 0.1).all()
    both = q_values([Trials(some, 30), Trials(some, 30)], 0.1)
    assert np.allclose(both, alone)


def test_many_true_finds_make_no_room_for_false_ones_elsewhere() -> None:
    """A thousand customers differ, segments do not: of claims about segments hardly any may appear."""
    false, runs = 0, 200
    for seed in range(runs):
        random = np.random.default_rng(seed)
        customers, segments = random.uniform(size=2_000), random.uniform(size=60)
        customers[:1_000] *= 1e-6
        found = q_values([Trials(customers, 2_000), Trials(segments, 60)], 0.1)
        assert (found[0] <= 0.1).sum() > 900
        false += bool((found[1] <= 0.1).any())
    assert false <= 0.15 * runs  # each such claim is a false one: at most a tenth of runs, and two standard errors


def test_every_piece_of_evidence_gets_its_families_in_their_order() -> None:
    class Piece:
        def __init__(self, *p: float) -> None:
            self.trials = tuple(Trials(np.array([value]), 1) for value in p)

    found = judge([Piece(0.01, 0.5), Piece(), Piece(0.02)], 0.1)  # type: ignore[list-item]
    assert [len(q) for q in found] == [2, 0, 1]
    assert np.concatenate(found) == pytest.approx([0.015, 0.75, 0.03])  # two of three families are looked into


def test_tests_that_were_left_behind_still_count() -> None:
    p = np.random.default_rng(2).uniform(size=200) ** 2
    everything = q_values([Trials(p, 200)], 0.1)[0]
    few = q_values([Trials(p[p <= 0.1], 200)], 0.1)[0]
    kept = everything <= 0.1
    assert kept.sum() == (few <= 0.1).sum() > 10
    assert (few >= everything[p <= 0.1] - 1e-12).all()


def test_no_tests_at_all_give_no_q_values() -> None:
    assert [len(q) for q in q_values([Trials(np.empty(0), 0), Trials(np.empty(0), 5)], 0.1)] == [0, 0]


@pytest.mark.parametrize(
    ("changes", "sure"),
    [
        ({}, 1.0),
        ({"interval": (8.0, 12.0)}, 0.8),
        ({"interval": (-1.0, 21.0)}, 0.0),
        ({"value": -10.0, "interval": (-12.0, -5.0), "q_value": 0.1}, 0.45),
        ({"value": 0.0, "interval": (1.0, 3.0)}, 0.0),
    ],
)
def test_certainty_is_the_near_end_of_the_interval(changes: dict[str, object], sure: float) -> None:
    assert certainty(finding("a", **changes)) == pytest.approx(sure)


def test_certain_money_comes_first_whatever_the_order() -> None:
    found = [
        finding("large but vague", money=500.0, interval=(1.0, 19.0)),
        finding("certain", money=90.0),
        finding("small", money=10.0),
        finding("few rows", money=None, who=""),
        finding("many rows", money=None, who="", support=Support(50)),
    ]
    expected = ["certain", "large but vague", "small", "many rows", "few rows"]
    assert [f.id for f in rank_findings(found, max_per_kind=10)] == expected
    assert [f.id for f in rank_findings(found[::-1], max_per_kind=10)] == expected


def test_of_equal_certain_money_the_surest_comes_first() -> None:
    vague, sure = finding("a", money=100.0, interval=(5.0, 15.0)), finding("b", money=50.0)
    assert [f.id for f in rank_findings([vague, sure], max_per_kind=10)] == ["b", "a"]


def test_an_interval_is_as_wide_on_both_sides_unless_it_is_cut() -> None:
    assert normal_interval(10.0, 2.0, 0.9) == pytest.approx((10 - 2 * 1.644854, 10 + 2 * 1.644854))
    assert normal_interval(1.0, 2.0, 0.9, minimum=0.0) == pytest.approx((0.0, 1 + 2 * 1.644854))


def test_one_kind_does_not_fill_the_list() -> None:
    found = [finding(f"s{i}", money=float(i)) for i in range(20)] + [finding("o", "offer", money=1.0)]
    kept = rank_findings(found, max_per_kind=3)
    assert [f.id for f in kept] == ["s19", "s18", "s17", "o"]
