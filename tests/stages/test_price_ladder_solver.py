"""Ladders that were planted are found, and none where there is none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.stages.price_ladder.solver import Ladder, find_ladder, find_ladders

RANDOM = np.random.default_rng(8)


def find(amounts: np.ndarray) -> Ladder | None:
    values, counts = np.unique(np.round(amounts, 2), return_counts=True)
    return find_ladder(values, counts.astype(float))


def stand(unit: float, steps: list[int], *, rows: int = 2_000, band: float = 0.0, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return unit * (random.choice(steps, rows) + band * random.random(rows))


@pytest.mark.parametrize("unit", [0.25, 11.9, 3_790.0, 480_000.0])
@pytest.mark.parametrize("band", [0.05, 0.2, 0.35])
def test_the_unit_is_found_in_any_currency(unit: float, band: float) -> None:
    ladder = find(
        1_000 * stand(unit, [1, 2, 3, 4, 5], band=band) / 1_000 if unit > 1 else stand(unit, [1, 2, 3, 4, 5], band=0.2)
    )
    assert ladder is not None
    assert ladder.unit == pytest.approx(unit, rel=0.01)
    assert ladder.steps == 5
    assert ladder.share > 0.98


def test_exact_steps_have_a_short_band() -> None:
    ladder = find(stand(49.9, [1, 2, 3, 4]))
    assert ladder is not None
    assert ladder.unit == pytest.approx(49.9, rel=0.002)
    assert ladder.end - ladder.start < 0.06


def test_returns_and_amounts_of_no_row_do_not_count() -> None:
    values, counts = np.unique(np.round(stand(49.9, [1, 2, 3, 4], band=0.1), 2), return_counts=True)
    expected = find_ladder(values, counts.astype(float))
    assert expected is not None
    others = np.concatenate([[-20.0, 0.0, 77.0], values])
    assert find_ladder(others, np.concatenate([[300.0, 200.0, 0.0], counts])) == expected


def test_noise_around_the_steps_and_a_few_rows_elsewhere_do_no_harm() -> None:
    random = np.random.default_rng(2)
    amounts = stand(120.0, [1, 2, 3, 4, 5, 6]) * (1 + 0.005 * random.normal(size=2_000))
    amounts[:20] = random.uniform(50, 5_000, 20)
    ladder = find(amounts)
    assert ladder is not None
    assert ladder.unit == pytest.approx(120.0, rel=0.01)
    assert ladder.share >= 0.97


@pytest.mark.parametrize("steps", [[1, 3, 4], [2, 3, 5], [1, 2, 5], [3, 4]])
def test_a_ladder_with_missing_steps_is_found(steps: list[int]) -> None:
    ladder = find(stand(800.0, steps, band=0.15))
    assert ladder is not None
    assert ladder.unit == pytest.approx(800.0, rel=0.01)
    assert ladder.steps == max(steps)


@pytest.mark.parametrize(
    "amounts",
    [
        RANDOM.normal(9_000, 2_000, 3_000),
        RANDOM.lognormal(3, 1, 3_000),
        RANDOM.uniform(0, 100, 3_000),
        RANDOM.gamma(2, 300, 400),
        np.full(500, 12.5),  # one price is no ladder
        RANDOM.integers(1, 300, 3_000).astype(float),  # whole numbers: too many steps
        RANDOM.normal(1_000, 20, 3_000),
        stand(10.0, [1, 2], rows=20),  # too few rows
        np.concatenate([stand(10.0, [1, 2, 3]), RANDOM.uniform(10, 40, 400)]),  # a sixth of the rows lie elsewhere
    ],
    ids=["normal", "lognormal", "uniform", "gamma", "one price", "whole numbers", "narrow", "few rows", "mixed"],
)
def test_no_ladder_is_seen_where_there_is_none(amounts: np.ndarray) -> None:
    assert find(amounts[amounts > 0]) is None


def test_each_level_has_its_own_unit() -> None:
    levels = {
        "a": stand(10.0, [1, 2, 3]),
        "b": stand(375.0, [1, 2, 3, 4, 5], band=0.2),
        "c": RANDOM.lognormal(3, 1, 500),
    }
    table = pa.table(
        {
            "level": np.repeat(list(levels), [len(values) for values in levels.values()]),
            "amount": np.concatenate(list(levels.values())),
            "rows": np.ones(sum(map(len, levels.values()))),
        }
    )
    found = pa.Table.from_batches(list(find_ladders(iter(table.to_batches(max_chunksize=700))))).to_pylist()
    assert [row["level"] for row in found] == ["a", "b"]
    assert [row["unit"] for row in found] == pytest.approx([10.0, 375.0], rel=0.01)
    assert [row["rows"] for row in found] == [2_000, 2_000]
