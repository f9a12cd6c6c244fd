"""Uploaded files that are small and unpack to much, that lie about it, or that the server has no room for."""

from __future__ import annotations

import csv
import errno
import io
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purchasecast.scorer import Scorer, load
from purchasecast.serve import file_reader, file_scoring
from purchasecast.serve.file_reader import CSV, PARQUET
from purchasecast.serve.file_readers import FileReaders
from purchasecast.serve.file_scoring import score_file
from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="module")
def readers() -> Iterator[FileReaders]:
    readers = FileReaders()
    yield readers
    readers.close()


def refused(source: IO[bytes], scorer: Scorer, readers: FileReaders, kind: str = PARQUET) -> ProblemError:
    with pytest.raises(ProblemError) as told:
        score_file(source, kind, scorer, MOST_ROWS, readers)
    return told.value


def with_products(shop: TinyShop, products: Any) -> pa.Table:
    rows = pa.Table.from_pylist(shop.random_rows(1))
    repeated = rows.take(pa.array(np.zeros(len(products), dtype=int)))
    return repeated.set_column(repeated.schema.get_field_index("Product"), "Product", products)


def test_a_long_text_in_every_row_is_refused_before_it_is_written_out(
    scorer: Scorer, shop: TinyShop, readers: FileReaders
) -> None:
    text, count = "x" * 1_000_000, 50_000
    products = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count), pa.int32()), pa.array([text]))
    source = packed(with_products(shop, products), store_schema=False)
    assert len(source.read()) < 1_500_000
    told = refused(source, scorer, readers)
    assert (told.status, told.detail) == (
        413,
        "File: expected at most 128 MiB of text in 65,536 rows, found more; shorten the texts.",
    )
    assert len(readers._idle) == 1  # the process had no trouble with it


def test_what_a_file_unpacks_to_is_limited_by_memory_and_the_server_goes_on(scorer: Scorer, shop: TinyShop) -> None:
    products = pa.array(["P004" * 25_000] * 2_000)  # 200 MB in one page, of which Parquet keeps a few KB
    source = packed(with_products(shop, products), use_dictionary=False, compression="zstd", data_page_size=1 << 30)
    assert len(source.read()) < 100_000
    small = packed(with_products(shop, pa.array(["P004"] * 10)))
    readers = FileReaders(memory_bytes=100 << 20)
    try:
        told = refused(source, scorer, readers)
        assert told.status == 413
        assert told.detail == (
            "File: expected one that 100 MiB of memory and 60 seconds suffice for, found another; "
            "send several smaller files."
        )
        assert readers._all == set()
        with score_file(small, PARQUET, scorer, MOST_ROWS, readers).content as content:
            assert pq.ParquetFile(content).metadata.num_rows == 10
    finally:
        readers.close()


def test_rows_that_unpack_to_too_much_in_all_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": ["x" * 1_000] * 100})
    monkeypatch.setattr(file_reader, "_MAX_UNPACKED_BYTES", 250_000)
    with pytest.raises(file_reader.RefusedError, match="MiB unpacked"):
        list(file_reader._limited(iter([table] * 3), 1_000))
    assert len(list(file_reader._limited(iter([table] * 2), 1_000))) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="nothing limits the time of a process there")
def test_a_file_that_takes_too_long_to_read_is_refused(scorer: Scorer, shop: TinyShop) -> None:
    content = ("Customer,Product,Age,City,Category,Quantity,Day\n" + "1003,P004,old,A,7,1,\n" * 10).encode()
    readers = FileReaders(wait_seconds=0.5)
    paused = readers._take()  # as one that is busy for ever
    os.kill(paused._process.pid, signal.SIGSTOP)
    readers._give_back(paused)
    try:
        assert refused(io.BytesIO(content), scorer, readers, CSV).status == 413
        readers.wait_seconds = 60.0
        score_file(io.BytesIO(content), CSV, scorer, MOST_ROWS, readers).content.close()
    finally:
        readers.close()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing limits the time of a process there")
def test_computing_is_limited() -> None:
    code = "from purchasecast.serve.file_reader import _limit_time; _limit_time(0)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert ended.returncode == -signal.SIGXCPU


def test_a_process_that_reads_files_sees_no_token_and_ends_with_the_server(
    scorer: Scorer, shop: TinyShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PURCHASECAST_TOKEN", "a-token-of-some-length")
    readers = FileReaders()
    source = packed(pa.Table.from_pylist(shop.random_rows(3)))
    score_file(source, PARQUET, scorer, MOST_ROWS, readers).content.close()
    (reader,) = readers._idle
    reader._process.send_signal(signal.SIGTERM)  # sent to all processes of a service: the server decides when to stop
    score_file(source, PARQUET, scorer, MOST_ROWS, readers).content.close()
    assert readers._idle == [reader]
    if Path("/proc").is_dir():
        assert b"a-token" not in Path(f"/proc/{reader._process.pid}/environ").read_bytes()
    readers.close()
    assert reader.wait() != 0
    assert not reader.is_alive()


def test_wrong_columns_leave_the_process_to_the_next_file(scorer: Scorer, shop: TinyShop, readers: FileReaders) -> None:
    for _ in range(3):
        told = refused(io.BytesIO(b"Customer,Colour\n1003,red\n"), scorer, readers, CSV)
        assert told.status == 422
        assert "Colour" in told.detail
    assert len(readers._all) == 1


@pytest.mark.parametrize("place", ["header", "rows", "footer"])
def test_damaged_files_are_told(scorer: Scorer, shop: TinyShop, readers: FileReaders, place: str) -> None:
    source = packed(pa.Table.from_pylist(shop.random_rows(50)))
    whole = source.read()
    start = {"header": 0, "footer": len(whole) - 300}.get(place)
    if start is None:
        start = pq.ParquetFile(source).metadata.row_group(0).column(1).data_page_offset
    for damage in (b"\xff" * 30, b"\x19\xfc\xff\xff\xff\x7f", b"\x1c" * 40):
        content = whole[:start] + damage + whole[start + len(damage) :]
        told = refused(io.BytesIO(content), scorer, readers)
        assert told.status in {413, 422}
        assert told.detail.startswith(("File: ", "Parquet file: "))
        assert "\n" not in told.detail


def test_columns_of_lists_are_refused(scorer: Scorer, shop: TinyShop, readers: FileReaders) -> None:
    table = pa.Table.from_pylist(shop.random_rows(2))
    told = refused(packed(table.append_column("note_1", pa.array([["a"], ["b"]]))), scorer, readers)
    assert told.status == 422
    assert "note_1" in told.detail


def test_a_file_of_short_bad_rows_is_scored_in_parts(
    scorer: Scorer, shop: TinyShop, readers: FileReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_scoring, "BATCH_ROWS", 1_000)
    sizes: list[int] = []
    predict = scorer.predict

    def noted(table: pa.Table, **options: Any) -> Any:
        sizes.append(len(table))
        return predict(table, **options)

    monkeypatch.setattr(scorer, "predict", noted)
    text = "Customer,Product,Age,City,Category,Quantity,Day\n" + ",,,,,,\n" * 2_500
    found = score_file(io.BytesIO(text.encode()), CSV, scorer, MOST_ROWS, readers)
    found.content.close()
    assert (found.rows, found.bad, sizes) == (2_500, 2_500, [1_000, 1_000, 500])


def test_a_full_disk_is_not_the_files_fault(
    scorer: Scorer, shop: TinyShop, readers: FileReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, *_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file_scoring, "new_spool", Full)
    text = "Customer,Product,Age,City,Category,Quantity,Day\n1003,P004,old,A,7,1,\n"
    for kind, content in ((CSV, text.encode()), (PARQUET, packed(pa.Table.from_pylist(shop.random_rows(3))).read())):
        assert refused(io.BytesIO(content), scorer, readers, kind).status == 503


def test_decimal_commas_are_read_if_the_schema_has_them(
    model: Path, shop: TinyShop, readers: FileReaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = load(model)
    rows = [{**row, "Quantity": 7} for row in shop.random_rows(20)]
    monkeypatch.setattr(scorer, "schema", replace(scorer.schema, csv={"decimal": ","}))
    expected = scorer.predict(rows).prediction
    names = list(rows[0])
    lines = [";".join("7,0" if name == "Quantity" else str(row[name] or "") for name in names) for row in rows]
    text = "\n".join([";".join(names), *lines]).encode()
    with score_file(io.BytesIO(text), CSV, scorer, MOST_ROWS, readers).content as content:
        found = list(csv.DictReader(io.TextIOWrapper(content, "utf-8"), delimiter=";"))
    assert [float(row["prediction"]) for row in found] == pytest.approx(expected)
    assert found[0]["Quantity"] == "7,0"  # the file's own columns come back as they were
