"""A damaged file is named, in one sentence, without a word of Python or Java."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.faults.files import EXCEPTION_NAMES

from purchasecast.errors import SourceError
from purchasecast.io import read_table
from purchasecast.schema import Schema
from purchasecast.validation import validate

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

SCHEMA = Schema.from_dict(
    {
        "name": "shop",
        "columns": [{"name": "id", "kind": "nominal"}, {"name": "y", "kind": "numeric", "role": "target"}],
    }
)


def packed(rows: int) -> bytes:
    return gzip.compress("\n".join(["id,y", *(f"{k * 7919 % 1009},{k}" for k in range(rows))]).encode())


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


@pytest.mark.parametrize("damage", ["gzip cut", "gzip checksum", "parquet flipped", "parquet cut", "no parquet"])
def test_a_damaged_file_is_one_sentence(spark: SparkSession, tmp_path: Path, damage: str) -> None:
    kind = damage.partition(" ")[0]
    file = tmp_path / ("shop.csv.gz" if kind == "gzip" else "shop.parquet")
    if kind == "gzip":
        file.write_bytes(packed(50_000))
    else:
        ids = pa.array([str(k * 7919 % 1009) for k in range(50_000)])
        pq.write_table(pa.table({"id": ids, "y": pa.array(range(50_000), pa.float64())}), file, compression="gzip")
    content = file.read_bytes()
    file.write_bytes(
        {
            "gzip cut": cut(content),
            "gzip checksum": flipped(content, len(content) - 6),
            "parquet flipped": flipped(content, len(content) // 2),
            "parquet cut": cut(content),
            "no parquet": b"no parquet at all",
        }[damage]
    )
    with pytest.raises(SourceError) as failure:
        validate(read_table(spark, file, SCHEMA), SCHEMA)
    told = str(failure.value)
    assert file.name in told
    assert "\n" not in told
    assert not EXCEPTION_NAMES.search(told), told
