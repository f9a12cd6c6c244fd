"""One table of CSV files and what becomes of them, by the command line and by HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purchasecast.errors import PurchasecastError
from purchasecast.schema import Schema
from purchasecast.scorer.inputs import InputReader
from purchasecast.serve import file_reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = Schema.from_dict(
    {
        "name": "shop",
        "columns": [
            {"name": "id", "kind": "nominal"},
            {"name": "x", "kind": "numeric", "null": "unknown"},
            {"name": "y", "kind": "numeric", "role": "target"},
        ],
    }
)
REFUSED = "the whole file is refused"
GOOD = [("a", 1.0), ("b", 2.0)]
LOST = "id: not text"

#: The content of a file, and its rows, or what is wrong with a row. One outcome holds for both sides; of two, the
#: first is that of the command line, which goes on after a bad line where HTTP refuses the file.
FILES: dict[str, tuple[bytes, Any] | tuple[bytes, Any, Any]] = {
    "plain": (b"id,x\na,1\nb,2\n", GOOD),
    "line ends of Windows": (b"id,x\r\na,1\r\nb,2\r\n", GOOD),
    "line ends of old Macs": (b"id,x\ra,1\rb,2\r", GOOD),
    "semicolons": (b"id;x\na;1\nb;2\n", GOOD),
    "tabs": (b"id\tx\na\t1\nb\t2\n", GOOD),
    "byte order mark": (b"\xef\xbb\xbfid,x\na,1\nb,2\n", GOOD),
    "no end of the last line": (b"id,x\na,1\nb,2", GOOD),
    "blank lines": (b"\nid,x\n\na,1\n\nb,2\n\n", GOOD),
    "blanks around names": (b"id , x\na,1\nb,2\n", GOOD),
    "blanks and no-break spaces around values": (" id,x\n \u00a0a\u00a0,\u00a01 \nb,\t2\n".encode(), GOOD),
    "blanks within": ("id,x\na\u00a0b,1\na b,2\n".encode(), [("a\u00a0b", 1.0), ("a b", 2.0)]),
    "zero-width characters": ("id,x\na\u200b,1\n\ufeffa,2\n".encode(), [("a\u200b", 1.0), ("\ufeffa", 2.0)]),
    "other line breaks of Unicode": ("id,x\na\u2028b,1\na\u0085b,2\n".encode(), [("a\u2028b", 1.0), ("a\u0085b", 2.0)]),
    "quotes": (b'id,x\n"a,b",1\n"a""b",2\na"b,3\n', [("a,b", 1.0), ('a"b', 2.0), ('a"b', 3.0)]),
    "backslashes": (b'id,x\n"a\\",1\n', [("a\\", 1.0)]),
    "a last quote that is not closed": (b'id,x\na,1\nb,"2\n', GOOD),
    "nothing in quotes": (b'id,x\n"",1\nb,""\n', ["id: null", ("b", None)]),
    "NUL": (b"id,x\na\x00b,1\nb,2\n", [LOST, ("b", 2.0)]),
    "a sign that stands for lost ones": ("id,x\na\ufffd,1\nb,2\n".encode(), [LOST, ("b", 2.0)]),
    "an id of a megabyte": (b"id,x\n" + b"y" * 1_000_000 + b",1\nb,2\n", ["id: too long", ("b", 2.0)]),
    "a number that overflows": (b"id,x\na,1e308\nb,2\n", ["x: not finite or too large", ("b", 2.0)]),
    "a header alone": (b"id,x\n", [], REFUSED),
    "nothing": (b"", REFUSED),
    "another header": (b"id,z\na,1\n", REFUSED),
    "UTF-16": ("id,x\na,1\n".encode("utf-16"), REFUSED),
    "Latin-1": ("id,x\nZo\u00eb,1\nZo\u00e9,2\n".encode("latin-1"), [LOST, LOST], REFUSED),
    "a short line": (b"id,x\na\nb,2\n", ["malformed line", ("b", 2.0)], REFUSED),
    "a long line": (b"id,x\na,1,2\nb,2\n", ["malformed line", ("b", 2.0)], REFUSED),
    "a quote that is not closed": (b'id,x\na,1\n"b,2\n', [("a", 1.0), "malformed line"], REFUSED),
    # Needs multiLine=true on the command line.
    "a line break in quotes": (b'id,x\n"a\nb",1\n', ["malformed line", ('b"', 1.0)], [("a\nb", 1.0)]),
    "text after a quote": (b'id,x\n"a"b,1\n', [('"a"b', 1.0)], [("ab", 1.0)]),
}


class _Columns:
    """What reading a file asks of a scorer."""

    schema = SCHEMA

    def __init__(self) -> None:
        self.reader = InputReader(SCHEMA)

    def check_columns(self, found: Sequence[str]) -> None:
        self.reader.check_columns(found)


def rows_of(tables: Any, columns: _Columns) -> list[Any]:
    rows: list[Any] = []
    for table in tables:
        encoded, problems = columns.reader.table(table)
        broken = {problem.row: f"{problem.column}: {problem.reason}" for problem in problems}
        ids = encoded["id"]
        numbers = [None if v != v else v for v in _numbers(encoded["x"])]  # noqa: PLR0124  NaN
        rows += [broken.get(k) or (ids.values[ids.codes[k]], numbers[k]) for k in range(len(table))]  # type: ignore[union-attr]
    return rows


def _numbers(column: Any) -> list[float]:
    return [float(value) for value in (column.numbers() if hasattr(column, "numbers") else column)]


@pytest.mark.parametrize("name", list(FILES))
def test_by_http(name: str) -> None:
    content, *expected = FILES[name]
    columns: Any = _Columns()
    try:
        names, _, tables = file_reader._open_csv(pa.py_buffer(content))
        columns.check_columns(names)
        found: Any = rows_of(tables, columns)
    except (PurchasecastError, pa.ArrowException, UnicodeDecodeError):
        found = REFUSED
    assert found == expected[-1]


@pytest.mark.spark
def test_by_the_command_line(spark: Any, tmp_path: Path) -> None:
    """All in one test, because a session of Spark is warm only after a while."""
    for name, (content, expected, *_) in FILES.items():
        assert by_spark(spark, tmp_path / f"{name.replace(' ', '-')}.csv", content) == expected, name


def by_spark(spark: Any, file: Path, content: bytes) -> Any:
    from purchasecast.io import read_table
    from purchasecast.validation import validate

    file.write_bytes(content)
    try:
        checked = validate(read_table(spark, file, SCHEMA, target="optional"), SCHEMA, target="optional")
        good = [(row["_pc_position"], (row["id"], row["x"])) for row in checked.accepted.collect()]
        bad = [(row["_pc_position"], row["reasons"][0]) for row in checked.rejected.collect()]
    except PurchasecastError:
        return REFUSED
    return [row for _, row in sorted(good + bad, key=lambda pair: pair[0])]


@pytest.mark.spark
def test_a_parquet_file_without_rows_has_its_columns(spark: Any, tmp_path: Path) -> None:
    table = pa.table({"id": pa.array([], pa.string()), "x": pa.array([], pa.float64())})
    pq.write_table(table, tmp_path / "none.parquet")
    columns: Any = _Columns()
    names, _, tables = file_reader._open_parquet(pa.py_buffer((tmp_path / "none.parquet").read_bytes()))
    columns.check_columns(names)
    assert rows_of(tables, columns) == []
    from purchasecast.io import read_table

    assert read_table(spark, tmp_path / "none.parquet", SCHEMA, target="optional").count() == 0
