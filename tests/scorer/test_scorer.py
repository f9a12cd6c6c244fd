"""The portable model against a slow oracle, row by row and as tables; and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from purchasecast.errors import BundleCorruptError, BundleError, BundleVersionError, ColumnMismatchError, DataError
from purchasecast.scorer import Scorer, load, read_scorer
from purchasecast.scorer.levels import LevelTable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tiny_model import TinyShop


@pytest.fixture(scope="module")
def scorer(model: Path) -> Scorer:
    return load(model)


def test_rows_and_tables_agree_with_the_oracle(scorer: Scorer, shop: TinyShop) -> None:
    rows = shop.random_rows(300)
    expected = np.array([shop.predict(row) for row in rows])
    assert (expected == 0).any()  # the range is part of the test
    assert (expected > 50).any()
    np.testing.assert_allclose(scorer.predict(rows).prediction, expected, rtol=1e-12, atol=1e-12)
    one_by_one = [scorer.predict_one(row).prediction for row in rows]
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-12, atol=1e-12)
    for table in (pa.Table.from_pylist(rows), pd.DataFrame(rows), pa.RecordBatch.from_pylist(rows)):
        np.testing.assert_allclose(scorer.predict(table).prediction, expected, rtol=1e-12, atol=1e-12)


class Foreign:
    """A table of another library, such as Polars, which hands Arrow out and is none."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


CATEGORICAL = pa.dictionary(pa.uint32(), pa.string_view())


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), CATEGORICAL], ids=str)
def test_tables_of_other_libraries_are_read(scorer: Scorer, shop: TinyShop, kind: pa.DataType) -> None:
    rows = shop.random_rows(60)
    halves = []
    for part in (rows[:20], rows[20:]):  # with a dictionary each
        table = pa.Table.from_pylist(part, pa.Table.from_pylist(rows).schema)
        for name in ("Product", "Age", "City", "Day"):
            table = table.set_column(table.schema.get_field_index(name), name, encoded(table[name], kind))
        halves.append(table)
    found = scorer.predict(Foreign(pa.concat_tables(halves))).prediction
    np.testing.assert_allclose(found, [shop.predict(row) for row in rows], rtol=1e-12)


def encoded(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if not pa.types.is_dictionary(kind):
        return values.cast(kind)
    coded = values.combine_chunks().dictionary_encode()
    return pa.chunked_array(
        [pa.DictionaryArray.from_arrays(coded.indices.cast(kind.index_type), coded.dictionary.cast(kind.value_type))]
    )


def test_text_is_as_good_as_numbers(scorer: Scorer, shop: TinyShop) -> None:
    rows = shop.random_rows(50)
    expected = [shop.predict(row) for row in rows]
    written = [{name: "" if value is None else f" {value} " for name, value in row.items()} for row in rows]
    np.testing.assert_allclose(scorer.predict(pa.Table.from_pylist(written)).prediction, expected, rtol=1e-12)
    np.testing.assert_allclose([scorer.predict_one(row).prediction for row in written], expected, rtol=1e-12)


def test_parts_add_up_to_the_prediction(scorer: Scorer, shop: TinyShop) -> None:
    rows = shop.random_rows(100)
    found = scorer.predict(rows, explain=True)
    assert found.contributions is not None
    total = found.contributions.base + sum(found.contributions.parts.values())
    np.testing.assert_allclose(total, found.prediction, rtol=1e-12, atol=1e-9)
    assert set(found.contributions.parts) == {
        *[(name,) for name in ("Customer", "Product", "Age", "City", "Category", "Quantity", "Day")],
        ("Customer", "Product"),
        ("",),
    }


def test_a_part_is_what_its_column_changes(scorer: Scorer, shop: TinyShop) -> None:
    row = next(row for row in shop.random_rows(50) if shop.predict(row) > 50)
    first, second = row | {"City": "A"}, row | {"City": "B"}
    parts = [scorer.predict([r], explain=True).contributions for r in (first, second)]
    change = shop.predict(second) - shop.predict(first)
    assert parts[1].parts["City",][0] - parts[0].parts["City",][0] == pytest.approx(change)  # type: ignore[union-attr]
    assert parts[0].base[0] == pytest.approx(parts[1].base[0])  # type: ignore[union-attr]


def test_an_average_moves_from_the_part_to_the_base(model: Path, tmp_path: Path, shop: TinyShop) -> None:
    row = shop.random_rows(1)[0]
    shutil.copytree(model / "scorer", tmp_path / "scorer")
    before = read_scorer(tmp_path / "scorer").predict([row], explain=True).contributions
    file = tmp_path / "scorer" / "scorer.json"
    document = json.loads(file.read_text())
    document["averages"] = [{"columns": ["City"], "average": 11.5}, {"columns": ["Customer"], "average": -0.5}]
    file.write_text(json.dumps(document))
    after = read_scorer(tmp_path / "scorer").predict([row], explain=True).contributions
    assert after.base[0] - before.base[0] == pytest.approx(10.0)  # type: ignore[union-attr]
    assert after.parts["City",][0] - before.parts["City",][0] == pytest.approx(-10.0)  # type: ignore[union-attr]


def test_left_out_attributes_are_those_of_the_customer_and_the_product(scorer: Scorer, shop: TinyShop) -> None:
    short: dict[str, Any] = {"Customer": 1003, "Product": "P004", "Quantity": 4, "Day": "2/29/2024"}
    full = short | shop.attributes["Customer"]["1003"] | shop.attributes["Product"]["P004"]
    assert scorer.predict_one(short).prediction == pytest.approx(shop.predict(full), rel=1e-12)
    assert scorer.predict([short]).prediction[0] == pytest.approx(shop.predict(full), rel=1e-12)
    # A null that is there stays a null.
    emptied = short | {"Category": None}
    assert scorer.predict_one(emptied).prediction == pytest.approx(shop.predict(full | {"Category": None}), rel=1e-12)
    with pytest.raises(DataError, match="Age: missing"):
        scorer.predict_one({"Customer": 5, "Product": "P004"})


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("Age", "ancient", "not in domain"),
        ("Age", None, "null"),
        ("City", True, "not in domain"),
        ("City", [1], "not text"),
        ("Category", 0, "below minimum"),
        ("Category", "seven", "not an integer"),
        ("Category", 7.5, "not an integer"),
        ("Quantity", 100, "above maximum"),
        ("Quantity", float("inf"), "not an integer"),
        ("Day", "2024-02-30", "not a date"),
        ("Day", "2/30/2024", "not a date"),
        ("Customer", 2**63, "not an integer"),
        ("Product", "\ud800", "not text"),
    ],
)
def test_bad_values_are_named_and_never_scored(
    scorer: Scorer, shop: TinyShop, column: str, value: object, reason: str
) -> None:
    good, bad = shop.random_rows(1)[0], shop.random_rows(1)[0] | {column: value}
    with pytest.raises(DataError, match=f"{column}: {reason}"):
        scorer.predict_one(bad)
    with pytest.raises(DataError, match=f"row 1, {column}: {reason}"):
        scorer.predict([good, bad])
    marked = scorer.predict([good, bad], errors="mark")
    assert [(p.row, p.column, p.reason) for p in marked.problems] == [(1, column, reason)]
    assert marked.prediction[0] == pytest.approx(shop.predict(good))
    assert np.isnan(marked.prediction[1])
    assert marked.to_columns()["prediction"].null_count == 1


def test_leading_zeros_do_not_matter_however_many(scorer: Scorer, shop: TinyShop) -> None:
    row = shop.random_rows(1)[0]
    for zeros in ("0" * 5_000, "+0", "00"):
        assert scorer.predict_one(row | {"Category": f"{zeros}7"}) == scorer.predict_one(row | {"Category": 7})
    for digits in ("-7", "0" * 5_000, "9" * 5_000):
        assert scorer.check(row | {"Category": digits})["Category"] in {"below minimum", "not an integer"}


ODD = [1, 1.0, True, "1", 7, 7.0, "7", 0, False, None, float("nan"), "", " old", "old", "1/2/2024", 1e300, 2**70]


@pytest.mark.parametrize("more", [[], [[1], {"a": 1}]])
@pytest.mark.parametrize("column", ["Customer", "Product", "Age", "Category", "Quantity", "Day"])
def test_rows_together_are_held_to_what_each_is_held_to_alone(
    scorer: Scorer, shop: TinyShop, column: str, more: list[Any]
) -> None:
    row = shop.random_rows(1)[0]
    rows = [row | {column: value} for value in [*ODD, *more]] + [{k: v for k, v in row.items() if k != column}]
    together = scorer.predict(rows, errors="mark")
    told: list[tuple[int, str]] = []
    for number, one in enumerate(rows):
        told += [(number, reason) for reason in scorer.check(scorer.catalogue.complete(one)).values()]
        if not scorer.check(scorer.catalogue.complete(one)):
            assert together.prediction[number] == pytest.approx(scorer.predict_one(one).prediction, rel=1e-12)
    assert [(problem.row, problem.reason) for problem in together.problems] == told
    assert 0 < len(told) < len(rows)


def test_a_table_with_bad_rows_keeps_its_good_ones(scorer: Scorer, shop: TinyShop) -> None:
    rows = shop.random_rows(20)
    frame = pd.DataFrame(rows).astype({"Quantity": "float64"})
    frame.loc[3, "Quantity"] = 500.0
    frame.loc[5, "City"] = "Z"
    found = scorer.predict(frame, errors="mark")
    assert {(p.row, p.column) for p in found.problems} == {(3, "Quantity"), (5, "City")}
    expected = [np.nan if i in {3, 5} else shop.predict(row) for i, row in enumerate(rows)]
    np.testing.assert_allclose(found.prediction, expected, rtol=1e-12)


@pytest.mark.parametrize(("bad", "more"), [(1, ""), (3, ""), (5, " and 2 more")])
def test_an_error_names_the_first_bad_rows_and_counts_the_others(
    scorer: Scorer, shop: TinyShop, bad: int, more: str
) -> None:
    rows = [{**row, "Quantity": 0} for row in shop.random_rows(bad)]
    with pytest.raises(DataError) as failure:
        scorer.predict(rows)
    told = str(failure.value)
    assert told.count("Quantity: ") == min(bad, 3)
    assert told.endswith(f"below minimum{more}; correct them or pass errors='mark'.")


def test_what_is_unseen_and_what_steps_derive_is_returned_row_by_row(scorer: Scorer, shop: TinyShop) -> None:
    rows = [{**row, "Customer": 1003, "Product": "P004", "Category": 7} for row in shop.random_rows(3)]
    rows[1]["Customer"], rows[2]["Category"] = 99_999, 8
    found = scorer.predict(rows, derived=("no such column", "prediction"))
    assert {
        name: flags.tolist() for name, flags in found.unseen.items() if name in {"customer", "product", "Category"}
    } == {
        "customer": [False, True, False],
        "product": [False, False, False],
        "Category": [False, False, True],
    }
    assert list(found.derived) == ["prediction"]
    assert found.derived["prediction"].tolist() == found.prediction.tolist()


def test_other_columns_are_an_error_that_names_them(scorer: Scorer, shop: TinyShop) -> None:
    table = pa.Table.from_pylist(shop.random_rows(2))
    renamed = table.rename_columns([{"Age": "Agee"}.get(name, name) for name in table.column_names])
    with pytest.raises(ColumnMismatchError, match=r"missing: Age; extra: Agee.*did you mean Agee"):
        scorer.predict(renamed)
    scorer.predict(table.append_column("note_1", pa.array(["x", "y"])))  # the schema ignores it
    scorer.predict(table.append_column("Spend", pa.array([1.0, 2.0])))  # labelled rows may be scored
    with pytest.raises(DataError, match="a table or a list of dicts"):
        scorer.predict(3)


def test_no_rows_are_no_predictions(scorer: Scorer, shop: TinyShop) -> None:
    assert len(scorer.predict([]).prediction) == 0
    table = pa.Table.from_pylist(shop.random_rows(2)).slice(0, 0)
    assert len(scorer.predict(table, explain=True).prediction) == 0


def test_the_catalogue_finds_completes_and_compares(scorer: Scorer, shop: TinyShop) -> None:
    catalogue = scorer.catalogue
    assert catalogue.size("customer") == 40
    known = catalogue.find("product", "P003")
    assert known is not None
    assert known.rows == shop.rows["Product"]["P003"]
    assert known.attributes == shop.attributes["Product"]["P003"]
    assert catalogue.find("customer", 999) is None
    assert [found.key for found in catalogue.search("product", "P00", 3)] == ["P000", "P001", "P002"]
    assert [found.key for found in catalogue.search("product", "ôd")] == ["Ünï côde"]
    busiest = max(shop.rows["Customer"], key=shop.rows["Customer"].__getitem__)
    assert catalogue.search("customer", "")[0].rows == shop.rows["Customer"][busiest]
    similar = catalogue.similar("product", "P003", 5)
    vectors = {key: np.array(value) for key, value in shop.factors["Product"].items()}
    cosines = {
        key: float(v @ vectors["P003"] / np.linalg.norm(v) / np.linalg.norm(vectors["P003"]))
        for key, v in vectors.items()
        if key != "P003"
    }
    assert [found.key for found in similar] == sorted(cosines, key=lambda key: -cosines[key])[:5]
    assert similar[0].similarity == pytest.approx(max(cosines.values()), rel=1e-6)


def test_candidates_are_scored_as_rows_are(scorer: Scorer, shop: TinyShop) -> None:
    row = {"Customer": 1003, "Quantity": 2, "Day": None} | shop.attributes["Customer"]["1003"]
    table = scorer.catalogue.candidates(row)
    assert len(table) == scorer.catalogue.size("product")
    found = dict(zip(table["Product"].to_pylist(), scorer.predict(table).prediction, strict=True))
    for key, prediction in found.items():
        expected = shop.predict(row | {"Product": key} | shop.attributes["Product"][key])
        assert prediction == pytest.approx(expected, rel=1e-12)


def _change(key: str, value: object) -> Any:
    return lambda document: document.__setitem__(key, value)


@pytest.mark.parametrize(
    ("damage", "error", "told"),
    [
        (_change("format_version", 99), BundleVersionError, "purchasecast-scorer 99"),
        (_change("format", "other"), BundleVersionError, "found other"),
        (lambda d: d["steps"].append({"kind": "oracle"}), BundleVersionError, "found oracle"),
        (lambda d: d["steps"][4]["coefficients"].pop(), BundleCorruptError, "coefficients"),
        (lambda d: d["steps"].pop(), BundleCorruptError, "prediction"),
        (lambda d: d["steps"][2]["groups"][0].pop("effect"), BundleCorruptError, "effect"),
        (lambda d: d["levels"][0].update(file="levels/9.arrow"), BundleCorruptError, "9.arrow"),
        (lambda d: d["self_test"][0].update(prediction=-1.0), BundleCorruptError, "its own test row"),
    ],
)
def test_a_damaged_scorer_is_refused(
    model: Path, tmp_path: Path, damage: Any, error: type[BundleError], told: str
) -> None:
    shutil.copytree(model / "scorer", tmp_path / "scorer")
    file = tmp_path / "scorer" / "scorer.json"
    document = json.loads(file.read_text())
    damage(document)
    file.write_text(json.dumps(document))
    with pytest.raises(error, match=told):
        read_scorer(tmp_path / "scorer")


def test_rows_of_the_self_test_that_are_unusual_are_no_examples(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model / "scorer", tmp_path / "scorer")
    file = tmp_path / "scorer" / "scorer.json"
    document = json.loads(file.read_text())
    rows = [test["row"] for test in document["self_test"]]
    document["self_test"][1]["unusual"] = True
    file.write_text(json.dumps(document))
    assert list(read_scorer(tmp_path / "scorer").examples) == [rows[0], *rows[2:]]


def test_files_that_are_none_are_refused(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "scorer" / "levels" / "0.arrow").write_bytes(b"ARROW1 or so")
    with pytest.raises(BundleCorruptError, match=r"0.arrow was changed"):
        load(tmp_path / "model")
    with pytest.raises(BundleCorruptError, match="level table"):
        read_scorer(tmp_path / "model" / "scorer")
    (tmp_path / "model" / "scorer" / "scorer.json").write_text("[]")
    with pytest.raises(BundleCorruptError, match="description"):
        read_scorer(tmp_path / "model" / "scorer")
    with pytest.raises(BundleError, match="expected a scorer"):
        read_scorer(tmp_path)


def test_loading_and_scoring_never_imports_spark(model: Path, shop: TinyShop) -> None:
    code = f"""
import sys
from purchasecast.scorer import load
found = load({str(model)!r}).predict({shop.random_rows(3)!r}, explain=True)
assert len(found.prediction) == 3
sys.exit(any(name in sys.modules for name in ("pyspark", "py4j")))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_pairs_are_found_as_their_joined_keys_are() -> None:
    random = np.random.default_rng(5)
    firsts, seconds = [f"c{k}" for k in range(40)], ["x", "y", "é", "x y"]
    joined = sorted({f"{random.choice(firsts)}\x1f{random.choice(seconds)}" for _ in range(90)}, key=str.encode)
    table = LevelTable(pa.array(joined), {"v": pa.array(np.arange(len(joined) + 1.0))})
    asked_first, asked_second = [*firsts, "stranger", None], [*seconds, "z", None]
    first, second = random.integers(0, 42, 500), random.integers(0, 6, 500)
    found = table.find_pairs(asked_first, first, asked_second, second)
    texts = [(asked_first[a], asked_second[b]) for a, b in zip(first, second, strict=True)]
    expected = [table.find(None if None in pair else "\x1f".join(pair)) for pair in texts]
    assert found.tolist() == expected
    assert 0 < sum(position < len(joined) for position in expected) < 500
    nothing = LevelTable(pa.array([], pa.string()), {"v": pa.array([0.0])})
    assert nothing.find_pairs(["a"], np.array([0]), ["b"], np.array([0])).tolist() == [0]
