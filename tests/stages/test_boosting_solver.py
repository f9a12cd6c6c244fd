"""Boosting in a task, without Spark: early stopping, and the same trees whatever the order of the rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from purchasecast.stages.boosted_trees.solver import ALL_ROWS, _Rows, solve_boosting

PARAMS = {"objective": "reg:squarederror", "tree_method": "hist", "eta": 0.3, "subsample": 0.7, "seed": 1, "nthread": 1}


@pytest.fixture
def rows() -> pa.Table:
    random = np.random.default_rng(3)
    x = random.normal(size=(900, 2)).astype(np.float32)
    return pa.table(
        {
            "fold": pa.array(random.integers(0, 3, 900), pa.int32()),
            "key": pa.array(random.permutation(900)),
            "label": 5.0 * (x[:, 0] > 0) + x[:, 1] + random.normal(0, 0.5, 900),
            "weight": np.ones(900),
            "f_0": x[:, 0],
            "f_1": x[:, 1],
        }
    )


def solve(rows: pa.Table, fold: int, last: str = "all rows") -> dict[int, dict[str, object]]:
    batches = iter(rows.to_batches(max_chunksize=100))
    found = solve_boosting(batches, params=PARAMS, rounds=200, patience=5, validation_fold=fold, last=last)
    return {batch["without"][0].as_py(): batch.to_pylist()[0] for batch in found}


def test_the_fit_on_all_rows_has_as_many_trees_as_the_best_without_the_fold(rows: pa.Table) -> None:
    import xgboost

    found = solve(rows, 1)
    assert list(found) == [1, ALL_ROWS]
    rounds = found[1]["rounds"]
    assert 1 < rounds < 200  # type: ignore[operator]
    assert found[ALL_ROWS]["rounds"] == rounds
    held_out = rows.filter(pa.compute.equal(rows["fold"], 1))
    booster = xgboost.Booster()
    booster.load_model(bytearray(found[1]["booster"]))  # type: ignore[arg-type]
    features = np.column_stack([held_out["f_0"], held_out["f_1"]])
    error = booster.inplace_predict(features) - held_out["label"].to_numpy()
    assert np.sqrt(np.mean(error**2)) == pytest.approx(found[1]["error"], rel=1e-4)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_labels_of_a_fold_do_not_reach_the_fit_without_it(rows: pa.Table, fold: int) -> None:
    """Early stopping, by fold 1, reads labels to count trees; no tree may have seen those of its fold."""
    import xgboost

    out = rows["fold"].to_numpy() == fold
    poisoned = rows.set_column(2, "label", pa.array(np.where(out, 1e6, rows["label"].to_numpy())))
    boosters = []
    for table in (rows, poisoned):
        booster = xgboost.Booster()
        booster.load_model(bytearray(solve(table, 1, "every fold")[fold]["booster"]))  # type: ignore[arg-type]
        boosters.append(booster[:1].save_raw("json"))
    assert boosters[0] == boosters[1]


def test_every_fold_may_have_a_fit_without_it(rows: pa.Table) -> None:
    found = solve(rows, 1, "every fold")
    assert list(found) == [1, 0, 2, ALL_ROWS]
    assert len({answer["rounds"] for answer in found.values()}) == 1
    assert list(solve(rows, 1, "this fold")) == [1]


def test_row_order_changes_no_tree(rows: pa.Table) -> None:
    shuffled = rows.take(np.random.default_rng(9).permutation(len(rows)))
    assert solve(rows, -1)[ALL_ROWS]["booster"] == solve(shuffled, -1)[ALL_ROWS]["booster"]


def test_without_a_fold_all_rounds_are_taken(rows: pa.Table) -> None:
    found = solve(rows, -1)
    assert list(found) == [ALL_ROWS]
    assert found[ALL_ROWS]["rounds"] == 200


def test_a_weight_counts_as_copies_of_a_row(rows: pa.Table) -> None:
    """Without sampling and with histograms of the same borders, a row of weight 3 is three rows."""
    import xgboost

    plain = PARAMS | {"subsample": 1.0, "min_child_weight": 1.0}
    tripled = rows["fold"].to_numpy() == 1
    weighted = rows.set_column(3, "weight", pa.array(np.where(tripled, 3.0, 1.0)))
    copies = rows.take(np.repeat(np.arange(900), np.where(tripled, 3, 1)))
    errors = []
    for table in (weighted, copies, rows):
        batches = iter(table.to_batches())
        (answer,) = solve_boosting(batches, params=plain, rounds=20, patience=5, validation_fold=-1)
        booster = xgboost.Booster()
        booster.load_model(bytearray(answer["booster"][0].as_py()))
        features = np.column_stack([rows["f_0"], rows["f_1"]])
        errors.append(booster.inplace_predict(features) - rows["label"].to_numpy())
    weighted_error, copies_error, plain_error = (np.mean(error[tripled] ** 2) for error in errors)
    assert weighted_error == pytest.approx(copies_error, rel=0.02)
    assert weighted_error < 0.95 * plain_error


def test_weights_are_passed_on_unless_all_are_1(rows: pa.Table) -> None:
    for weight, passed in ((np.ones(900), 0), (np.full(900, 2.0), 900), (np.arange(900) + 1.0, 900)):
        table = rows.set_column(3, "weight", pa.array(weight))
        matrix = _Rows.read(iter(table.to_batches())).matrix(slice(None), 1)
        assert len(matrix.get_weight()) == passed
        if passed:
            assert sorted(matrix.get_weight()) == weight.tolist()
