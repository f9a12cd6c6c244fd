"""Start a Spark session or reuse the active one: the only module that touches Spark's context or JVM.

By default, Spark runs on this machine with settings for a laptop. Settings of the user are never changed, wherever they
come from: code, ``spark-defaults.conf``, ``PYSPARK_SUBMIT_ARGS``, Spark's environment variables, or the command line of
``spark-submit``.
"""

# ruff: noqa: PLC0415 -- pyspark is an extra: it is imported where it is used
from __future__ import annotations

import logging
import os
import re
import socket
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from purchasecast.errors import SettingsError, SparkUnavailableError
from purchasecast.spark.java import JavaHome, find_java, start_jvm
from purchasecast.spark.settings import default_settings, given_settings, master_cores, parse_conf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

__all__ = ["JavaHome", "find_java", "get_session", "is_local", "is_remote", "parallel_slots", "parse_conf", "runs_here"]

logger = logging.getLogger(__name__)

_CONNECT_PORT = 15002


def get_session(
    *,
    master: str | None = None,
    remote: str | None = None,
    conf: Mapping[str, str] | None = None,
    app_name: str = "purchasecast",
    few_rows: bool = False,
) -> SparkSession:
    """Return the active Spark session, or start one.

    Parameters
    ----------
    master : str, optional
        Spark master, such as ``local[4]`` or ``spark://host:7077``; by default that of Spark's own settings, or else
        all cores of this machine.
    remote : str, optional
        Spark Connect server, such as ``sc://host:15002``; needs no Java on this machine.
    conf : mapping of str to str, optional
        Spark settings; they override all defaults.
    app_name : str, default "purchasecast"
        Name of the application, unless Spark's settings have one.
    few_rows : bool, default False
        Whether a new session is for about ten thousand rows, where compiling takes longer than running.

    Returns
    -------
    SparkSession
        Session with Arrow and the time zone UTC, unless set otherwise.

    Raises
    ------
    SettingsError
        If `master` and `remote` contradict each other.
    JavaNotFoundError
        If Spark needs Java on this machine and there is none of version 17 or later.
    SparkUnavailableError
        If pyspark is not installed, or Spark does not start.

    Notes
    -----
    A new JVM needs ``JAVA_HOME``, and one on this machine alone ``PYSPARK_PYTHON``: they are set in the environment of
    this process. Executors elsewhere run the Python that the Spark setting ``spark.pyspark.python`` or the variable
    names, else ``python3``.
    """
    _require_pyspark()
    wanted = dict(conf or {})
    master = master or wanted.pop("spark.master", None)
    remote = remote or wanted.pop("spark.remote", None)
    if master and (remote or "SPARK_REMOTE" in os.environ):
        raise SettingsError(
            f"master: expected none beside a Spark Connect server, found {master} and "
            f"{remote or 'SPARK_REMOTE=' + os.environ['SPARK_REMOTE']}; leave one out."
        )
    active = _active_session()
    if active is not None:
        return _reuse(active, master=master, remote=remote, wanted=wanted)
    remote = remote or os.environ.get("SPARK_REMOTE")
    if remote and remote.startswith("sc://"):
        return _connect(remote, wanted)
    if remote:
        raise SettingsError(
            f"remote: expected an address such as sc://host:{_CONNECT_PORT}, found {remote!r}; "
            "for Spark on this machine leave it out, or use master=."
        )
    return _start(master, wanted, app_name, few_rows=few_rows)


def is_local(spark: SparkSession) -> bool:
    """Return whether driver and tasks share one JVM (``local`` or ``local[N]``).

    Parameters
    ----------
    spark : SparkSession
        Spark session.

    Returns
    -------
    bool
        Whether they do.
    """
    return bool(re.match(r"local(\[|$)", _setting(spark, "spark.master", "")))


def runs_here(spark: SparkSession) -> bool:
    """Return whether tasks run on this machine, in the JVM that this process has started.

    Parameters
    ----------
    spark : SparkSession
        Spark session.

    Returns
    -------
    bool
        Whether they do; not over Spark Connect, whose server may be anywhere.
    """
    return is_local(spark) and not is_remote(spark)


def parallel_slots(spark: SparkSession) -> int:
    """Count the tasks that can run at the same time.

    Parameters
    ----------
    spark : SparkSession
        Spark session.

    Returns
    -------
    int
        Number of tasks, at least 1.

    Notes
    -----
    On a cluster this is the larger of the number available now and the number in the settings, because executors may
    still be starting. A client cannot see the executors of a Connect server, so that a small job counts its cores.
    """
    per_task = int(_setting(spark, "spark.task.cpus", "1"))
    cores = master_cores(_setting(spark, "spark.master", ""))
    if cores is None:
        executors = _setting(spark, "spark.executor.instances", "0")
        if _setting(spark, "spark.dynamicAllocation.enabled", "false") == "true":
            executors = _setting(spark, "spark.dynamicAllocation.maxExecutors", executors)
        asked = min(int(executors), 1_000_000) * int(_setting(spark, "spark.executor.cores", "1"))
        cores = max(asked, _cores_now(spark))
    return max(cores // per_task, 1)


def _require_pyspark() -> None:
    try:
        import pyspark  # noqa: F401
    except ImportError as error:
        raise SparkUnavailableError(
            "Spark: expected pyspark, found none; run `pip install 'purchasecast[spark]'`."
        ) from error


def _active_session() -> SparkSession | None:
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:  # another thread may have a session, and a process has one context
        session = SparkSession._instantiatedSession
        if session is not None and session._sc._jsc is None:
            return None
    return session


def _reuse(session: SparkSession, *, master: str | None, remote: str | None, wanted: Mapping[str, str]) -> SparkSession:
    """Reuse the active session: change the settings that can still be changed, and warn of the others."""
    if remote and not is_remote(session):
        raise SettingsError(
            f"remote: expected no other session in this process, found one; stop it before you connect to {remote}."
        )
    running_on = _setting(session, "spark.master", "")
    if master and master != running_on:
        logger.warning("A Spark session already runs on %s; the master %s is not used.", running_on, master)
    for key, value in wanted.items():
        if session.conf.isModifiable(key):
            session.conf.set(key, value)
        elif _setting(session, key, "") != value:
            logger.warning("A Spark session already runs; %s=%s cannot be set any more.", key, value)
    return session


def _connect(url: str, wanted: Mapping[str, str]) -> SparkSession:
    """Open a session on a Spark Connect server."""
    from pyspark.sql import SparkSession

    address = urlsplit(url)
    proxied = any(os.environ.get(name) for name in ("grpc_proxy", "https_proxy", "http_proxy"))
    if not proxied:  # pyspark itself would try for ten minutes
        try:
            port = address.port or _CONNECT_PORT
            socket.create_connection((address.hostname or "localhost", port), timeout=10).close()
        except (OSError, ValueError) as error:
            raise SparkUnavailableError(
                f"remote: expected a Spark Connect server at {url}, found none ({error}); check the address."
            ) from error
    builder = SparkSession.builder.remote(url)
    try:
        session = builder.getOrCreate()
        set_there = session.conf.getAll
        for key, value in wanted.items():
            session.conf.set(key, value)
        if "spark.sql.session.timeZone" not in {*wanted, *set_there}:
            session.conf.set("spark.sql.session.timeZone", "UTC")
    except Exception as error:
        raise SparkUnavailableError(
            f"remote: expected a session from {url}, found an error: {_first_line(error)}"
        ) from error
    return session


def _start(master: str | None, wanted: dict[str, str], app_name: str, *, few_rows: bool) -> SparkSession:
    """Start Spark in this process, or connect to the JVM that spark-submit has started."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    has_jvm = SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ
    if has_jvm:
        SparkContext._ensure_initialized()
        given = dict(SparkConf().getAll())
    else:
        given = given_settings()
    given |= wanted
    url = master or given.get("spark.master") or os.environ.get("MASTER") or "local[*]"
    verbose = logger.isEnabledFor(logging.DEBUG)
    defaults = {"spark.app.name": app_name} | default_settings(url, verbose=verbose, few_rows=few_rows)
    settings = {key: value for key, value in defaults.items() if key not in given} | wanted
    settings["spark.master"] = url
    if python := _python_of_executors(url, given):
        os.environ["PYSPARK_PYTHON"] = python
    if not has_jvm:
        os.environ["JAVA_HOME"] = str(find_java().home)
        at_launch = SparkConf(loadDefaults=False)
        at_launch.setAll(list(settings.items()))
        SparkContext._ensure_initialized(gateway=start_jvm(at_launch, verbose=verbose))
    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        return builder.getOrCreate()
    except Exception as error:
        raise SparkUnavailableError(f"Spark: cannot start it on {url}: {_first_line(error)}") from error


def _python_of_executors(url: str, given: Mapping[str, str]) -> str | None:
    """Return the Python that executors are to run; None for the one that Spark finds on them.

    pyspark reads the variable only, and takes ``python3`` without it. A path of this machine means nothing on others.
    """
    if python := given.get("spark.pyspark.python") or os.environ.get("PYSPARK_PYTHON"):
        return python
    return sys.executable if url.startswith("local") else None


def _cores_now(spark: SparkSession) -> int:
    """Count the cores that are available now."""
    if not is_remote(spark):
        context = spark.sparkContext._jsc.sc()
        profile = context.resourceProfileManager().defaultResourceProfile()
        return int(context.maxNumConcurrentTasks(profile)) * int(_setting(spark, "spark.task.cpus", "1"))
    from pyspark.sql import functions as sf

    # A range without a number of partitions has as many as the server has cores.
    partitions = spark.range(1 << 16).select(sf.spark_partition_id().alias("partition")).distinct()
    return partitions.count()


def is_remote(spark: SparkSession) -> bool:
    """Return whether a session is one of Spark Connect, where paths are those of the server."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def _setting(spark: SparkSession, key: str, default: str) -> str:
    return str(spark.conf.get(key, default))


def _first_line(error: Exception) -> str:
    """Return the line of an error that says what is wrong, without the class names that Java puts before it."""
    java = getattr(error, "java_exception", None)
    text = str(java.getMessage() if java is not None else error).strip()
    return text.splitlines()[0] if text else type(error).__name__
