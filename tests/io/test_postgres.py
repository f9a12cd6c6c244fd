# ruff: noqa: S608  names of tables in the tests' own statements
"""Tables of a database: read and written as documented, replaced whole or not at all, failures told without rows."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.conftest import JDBC_JAR
from tests.io.postgres import PASSWORD, Postgres, find_binaries

from purchasecast.errors import SettingsError, SourceError
from purchasecast.io import read_table, write_table
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    binaries = find_binaries()
    if binaries is None or not JDBC_JAR.is_file():
        pytest.skip("PostgreSQL or its driver for Java is not installed")
    running = Postgres(binaries)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PURCHASECAST_JDBC_USER", "ann")
    monkeypatch.setenv("PURCHASECAST_JDBC_PASSWORD", PASSWORD)


def rows(spark: SparkSession, count: int, value: int) -> DataFrame:
    return spark.range(count, numPartitions=4).selectExpr("id", f"{value} as value", "concat('customer-', id) as name")


@pytest.mark.parametrize("table", ["plain", "public.named", '"Quoted ""Name"""', "x" * 63])
def test_a_table_is_written_and_replaced_without_naming_a_driver(
    spark: SparkSession, server: Postgres, table: str
) -> None:
    before = server.tables()
    write_table(rows(spark, 10, 1), server.url, table=table)
    with pytest.raises(SourceError, match="expected no table"):
        write_table(rows(spark, 5, 2), server.url, table=table)
    assert server.sql(f"select count(*), sum(value) from {table}") == "10|10"
    write_table(rows(spark, 5, 2), server.url, table=table, mode="overwrite")
    assert server.sql(f"select count(*), sum(value) from {table}") == "5|10"
    write_table(rows(spark, 0, 3), server.url, table=table, mode="overwrite")
    assert server.sql(f"select count(*) from {table}") == "0"
    server.sql(f"drop table {table}")
    assert server.tables() == before


@pytest.mark.parametrize("old", [True, False])
def test_a_backend_killed_in_the_middle_leaves_the_old_table_or_none(
    spark: SparkSession, server: Postgres, *, old: bool
) -> None:
    if old:
        write_table(rows(spark, 10, 1), server.url, table="kept")
    killed: list[str] = []

    def kill() -> None:
        give_up = time.monotonic() + 60
        while not killed and time.monotonic() < give_up:
            found = server.sql(
                "select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity"
                " where query like 'INSERT INTO%_pc_partial_%' and pid <> pg_backend_pid()) as killed"
            )
            killed.extend([found] if found != "0" else [])

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(SourceError, match="cannot write the table") as failure:
        write_table(rows(spark, 400_000, 2), server.url, table="kept", mode="overwrite", options={"batchsize": "50"})
    killer.join()
    assert killed
    assert "customer-" not in str(failure.value)
    assert server.tables() == (["kept"] if old else [])
    if old:
        assert server.sql("select count(*), sum(value) from kept") == "10|10"
        server.sql("drop table kept")


def test_a_write_that_the_database_refuses_is_told_without_rows(
    spark: SparkSession, server: Postgres, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceError, match="the database said: value too long for type character varying") as failure:
        write_table(
            rows(spark, 10, 1), server.url, table="narrow", options={"createTableColumnTypes": "name VARCHAR(3)"}
        )
    assert "customer-" not in str(failure.value)
    assert PASSWORD not in str(failure.value)
    assert server.tables() == []


def test_what_is_wrong_with_a_database_is_told_apart(
    spark: SparkSession, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = load_schema("black_friday")
    with pytest.raises(SourceError, match='it has no table "nothing"'):
        read_table(spark, server.url, schema, table="nothing")
    with pytest.raises(SourceError, match='it has no database "nowhere"'):
        read_table(spark, server.url.replace("/postgres", "/nowhere"), schema, table="t")
    with pytest.raises(SourceError, match="no database answers at this address; check host and port"):
        read_table(spark, "jdbc:postgresql://127.0.0.1:1/postgres", schema, table="t")
    with pytest.raises(SettingsError, match="expected the name of a table, found a b"):
        write_table(rows(spark, 1, 1), server.url, table="a b")
    monkeypatch.setenv("PURCHASECAST_JDBC_PASSWORD", "wrong-pw")
    for call in (
        lambda: read_table(spark, server.url, schema, table="t"),
        lambda: write_table(rows(spark, 1, 1), server.url, table="t"),
    ):
        with pytest.raises(SourceError, match="it refused the user or the password") as failure:
            call()
        assert "wrong-pw" not in str(failure.value)
