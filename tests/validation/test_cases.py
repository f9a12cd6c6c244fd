"""Spark's rules, the scorer and the API say the same of every value in the table of cases."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.validation_cases import COLUMNS, TEXTS, TYPED, Bad

from purchasecast.schema import Column, Schema
from purchasecast.schema.reserved_columns import CORRUPT, POSITION
from purchasecast.scorer.inputs import Encoded, InputReader
from purchasecast.scorer.parsing import value_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Case = tuple[str, Any, Any]  # column, value, and what is expected of it

CASES: dict[str, list[Case]] = {
    kind: [(column, value, expected) for column, cases in by_column.items() for value, expected in cases]
    for kind, by_column in ({"string": TEXTS} | TYPED).items()
}
ARROW = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "decimal(10,2)": pa.decimal128(10, 2),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}
MAX_TEXT_OF_API = 256
OUTCOMES: dict[tuple[str, str], list[Any]] = defaultdict(list)


def schema_of(kind: str) -> Schema:
    """Return the schema of the columns that have cases of a type."""
    named = {column for column, _, _ in CASES[kind]}
    columns = [column for column in COLUMNS if column.name in named]
    return Schema("cases", "Cases", (*columns, Column("target", "numeric", role="target")))


def rows_of(kind: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the names of the columns and one row a case: its value in its column, nothing in the others."""
    names = list(dict.fromkeys(column for column, _, _ in CASES[kind]))
    return names, [dict.fromkeys(names) | {column: value} for column, value, _ in CASES[kind]]


def by_rows(kind: str, parser_of: Callable[[Column], Callable[[Any], Any]] = value_parser) -> Iterator[Any]:
    """Check rows one by one."""
    reader = InputReader(schema_of(kind), parser_of)
    for (column, _, _), row in zip(CASES[kind], rows_of(kind)[1], strict=True):
        values, problems = reader.row(row)
        yield Bad(problems[column]) if column in problems else values[column]


def by_api(kind: str) -> Iterator[Any]:
    """Check rows as the API does, where text is no number and a number no text."""
    from purchasecast.serve.request_rows import json_parser

    return by_rows(kind, json_parser)


def has_type_of_json(column: Column, value: Any) -> bool:
    """Tell whether the API takes a value of this type for a column."""
    if value is None or isinstance(value, bool):
        return value is None
    if column.type == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if column.type == "number":
        return isinstance(value, int | float)
    return isinstance(value, str) and len(value) <= MAX_TEXT_OF_API


def by_table(kind: str) -> Iterator[Any]:
    """Check the rows as one table of Arrow's."""
    names, rows = rows_of(kind)
    table = pa.table({name: pa.array([row[name] for row in rows], ARROW[kind]) for name in names})
    encoded, problems = InputReader(schema_of(kind)).table(table)
    broken = {(problem.row, problem.column): Bad(problem.reason) for problem in problems}
    for place, (column, _, _) in enumerate(CASES[kind]):
        read = encoded[column]
        value = read.values[read.codes[place]] if isinstance(read, Encoded) else float(read[place])
        yield broken.get((place, column), None if value != value else value)  # noqa: PLR0124  NaN is a null


def by_spark(kind: str, spark: Any) -> Iterator[Any]:
    """Check the rows by Spark's rules."""
    from pyspark.sql import functions as sf

    from purchasecast.validation.rules import check_rows

    (names, rows), schema = rows_of(kind), schema_of(kind)
    added = {CORRUPT: sf.lit(None).cast("string"), POSITION: sf.monotonically_increasing_id()}
    frame = spark.createDataFrame([tuple(row.values()) for row in rows], ", ".join(f"{name} {kind}" for name in names))
    checked = check_rows(frame.coalesce(1).withColumns(added), schema, target_required=False)
    days = {column.name: sf.col(column.name).cast("date") for column in schema.dates}
    found = checked.frame.withColumns(days).orderBy(POSITION).collect()
    for (column, _, _), row in zip(CASES[kind], found, strict=True):
        rules = [rule.removeprefix(f"{column}: ") for rule in checked.broken(row) if rule.startswith(f"{column}: ")]
        yield Bad("; ".join(rules)) if rules else row[column]


@pytest.mark.parametrize("side", ["rows", "table", "api", pytest.param("spark", marks=pytest.mark.spark)])
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        pytest.param(kind, place, id=f"{kind}-{column}-{str(value)[:30]!r}")
        for kind, cases in CASES.items()
        for place, (column, value, _) in enumerate(cases)
    ],
)
def test_a_value_is_read_alike_everywhere(side: str, kind: str, place: int, request: pytest.FixtureRequest) -> None:
    if not OUTCOMES[side, kind]:
        if side == "spark":
            OUTCOMES[side, kind] = list(by_spark(kind, request.getfixturevalue("spark")))
        else:
            OUTCOMES[side, kind] = list({"rows": by_rows, "table": by_table, "api": by_api}[side](kind))
    column, value, expected = CASES[kind][place]
    if side == "api" and not has_type_of_json(next(one for one in COLUMNS if one.name == column), value):
        expected = Bad("of another type")
    assert OUTCOMES[side, kind][place] == expected
    assert type(OUTCOMES[side, kind][place]) is type(expected)
