"""Penalised fits, covariances, grids and results against independent oracles."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse

from purchasecast.errors import DataError, SettingsError
from purchasecast.numerics import elastic_net
from purchasecast.numerics.covariance import coefficient_covariance
from purchasecast.numerics.gram import gram_by_fold, leave_one_out
from purchasecast.numerics.normal_equations import Problem, Spectrum
from purchasecast.numerics.penalized import metric_values, penalty_diagonal, solve
from purchasecast.results import Candidate, SearchResult
from purchasecast.search import DEFAULT_GRID, ParamGrid, parse_grid
from purchasecast.search.choice import choose, summarize

GRID = [(reg, ratio) for reg in (0.0, 0.01, 0.3, 2.0) for ratio in (0.0, 0.4, 1.0)]


def gram_of(x, y, weight=None):
    weight = np.ones(len(y)) if weight is None else weight
    return gram_by_fold(sparse.csr_array(x), y, weight, np.zeros(len(y), dtype=int), 1)[0]


def draw(seed=0, rows=80, features=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)) * [1.0, 20.0, 0.05, 3.0][:features] + [0.0, 3.0, 1.0, 0.0][:features]
    y = x @ [1.0, 0.1, 8.0, 0.0][:features] + rng.normal(size=rows) + 4.0
    return x, y, rng.integers(1, 4, rows).astype(float)


def subgradient_gap(x, y, weight, beta, intercept, candidate, *, fit_intercept, standardization):
    """Return how far Spark's objective is from stationary, feature by feature, and for the intercept."""
    reg, ratio = candidate
    share = weight / weight.sum()
    mean = share @ x
    deviation = np.sqrt(share @ (x - mean) ** 2)
    label = np.sqrt(share @ (y - share @ y) ** 2)
    residual = y - x @ beta - intercept
    scale = deviation if standardization else np.ones_like(deviation)
    pull = x.T @ (share * residual) - reg * (1 - ratio) / label * scale**2 * beta
    l1 = reg * ratio * scale
    gap = np.where(beta != 0, pull - l1 * np.sign(beta), np.maximum(np.abs(pull) - l1, 0.0))
    return np.abs(gap / (deviation * label)).max(), abs(share @ residual) / label if fit_intercept else 0.0


@given(st.integers(0, 1000), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=30)
def test_every_candidate_is_a_minimum_of_sparks_objective(seed, fit_intercept, standardization):
    x, y, weight = draw(seed)
    form = {"fit_intercept": fit_intercept, "standardization": standardization}
    found = solve(gram_of(x, y, weight), GRID, **form)
    for candidate, beta, intercept in zip(GRID, found.coefficients, found.intercepts, strict=True):
        gap = subgradient_gap(x, y, weight, beta, intercept, candidate, **form)
        assert max(gap) < 1e-9, candidate


def draw_correlated(seed, rows=200, features=24):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)) @ rng.normal(size=(features, features)) + rng.normal(size=(rows, features))
    return x, x @ (rng.normal(size=features) * (rng.random(features) < 0.6)) + 5 * rng.normal(size=rows)


@given(st.integers(0, 200), st.booleans())
@settings(deadline=None, max_examples=15)
def test_many_candidates_are_fitted_together_as_each_is_alone(seed, standardization):
    x, y = draw_correlated(seed)
    grid = [(reg, ratio) for ratio in (0.0, 0.1, 0.5, 0.9, 1.0) for reg in (3.0, 0.02, 30.0, 0.5, 0.1)]
    grid = [*grid, (7.0, 0.5), (0.003, 0.5)]  # paths of unequal length, in no order
    gram = gram_of(x, y)
    together = solve(gram, grid, standardization=standardization)
    alone = [solve(gram, [one], standardization=standardization).coefficients[0] for one in grid]
    np.testing.assert_allclose(together.coefficients, alone, rtol=1e-7, atol=1e-9)
    assert ((together.coefficients == 0) == (np.array(alone) == 0)).all()


@given(st.integers(0, 200), st.integers(0, 11))
@settings(deadline=None, max_examples=30)
def test_a_spectrum_solves_what_is_left_when_features_are_left_out(seed, most):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 12)) @ rng.normal(size=(12, 12))
    moments, penalties, wanted = x.T @ x / 40, np.array([0.01, 0.3, 5.0]), rng.normal(size=(3, 12))
    left_out = np.zeros((3, 12), dtype=bool)
    for row, count in enumerate((most, most // 2, 0)):
        left_out[row, rng.permutation(12)[:count]] = True
    found = Spectrum.of(moments).solve(penalties, wanted, left_out)
    for row, penalty in enumerate(penalties):
        kept = np.flatnonzero(~left_out[row])
        system = moments[np.ix_(kept, kept)] + penalty * np.eye(len(kept))
        np.testing.assert_allclose(found[row, kept], np.linalg.solve(system, wanted[row, kept]), rtol=1e-8, atol=1e-9)
        assert not found[row, left_out[row]].any()


def test_one_coefficient_that_is_off_is_not_taken_for_an_optimum():
    x, y, weight = draw(3)
    problem = Problem.of(gram_of(x, y, weight), fit_intercept=True, standardization=True, decompose=False)
    ((beta,),) = elastic_net.elastic_net_paths(problem, [(0.0, np.array([0.3]))])
    for change, expected in ((0.0, True), (1e-3, False)):
        off = beta + np.array([change, 0.0, 0.0, 0.0])
        rows = elastic_net._Rows(np.zeros(1), np.array([0.3]), np.sign(off)[None], off[None])
        assert elastic_net._are_optimal(problem, rows, np.array([1e-9, 1.0, 1.0, 1.0])).tolist() == [expected]
        rows = elastic_net._Rows(np.zeros(1), np.array([0.3]), np.array([[0.0, 1.0, 1.0, 1.0]]), off[None])
        # Of a feature that takes no part nothing is asked; here the others notice what its coefficient changes.
        assert elastic_net._are_optimal(problem, rows, np.full(4, 1e-2)).tolist() == [True]


def test_an_independent_optimizer_finds_no_better_point():
    x, y, weight = draw(3)
    share, reg, ratio = weight / weight.sum(), 0.3, 0.4
    deviation, label = (np.sqrt(share @ (v - share @ v) ** 2) for v in (x, y))

    def objective(halves):
        beta = (halves[:4] - halves[4:8]) / deviation
        loss = 0.5 * share @ (y - x @ beta - halves[8]) ** 2
        l2 = 0.5 * (1 - ratio) / label * np.sum((halves[:4] - halves[4:8]) ** 2)
        return loss + reg * (ratio * halves[:8].sum() + l2)

    bounds = [(0, None)] * 8 + [(None, None)]
    best = optimize.minimize(
        objective, np.zeros(9), bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}
    )
    beta = (best.x[:4] - best.x[4:8]) / deviation
    found = solve(gram_of(x, y, weight), [(reg, ratio)])
    np.testing.assert_allclose(found.coefficients[0] * deviation, beta * deviation, atol=2e-5)


def test_metrics_from_the_gram_are_those_of_the_rows():
    x, y, weight = draw(5)
    fold = np.arange(80) % 4
    grams = gram_by_fold(sparse.csr_array(x), y, weight, fold, 4)
    for k, training in enumerate(leave_one_out(grams)):
        found, own = solve(training, GRID), fold == k
        residual = y[own, None] - x[own] @ found.coefficients.T - found.intercepts
        mse = weight[own] @ residual**2 / weight[own].sum()
        np.testing.assert_allclose(metric_values(found, grams[k], "mse"), mse, rtol=1e-10)
        np.testing.assert_allclose(metric_values(found, grams[k], "rmse"), np.sqrt(mse), rtol=1e-10)
    plain = gram_of(x, y)
    found = solve(plain, GRID)
    residual = y[:, None] - x @ found.coefficients.T - found.intercepts
    r2 = 1 - (residual**2).sum(axis=0) / ((y - y.mean()) ** 2).sum()
    np.testing.assert_allclose(metric_values(found, plain, "r2"), r2, rtol=1e-10, atol=1e-13)


@given(st.integers(0, 500), st.integers(-6, 6), st.integers(-3, 3))
@settings(deadline=None, max_examples=30)
def test_scaling_a_feature_or_the_label_does_what_theory_says(seed, feature_power, label_power):
    x, y, weight = draw(seed)
    f, g = 10.0**feature_power, 10.0**label_power
    plain = solve(gram_of(x, y, weight), GRID)
    scaled_x = x * [f, 1.0, 1.0, 1.0]
    by_feature = solve(gram_of(scaled_x, y, weight), GRID)
    np.testing.assert_allclose(by_feature.coefficients * [f, 1, 1, 1], plain.coefficients, rtol=1e-7, atol=1e-9)
    by_label = solve(gram_of(x, y * g, weight), [(reg * g, ratio) for reg, ratio in GRID])
    np.testing.assert_allclose(by_label.coefficients / g, plain.coefficients, rtol=1e-7, atol=1e-9)


@given(st.integers(0, 500))
@settings(deadline=None, max_examples=20)
def test_rows_features_and_fold_labels_may_change_places(seed):
    x, y, weight = draw(seed)
    rng = np.random.default_rng(seed + 1)
    fold, rows, features, labels = np.arange(80) % 4, rng.permutation(80), rng.permutation(4), rng.permutation(4)

    def averages(x, y, weight, fold):
        grams = gram_by_fold(sparse.csr_array(x), y, weight, fold, 4)
        values = [metric_values(solve(t, GRID), h, "rmse") for t, h in zip(leave_one_out(grams), grams, strict=True)]
        return np.mean(values, axis=0)

    moved = averages(x[rows][:, features], y[rows], weight[rows], labels[fold[rows]])
    np.testing.assert_allclose(moved, averages(x, y, weight, fold), rtol=1e-9)


def test_a_far_feature_is_fitted_as_a_near_one():
    x, y, weight = draw(6)
    far = x + np.array([1e8, 0.0, 0.0, 0.0])
    near, moved = solve(gram_of(x, y, weight), GRID), solve(gram_of(far, y, weight), GRID)
    np.testing.assert_allclose(moved.coefficients, near.coefficients, rtol=1e-5, atol=1e-6)


def test_a_constant_feature_gets_no_coefficient():
    x, y, weight = draw(7)
    constant = np.column_stack([x, np.full(80, 0.3)])
    for fit_intercept in (True, False):
        with_it = solve(gram_of(constant, y, weight), GRID, fit_intercept=fit_intercept)
        without = solve(gram_of(x, y, weight), GRID, fit_intercept=fit_intercept)
        assert not with_it.coefficients[:, -1].any()
        np.testing.assert_allclose(with_it.coefficients[:, :-1], without.coefficients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("standardization", [True, False])
def test_duplicated_columns_predict_as_one(standardization):
    x, y, weight = draw(8)
    twice = solve(gram_of(np.column_stack([x, x[:, 0]]), y, weight), GRID, standardization=standardization)
    form = {"fit_intercept": True, "standardization": standardization}
    for candidate, beta, intercept in zip(GRID, twice.coefficients, twice.intercepts, strict=True):
        gap = subgradient_gap(np.column_stack([x, x[:, 0]]), y, weight, beta, intercept, candidate, **form)
        assert max(gap) < 1e-8, candidate
    shortest = twice.coefficients[0]
    assert shortest[0] == pytest.approx(shortest[-1], rel=1e-6)


@pytest.mark.parametrize("standardization", [True, False])
def test_all_levels_of_one_hot_features_are_solved_exactly(standardization):
    rng = np.random.default_rng(9)
    codes = [rng.integers(0, k, 500) for k in (2, 7, 20)]
    x = np.column_stack([np.eye(k)[c] for k, c in zip((2, 7, 20), codes, strict=True)])
    y = x @ rng.normal(0, 3, 29) + rng.normal(size=500)
    grid = [(reg, ratio) for reg in (1e-4, 1e-3, 0.01, 0.1, 1.0) for ratio in (0.0, 0.2, 0.8, 1.0)]
    found = solve(gram_of(x, y), grid, standardization=standardization)
    form = {"fit_intercept": True, "standardization": standardization}
    for candidate, beta, intercept in zip(grid, found.coefficients, found.intercepts, strict=True):
        assert max(subgradient_gap(x, y, np.ones(500), beta, intercept, candidate, **form)) < 1e-8, candidate


def test_a_column_empty_in_training_gets_no_coefficient():
    x, y, weight = draw(10)
    fold = np.arange(80) % 4
    x = np.column_stack([x, (fold == 2) * 1.0])
    grams = gram_by_fold(sparse.csr_array(x), y, weight, fold, 4)
    trainings = leave_one_out(grams)
    assert not solve(trainings[2], GRID).coefficients[:, -1].any()
    assert np.isfinite(metric_values(solve(trainings[2], GRID), grams[2], "rmse")).all()
    assert solve(trainings[0], GRID).coefficients[0, -1] != 0


def test_folds_of_one_row_are_scored():
    x, y, weight = draw(11, rows=8)
    grams = gram_by_fold(sparse.csr_array(x), y, weight, np.arange(8), 8)
    for k, training in enumerate(leave_one_out(grams)):
        found = solve(training, GRID)
        error = np.abs(y[k] - found.coefficients @ x[k] - found.intercepts)
        np.testing.assert_allclose(metric_values(found, grams[k], "rmse"), error, rtol=1e-7)


def test_a_constant_label_is_its_own_fit():
    x, _, weight = draw(12)
    found = solve(gram_of(x, np.full(80, 3.5), weight), GRID)
    assert not found.coefficients.any()
    assert found.intercepts.tolist() == [3.5] * len(GRID)
    with pytest.raises(DataError, match="labels that vary"):
        solve(gram_of(x, np.full(80, 3.5), weight), GRID, fit_intercept=False)


def test_covariance_is_the_textbooks():
    x, y, weight = draw(13)
    gram = gram_of(x, y, weight)
    found = solve(gram, [(0.0, 0.0)])
    design = np.column_stack([x, np.ones(80)])
    inverse = np.linalg.inv(design.T @ (design * weight[:, None]))
    residual = y - design @ np.append(found.coefficients[0], found.intercepts[0])
    expected = inverse * (weight @ residual**2) / (80 - 5)
    np.testing.assert_allclose(
        coefficient_covariance(gram, found.coefficients[0], (0.0, 0.0)), expected, rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("standardization", [True, False])
def test_a_penalty_on_the_diagonal_gives_the_normal_equations_of_the_ridge(standardization):
    gram = gram_of(*draw(15))
    moments = gram.comoments / gram.weight
    (beta,) = solve(gram, [(0.3, 0.0)], standardization=standardization).coefficients
    added = penalty_diagonal(gram, 0.3, 0.0, standardization=standardization)
    np.testing.assert_allclose(moments[:-1, :-1] @ beta + added * beta, moments[:-1, -1], rtol=1e-9)
    net = penalty_diagonal(gram, 0.3, 0.4, standardization=standardization)
    np.testing.assert_allclose(net, 0.6 * added)


def test_unused_features_have_no_variance():
    x, y, weight = draw(14)
    gram = gram_of(x, y, weight)
    found = solve(gram, [(1.0, 1.0)])
    covariance = coefficient_covariance(gram, found.coefficients[0], (1.0, 1.0), fit_intercept=False)
    assert (np.diagonal(covariance)[:-1] > 0).tolist() == (found.coefficients[0] != 0).tolist()
    assert covariance[-1, -1] == 0.0


def test_the_default_grid_is_ten_by_six():
    assert len(set(DEFAULT_GRID.candidates())) == 60


def test_a_grid_is_read_from_text_and_toml(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text("regParam = [0.01, 1]\nelasticNetParam = 0.5\n", encoding="utf-8")
    assert parse_grid(path) == ParamGrid((0.01, 1.0), (0.5,))
    assert parse_grid("regParam=0.01,1 elasticNetParam=0.5") == parse_grid(str(path))
    assert parse_grid("regParam=3").elastic_net_param == DEFAULT_GRID.elastic_net_param


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found nothing"),
        ("lambda=1", "found lambda"),
        ("regParam", "NAME=NUMBER"),
        ("regParam=1 regParam=2", "once for each name"),
        ("regParam=a", "expected numbers"),
        ("regParam=-1", "at least 0"),
        ("regParam=inf", "at least 0"),
        ("elasticNetParam=1.5", "from 0 to 1"),
        ("nowhere.toml", "readable TOML"),
    ],
)
def test_a_bad_grid_is_refused(text, told):
    with pytest.raises(SettingsError, match=told):
        parse_grid(text)


def test_an_empty_grid_is_refused():
    with pytest.raises(SettingsError, match="at least one value"):
        ParamGrid(())


def candidate(average, deviation=1.0, nonzero=5.0, reg=1.0, ratio=0.5):
    return Candidate(reg, ratio, (average,), average, deviation, nonzero)


def test_one_standard_error_takes_the_sparsest_within_it():
    found = (candidate(10.0), candidate(10.4, nonzero=2), candidate(10.5, nonzero=2), candidate(10.6, nonzero=1))
    rule = {"larger_is_better": False, "folds": 5}
    assert choose(found, selection="best", **rule) == 0
    assert choose(found, selection="oneStandardError", **rule) == 1
    unknown = (candidate(10.0, nonzero=None), candidate(10.4, nonzero=None, reg=3.0))
    assert choose(unknown, selection="oneStandardError", **rule) == 1


def test_a_larger_r2_is_better_and_nan_never_is():
    found = (candidate(float("nan")), candidate(0.5), candidate(0.7))
    assert choose(found, larger_is_better=True, selection="best", folds=5) == 2
    with pytest.raises(DataError, match="finite metric"):
        choose(found[:1], larger_is_better=True, selection="best", folds=5)


def test_a_result_comes_back_from_json():
    metrics = np.array([[1.0, 2.0], [3.0, 5.0]])
    candidates = summarize(((0.1, 0.0), (0.2, 1.0)), metrics, np.array([3.0, 2.5]))
    assert candidates[1].average == 3.5
    assert candidates[1].standard_deviation == 1.5
    result = SearchResult("rmse", False, candidates, 0, "best", 2, 10, 3, "one-pass", 3, {"pass": 0.1})
    assert SearchResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert result.best == candidates[0]
