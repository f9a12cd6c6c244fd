"""Parts of predictions around their averages, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from purchasecast.scorer.batch import INTERCEPT, RANGE, Batch
from purchasecast.scorer.contributions import contributions_of, read_averages, write_averages


def batch_of(parts: dict[tuple[str, ...], np.ndarray]) -> Batch:
    return Batch(3, {}, (), explains=True, columns={"y": sum(parts.values())}, parts={"y": parts})


PARTS = {
    INTERCEPT: np.array([10.0, 10.0, 10.0]),
    ("age",): np.array([1.0, -4.0, 6.0]),
    ("city", "age"): np.array([0.5, 2.0, -1.0]),
    RANGE: np.array([0.0, 3.0, 0.0]),
}


def test_the_average_goes_to_the_base_and_the_rest_to_its_columns() -> None:
    averages = read_averages(write_averages(PARTS))
    assert averages == {("age",): 1.0, ("city", "age"): 0.5}
    found = contributions_of(batch_of(PARTS), "y", averages)
    assert found.base.tolist() == [11.5, 11.5, 11.5]
    assert found.parts[("age",)].tolist() == [0.0, -5.0, 5.0]
    assert found.parts[("city", "age")].tolist() == [0.0, 1.5, -1.5]
    assert found.parts[RANGE].tolist() == [0.0, 3.0, 0.0]  # rare: it stays as it is
    assert found.base + sum(found.parts.values()) == pytest.approx(sum(PARTS.values()))


def test_without_an_intercept_and_without_averages_the_base_is_nothing() -> None:
    found = contributions_of(batch_of({("age",): np.array([1.0, 2.0, 3.0])}), "y", {})
    assert found.base.tolist() == [0.0, 0.0, 0.0]
    assert found.parts[("age",)].tolist() == [1.0, 2.0, 3.0]


def test_the_largest_part_comes_first_and_the_range_only_where_it_acts() -> None:
    found = contributions_of(batch_of(PARTS), "y", {})
    assert [(part["columns"], part["contribution"]) for part in found.to_dicts(1)] == [
        (["age"], -4.0),
        ([], 3.0),
        (["city", "age"], 2.0),
    ]
    assert [part["columns"] for part in found.to_dicts(2)] == [["age"], ["city", "age"]]
    assert list(found.to_columns()) == ["base", "from age", "from city x age", "from range"]
