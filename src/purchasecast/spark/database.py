"""Run statements on a database through the Java of a Spark session, which has its driver."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from purchasecast.spark.failures import SPARK_FAILURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import SparkSession

__all__ = ["Connection", "connect", "has_connections"]

# Options of Spark's own; all others are properties of a connection.
_OPTIONS = {
    *("url", "dbtable", "query", "driver", "partitioncolumn", "lowerbound", "upperbound", "numpartitions", "fetchsize"),
    *("querytimeout", "truncate", "cascadetruncate", "createtableoptions", "createtablecolumntypes", "customschema"),
    *("batchsize", "isolationlevel", "sessioninitstatement", "preparequery", "prefertimestampntz", "hint"),
    *("pushdownpredicate", "pushdownaggregate", "pushdownlimit", "pushdownoffset", "pushdowntablesample"),
    *("keytab", "principal", "refreshkrb5config", "connectionprovider"),
}


class Connection:
    """A connection whose statements take effect together, or not at all.

    Parameters
    ----------
    java : object
        Connection of JDBC.
    """

    def __init__(self, java: Any) -> None:
        self._java = java

    def run(self, statement: str) -> None:
        """Run a statement."""
        prepared = self._java.createStatement()
        try:
            prepared.execute(statement)
        finally:
            prepared.close()

    def value(self, query: str) -> str | None:
        """Return the first value of a query as text; None for null and for no row."""
        prepared = self._java.createStatement()
        try:
            rows = prepared.executeQuery(query)
            text: str | None = rows.getString(1) if rows.next() else None
        finally:
            prepared.close()
        return text


def has_connections(spark: SparkSession) -> bool:
    """Return whether there is a Java to connect by; over Spark Connect there is none."""
    return not type(spark).__module__.startswith("pyspark.sql.connect")


@contextmanager
def connect(spark: SparkSession, options: Mapping[str, str]) -> Iterator[Connection]:
    """Connect to a database; commit at the end, or roll back after an error.

    Parameters
    ----------
    spark : SparkSession
        Session of Spark, not over Connect.
    options : mapping of str to str
        Options of Spark's JDBC reader or writer, with ``url`` and ``driver``.

    Yields
    ------
    Connection
        The connection.
    """
    jvm: Any = spark._jvm
    drivers = jvm.org.apache.spark.sql.execution.datasources.jdbc.DriverRegistry
    drivers.register(options["driver"])
    properties = jvm.java.util.Properties()
    for name, value in options.items():
        if name.lower() not in _OPTIONS:
            properties.setProperty(name, value)
    java = drivers.get(options["driver"]).connect(options["url"], properties)
    try:
        java.setAutoCommit(False)
        yield Connection(java)
        java.commit()
    except BaseException:
        with suppress(*SPARK_FAILURES):  # a connection that is gone has rolled back
            java.rollback()
        raise
    finally:
        with suppress(*SPARK_FAILURES):
            java.close()
