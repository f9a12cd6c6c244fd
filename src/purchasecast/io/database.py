"""Write a table of a database whole or not at all, and find out whether two addresses name the same table."""

from __future__ import annotations

import os
import re
import socket
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from pyspark.sql import Observation
from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError, SourceError
from purchasecast.spark.database import connect, has_connections
from purchasecast.spark.failures import SPARK_FAILURES, redacted, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

__all__ = ["check_other_table", "jdbc_options", "name_same_table", "write_to_database"]

_USER_VARIABLE = "PURCHASECAST_JDBC_USER"
_PASSWORD_VARIABLE = "PURCHASECAST_JDBC_PASSWORD"  # noqa: S105  the name of a variable, not a password
# Java's own search for a driver does not see a jar that Spark has loaded (spark.jars): Spark finds it by its class.
_DRIVERS = {
    "postgresql": "org.postgresql.Driver",
    "mysql": "com.mysql.cj.jdbc.Driver",
    "mariadb": "org.mariadb.jdbc.Driver",
    "sqlserver": "com.microsoft.sqlserver.jdbc.SQLServerDriver",
    "oracle": "oracle.jdbc.OracleDriver",
    "db2": "com.ibm.db2.jcc.DB2Driver",
    "sqlite": "org.sqlite.JDBC",
    "h2": "org.h2.Driver",
    "snowflake": "net.snowflake.client.jdbc.SnowflakeDriver",
    "redshift": "com.amazon.redshift.jdbc42.Driver",
    "duckdb": "org.duckdb.DuckDBDriver",
}
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "redshift": 5439}
_PART = r'"(?:[^"]|"")+"|[^\W\d][\w$]*'
_TABLE = re.compile(rf"\s*(?:{_PART})(?:\.(?:{_PART}))*\s*")
_MAX_NAME = 63  # bytes, of PostgreSQL


def jdbc_options(url: str, table: str | None, given: Mapping[str, str]) -> dict[str, str]:
    """Return the options of Spark's JDBC reader or writer.

    Parameters
    ----------
    url : str
        ``jdbc:`` URL.
    table : str or None
        Table, or query in brackets; None if an option names it.
    given : mapping of str to str
        What the user says. Credentials that are missing are taken from the environment.

    Returns
    -------
    dict of str to str
        Options, with the class of the driver where the URL tells it.

    Raises
    ------
    SettingsError
        If no table is named.
    """
    names = {name.lower() for name in given}
    if table is None and not {"dbtable", "query"} & names:
        raise SettingsError(f"table: expected the name of one in {redacted(url, given)}, found none; name it.")
    options: dict[str, str] = {"url": url, **({"dbtable": table} if table else {}), **given}
    driver = _DRIVERS.get(url.split(":")[1].lower() if url.count(":") > 1 else "")
    if driver and "driver" not in names:
        options["driver"] = driver
    for name, variable in (("user", _USER_VARIABLE), ("password", _PASSWORD_VARIABLE)):
        value = os.environ.get(variable)
        if name not in names and value:
            options[name] = value
    return options


def write_to_database(frame: DataFrame, options: Mapping[str, str], *, overwrite: bool) -> None:
    """Write a frame as a table of a database.

    Parameters
    ----------
    frame : DataFrame
        Rows to write.
    options : mapping of str to str
        What `jdbc_options` returned.
    overwrite : bool
        Whether to replace the table if it exists.

    Raises
    ------
    SourceError
        If it cannot be written.

    Notes
    -----
    In PostgreSQL the rows go into a table of their own, which takes the name of the other one in one transaction. A
    run that fails or is killed leaves the old table, or none. In other databases, and over Spark Connect, Spark writes
    the table itself: with `overwrite` it removes the old one first.
    """
    place = redacted(options["url"], options)
    spark = frame.sparkSession
    try:
        if options["url"].startswith("jdbc:postgresql:") and has_connections(spark) and "dbtable" in options:
            _write_and_swap(frame, options, overwrite=overwrite)
        else:
            _save(frame, options, mode="overwrite" if overwrite else "errorifexists")
    except SPARK_FAILURES as error:
        # `from None`: the original holds the password, and rows
        raise SourceError(f"{place}: cannot write the table: {refusal(error, options)}.") from None


def check_other_table(
    data: Any, reader: Mapping[str, Any], out: str, out_table: str | None, out_options: Mapping[str, str] | None
) -> None:
    """Refuse to write into the table of a database that is read.

    Parameters
    ----------
    data : path, URL or table of any kind
        Source.
    reader : mapping
        ``table`` and ``options`` of `read_table`.
    out : str
        Where the rows go.
    out_table : str or None
        Table behind a ``jdbc:`` URL.
    out_options : mapping of str to str or None
        Options of the writer.

    Raises
    ------
    SourceError
        If the two may be the same.
    """
    if not (isinstance(data, str) and data.startswith("jdbc:") and out.startswith("jdbc:")):
        return
    read = jdbc_options(data, reader.get("table"), reader.get("options") or {})
    written = jdbc_options(out, out_table, out_options or {})
    if name_same_table(data, read, out, written):
        raise SourceError(
            f"out_table: expected another table than the one to score, found {written['dbtable']}; "
            "choose another name, or name the schema of both."
        )


def name_same_table(source: str, source_options: Mapping[str, str], out: str, out_options: Mapping[str, str]) -> bool:
    """Return whether a table to write may be the one to read; unsure is yes.

    Parameters
    ----------
    source, out : str
        ``jdbc:`` URLs.
    source_options, out_options : mapping of str to str
        What `jdbc_options` returned.

    Returns
    -------
    bool
        True for the same table of the same database, also if it is part of a query. A name without a schema is the
        same as with any.
    """
    if not _are_one_database(source, out):
        return False
    lower = {name.lower(): value for name, value in source_options.items()}
    target, read = out_options.get("dbtable", ""), lower.get("dbtable", lower.get("query", ""))
    wanted = _parts(target)
    if _TABLE.fullmatch(read):
        return _match(_parts(read), wanted)
    names = re.findall(rf"(?:{_PART})(?:\s*\.\s*(?:{_PART}))*", read)
    return any(_match(_parts(name), wanted) for name in names)


def _match(one: list[str], other: list[str]) -> bool:
    return all(a == b for a, b in zip(reversed(one), reversed(other), strict=False))


def _parts(table: str) -> list[str]:
    """Return the parts of a table's name as the database compares them; in doubt regardless of case."""
    return [part.strip('"').replace('""', '"').casefold() for part in re.findall(_PART, table)]


def _are_one_database(one: str, other: str) -> bool:
    first, second = _address(one), _address(other)
    if first[0] != second[0] or first[2:] != second[2:]:
        return False
    return first[1] == second[1] or bool(_hosts(first[1]) & _hosts(second[1]))


def _address(url: str) -> tuple[str, str, int | None, str]:
    """Return the kind of database, host, port and the database's name."""
    kind = url.split(":")[1].lower()
    parts = urlsplit(url.removeprefix("jdbc:"))
    if not parts.netloc:  # jdbc:postgresql:shop is a database of this machine
        name = re.split(r"[?;]", parts.path)[0]
        return (kind, "localhost", _PORTS.get(kind), name.strip("/"))
    host, _, port = parts.netloc.rpartition("@")[2].partition(":")
    named = parse_qs(parts.query).get("databaseName", [""])[0]
    path = re.split(r"[?;]", parts.path)[0].strip("/")
    return (kind, host.lower() or "localhost", int(port) if port.isdigit() else _PORTS.get(kind), path or named)


def _hosts(host: str) -> set[str]:
    with suppress(OSError):
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
        return {"this machine" if address == "::1" or address.startswith("127.") else address for address in found}
    return {host}


def _write_and_swap(frame: DataFrame, options: Mapping[str, str], *, overwrite: bool) -> None:
    spark, table = frame.sparkSession, options["dbtable"].strip()
    if not _TABLE.fullmatch(table):
        raise SettingsError(
            f"out_table: expected the name of a table, found {table}; name one such as shop.predictions."
        )
    schema, name = re.fullmatch(rf"(.*?)({_PART})", table).groups()  # type: ignore[union-attr]  # it matched above
    aside = f"{schema}{_aside(name)}"
    with connect(spark, options) as connection:
        exists = connection.value(f"select to_regclass({_literal(table)})::text") is not None
    if exists and not overwrite:
        raise SourceError(
            f"{redacted(options['url'], options)}: expected no table {table}, found one; "
            "choose another name, or overwrite it."
        )
    try:
        rows = _save(frame, {**options, "dbtable": aside}, mode="errorifexists")
        with connect(spark, options) as connection:
            _check_rows(connection.value(f"select count(*) from {aside}"), rows, options)  # noqa: S608  checked names
            if overwrite:
                connection.run(f"drop table if exists {table}")
            connection.run(f"alter table {aside} rename to {name}")
    except BaseException:
        with suppress(*SPARK_FAILURES), connect(spark, options) as connection:
            connection.run(f"drop table if exists {aside}")
        raise


def _check_rows(written: str | None, rows: int | None, options: Mapping[str, str]) -> None:
    """Check that no task that was tried twice has written its rows twice."""
    if rows is not None and written != str(rows):
        place = redacted(options["url"], options)
        raise SourceError(f"{place}: expected {rows:,} rows in the new table, found {written}; run it again.")


def _aside(name: str) -> str:
    """Return the name of the table that the rows go into first."""
    end = f"_pc_partial_{uuid.uuid4().hex[:8]}"
    plain = name.strip('"').replace('""', "_").encode()[: _MAX_NAME - len(end)].decode(errors="ignore")
    return f'"{plain}{end}"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _save(frame: DataFrame, options: Mapping[str, str], *, mode: str) -> int | None:
    """Write by Spark; return the rows that it counted, or None where it did not count."""
    observation = Observation()
    counted = frame.observe(observation, sf.count(sf.lit(1)).alias("rows"))
    counted.write.format("jdbc").mode(mode).options(**options).save()
    try:
        return int(observation.get.get("rows", 0))
    except SPARK_FAILURES:  # adaptive execution drops an observation together with a plan of no rows
        return None
