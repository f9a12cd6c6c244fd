"""Names and constants reach Spark as they are, whatever they hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, number_literal, quoted, text_literal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

NAMES = ["plain", "a.b", "a b", "a`b", "``", "it's", 'a"b', "größe", "a\\b"]
TEXTS = ["", "plain", "it's", "''", "\\", "a\\'b", "line\nbreak", "tab\t", "%_", "${x}", "größe", "\N{GRINNING FACE}"]
NUMBERS = [0.0, -0.1, 1e-300, 5e-324, 1.7976931348623157e308, 123456789.123456789, math.inf, -math.inf, math.nan]


def test_columns_are_found_by_their_exact_names(spark: SparkSession) -> None:
    frame = spark.createDataFrame([tuple(range(len(NAMES)))], ", ".join(f"{quoted(name)} int" for name in NAMES))
    assert list(frame.select(*map(col, NAMES)).collect()[0]) == list(range(len(NAMES)))
    assert list(frame.selectExpr(*map(quoted, NAMES)).collect()[0]) == list(range(len(NAMES)))


def test_texts_and_numbers_come_through_sql_unchanged(spark: SparkSession) -> None:
    one = spark.range(1)
    found = one.selectExpr(*[f"{text_literal(text)} as t{i}" for i, text in enumerate(TEXTS)]).collect()[0]
    assert list(found) == TEXTS
    found = one.selectExpr(*[f"0D - {number_literal(number)} as n{i}" for i, number in enumerate(NUMBERS)]).collect()[0]
    assert list(found)[:-1] == [-number for number in NUMBERS[:-1]]
    assert math.isnan(found[-1])


def test_a_frame_is_cached_inside_the_block_only(spark: SparkSession) -> None:
    frame = spark.range(10).selectExpr("id * 2 as twice")
    with cached(frame) as held:
        assert held is frame
        assert frame.storageLevel.useMemory
        with cached(frame):
            pass
        assert frame.storageLevel.useMemory  # the inner block found it cached and left it so
    assert not frame.storageLevel.useMemory
    with pytest.raises(ZeroDivisionError), cached(frame):
        raise ZeroDivisionError
    assert not frame.storageLevel.useMemory
