"""Probabilities and sets of steps, against a planted truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.stats import norm

from purchasecast.numerics.step_fit import fit_steps
from purchasecast.numerics.step_probabilities import LevelSteps, RowSteps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAMES = ["books", "films", "wine"]
UNITS = {"books": 380.0, "films": 11.9}
LADDERS = {name: {"unit": unit, "start": -0.01, "end": 0.21} for name, unit in UNITS.items()}


@dataclass
class Planted:
    """Purchases whose step is the rounded taste of the customer, and what is known of the taste."""

    label: Floats
    prediction: Floats
    spread: Floats
    level: NDArray[np.intp]
    step: NDArray[np.intp]
    chances: Floats  # of steps 1 to 5, by the truth

    def arguments(self, rows: Any = slice(None)) -> tuple[Any, ...]:
        """Return what `fit_steps` takes of some rows."""
        return (self.label[rows], self.prediction[rows], self.spread[rows], self.level[rows], NAMES, LADDERS)


def planted(count: int, seed: int) -> Planted:
    random = np.random.default_rng(seed)
    level = random.choice(3, count, p=[0.6, 0.37, 0.03])
    known = random.normal(3.0, 0.9, count)
    spread = random.choice([0.4, 0.8, 1.2], count)  # in steps
    taste = known + spread * random.normal(size=count)
    step = np.clip(np.round(taste), 1, 5).astype(np.intp)
    borders = np.array([-np.inf, 1.5, 2.5, 3.5, 4.5, np.inf])
    chances = np.diff(norm.cdf((borders - known[:, None]) / spread[:, None]), axis=1)
    unit = np.array([*UNITS.values(), 20.0])[level]
    label = unit * (step + 0.2 * random.random(count))
    return Planted(label, unit * known, unit * spread, level, step, chances)


@pytest.fixture(scope="module")
def training() -> Planted:
    return planted(20_000, seed=1)


@pytest.fixture(scope="module")
def fitted(training: Planted) -> dict[str, Any]:
    found = fit_steps(*training.arguments(), min_rows=100)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def new() -> Planted:
    return planted(20_000, seed=2)


def scored(fitted: dict[str, Any], rows: Planted, share: float = 0.9) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return, of the rows with a ladder, the probabilities by step, the true ones, and which steps are in the set."""
    counts, made = RowSteps.of(fitted, NAMES, rows.level, rows.prediction, rows.spread, share).lists()
    assert set(counts[rows.level < 2]) == {5}
    assert set(counts[rows.level == 2]) == {0}  # wine has no ladder
    by_row = made.reshape(-1, 5, 5)
    assert (by_row[:, :, 0] == np.arange(1, 6)).all()
    return by_row[:, :, 3], rows.chances[rows.level < 2], by_row[:, :, 4] > 0


def test_the_true_probabilities_are_recovered(fitted: dict[str, Any], new: Planted) -> None:
    chances, truth, _ = scored(fitted, new)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert np.abs(chances - truth).mean() < 0.02
    came = new.step[new.level < 2]
    places = np.arange(len(came))
    loss, least = (-np.log(some[places, came - 1]).mean() for some in (chances, truth))
    assert loss < least + 0.01


def test_in_every_tenth_of_the_probability_as_many_steps_came(fitted: dict[str, Any], new: Planted) -> None:
    chances, _, _ = scored(fitted, new)
    came = new.step[new.level < 2][:, None] == np.arange(1, 6)
    tenth = np.minimum((chances * 10).astype(int), 9)
    for k in range(10):
        mine = tenth == k
        assert mine.sum() > 200
        error = 3.0 * np.sqrt(chances[mine].mean() * (1 - chances[mine].mean()) / mine.sum())
        assert abs(chances[mine].mean() - came[mine].mean()) < 0.02 + error, k


@pytest.mark.parametrize("share", [0.8, 0.9, 0.99])
def test_sets_hold_the_promised_share_in_every_level(fitted: dict[str, Any], new: Planted, share: float) -> None:
    _, truth, in_set = scored(fitted, new, share)
    level, came = new.level[new.level < 2], new.step[new.level < 2]
    inside = in_set[np.arange(len(came)), came - 1]
    for k in (0, 1):
        assert inside[level == k].mean() == pytest.approx(share, abs=0.015)
    assert in_set.any(axis=1).all()
    # Whoever knew the truth would need as many steps.
    best = truth >= np.quantile(truth[np.arange(len(came)), came - 1], 1.0 - share)
    assert in_set.sum(axis=1).mean() < best.sum(axis=1).mean() + 0.05


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_intervals_hold_the_promised_share_in_every_level(fitted: dict[str, Any], new: Planted, share: float) -> None:
    arguments = (NAMES, new.level, new.prediction, new.spread)
    lower, upper = RowSteps.of(fitted, *arguments, share).bounds()
    np.testing.assert_array_equal(np.isnan(lower), new.level == 2)
    for k, name in enumerate(LADDERS):
        mine = new.level == k
        inside = (new.label >= lower) & (new.label <= upper)
        # The bounds are drawn out to the prediction, which matters where intervals are short.
        assert share - 0.015 < inside[mine].mean() < share + (0.015 if share > 0.5 else 0.1)
        assert (lower[mine] <= new.prediction[mine]).all()
        assert (upper[mine] >= new.prediction[mine]).all()
        # The interval that the truth would give, from a step's lowest amount on, is as good.
        score = upper - lower + 2 / (1 - share) * np.maximum(0, np.maximum(lower - new.label, new.label - upper))
        reached = np.cumsum(new.chances, axis=1)
        ends = [(reached < rank).sum(axis=1).clip(max=4) + 1 for rank in ((1 - share) / 2, (1 + share) / 2)]
        low, high = UNITS[name] * ends[0], UNITS[name] * (ends[1] + 0.2)
        best = high - low + 2 / (1 - share) * np.maximum(0, np.maximum(low - new.label, new.label - high))
        assert score[mine].mean() < 1.05 * best[mine].mean()


def test_with_too_few_rows_for_a_level_bounds_are_those_of_the_ladder(training: Planted) -> None:
    label, prediction, spread, level, *rest = training.arguments(slice(0, 60))
    few = fit_steps(label, prediction, spread, level, *rest, min_rows=100)
    assert few is not None
    steps = LevelSteps.of(few, "books", 0.99)
    assert (steps.limit, steps.ranks) == (0.0, (0.0, 1.0))
    lower, upper = steps.bounds(steps.chances(np.array([700.0]), None), np.array([700.0]))
    assert lower[0] == pytest.approx(steps.low[0])
    assert upper[0] == pytest.approx(steps.high[-1])


def test_few_rows_do_not_make_sets_too_small(new: Planted) -> None:
    books = new.level == 0
    shares = []
    for seed in range(12):
        rows = planted(400, seed=100 + seed)
        few = fit_steps(*rows.arguments(rows.level == 0), min_rows=100)
        assert few is not None
        counts, made = RowSteps.of(few, NAMES, new.level[books], new.prediction[books], new.spread[books], 0.9).lists()
        came = (made[:, 0] == np.repeat(new.step[books], counts)) & (made[:, 4] > 0)
        shares.append(came.sum() / books.sum())
    # Limits from probabilities of the rows that they were fitted on would hold 88 %.
    assert np.mean(shares) > 0.895


def test_at_a_low_share_the_most_probable_step_alone_is_in_the_set(fitted: dict[str, Any], new: Planted) -> None:
    chances, _, in_set = scored(fitted, new, 0.05)
    np.testing.assert_array_equal(in_set, chances == chances.max(axis=1, keepdims=True))


def test_the_lowest_and_highest_amount_of_a_step_enclose_new_ones(fitted: dict[str, Any], new: Planted) -> None:
    for name, unit in UNITS.items():
        entry = fitted["levels"][name]
        np.testing.assert_allclose(np.array(entry["low"]) / unit, np.arange(1, 6), atol=0.002)
        np.testing.assert_allclose(np.array(entry["high"]) / unit, np.arange(1, 6) + 0.2, atol=0.002)
        mine = new.level == NAMES.index(name)
        low, high = (np.array(entry[end])[new.step[mine] - 1] for end in ("low", "high"))
        assert ((new.label[mine] >= low) & (new.label[mine] <= high)).mean() > 0.998


def test_the_order_of_the_rows_changes_nothing(fitted: dict[str, Any], training: Planted) -> None:
    other = np.random.default_rng(3).permutation(len(training.label))
    again = fit_steps(*training.arguments(other), min_rows=100)
    assert again == fitted


def test_amounts_beside_the_ladder_count_as_outside_of_every_set(new: Planted) -> None:
    rows = planted(20_000, seed=4)
    beside = np.random.default_rng(5).random(20_000) < 0.05
    rows.label[beside] += 0.5 * np.array([*UNITS.values(), 20.0])[rows.level[beside]]
    found = fit_steps(*rows.arguments(), min_rows=100)
    assert found is not None
    _, _, in_set = scored(found, new)
    came = new.step[new.level < 2]
    # Of rows to come, five in a hundred lie beside the steps: the others make up for them.
    assert in_set[np.arange(len(came)), came - 1].mean() == pytest.approx(0.9 / 0.95, abs=0.015)


def test_few_rows_and_unknown_spreads_take_what_all_rows_say(training: Planted, new: Planted) -> None:
    some = np.flatnonzero((training.level == 0) | (np.cumsum(training.level == 1) <= 90))
    label, prediction, _, level, *rest = training.arguments(some)
    found = fit_steps(label, prediction, np.zeros(len(label)), level, *rest, min_rows=100)
    assert found is not None
    assert set(found["quantiles"]) == {"", "books"}
    counts, made = RowSteps.of(found, NAMES, new.level, new.prediction, None, 0.9).lists()
    films = np.repeat(new.level, counts) == 1
    came = np.repeat(new.step, counts) == made[:, 0]
    assert (came & (made[:, 4] > 0))[films].sum() / (new.level == 1).sum() == pytest.approx(0.9, abs=0.03)


def test_a_row_without_a_prediction_and_an_unknown_level_have_no_steps(fitted: dict[str, Any]) -> None:
    prediction = np.array([np.nan, 700.0, 700.0, 700.0])
    counts, made = RowSteps.of(fitted, ["books", "tea", None], np.array([0, 0, 1, 2]), prediction, None, 0.9).lists()
    assert counts.tolist() == [0, 5, 0, 0]
    assert made.shape == (5, 5)


def test_without_ladders_there_is_nothing(training: Planted) -> None:
    label, prediction, spread, level, names, _ = training.arguments()
    assert fit_steps(label, prediction, spread, level, names, {}, min_rows=100) is None
