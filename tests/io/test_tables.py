"""Reading and writing tables: whatever shape a file has, values land in their columns and rows in their order."""

from __future__ import annotations

import bz2
import csv
import gzip
import os
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.sql import functions as sf

from purchasecast.errors import ColumnMismatchError, SettingsError, SourceError
from purchasecast.io import read_table, write_single_csv, write_table
from purchasecast.io.csv_header import _read_first_lines_on_cluster
from purchasecast.schema import Column, Schema
from purchasecast.schema.reserved_columns import CORRUPT, POSITION

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

SCHEMA = Schema(
    "small",
    "Small",
    (
        Column("Customer", "nominal", "integer", role="customer"),
        Column("Art.No", "nominal", role="product"),
        Column("Spend", "numeric", role="target"),
    ),
    ignore=("", "note*"),
)
TEXT = b"Customer,Art.No,Spend\n1,A,5\n2,B,6.5\n"
ROWS = [("1", "A", "5"), ("2", "B", "6.5")]


def rows_of(frame: DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(row)[:-2] for row in frame.orderBy(POSITION).collect()]


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


#: The same two rows, by the name of the file. Tests are named by it: packed bytes hold the time of packing.
WAYS = {
    "plain.csv": TEXT,
    "blank in name.csv": TEXT,
    "windows.csv": TEXT.replace(b"\n", b"\r\n"),
    "marked.csv": b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"\r\n"),
    "packed.csv.gz": gzip.compress(TEXT),
    "packed.csv.bz2": bz2.compress(TEXT),
    "no_last_line_end.csv": TEXT.rstrip(),
    "quoted.csv": b'"Customer","Art.No","Spend"\n"1","A","5"\n2,"B",6.5\n',
    "padded.csv": b" Customer , Art.No,Spend\n1, A ,5 \n\n2,B,6.5\n",
    "tabs.tsv": TEXT.replace(b",", b"\t"),
    "other_order.csv": b"Spend,note 1,Customer,,Art.No,\n5,x,1,,A,\n6.5,y,2,,B,z\n",
}


@pytest.mark.parametrize("name", WAYS)
def test_every_way_of_writing_a_csv_file_reads_alike(spark: SparkSession, tmp_path: Path, name: str) -> None:
    data = WAYS[name]
    frame = read_table(spark, put(tmp_path, name, data), SCHEMA)
    assert frame.columns == ["Customer", "Art.No", "Spend", CORRUPT, POSITION]
    assert dict(frame.dtypes) == dict.fromkeys(["Customer", "Art.No", "Spend", CORRUPT], "string") | {
        POSITION: "bigint"
    }
    assert rows_of(frame) == ROWS
    assert frame.where(sf.col(CORRUPT).isNotNull() & (sf.col("Customer") != "")).count() == 0


def test_quotes_commas_and_line_ends_within_a_field(spark: SparkSession, tmp_path: Path) -> None:
    data = b'Customer,Art.No,Spend\n1,"say ""hi"", you",5\n2,"back\\slash",6\n'
    assert rows_of(read_table(spark, put(tmp_path, "a.csv", data), SCHEMA)) == [
        ("1", 'say "hi", you', "5"),
        ("2", "back\\slash", "6"),
    ]
    data = b'Customer,Art.No,Spend\n1,"two\nlines",5\n2,B,6\n'
    frame = read_table(spark, put(tmp_path, "b.csv", data), SCHEMA, options={"multiLine": "true"})
    assert rows_of(frame) == [("1", "two\nlines", "5"), ("2", "B", "6")]


def test_lines_with_too_few_or_too_many_fields_are_caught(spark: SparkSession, tmp_path: Path) -> None:
    data = b'Customer,note,Art.No,Spend\n1,,A,5\n2,,B\n3,,C,7,8\n4,,"D,9\n5,"",E,\n'
    frame = read_table(spark, put(tmp_path, "a.csv", data), SCHEMA)
    assert [row[CORRUPT] for row in frame.orderBy(POSITION).collect()] == [None, "2,,B", "3,,C,7,8", '4,,"D,9', None]
    assert frame.orderBy(POSITION).collect()[4]["Spend"] is None


def test_folders_globs_and_partitions(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path, "parts/part-1.csv", TEXT)
    put(tmp_path, "parts/part-2.csv", TEXT.replace(b"\n", b"\r\n"))
    put(tmp_path, "parts/part-3.csv", b"")
    put(tmp_path, "parts/_SUCCESS", b"")
    for place in (tmp_path / "parts", f"{tmp_path}/parts/*.csv", f"{tmp_path}/*/part-[12].csv"):
        assert sorted(rows_of(read_table(spark, place, SCHEMA))) == sorted(2 * ROWS)
    put(tmp_path, "by/Spend=5/a.csv", b"Customer,Art.No\n1,A\n")
    put(tmp_path, "by/Spend=7/a.csv", b"Customer,Art.No\n2,B\n")
    frame = read_table(spark, tmp_path / "by", SCHEMA)
    assert sorted((row["Customer"], row["Spend"]) for row in frame.collect()) == [("1", 5), ("2", 7)]


def test_parts_with_different_headers_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path, "1.csv", TEXT)
    put(tmp_path, "2.csv", b"Customer,Spend,Art.No\n1,5,A\n")
    with pytest.raises(SourceError, match=r"2\.csv: expected the same header as in .*1\.csv, found another"):
        read_table(spark, tmp_path, SCHEMA)


def test_first_lines_can_be_read_by_the_cluster(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path, "1.csv", TEXT)
    put(tmp_path, "2 b.csv", b"other\r\nline")
    files = spark.read.text(str(tmp_path)).inputFiles()
    lines = _read_first_lines_on_cluster(spark, files)
    assert sorted(lines.values()) == [b"Customer,Art.No,Spend", b"other"]


def test_positions_follow_a_file_of_many_splits(spark: SparkSession, tmp_path: Path) -> None:
    data = b"Customer,Art.No,Spend\n" + b"".join(b"%d,A,1\n" % i for i in range(20_000))
    spark.conf.set("spark.sql.files.maxPartitionBytes", "20000")
    try:
        frame = read_table(spark, put(tmp_path, "a.csv", data), SCHEMA)
        assert frame.select(sf.spark_partition_id()).distinct().count() > 5
        customers = [int(row[0]) for row in rows_of(frame)]
        shuffled = frame.repartition(3, "Customer").select("Customer", POSITION)
        assert write_single_csv(shuffled, tmp_path / "out.csv") == 20_000
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert customers == list(range(20_000))
    written = (tmp_path / "out.csv").read_text().splitlines()
    assert written == ["Customer", *map(str, range(20_000))]


def test_parquet_and_other_formats_keep_their_types(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(1, "A", 5.0, "x")], "Customer bigint, `Art.No` string, Spend double, note string")
    for kind in ("parquet", "orc", "json"):
        place = tmp_path / f"table.{kind}"
        write_table(frame, place)
        for given in (None, kind):
            read = read_table(spark, place, SCHEMA, format=given)
            assert dict(read.dtypes) | {"Customer": "bigint", "Spend": "double"} == dict(read.dtypes)
            assert rows_of(read) == [(1, "A", 5.0)]
    write_table(frame, tmp_path / "folder")
    assert rows_of(read_table(spark, tmp_path / "folder", SCHEMA)) == [(1, "A", 5.0)]


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        (b"Customer,Art.No", ["  missing:  Spend\n"]),
        (b"Customer,Art.No,spend", ["  missing:  Spend\n", "  unknown:  spend (did you mean Spend?)\n"]),
        (b"Customer,Art.No,Spend,Spend", ["  twice:    Spend\n"]),
        (b"Customer,Art.No,Spend,colour", ["  unknown:  colour\n"]),
        (b"Customer,Art.No,Spend,Customers", ["  unknown:  Customers\n"]),
    ],
)
def test_other_columns_than_the_schema_says(
    spark: SparkSession, tmp_path: Path, header: bytes, parts: list[str]
) -> None:
    with pytest.raises(ColumnMismatchError) as caught:
        read_table(spark, put(tmp_path, "a.csv", header + b"\n1,2,3,4\n"), SCHEMA)
    for part in parts:
        assert part in str(caught.value)
    assert "  expected: Customer, Art.No, Spend\n" in str(caught.value)


def test_an_unnamed_column_that_is_not_ignored(spark: SparkSession, tmp_path: Path) -> None:
    strict = Schema("strict", "Strict", SCHEMA.columns)
    with pytest.raises(ColumnMismatchError, match=r"unknown:  \(no name\)"):
        read_table(spark, put(tmp_path, "a.csv", b"Customer,Art.No,Spend,\n"), strict)


def test_the_target_may_be_optional(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", b"Customer,Art.No\n1,A\n")
    assert read_table(spark, path, SCHEMA, target="optional").columns == ["Customer", "Art.No", CORRUPT, POSITION]
    labelled = read_table(spark, put(tmp_path, "b.csv", TEXT), SCHEMA, target="optional")
    assert rows_of(labelled) == ROWS


def test_a_header_without_rows_is_an_empty_table(spark: SparkSession, tmp_path: Path) -> None:
    assert rows_of(read_table(spark, put(tmp_path, "a.csv", b"Customer,Art.No,Spend\r\n"), SCHEMA)) == []


def test_sources_that_cannot_be_read(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.csv: cannot read it: Path does not exist") as caught:
        read_table(spark, tmp_path / "none.csv", SCHEMA)
    assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="found a folder without files"):
        read_table(spark, tmp_path / "empty", SCHEMA)
    with pytest.raises(SourceError, match="expected a header with column names, found an empty file"):
        read_table(spark, put(tmp_path, "zero.csv", b""), SCHEMA)
    with pytest.raises(SourceError, match=r"ends in one of \.csv.*name the format"):
        read_table(spark, put(tmp_path, "a.xlsx", b"x"), SCHEMA)
    with pytest.raises(SourceError, match="as nonsense: Failed to find the data source: nonsense"):
        read_table(spark, tmp_path / "a.xlsx", SCHEMA, format="nonsense")
    with pytest.raises(SourceError, match=r"a\.parquet: cannot read it as parquet"):
        read_table(spark, put(tmp_path, "a.parquet", b"x"), SCHEMA)
    with pytest.raises(SourceError, match=r"broken\.csv\.gz: cannot read it as csv"):
        read_table(spark, put(tmp_path, "broken.csv.gz", b"no gzip"), SCHEMA)
    with pytest.raises(SettingsError, match="found Mode; leave it out"):
        read_table(spark, put(tmp_path, "a.csv", TEXT), SCHEMA, options={"Mode": "DROPMALFORMED"})
    with pytest.raises(SettingsError, match="table: expected one for a jdbc: URL only"):
        read_table(spark, tmp_path / "a.csv", SCHEMA, table="t")
    with pytest.raises(SourceError, match=r"no JDBC driver .* setting spark\.jars=FILE\.jar"):
        read_table(spark, "jdbc:nowhere://host/shop", SCHEMA, table="t")
    with pytest.raises(SourceError, match=r"class org\.nowhere\.Driver is not there.* spark\.jars"):
        read_table(spark, "jdbc:nowhere://host/shop", SCHEMA, table="t", options={"driver": "org.nowhere.Driver"})
    with pytest.raises(SourceError, match=r"class org\.apache\.hadoop\.fs\.s3a\.S3AFileSystem is not there"):
        read_table(spark, "s3a://bucket/a.csv", SCHEMA)


def test_other_encodings_are_read_where_they_are_named(spark: SparkSession, tmp_path: Path) -> None:
    for name, line_end in (("utf-16", "\n"), ("utf-16-le", "\r\n")):
        path = put(tmp_path, f"{name}.csv", TEXT.decode().replace("\n", line_end).encode(name))
        frame = read_table(spark, path, SCHEMA, options={"encoding": name.upper().replace("-LE", "LE")})
        assert rows_of(frame) == ROWS
    path = put(tmp_path, "latin.csv", "Customer,Art.No,Spend\nJos\xe9,A,5\n".encode("latin-1"))
    assert rows_of(read_table(spark, path, SCHEMA, options={"encoding": "ISO-8859-1"})) == [("Jos\xe9", "A", "5")]


def test_a_file_that_is_no_text_is_told_in_letters_that_a_terminal_takes(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ColumnMismatchError, match="option encoding=UTF-16") as caught:
        read_table(spark, put(tmp_path, "a.csv", TEXT.decode().encode("utf-16")), SCHEMA)
    assert all(line.isprintable() for line in str(caught.value).splitlines())


def test_a_csv_folder_reads_back(spark: SparkSession, tmp_path: Path) -> None:
    frame = read_table(spark, put(tmp_path, "a.csv", b'Customer,Art.No,Spend\n1,"a ""b"", c",5\n'), SCHEMA)
    place = tmp_path / "out.csv"
    write_table(frame.drop(CORRUPT, POSITION), place)
    with pytest.raises(SourceError, match=r"cannot write it: .*already exists"):
        write_table(frame.drop(CORRUPT, POSITION), place)
    write_table(frame.drop(CORRUPT, POSITION), place, mode="overwrite")
    assert rows_of(read_table(spark, place, SCHEMA)) == [("1", 'a "b", c', "5")]


def test_a_folder_that_fails_leaves_the_old_one_or_none(spark: SparkSession, tmp_path: Path) -> None:
    good = spark.range(10, numPartitions=2).selectExpr("id", "'a' as text")
    bad = spark.range(10, numPartitions=2).selectExpr("id", "if(id < 9, 'b', raise_error('no')) as text")
    for place in (tmp_path / "old folder", tmp_path / "new folder"):
        if place.name.startswith("old"):
            write_table(good, place)
        with pytest.raises(SourceError, match="cannot write it"):
            write_table(bad, place, mode="overwrite")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old folder"]
    assert {row["text"] for row in spark.read.parquet(str(tmp_path / "old folder")).collect()} == {"a"}


def test_one_csv_file_keeps_order_and_quotes(spark: SparkSession, tmp_path: Path) -> None:
    values = ["plain", 'say "hi", you', "two\nlines", None, "ümlaut"]
    frame = spark.createDataFrame(list(enumerate(values)), "`Customer ID` int, text string")
    path = tmp_path / "a b.csv"
    assert write_single_csv(frame, path) == 5
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == [["Customer ID", "text"], *([str(i), value or ""] for i, value in enumerate(values))]
    assert os.listdir(tmp_path) == ["a b.csv"]  # noqa: PTH208
    with pytest.raises(SourceError, match="expected no such file"):
        write_single_csv(frame, path)
    assert write_single_csv(frame.limit(0), path, mode="overwrite") == 0
    assert path.read_text() == "Customer ID,text\n"


def test_one_csv_file_that_fails_leaves_nothing(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(10).select(sf.raise_error(sf.lit("broken on purpose")).alias("x"))
    with pytest.raises(SourceError, match=r"a\.csv: cannot write it"):
        write_single_csv(frame, tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SourceError, match="expected a path on this machine"):
        write_single_csv(frame, "hdfs://cluster/a.csv")
    with pytest.raises(SourceError, match="expected a folder to write to"):
        write_single_csv(frame, tmp_path / "none" / "a.csv")


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Return the URL of a database that Spark brings along."""
    return f"jdbc:derby:{tmp_path / 'shop'};create=true"


def test_a_database_is_written_and_read(spark: SparkSession, database: str) -> None:
    frame = spark.range(100).select(
        sf.col("id").alias("Customer"), sf.lit("A").alias("Art.No"), sf.lit(2.0).alias("Spend")
    )
    write_table(frame, database, table="sales")
    with pytest.raises(SourceError, match="already exists"):
        write_table(frame, database, table="sales")
    options = {"partitionColumn": "Customer", "lowerBound": "0", "upperBound": "100", "numPartitions": "4"}
    read = read_table(spark, database, SCHEMA, table="sales", options=options)
    assert read.select(sf.spark_partition_id()).distinct().count() == 4
    assert sorted(row["Customer"] for row in read.collect()) == list(range(100))
    with pytest.raises(SettingsError, match="table: expected the name of one"):
        read_table(spark, database, SCHEMA)


def test_passwords_stay_out_of_errors(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURCHASECAST_JDBC_USER", "ann")
    monkeypatch.setenv("PURCHASECAST_JDBC_PASSWORD", "s3cret")
    url = f"jdbc:derby:{tmp_path / 'none'};password=s3cret"
    with pytest.raises(SourceError) as caught:
        read_table(spark, url, SCHEMA, table="sales")
    assert "s3cret" not in str(caught.value)
    assert "password=***" in str(caught.value)
    assert caught.value.__suppress_context__
