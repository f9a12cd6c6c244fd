"""Build the Spark session, or take the one that is there: the only place that touches Spark's context or JVM.

Started alone, Spark runs inside this machine with settings that suit a laptop. What the user has set stays as
it is, wherever it was set: in code or by ``--conf``, in ``spark-defaults.conf``, ``PYSPARK_SUBMIT_ARGS``,
Spark's environment variables, or on the command line of ``spark-submit``.
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

__all__ = ["JavaHome", "find_java", "get_session", "is_local", "parallel_slots", "parse_conf"]

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
        Where Spark runs, such as ``local[4]`` or ``spark://host:7077``; by default what Spark's own settings
        say, else all cores of this machine.
    remote : str, optional
        A Spark Connect server, such as ``sc://host:15002``; needs no Java here.
    conf : mapping of str to str, optional
        Spark settings; they win over every default.
    app_name : str, default "purchasecast"
        The application's name, unless Spark's settings hold one.
    few_rows : bool, default False
        Whether a new session is for some ten thousand rows, where compiling takes longer than running.

    Returns
    -------
    SparkSession
        A session with Arrow on and the time zone UTC, unless set otherwise.

    Raises
    ------
    SettingsError
        If `master` and `remote` contradict each other.
    JavaNotFoundError
        If Spark is to run here and there is no Java of version 17 or later.
    SparkUnavailableError
        If pyspark is not installed, or Spark does not start.

    Notes
    -----
    Sets ``PYSPARK_PYTHON`` and ``JAVA_HOME`` in this process's environment where a new JVM needs them.
    """
    _require_pyspark()
    wanted = dict(conf or {})
    master = master or wanted.pop("spark.master", None)
    remote = remote or wanted.pop("spark.remote", None)
    if master and (remote or "SPARK_REMOTE" in os.environ):
        raise SettingsError(
            f"Spark runs either on a master ({master}) or on a Connect server "
            f"({remote or 'SPARK_REMOTE=' + os.environ['SPARK_REMOTE']}), not both: leave one out."
        )
    active = _active_session()
    if active is not None:
        return _reuse(active, master=master, remote=remote, wanted=wanted)
    remote = remote or os.environ.get("SPARK_REMOTE")
    if remote and remote.startswith("sc://"):
        return _connect(remote, wanted)
    if remote:
        raise SettingsError(
            f"A Spark Connect address looks like sc://host:{_CONNECT_PORT}, not {remote!r}: "
            "for Spark on this machine leave it out, or use master=."
        )
    return _start(master, wanted, app_name, few_rows=few_rows)


def is_local(spark: SparkSession) -> bool:
    """Tell whether driver and tasks share one JVM (``local``, ``local[N]``)."""
    return bool(re.match(r"local(\[|$)", _setting(spark, "spark.master", "")))


def parallel_slots(spark: SparkSession) -> int:
    """Count the tasks that can run at the same time, at least 1.

    Notes
    -----
    On a cluster this is the larger of what is there now and what the settings ask for: executors may still be
    on their way. A Connect server is asked by a tiny job, because a client cannot see its executors.
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
            "This step runs on Spark and pyspark is not installed: run `pip install 'purchasecast[spark]'`."
        ) from error


def _active_session() -> SparkSession | None:
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:  # another thread's session is still the one to share: a process has one context
        session = SparkSession._instantiatedSession
        if session is not None and session._sc._jsc is None:
            return None
    return session


def _reuse(session: SparkSession, *, master: str | None, remote: str | None, wanted: Mapping[str, str]) -> SparkSession:
    """Take the session that is there, set what can still be set and say what cannot."""
    if remote and not _is_connect(session):
        raise SettingsError(f"A Spark session already runs in this process and cannot move to {remote}: stop it first.")
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
    if not proxied:  # pyspark itself would try for ten minutes before it says that nobody answers
        try:
            port = address.port or _CONNECT_PORT
            socket.create_connection((address.hostname or "localhost", port), timeout=10).close()
        except (OSError, ValueError) as error:
            raise SparkUnavailableError(
                f"No Spark Connect server answers at {url} ({error}): check the address, and that it runs."
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
            f"The Spark Connect server at {url} did not open a session: {_first_line(error)}"
        ) from error
    return session


def _start(master: str | None, wanted: dict[str, str], app_name: str, *, few_rows: bool) -> SparkSession:
    """Start Spark from this process, or join the JVM that spark-submit has started."""
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
    os.environ.setdefault("PYSPARK_PYTHON", given.get("spark.pyspark.python", sys.executable))
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
        raise SparkUnavailableError(f"Spark did not start on {url}: {_first_line(error)}") from error


def _cores_now(spark: SparkSession) -> int:
    """Count the cores that are there at this moment."""
    if not _is_connect(spark):
        context = spark.sparkContext._jsc.sc()
        profile = context.resourceProfileManager().defaultResourceProfile()
        return int(context.maxNumConcurrentTasks(profile)) * int(_setting(spark, "spark.task.cpus", "1"))
    from pyspark.sql import functions as sf

    # A range without a number of partitions is cut into the server's default parallelism: its cores.
    partitions = spark.range(1 << 16).select(sf.spark_partition_id().alias("partition")).distinct()
    return partitions.count()


def _is_connect(spark: SparkSession) -> bool:
    return type(spark).__module__.startswith("pyspark.sql.connect")


def _setting(spark: SparkSession, key: str, default: str) -> str:
    return str(spark.conf.get(key, default))


def _first_line(error: Exception) -> str:
    """Return the line of an error that says what is wrong; Java's errors bury it under their class name."""
    java = getattr(error, "java_exception", None)
    text = str(java.getMessage() if java is not None else error).strip()
    return text.splitlines()[0] if text else type(error).__name__
