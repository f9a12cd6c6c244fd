"""Gram matrices against a slow oracle, and the algebra of merging them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from purchasecast.numerics.gram import Gram, gram_by_fold, leave_one_out, merge, merge_all
from purchasecast.spark.gram_tasks import REASONS, fold_partials, merge_partials


def oracle(x, y, weight):
    """Compute mean and co-moments of one fold row by row in extended precision."""
    z = np.column_stack([x, y]).astype(np.longdouble)
    w = weight.astype(np.longdouble)
    mean = (w[:, None] * z).sum(axis=0) / w.sum()
    comoments = np.zeros((z.shape[1],) * 2, dtype=np.longdouble)
    for row, one in zip(z, w, strict=True):
        comoments += one * np.outer(row - mean, row - mean)
    return mean.astype(float), comoments.astype(float)


def draw(seed, rows=60, folds=3):
    rng = np.random.default_rng(seed)
    x = np.column_stack(
        [
            rng.normal(size=rows),
            (rng.random(rows) < 0.2) * rng.normal(3.0, 1.0, rows),
            (rng.random(rows) < 0.8) * 1.0,
            (rng.random(rows) < 0.4) * 1.0,
        ]
    )
    weight = rng.integers(0, 4, rows).astype(float)
    fold = rng.integers(0, folds, rows)
    weight[:folds], fold[:folds] = 1.0, np.arange(folds)
    return x, x @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=rows), weight, fold


def grams_of(x, y, weight, fold):
    return gram_by_fold(sparse.csr_array(x), y, weight, fold, 3)


def assert_same(gram: Gram, mean, comoments, rel=1e-12):
    np.testing.assert_allclose(gram.mean, mean, rtol=rel, atol=rel)
    scale = np.sqrt(np.outer(np.diagonal(comoments), np.diagonal(comoments))) + 1e-300
    assert np.max(np.abs(gram.comoments - comoments) / np.maximum(scale, 1e-9)) < rel


@given(st.integers(0, 10_000), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_blocks_of_any_cut_give_the_oracles_moments(seed, cuts):
    x, y, weight, fold = draw(seed)
    grams = [Gram.empty(4)] * 3
    for part in np.array_split(np.random.default_rng(seed).permutation(len(y)), cuts):
        block = gram_by_fold(sparse.csr_array(x[part]), y[part], weight[part], fold[part], 3)
        grams = [merge(a, b) for a, b in zip(grams, block, strict=True)]
    for k, gram in enumerate(grams):
        own = (fold == k) & (weight > 0)
        assert gram.rows == own.sum()
        assert gram.weight == weight[own].sum()
        assert gram.weight_squares == pytest.approx((weight[own] ** 2).sum())
        assert_same(gram, *oracle(x[own], y[own], weight[own]))


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=25)
def test_leaving_a_fold_out_is_merging_the_others(seed):
    grams = grams_of(*draw(seed))
    for k, others in enumerate(leave_one_out(grams)):
        expected = merge_all(g for i, g in enumerate(grams) if i != k)
        assert_same(others, expected.mean, expected.comoments)
        assert others.rows == expected.rows


@pytest.mark.parametrize("dense_share", [1.0, 0.3])
def test_a_far_column_keeps_its_digits(dense_share):
    rng = np.random.default_rng(4)
    x = np.column_stack([rng.normal(1e8, 1.0, 4000), rng.normal(size=4000)])
    x[:, 0] *= rng.random(4000) < dense_share
    y = x[:, 1] + 5e9
    grams = [
        gram_by_fold(sparse.csr_array(x[i::4]), y[i::4], np.ones(1000), np.zeros(1000, int), 1)[0] for i in range(4)
    ]
    mean, comoments = oracle(x, y, np.ones(4000))
    total = merge_all(grams)
    assert total.comoments[0, 0] == pytest.approx(comoments[0, 0], rel=1e-9)
    assert total.comoments[1, 0] == pytest.approx(comoments[1, 0], rel=1e-5)
    assert total.comoments[-1, -1] == pytest.approx(comoments[-1, -1], rel=1e-6)
    assert total.mean == pytest.approx(mean, rel=1e-14)


def test_a_constant_column_has_exactly_no_spread():
    x = np.column_stack([np.full(90, 0.1), np.arange(90.0)])
    parts = [
        gram_by_fold(sparse.csr_array(x[i::3]), x[i::3, 1], np.full(30, 0.7), np.zeros(30, int), 1)[0] for i in range(3)
    ]
    assert merge_all(parts).comoments[0].tolist() == [0.0, 0.0, 0.0]


def test_a_fold_without_weight_is_neutral():
    x, y, weight, fold = draw(3)
    grams = gram_by_fold(sparse.csr_array(x), y, weight * (fold != 1), fold, 3)
    assert grams[1].weight == 0.0
    assert merge(grams[1], grams[0]) is grams[0]
    assert merge(grams[0], grams[1]) is grams[0]


def test_no_gram_to_merge_is_an_error():
    with pytest.raises(ValueError, match="at least one Gram"):
        merge_all([])


def test_bytes_come_back():
    gram = grams_of(*draw(8))[2]
    back = Gram.from_bytes(gram.to_bytes())
    assert (back.rows, back.weight, back.features) == (gram.rows, gram.weight, 4)
    np.testing.assert_array_equal(back.mean, gram.mean)
    np.testing.assert_allclose(back.comoments, gram.comoments, rtol=1e-14)


def batch(x, y, weight, fold, *, dense_rows=(), **others):
    vectors = []
    for i, row in enumerate(x):
        if row is None:
            vectors.append(None)
        elif i in dense_rows:
            vectors.append({"type": 1, "size": len(row), "indices": None, "values": list(row)})
        else:
            at = np.flatnonzero(row)
            vectors.append({"type": 0, "size": len(row), "indices": at.tolist(), "values": list(row[at])})
    vector = pa.struct(
        {"type": pa.int8(), "size": pa.int32(), "indices": pa.list_(pa.int32()), "values": pa.list_(pa.float64())}
    )
    columns = {
        "features": pa.array(vectors, vector),
        "label": pa.array(y, pa.float64()),
        "weight": pa.array(weight, pa.float64()),
        "fold": pa.array(fold, pa.int32()),
        "key": pa.array([7] * len(x), pa.int64()),
        **{name: pa.array(values) for name, values in others.items()},
    }
    return pa.RecordBatch.from_pydict(columns)


def read(batches):
    rejected, grams = None, {}
    for one in batches:
        fold, payload = one.column("fold")[0].as_py(), one.column("payload")[0].as_py()
        if fold < 0:
            rejected = dict(zip(REASONS, np.frombuffer(payload), strict=True))
        else:
            grams[fold] = Gram.from_bytes(payload)
    return rejected, grams


def test_sparse_and_dense_vectors_in_one_batch_mean_the_same():
    x, y, weight, fold = draw(11)
    batches = [batch(x[i::2], y[i::2], weight[i::2], fold[i::2], dense_rows=range(0, 30, 3)) for i in range(2)]
    rejected, grams = read(fold_partials(batches, 4, 3))
    assert not any(rejected.values())
    for k in range(3):
        own = (fold == k) & (weight > 0)
        assert_same(grams[k], *oracle(x[own], y[own], weight[own]))


def test_partials_merge_to_one_a_fold():
    x, y, weight, fold = draw(12)
    partials = [p for i in range(5) for p in fold_partials([batch(x[i::5], y[i::5], weight[i::5], fold[i::5])], 4, 3)]
    merged = list(merge_partials(partials))
    assert len(merged) == 4
    _, grams = read(merged)
    assert sum(g.rows for g in grams.values()) == (weight > 0).sum()
    own = (fold == 0) & (weight > 0)
    assert_same(grams[0], *oracle(x[own], y[own], weight[own]))


def test_unusable_rows_are_counted_by_their_first_reason():
    nan, inf = float("nan"), float("inf")
    x = [np.array([1.0, 2.0])] * 10 + [None, np.array([1.0]), np.array([nan, 1.0]), np.array([inf, 1.0])]
    y = [1.0, nan, None, inf, *[1.0] * 10]
    weight = [1.0] * 4 + [-1.0, nan, None] + [1.0] * 7
    fold = [0] * 7 + [3, -2, None, 0, 0, 0, 0]
    rejected, grams = read(fold_partials([batch(x, y, weight, fold)], 2, 3))
    assert list(rejected.values()) == [1, 1, 2, 3, 3, 3]
    assert grams[0].rows == 1
