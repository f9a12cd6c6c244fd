"""Date formats: Spark's letters pass, those of strptime are turned into them, and others are refused with a hint."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest
from pyspark.sql import functions as sf

from purchasecast.errors import SchemaError
from purchasecast.schema import Column
from purchasecast.schema.date_format import spark_date_format

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OF_SPARK = [
    "M/d/yyyy",
    "dd.MM.yy",
    "yyyyMMdd",
    "yyyy-MM-dd'T'HH:mm:ss",
    "d-MMM-yyyy",
    "yyyy%MM",
    "h:mm a, d/M/yyyy",
]
OF_STRPTIME = {
    "%m/%d/%Y": "M/d/yyyy",
    "%d.%m.%Y %H:%M": "d.M.yyyy H:m",
    "%Y%m%d": "yyyyMMdd",
    "%Y%m%d%H%M": "yyyyMMddHHmm",
    "%Y-%m-%dT%H:%M:%SZ": "yyyy-M-d'T'H:m:s'Z'",
    "%F %T": "yyyy-M-d H:m:s",
    "%d de %B de %Y": "d 'de' MMMM 'de' yyyy",
    "%-d %b %Y": "d MMM yyyy",
    "%I:%M %p, %d/%m/%Y": "h:m a, d/M/yyyy",
    "%% %Y's %m": "% yyyy'''s' M",
}
REFUSED = {
    "MM/DD/YYYY": "DD is none of them); did you mean MM/dd/yyyy?",
    "yyyy-MM-DD": "DD is none of them); did you mean yyyy-MM-dd?",
    "dd/mm/yyyy": "it has no month, M); did you mean dd/MM/yyyy?",
    "MM/dd": "it has no year, y)",
    "EEE d MMM yyyy": "EEE is none of them)",
    "yyyy[-MM]": "[ has a meaning of its own there",
    "yyyy 'o": "' has a meaning of its own there",
    "yyyy-M-d M": "M is there twice)",
    "%d/%m/%y": "write yy, where years are those from 2000 to 2099",
    "%A %d %Y": "%A cannot be turned into them",
}


@pytest.mark.parametrize("pattern", OF_SPARK)
def test_sparks_letters_stay(pattern: str) -> None:
    assert spark_date_format(pattern) == pattern


@pytest.mark.parametrize(("text", "pattern"), OF_STRPTIME.items())
def test_the_letters_of_strptime_become_sparks(text: str, pattern: str) -> None:
    assert Column("Day", "date", format=text).format == pattern


@pytest.mark.parametrize(("text", "told"), REFUSED.items())
def test_others_are_refused_with_what_may_be_meant(text: str, told: str) -> None:
    with pytest.raises(
        SchemaError, match=r"columns.Day.format: expected Spark's.*" + re.escape(f"found {text}")
    ) as caught:
        Column("Day", "date", format=text)
    assert told in str(caught.value)


@pytest.mark.spark
def test_spark_reads_what_strftime_writes(spark: SparkSession) -> None:
    moment = datetime(2024, 2, 9, 13, 5, 7, tzinfo=UTC)
    frame = spark.createDataFrame([[moment.strftime(text) for text in OF_STRPTIME]])
    read = [sf.to_date(name, pattern) for name, pattern in zip(frame.columns, OF_STRPTIME.values(), strict=True)]
    days = [date(2024, 2, 9 if "d" in pattern else 1) for pattern in OF_STRPTIME.values()]
    assert list(frame.select(*read).collect()[0]) == days
