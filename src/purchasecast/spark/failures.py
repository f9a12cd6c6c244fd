"""Turn an error of Spark into one sentence without secrets."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException

from purchasecast.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SPARK_FAILURES", "reading", "reason", "redacted", "refusal"]

_MAX_CAUSES = 8
_ADD_A_JAR = "by the Spark setting spark.jars=FILE.jar"
_IN_A_WORKER = "An exception was thrown from the Python worker"
_WHAT_TO_DO = (  # errors that a user can correct, and that Spark only names
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full; free some space, or choose another place",
    ),
    (r"Encountered error while reading file (\S+?)\.?(?:\s|$)", r"\1 is damaged or incomplete; copy it again"),
    (r"\bNo suitable driver\b", f"no JDBC driver for this URL is there; add the driver's jar {_ADD_A_JAR}"),
    (
        # Of an unknown format, Spark looks for a class DefaultSource; its own sentence names the format.
        r"\bClassNotFoundException: (?:Class )?(?!\S+\.DefaultSource\b)([\w.$]+)",
        rf"the Java class \1 is not there; add the jar that holds it {_ADD_A_JAR}",
    ),
    (
        r"ModuleNotFoundError: No module named '([\w.]+)'",
        r"the executors' Python has no \1; install it there, or name another by the Spark setting spark.pyspark.python",
    ),
    (
        # A damaged value that a decoder met: it knows neither the file nor the column.
        r"java\.(?:lang|nio)\.(?:\w*IndexOutOfBounds|NegativeArraySize|NullPointer|IllegalState|Buffer\w+)Exception",
        "a task failed on its data; one of the files may be damaged: copy them again",
    ),
)
_DATABASE = (  # of a database
    (r"password authentication failed|no password was provided", "it refused the user or the password"),
    (
        r"Connection to \S+ refused|connection attempt failed|UnknownHostException|Connection refused",
        "no database answers at this address; check host and port",
    ),
    (r'relation ("[^"]+") does not exist', r"it has no table \1"),
    (r'database ("[^"]+") does not exist', r"it has no database \1"),
)
_HINT_OF_DRIVER = "  Call getNextException to see other errors in the batch."  # for programmers in Java
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

    Examples
    --------
    >>> reason(PySparkException("Job aborted: Lost task 0.0: java.lang.ArrayIndexOutOfBoundsException: Index 3"))
    'a task failed on its data; one of the files may be damaged: copy them again'
    """
    text = _told(error)
    for said, meant in (*(_DATABASE if "url" in (options or {}) else ()), *_WHAT_TO_DO):
        match = re.search(said, text)
        if match:
            return redacted(match.expand(meant), options)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    if line.startswith(_IN_A_WORKER):  # a traceback follows, and in its last line the exception
        line = next((line for line in reversed(lines) if re.match(r"(?!File )[A-Za-z_][\w.]*: ", line)), line)
    line = re.sub(r"^(\([\w.$]+\)\s*)?\[[A-Z0-9_.]+\]\s*", "", line)
    return redacted(re.sub(r"\s*SQLSTATE: \w+$", "", line), options).rstrip(".")


@contextmanager
def reading(place: str) -> Iterator[None]:
    """Tell an error of Spark inside as one of the source that is read.

    Parameters
    ----------
    place : str
        What is read, for the message.

    Raises
    ------
    SourceError
        If Spark fails.
    """
    try:
        yield
    except SPARK_FAILURES as error:
        raise SourceError(f"{place}: cannot read it: {reason(error)}.") from error


def _told(error: Exception) -> str:
    """Return what an exception says, and below it what its causes say."""
    java = error.java_exception if isinstance(error, Py4JJavaError) else getattr(error, "_origin", None)
    if java is None:  # an exception of Python, or of Spark Connect
        return str(error)
    texts = [] if isinstance(error, Py4JJavaError) else [str(error)]
    while java is not None and len(texts) < _MAX_CAUSES:
        # The message of this exception is only the name of another class.
        is_told_by_name = str(java.getClass().getName()).endswith(".ClassNotFoundException")
        texts.append(str((not is_told_by_name and java.getMessage()) or java.toString()))
        java = java.getCause()
    return "\n".join(texts)


def refusal(error: Exception, options: Mapping[str, str] | None = None) -> str:
    """Return why a database did not take a table, without any value of its rows.

    Parameters
    ----------
    error : Exception
        One of `SPARK_FAILURES`.
    options : mapping of str to str, optional
        Options of the writer, with passwords.

    Returns
    -------
    str
        The sentence, as of `reason`.

    Examples
    --------
    >>> refusal(PySparkException('Batch entry 0 INSERT INTO "p" VALUES (17) was aborted: ERROR: value too long: "ab"'))
    'the database said: value too long'
    >>> refusal(PySparkException("FATAL: no more  Call getNextException to see other errors in the batch."))
    'the database said: no more'
    """
    text = _told(error)
    known = reason(error, options)
    if any(re.search(said, text) for said, _ in (*_WHAT_TO_DO, *_DATABASE)):
        return known
    # Whatever stands in quotes or brackets may be a value.
    said = re.search(r"\b(?:ERROR|FATAL): ([^\n\"'()]+)", text.replace(_HINT_OF_DRIVER, ""))
    if said:
        return f"the database said: {said.group(1).strip().rstrip(':.')}"
    return known if "INSERT INTO" not in text and "VALUES" not in text else "the database refused the rows"
