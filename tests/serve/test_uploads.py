"""Uploaded files that are small and unpack to much, that lie about it, or that the server has no room for."""

from __future__ import annotations

import csv
import errno
import io
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purchasecast.errors import DataError
from purchasecast.scorer import Scorer, load
from purchasecast.serve import file_scoring, parquet_guard
from purchasecast.serve.file_scoring import CSV, PARQUET, score_file
from purchasecast.serve.parquet_guard import page_sizes
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tiny_model import TinyShop

MOST_ROWS = 200_000


@pytest.fixture(scope="module")
def scorer(model: Path) -> Scorer:
    return load(model)


def packed(table: pa.Table, **options: Any) -> IO[bytes]:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    sink.seek(0)
    return sink


def refused(source: IO[bytes], scorer: Scorer, kind: str = PARQUET) -> ProblemError:
    with pytest.raises(ProblemError) as told:
        score_file(source, kind, scorer, MOST_ROWS)
    return told.value


def with_products(shop: TinyShop, products: Any) -> pa.Table:
    rows = pa.Table.from_pylist(shop.random_rows(1))
    repeated = rows.take(pa.array(np.zeros(len(products), dtype=int)))
    return repeated.set_column(repeated.schema.get_field_index("Product"), "Product", products)


def test_a_long_text_in_every_row_is_refused_before_it_is_written_out(scorer: Scorer, shop: TinyShop) -> None:
    text, count = "x" * 1_000_000, 50_000
    products = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count), pa.int32()), pa.array([text]))
    source = packed(with_products(shop, products), store_schema=False)
    assert len(source.read()) < 1_500_000
    source.seek(0)
    before = pa.total_allocated_bytes()
    assert refused(source, scorer).status == 413
    assert pa.default_memory_pool().max_memory() - before < count * len(text) / 100


def test_texts_as_endings_of_others_are_refused(scorer: Scorer, shop: TinyShop) -> None:
    table = pa.Table.from_pylist(shop.random_rows(50))
    source = packed(table, use_dictionary=False, column_encoding={"Product": "DELTA_BYTE_ARRAY"})
    told = refused(source, scorer)
    assert told.status == 422
    assert "DELTA_BYTE_ARRAY" in told.detail


def test_what_a_file_unpacks_to_is_limited(scorer: Scorer, shop: TinyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    products = pa.array(["P004" * 50] * 10_000)
    table = with_products(shop, products)
    options = {"use_dictionary": False, "compression": "zstd", "data_page_size": 100_000}
    assert len(packed(table, **options).read()) < 50_000
    with score_file(packed(table, **options), PARQUET, scorer, MOST_ROWS).content as content:
        assert pq.ParquetFile(content).metadata.num_rows == 10_000
    for name, value in (("_MAX_UNPACKED_BYTES", 1_000_000), ("_MAX_PAGE_BYTES", 50_000), ("_MAX_PAGES", 5)):
        with monkeypatch.context() as patched:
            patched.setattr(parquet_guard, name, value)
            assert refused(packed(table, **options), scorer).status == 413


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_pages_are_found_as_the_writer_left_them(compression: str, version: str) -> None:
    random = np.random.default_rng(1)
    numbers = {"a": np.arange(20_000), "b": random.random(20_000)}
    texts = pa.array([None if k % 3 else f"level {k % 700}" for k in range(20_000)])
    table = pa.table({**numbers, "c": texts})
    source = packed(table, compression=compression, data_page_version=version, row_group_size=7_000)
    file = pq.ParquetFile(source)
    described = [file.metadata.row_group(g).column(c) for g in range(3) for c in range(3)]
    found = list(page_sizes(source, file))
    with_headers = sum(column.total_uncompressed_size for column in described)
    assert with_headers - 120 * len(found) < sum(size for size, _ in found) < with_headers
    assert len([encoding for _, encoding in found if encoding is None]) == sum(c.has_dictionary_page for c in described)


def test_damaged_pages_are_told(scorer: Scorer, shop: TinyShop) -> None:
    source = packed(pa.Table.from_pylist(shop.random_rows(50)))
    content, file = bytearray(source.read()), pq.ParquetFile(source)
    place = file.metadata.row_group(0).column(1).data_page_offset
    for damage in (b"\xff" * 30, b"\x15", b"\x19\xfc\xff\xff\xff\x7f", b"\x1c" * 40):
        content[place : place + len(damage)] = damage
        assert refused(io.BytesIO(bytes(content)), scorer).status == 422
        with pytest.raises(DataError):
            list(page_sizes(io.BytesIO(bytes(content)), file))


def test_a_header_that_python_would_read_for_seconds_is_refused() -> None:
    numbers = b"\x19\xf5" + b"\xff\xff\xff\x04" + b"\x02" * 11_000_000  # a list of eleven million small numbers
    column = SimpleNamespace(data_page_offset=0, has_dictionary_page=False, total_compressed_size=len(numbers))
    group = SimpleNamespace(num_columns=1, column=lambda _: column)
    file: Any = SimpleNamespace(metadata=SimpleNamespace(num_row_groups=1, row_group=lambda _: group))
    started = time.monotonic()
    with pytest.raises(DataError, match="page header"):
        list(page_sizes(io.BytesIO(numbers), file))
    assert time.monotonic() - started < 2.0  # was 4 seconds and more, in which no other request was answered


def test_columns_of_lists_are_refused(scorer: Scorer, shop: TinyShop) -> None:
    table = pa.Table.from_pylist(shop.random_rows(2))
    told = refused(packed(table.append_column("note_1", pa.array([["a"], ["b"]]))), scorer)
    assert told.status == 422
    assert "note_1" in told.detail


def test_a_file_of_short_bad_rows_is_scored_in_parts(
    scorer: Scorer, shop: TinyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_scoring, "_BATCH_ROWS", 1_000)
    sizes: list[int] = []
    predict = scorer.predict

    def noted(table: pa.Table, **options: Any) -> Any:
        sizes.append(len(table))
        return predict(table, **options)

    monkeypatch.setattr(scorer, "predict", noted)
    text = "Customer,Product,Age,City,Category,Quantity,Day\n" + ",,,,,,\n" * 2_500
    found = score_file(io.BytesIO(text.encode()), CSV, scorer, MOST_ROWS)
    found.content.close()
    assert (found.rows, found.bad, sizes) == (2_500, 2_500, [1_000, 1_000, 500])


def test_a_full_disk_is_not_the_files_fault(scorer: Scorer, shop: TinyShop, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, *_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_scoring, "new_spool", Full)
    text = "Customer,Product,Age,City,Category,Quantity,Day\n1003,P004,old,A,7,1,\n"
    for kind, content in ((CSV, text.encode()), (PARQUET, packed(pa.Table.from_pylist(shop.random_rows(3))).read())):
        assert refused(io.BytesIO(content), scorer, kind).status == 503


def test_decimal_commas_are_read_if_the_schema_has_them(
    model: Path, shop: TinyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = load(model)
    rows = [{**row, "Quantity": 7} for row in shop.random_rows(20)]
    monkeypatch.setattr(scorer, "schema", replace(scorer.schema, csv={"decimal": ","}))
    expected = scorer.predict(rows).prediction
    names = list(rows[0])
    lines = [";".join("7,0" if name == "Quantity" else str(row[name] or "") for name in names) for row in rows]
    text = "\n".join([";".join(names), *lines]).encode()
    with score_file(io.BytesIO(text), CSV, scorer, MOST_ROWS).content as content:
        found = list(csv.DictReader(io.TextIOWrapper(content, "utf-8"), delimiter=";"))
    assert [float(row["prediction"]) for row in found] == pytest.approx(expected)
    assert found[0]["Quantity"] == "7,0"  # the file's own columns come back as they were
