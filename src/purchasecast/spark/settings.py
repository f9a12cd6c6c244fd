"""Spark settings of the user, from all the places they can be in, and defaults for the others.

``spark-defaults.conf``, ``PYSPARK_SUBMIT_ARGS`` and Spark's environment variables are read as ``spark-submit`` reads
them, because a setting passed at the start of the JVM would override most of them.
"""

from __future__ import annotations

import os
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from purchasecast.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["default_settings", "given_settings", "master_cores", "parse_conf"]

_GIB = 1024**3
_MIN_DRIVER_BYTES, _MAX_DRIVER_BYTES = _GIB, 6 * _GIB
_STACK = "-Xss4m"  # Java reads long plans recursively
_QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
# Options of spark-submit, by the settings that they set.
_SUBMIT_OPTIONS = {
    "--master": "spark.master",
    "--remote": "spark.remote",
    "--name": "spark.app.name",
    "--driver-memory": "spark.driver.memory",
    "--driver-java-options": "spark.driver.extraJavaOptions",
}


def parse_conf(pairs: Iterable[str]) -> dict[str, str]:
    """Parse Spark settings written as ``KEY=VALUE``.

    Parameters
    ----------
    pairs : iterable of str
        Settings, such as ``spark.executor.memory=4g``.

    Returns
    -------
    dict of str to str
        Values by key.

    Raises
    ------
    SettingsError
        If a pair has no key, no ``=`` or a key that does not begin with ``spark.``.

    Examples
    --------
    >>> parse_conf(("spark.executor.memory=4g", "spark.jars=a.jar,b.jar"))
    {'spark.executor.memory': '4g', 'spark.jars': 'a.jar,b.jar'}
    """
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not re.fullmatch(r"spark\.\S+", key):
            raise SettingsError(
                f"conf: expected spark.KEY=VALUE, found {pair!r}; write for example spark.executor.memory=4g."
            )
        settings[key] = value.strip()
    return settings


def default_settings(url: str, *, verbose: bool, few_rows: bool = False) -> dict[str, str]:
    """Return the default settings for a master.

    Parameters
    ----------
    url : str
        Spark master that this process starts Spark on.
    verbose : bool
        Whether to log what Spark and Java say.
    few_rows : bool, default False
        Whether to compile less, for about ten thousand rows.

    Returns
    -------
    dict of str to str
        Values by key.
    """
    defaults = {
        "spark.driver.memory": f"{_driver_bytes() // 1024**2}m",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",  # dates must not depend on where a run happens
        "spark.ui.showConsoleProgress": "false",  # the command line shows its own progress
        # Java does not compile a method with more bytes of code than this, so that Spark must split its code.
        "spark.sql.codegen.hugeMethodLimit": "8000",
        # Off: Python would send its own line of code to Java with every column expression, at three times the cost.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
    }
    java_options = [_STACK, *([_QUICK_COMPILER] if few_rows else [])]
    logging_file = Path(__file__).with_name("log4j2.properties")
    if logging_file.is_file() and not (_spark_conf_folder() / "log4j2.properties").is_file():
        java_options.append(f"-Dlog4j2.configurationFile={logging_file.as_uri()}")
        java_options += ["-Dpurchasecast.log.level=warn", "-Dpurchasecast.log.tasks=error"] if verbose else []
    if not verbose:  # Java's own logging, which some of Spark's libraries use, takes a path and no URI
        quiet = Path(__file__).with_name("java_logging.properties")
        java_options.append(shlex.quote(f"-Djava.util.logging.config.file={quiet}"))
    defaults["spark.driver.extraJavaOptions"] = " ".join(java_options)
    defaults["spark.executor.extraJavaOptions"] = _STACK
    if few_rows:
        defaults["spark.sql.codegen.wholeStage"] = "false"  # compiling a plan takes longer than running it
    if not url.startswith("local"):
        return defaults
    cores = master_cores(url) or _machine_cores()
    defaults["spark.sql.shuffle.partitions"] = str(max(2 * cores, 4))
    # Rows are cached for a minute: compressing them costs more than it saves.
    defaults["spark.sql.inMemoryColumnarStorage.compressed"] = "false"
    defaults["spark.ui.enabled"] = "false"  # nobody looks at it, and it opens a port
    if "SPARK_LOCAL_IP" not in os.environ:  # laptops change networks; a container may not know its name
        defaults["spark.driver.bindAddress"] = "127.0.0.1"
        defaults["spark.driver.host"] = "127.0.0.1"
    return defaults


def given_settings() -> dict[str, str]:
    """Collect the Spark settings made outside this program; later sources override earlier ones, as in spark-submit."""
    given: dict[str, str] = {}
    if memory := os.environ.get("SPARK_DRIVER_MEMORY"):
        given["spark.driver.memory"] = memory
    arguments, properties = _parse_submit_args(os.environ.get("PYSPARK_SUBMIT_ARGS", ""))
    return given | _read_properties(properties or _spark_conf_folder() / "spark-defaults.conf") | arguments


def _spark_conf_folder() -> Path:
    if folder := os.environ.get("SPARK_CONF_DIR"):
        return Path(folder)
    if home := os.environ.get("SPARK_HOME"):
        return Path(home) / "conf"
    package = find_spec("pyspark")
    return Path(package.origin).parent / "conf" if package and package.origin else Path("conf")


def _read_properties(path: Path) -> dict[str, str]:
    """Read lines ``key value``, ``key=value`` or ``key: value``; there are none if there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (re.split(r"\s*[=:\s]\s*", line.strip(), maxsplit=1) for line in lines)
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[0][0] not in "#!"}


def _parse_submit_args(text: str) -> tuple[dict[str, str], Path | None]:
    """Parse options of spark-submit: settings, and the path of a properties file."""
    given: dict[str, str] = {}
    properties = None
    words = iter(shlex.split(text))
    for word in words:
        option, equals, value = word.partition("=")
        if option in {*_SUBMIT_OPTIONS, "--conf", "-c", "--properties-file"} and not equals:
            value = next(words, "")
        if option in _SUBMIT_OPTIONS:
            given[_SUBMIT_OPTIONS[option]] = value
        elif option in {"--conf", "-c"}:
            key, _, setting = value.partition("=")
            given[key] = setting
        elif option == "--properties-file":
            properties = Path(value)
    return given, properties


def _driver_bytes() -> int:
    """Return a quarter of the memory that this process may use, within bounds; Python workers need the rest."""
    limits = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # limits of a container, cgroup 2 and 1
        try:
            limits.append(int((Path("/sys/fs/cgroup") / name).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    try:
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        limits.append(8 * _GIB)
    return min(max(min(limits) // 4, _MIN_DRIVER_BYTES), _MAX_DRIVER_BYTES)


def _machine_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def master_cores(url: str) -> int | None:
    """Return the number of cores in the URL of a local master; None if it has none."""
    if url == "local":
        return 1
    if match := re.match(r"local\[\s*(\d+)", url):
        return int(match.group(1))
    if match := re.match(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)", url):
        return int(match.group(1)) * int(match.group(2))
    return None
