"""How far new data are from those of the training: the index, chance, limits and the page, without Spark."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scipy.stats import chi2

from purchasecast.config import MonitorSettings
from purchasecast.errors import SettingsError
from purchasecast.monitoring import _coarse
from purchasecast.numerics.stability import population_stability
from purchasecast.report import render_drift
from purchasecast.results import Check, ColumnDrift, DriftReport, Histogram, LevelShift
from purchasecast.schema import load_schema


def make_report(*, labelled: bool = True) -> DriftReport:
    levels = (LevelShift("A", 0.5, 0.2), LevelShift("<b>", 0.5, 0.7), LevelShift("(new)", 0.0, 0.1))
    column = ColumnDrift("City_Category", "city", "feature", 0.9, 0.05, levels)
    still = ColumnDrift(
        "Age", "age", "feature", 0.001, 0.05, (LevelShift("18", 0.4, 0.401), LevelShift("55", 0.6, 0.599))
    )
    checks = (
        Check("column:City_Category", 0.9, 0.2, held=False, sentence="city has changed: index 0.900."),
        Check("column:Age", 0.001, 0.2, held=True, sentence="age has not changed."),
    )
    figures = {"rmse": 110.0, "bias": 3.0, "coverage": 0.88, "holdout_rmse": 100.0, "holdout_coverage": 0.9}
    return DriftReport(
        1_000,
        4,
        labelled,
        (column, still),
        {"customer": 30},
        95.5,
        figures if labelled else {},
        checks,
        ("day, because dates always change",),
    )


def test_the_index_is_that_of_the_literature() -> None:
    before, after = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.4, 0.5])
    by_hand = 0.1 * np.log(2) + 0.1 * np.log(4 / 3)
    assert population_stability(before, after) == pytest.approx(by_hand)
    assert population_stability(200 * before, 7 * after) == pytest.approx(by_hand)
    assert population_stability(after, before) == pytest.approx(by_hand)


def test_a_level_that_one_side_lacks_counts_but_is_not_infinite() -> None:
    assert 0.3 < population_stability([100, 0], [90, 10]) < 1


def test_chance_is_what_the_index_exceeds_in_one_of_a_thousand() -> None:
    random = np.random.default_rng(3)
    shares, n, m = np.array([0.4, 0.3, 0.2, 0.1]), 4_000, 500
    samples = [population_stability(random.multinomial(n, shares), random.multinomial(m, shares)) for _ in range(4_000)]
    bound = (1 / n + 1 / m) * chi2.ppf(0.99, 3)
    assert 0.006 < np.mean(np.array(samples) > bound) < 0.015


def test_a_column_moves_past_both_the_threshold_and_chance() -> None:
    moved = ColumnDrift("a", "a", "feature", 0.3, 0.1, ())
    assert moved.has_moved(0.2)
    assert not moved.has_moved(0.35)
    assert not ColumnDrift("a", "a", "feature", 0.3, 0.4, ()).has_moved(0.2)


def test_bins_of_a_number_are_joined_until_they_hold_a_twentieth() -> None:
    histogram = Histogram((0.0, 1.0, 2.0, 3.0, 4.0, 5.0), (1, 3, 90, 0, 2), "linear")
    edges, rows = _coarse(histogram)
    assert rows == [96.0]
    assert edges == []
    edges, rows = _coarse(Histogram((0.0, 1.0, 2.0, 3.0), (50, 0, 50), "linear"))
    assert (edges, rows) == ([2.0], [50.0, 50.0])


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"threshold": 0.0}, "threshold"), ({"max_unseen": 2.0}, "max_unseen"), ({"max_error_growth": -1.0}, "max_error")],
)
def test_limits_outside_their_range_are_refused(settings: dict[str, float], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        MonitorSettings(**settings)


def test_a_report_passes_through_json() -> None:
    report = make_report()
    document = json.loads(json.dumps(report.to_dict()))
    assert document["drifted"] is True
    assert DriftReport.from_dict(document) == report
    assert [check.name for check in report.alarms] == ["column:City_Category"]


@pytest.mark.parametrize("labelled", [True, False])
def test_the_page_tells_what_moved_without_a_script(*, labelled: bool) -> None:
    html = render_drift(make_report(labelled=labelled), load_schema("black_friday"))
    assert "1 check failed." in html
    assert "city: A changed from 50% to 20% of the rows" in html.replace("50.0%", "50%").replace("20.0%", "20%")
    assert "age: no change" in html
    assert "&lt;b&gt;" in html
    assert not re.search(r"<script|https?://(?!www\.w3\.org/)", html)
    assert ("inside the interval" in html) == labelled
