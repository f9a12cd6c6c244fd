"""What is seen of a file without Spark: names, separator, encoding."""

from __future__ import annotations

import gzip
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purchasecast.io import has_few_rows, peek_csv_options, peek_names

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "encoding", "names", "options"),
    [
        ("a,b\n1,2\n", "utf-8", ["a", "b"], {}),
        ("a;b;c\n1,5;2;3\n2,5;3;4\n", "utf-8", ["a", "b", "c"], {"sep": ";"}),
        ("a\tb\n1\t2\n", "utf-8", ["a", "b"], {"sep": "\t"}),
        ("a|b\n1|2\n", "utf-8", ["a", "b"], {"sep": "|"}),
        ('"a, or b",c\n"1,2",3\n', "utf-8", ["a, or b", "c"], {}),
        (" a ,b,\n1,2,\n", "utf-8-sig", ["a", "b", ""], {}),
        ("Größe,Preis\n1,2\n", "cp1252", ["Größe", "Preis"], {"encoding": "iso-8859-1"}),
        ("Größe;Preis\n1;2\n", "utf-16", ["Größe", "Preis"], {"encoding": "UTF-16", "sep": ";"}),
        ("one\n1\n2\n", "utf-8", ["one"], {}),
    ],
)
def test_how_a_csv_file_is_written(
    tmp_path: Path, text: str, encoding: str, names: list[str], options: dict[str, str]
) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(text.encode(encoding))
    assert peek_names(path) == names
    assert peek_csv_options(path) == options


def test_folders_globs_and_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    pq.write_table(pa.table({"x": [1], "y": ["a"]}), folder / "part-0.parquet")
    assert peek_names(folder) == ["x", "y"]
    assert peek_names(f"{folder}/*.parquet") == ["x", "y"]
    assert peek_csv_options(folder) == {}


def test_what_cannot_be_told_is_left_open(tmp_path: Path) -> None:
    packed = tmp_path / "shop.csv.gz"
    packed.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    broken = tmp_path / "shop.parquet"
    broken.write_bytes(b"no parquet")
    for place in (packed, broken, tmp_path / "none.csv", "s3://bucket/shop.csv", "jdbc:postgresql://host/shop"):
        assert peek_names(place) is None
        assert peek_csv_options(place) == {}


def test_one_letter_of_many_decides_on_the_encoding(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 50_000 + "ü,2\n".encode("cp1252") + b"1,2\n" * 10)
    assert peek_csv_options(path) == {"encoding": "iso-8859-1"}


def test_looking_needs_no_spark(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    code = f"import sys; from purchasecast.io import peek_names; peek_names({str(tmp_path / 'shop.csv')!r}); "
    done = subprocess.run([sys.executable, "-c", code + "sys.exit('pyspark' in sys.modules)"], check=False, timeout=120)
    assert done.returncode == 0


def test_few_rows_are_told_by_the_size_of_local_files(tmp_path: Path) -> None:
    small, large, folder = tmp_path / "small.csv", tmp_path / "large.csv", tmp_path / "folder"
    small.write_text("a,b\n1,2\n")
    large.write_bytes(b"a,b\n" + b"1,2\n" * 2_000_000)
    folder.mkdir()
    for part in range(3):
        (folder / f"part-{part}.csv").write_bytes(b"a,b\n" + b"1,2\n" * 400_000)
    assert has_few_rows(small)
    assert has_few_rows(small, None)
    assert has_few_rows(folder / "part-0.csv")
    assert not has_few_rows(large)
    assert not has_few_rows(small, large)
    assert not has_few_rows(folder)
    assert not has_few_rows(f"{folder}/part-*.csv")
    assert not has_few_rows("s3://bucket/small.csv")
    assert not has_few_rows("jdbc:postgresql://localhost/shop")


def test_packed_files_count_for_more_rows(tmp_path: Path) -> None:
    packed = tmp_path / "rows.parquet"
    packed.write_bytes(b"x" * (1 << 20))
    assert not has_few_rows(packed)
