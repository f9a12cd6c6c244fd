"""Turn an error of Spark into one sentence without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPARK_FAILURES", "reason", "redacted"]

_ADD_A_JAR = "by the Spark setting spark.jars=FILE.jar"
_IN_A_WORKER = "An exception was thrown from the Python worker"
_WHAT_TO_DO = (  # errors that a user can correct, and that Spark only names
    (r".*\bNo suitable driver\b.*", f"no JDBC driver for this URL is there; add the driver's jar {_ADD_A_JAR}"),
    (
        r".*\bClassNotFoundException: (?:Class )?([\w.$]+).*",
        rf"the Java class \1 is not there; add the jar that holds it {_ADD_A_JAR}",
    ),
    (
        r"ModuleNotFoundError: No module named '([\w.]+)'",
        r"the executors' Python has no \1; install it there, or name another by the Spark setting spark.pyspark.python",
    ),
)
# Some errors of Spark, such as an unknown format, are raised as the Java exception itself.
SPARK_FAILURES: tuple[type[Exception], ...] = (PySparkException, Py4JJavaError)


def redacted(text: str, options: Mapping[str, str] | None = None) -> str:
    """Remove secrets from a text: those of the options, and those in a URL.

    Parameters
    ----------
    text : str
        Message or URL.
    options : mapping of str to str, optional
        Options of a reader or writer, with passwords.

    Returns
    -------
    str
        The text with ``***`` in place of each secret.

    Examples
    --------
    >>> redacted("jdbc:postgresql://ann:s3cret@db/shop?password=s3cret&ssl=true")
    'jdbc:postgresql://ann:***@db/shop?password=***&ssl=true'
    """
    for name, value in (options or {}).items():
        if value and re.search("password|secret|token", name, re.IGNORECASE):
            text = text.replace(value, "***")
    text = re.sub(r"(?i)((?:password|pwd|secret|token)=)[^&;,\s]+", r"\1***", text)
    return re.sub(r"(//[^/:@\s]+:)[^@/\s]+@", r"\1***@", text)


def reason(error: Exception, options: Mapping[str, str] | None = None) -> str:
    """Return the first sentence of an exception of Spark.

    Parameters
    ----------
    error : Exception
        One of `SPARK_FAILURES`.
    options : mapping of str to str, optional
        Options of a reader or writer, with passwords.

    Returns
    -------
    str
        The sentence, without error class, SQL state, secrets and full stop.
    """
    if isinstance(error, Py4JJavaError):
        java = error.java_exception
        # The message of this exception is only the name of another class.
        is_told_by_name = str(java.getClass().getName()).endswith(".ClassNotFoundException")
        text = str((not is_told_by_name and java.getMessage()) or java.toString())
    else:
        text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    if line.startswith(_IN_A_WORKER):  # a traceback follows, and in its last line the exception
        line = next((line for line in reversed(lines) if re.match(r"(?!File )[A-Za-z_][\w.]*: ", line)), line)
    line = re.sub(r"^(\([\w.$]+\)\s*)?\[[A-Z0-9_.]+\]\s*", "", line)
    line = redacted(re.sub(r"\s*SQLSTATE: \w+$", "", line), options).rstrip(".")
    for said, meant in _WHAT_TO_DO:
        line = re.sub(said, meant, line)
    return line
