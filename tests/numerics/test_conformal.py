"""Calibration against what was planted."""

from __future__ import annotations

import numpy as np
import pytest

from purchasecast.numerics import conformal
from purchasecast.numerics.conformal import Quantiles, bounds_by_group, calibrate, constant_bounds, scale_terms


def plant(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return residuals whose spread depends on product and rows seen, the variance terms, groups and counts."""
    random = np.random.default_rng(seed)
    spread = random.uniform(200, 3_000, rows)
    counts = np.where(random.random(rows) < 0.03, 0, random.integers(1, 300, rows)).astype(float)
    terms = scale_terms(np.full(rows, 9_000.0), spread, [counts], [0.5], 1_000.0**2)
    group = np.where(random.random(rows) < 0.3, "a", "b")
    noise = random.normal(size=rows) * np.where(group == "a", 1.0, 2.0)
    return np.sqrt(spread**2 + terms[:, 2]) * noise, terms, group, counts


def spread_and_unseen(terms: np.ndarray) -> np.ndarray:
    """Return the planted variance."""
    return terms[:, 1] + terms[:, 2]


def covered(found: dict, residual: np.ndarray, terms: np.ndarray, group: np.ndarray, level: float) -> np.ndarray:
    scale = np.sqrt(np.maximum(terms @ np.array(found["weights"]), found["least"]))
    lower, upper = at(found, group, level)
    return (residual >= lower * scale) & (residual <= upper * scale)


def at(found: dict, group: np.ndarray, level: float) -> np.ndarray:
    """Return the scores' bounds of each row; the planted predictions are all in one bin."""
    bounds = bounds_by_group(found, level)
    return np.array([bounds.get(name, bounds[""])[1][0] for name in group]).T


@pytest.mark.parametrize("level", [0.5, 0.9, 0.97])
def test_new_rows_are_covered_overall_by_group_and_where_the_level_is_new(level: float) -> None:
    residual, terms, group, _ = plant(40_000, 1)
    found = calibrate(residual, np.full(len(residual), 9_000.0), terms, group, groups=1, min_rows=500)
    residual, terms, group, counts = plant(40_000, 2)
    inside = covered(found, residual, terms, group, level)
    assert abs(inside.mean() - level) < 0.012
    for part in (group == "a", group == "b"):
        assert abs(inside[part].mean() - level) < 0.015
    assert inside[counts == 0].mean() > level - 0.06


def test_a_predicted_scale_is_narrower_than_a_constant_one() -> None:
    residual, terms, group, _ = plant(40_000, 3)
    found = calibrate(residual, np.full(len(residual), 9_000.0), terms, group, groups=1, min_rows=500)
    scale = np.sqrt(terms @ np.array(found["weights"]))
    width = np.diff(at(found, group, 0.9), axis=0)[0]
    constant = np.diff(constant_bounds(found, 0.9))[0]
    assert (width * scale).mean() < 0.87 * constant
    known = np.sqrt(spread_and_unseen(terms)) * np.where(group == "a", 1.0, 2.0) * 2 * 1.645
    assert (width * scale).mean() == pytest.approx(known.mean(), rel=0.03)


def test_many_small_groups_have_quantiles_of_their_own_together() -> None:
    """They err widely: of all rows' quantiles only half would hold."""
    random = np.random.default_rng(12)
    group = np.array([*["usual"] * 20_000, *[f"small {i % 30}" for i in range(1_500)]])
    terms = np.ones((len(group), 1))
    sd = np.where(group == "usual", 1.0, 4.0)
    found = calibrate(random.normal(size=len(group)) * sd, np.zeros(len(group)), terms, group, groups=0, min_rows=100)
    assert set(found["groups"]) == {"usual"}
    (lower, upper), scale = bounds_by_group(found, 0.9)[""][1][0], np.sqrt(found["weights"][0])
    new = 4.0 * random.normal(size=20_000)
    assert np.mean((new >= lower * scale) & (new <= upper * scale)) == pytest.approx(0.9, abs=0.02)


def test_small_groups_share_the_quantiles_of_all() -> None:
    residual, terms, group, _ = plant(2_000, 4)
    group[:100] = "rare"
    found = calibrate(residual, np.full(len(residual), 9_000.0), terms, group, groups=1, min_rows=500)
    assert set(found["groups"]) == {"a", "b"}


def test_a_rare_group_that_errs_widely_is_covered_by_quantiles_of_its_own() -> None:
    """With those of all groups three quarters of its rows would be missed or more."""
    random = np.random.default_rng(9)
    group = np.array(["usual"] * 20_000 + ["rare"] * 150)
    terms = np.ones((len(group), 1))
    shares = []
    for _ in range(40):
        residual = random.normal(size=len(group)) * np.where(group == "rare", 5.0, 1.0)
        found = calibrate(residual, np.zeros(len(group)), terms, group, groups=0, min_rows=100)
        (lower, upper), scale = bounds_by_group(found, 0.9)["rare"][1][0], np.sqrt(found["weights"][0])
        new = 5.0 * random.normal(size=2_000)
        shares.append(np.mean((new >= lower * scale) & (new <= upper * scale)))
    assert 0.9 < np.mean(shares) < 0.95


SHAPES = {
    "uniform": lambda random, size: random.random(size),
    "normal": lambda random, size: random.normal(size=size),
    "skewed": lambda random, size: random.exponential(size=size),
    "heavy tails": lambda random, size: random.standard_t(3, size),
    "steps": lambda random, size: (
        2.0 * random.choice(5, size, p=[0.3, 0.25, 0.2, 0.15, 0.1]) + random.normal(0, 0.3, size)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [120, 500])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.98])
def test_a_new_score_falls_into_the_bounds_as_often_as_promised(shape: str, rows: int, level: float) -> None:
    random = np.random.default_rng(9)
    many = np.sort(SHAPES[shape](random, 100_000))
    inside = []
    for _ in range(250):
        quantiles = Quantiles.of(SHAPES[shape](random, rows))
        assert quantiles.suffice(level)
        inside.append(np.diff(np.searchsorted(many, quantiles.bounds(level)))[0] / len(many))
    error = 3.0 * np.std(inside) / np.sqrt(len(inside)) + 0.001
    assert level - 0.002 - error < np.mean(inside) < level + 1.0 / rows + 0.004 + error


def test_bounds_are_the_scores_of_the_exact_ranks() -> None:
    """Of 199 scores the interval of a level of 0.99 goes from the lowest to the highest: 198 of 200 places."""
    scores = np.random.default_rng(1).normal(size=199)
    assert Quantiles.of(scores).suffice(0.99)
    assert not Quantiles.of(scores[:-1]).suffice(0.99)
    assert Quantiles.of(scores).bounds(0.99) == pytest.approx((scores.min(), scores.max()), rel=1e-3)
    ordered = np.sort(scores)
    assert Quantiles.of(scores).bounds(0.9) == pytest.approx((ordered[9], ordered[189]), rel=0.02)


def test_a_group_too_small_for_the_level_has_the_bounds_of_its_parent() -> None:
    random = np.random.default_rng(2)
    group = np.array(["small"] * 110 + ["wide"] * 1_400 + ["usual"] * 20_000)
    residual = random.normal(size=len(group)) * np.where(group == "wide", 5.0, 1.0)
    prediction = random.uniform(size=len(group))
    found = calibrate(residual, prediction, np.ones((len(group), 1)), group, groups=0, min_rows=100)
    assert len(found["groups"]["wide"]["rows"]) == 2
    usual = bounds_by_group(found, 0.9)
    assert usual["small"][1][0] != usual[""][1][0]
    high = bounds_by_group(found, 0.99)
    assert high["small"][1][0][0] <= high[""][1][0][0]
    assert high["small"][1][0][1] >= high[""][1][0][1]
    higher = np.array(bounds_by_group(found, 0.9975)["wide"][1])  # needs 800 rows; the bins have 700 each
    scale = np.sqrt(found["weights"][0])
    np.testing.assert_allclose(np.abs(higher) * scale, 5.0 * 3.02, rtol=0.15)


def test_equally_long_intervals_give_way_to_the_central_one() -> None:
    scores = np.random.default_rng(6).normal(size=50_000)
    low, high = Quantiles.of(scores).bounds(0.9)
    assert low == pytest.approx(-1.645, rel=0.03)
    assert high == pytest.approx(1.645, rel=0.03)


def test_bounds_of_skewed_scores_are_the_shortest() -> None:
    """From 0 on the interval is much shorter than with equal tails."""
    scores = np.random.default_rng(6).exponential(size=50_000)
    low, high = Quantiles.of(scores).bounds(0.9)
    assert low == pytest.approx(0.0, abs=0.05)
    assert high == pytest.approx(-np.log(0.1), rel=0.05)


@pytest.mark.parametrize("seed", range(10))
def test_a_shop_without_products_has_a_scale(seed: int) -> None:
    """No product, no spread: the term is 0 in every row, and its weight must be, too."""
    random = np.random.default_rng(seed)
    prediction = random.uniform(50, 100, 400)
    terms = scale_terms(prediction, np.zeros(400), [], [], 0.0)
    found = calibrate(random.normal(0, 9, 400), prediction, terms, np.full(400, ""), groups=0, min_rows=100)
    assert np.isfinite(found["weights"]).all()
    assert found["weights"][1] == 0.0
    assert np.isfinite(found["grid"]).all()


def test_predictions_without_any_error_have_intervals_of_no_width() -> None:
    prediction = np.linspace(1.0, 2.0, 200)
    terms = scale_terms(prediction, np.zeros(200), [], [], 0.0)
    found = calibrate(np.zeros(200), prediction, terms, np.full(200, "a"), groups=0, min_rows=100)
    assert bounds_by_group(found, 0.9) == {"": ([], [(0.0, 0.0)]), "a": ([], [(0.0, 0.0)])}


def test_a_calibration_of_before_has_quantiles_in_equal_steps() -> None:
    scores = np.random.default_rng(3).normal(size=20_000)
    grid = np.quantile(scores, np.linspace(0.0, 1.0, 201)).tolist()
    before = {"grid": grid, "rows": 20_000, "groups": {"a": {"borders": [], "grids": [grid], "rows": [20_000]}}}
    now = Quantiles.of(scores).bounds(0.9)
    assert bounds_by_group(before, 0.9)["a"][1][0] == pytest.approx(now, rel=0.01)


def test_large_groups_are_cut_by_prediction() -> None:
    """Below the middle purchases lie above the prediction, above it below: no common bounds are as short."""
    random = np.random.default_rng(7)
    prediction = random.uniform(0, 100, 20_000)
    residual = np.where(prediction < 50, 1.0, -1.0) * random.exponential(10.0, 20_000)
    terms = scale_terms(np.ones(20_000), np.full(20_000, 10.0), [], [], 1.0)
    found = calibrate(residual, prediction, terms, np.full(20_000, "a"), groups=0, min_rows=500)
    borders, bounds = bounds_by_group(found, 0.9)["a"]
    assert len(bounds) == len(borders) + 1 == 24
    scale = np.sqrt(terms @ np.array(found["weights"]))
    lower, upper = np.array(bounds)[np.searchsorted(borders, prediction)].T
    inside = (residual >= lower * scale) & (residual <= upper * scale)
    assert inside.mean() == pytest.approx(0.9, abs=0.01)
    assert ((upper - lower) * scale).mean() < 0.7 * np.diff(constant_bounds(found, 0.9))[0]


def test_a_fitted_scale_gives_way_where_bins_by_prediction_know_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Purchases of low predictions are unsteady; what is known of that by product is noisy."""
    random = np.random.default_rng(8)
    prediction = random.uniform(0, 100, 20_000)
    sd = np.where(prediction < 50, 10.0, 2.0)
    residual = sd * random.normal(size=20_000)
    terms = scale_terms(prediction, sd * random.lognormal(0.0, 0.8, 20_000), [], [], 1.0)
    group = np.full(20_000, "a")
    widths = []
    for shares in (conformal._FITTED_SHARES, (1.0,)):
        monkeypatch.setattr(conformal, "_FITTED_SHARES", shares)
        found = calibrate(residual, prediction, terms, group, groups=0, min_rows=500)
        borders, bounds = bounds_by_group(found, 0.9)["a"]
        lower, upper = np.array(bounds)[np.searchsorted(borders, prediction)].T
        widths.append(((upper - lower) * np.sqrt(np.maximum(terms @ found["weights"], found["least"]))).mean())
    assert widths[0] < 0.95 * widths[1]
    assert widths[0] == pytest.approx(2 * 1.645 * sd.mean(), rel=0.03)


def test_a_variance_that_groups_explain_more_than_whole_keeps_a_twentieth() -> None:
    terms = np.column_stack([np.ones(4), np.zeros(4), np.full(4, 9.0), np.zeros(4)])
    weights = conformal._constant_scale(np.full(4, 2.0), terms, groups=1)
    assert weights.tolist() == [0.05 * 2.0, 0.0, 1.0, 0.0]


def test_unseen_levels_keep_the_variance_that_theory_gives_them() -> None:
    """Rows of known levels say too little of it: here errors are even smaller where more of an effect is left."""
    random = np.random.default_rng(3)
    left = random.uniform(0.1, 0.3, 2_000)  # of the group's variance, after rows of training
    terms = np.column_stack([np.ones(2_000), np.zeros(2_000), left, np.zeros(2_000)])
    weights = conformal._fitted_scale((4.5 - 2.0 * left) * random.chisquare(1, 2_000), terms, groups=1)
    assert weights[2] == 1.0
    assert weights[0] == pytest.approx(4.1, rel=0.1)


def test_pooled_quantiles_are_those_of_all_rows() -> None:
    random = np.random.default_rng(11)
    cells = [random.normal(0.0, 1.0, 9_000), random.normal(4.0, 0.5, 3_000)]
    pooled = Quantiles.pooled([Quantiles.of(cell) for cell in cells])
    assert pooled.rows == 12_000
    inner = (pooled.positions > 0.02) & (pooled.positions < 0.98)
    expected = np.quantile(np.concatenate(cells), pooled.positions[inner], method="weibull")
    np.testing.assert_allclose(pooled.values[inner], expected, atol=0.1)
