"""Errors that purchasecast raises on purpose.

A message has the form ``WHERE: expected X, found Y; do Z.`` An argument is written ``name=``, or stands at the
beginning, as in ``folds: expected ...``; the command line shows its option instead.

::

    PurchasecastError
    ├── SchemaError (ValueError)            a schema file or a schema that contradicts itself
    ├── SettingsError (ValueError)          an argument or parameter outside its range
    ├── SourceError (OSError)               a table that cannot be found, read or written
    ├── DataError (ValueError)              a table that is not as its schema describes it
    │   ├── ColumnMismatchError             columns missing, extra or duplicated
    │   └── RejectRateError                 more rejected rows than allowed (exit code 3)
    ├── BundleError (ValueError)            a model directory that cannot be used
    │   ├── BundleVersionError              written in a format that this version does not read
    │   └── BundleCorruptError              a file missing or changed since it was written
    └── SparkUnavailableError (RuntimeError)  no Spark session can be started
        └── JavaNotFoundError               no Java of version 17 or later
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BundleCorruptError",
    "BundleError",
    "BundleVersionError",
    "ColumnMismatchError",
    "DataError",
    "JavaNotFoundError",
    "PurchasecastError",
    "RejectRateError",
    "SchemaError",
    "SettingsError",
    "SourceError",
    "SparkUnavailableError",
    "closest",
    "did_you_mean",
]


class PurchasecastError(Exception):
    """Base class of all errors of purchasecast.

    Attributes
    ----------
    exit_code : int
        Exit code of the command line: 1 for a failure, 2 for wrong usage, 3 for a failed check.
    """

    exit_code = 1


class SchemaError(PurchasecastError, ValueError):
    """A schema, or a schema file, is wrong."""


class SettingsError(PurchasecastError, ValueError):
    """An argument or a parameter is outside its range."""

    exit_code = 2


class SourceError(PurchasecastError, OSError):
    """A table cannot be found, read or written."""


class DataError(PurchasecastError, ValueError):
    """A table is not as its schema describes it."""


class ColumnMismatchError(DataError):
    """Columns are missing, extra or duplicated."""


class RejectRateError(DataError):
    """More rows are rejected than the run allows."""

    exit_code = 3


class BundleError(PurchasecastError, ValueError):
    """A model directory cannot be used."""


class BundleVersionError(BundleError):
    """The bundle was written in a format that this version does not read."""


class BundleCorruptError(BundleError):
    """A file of the bundle is missing, or has changed since it was written."""


class SparkUnavailableError(PurchasecastError, RuntimeError):
    """No Spark session can be started."""


class JavaNotFoundError(SparkUnavailableError):
    """There is no Java of version 17 or later on this machine."""


def closest(word: str, names: Iterable[str]) -> str | None:
    """Return the name most similar to a word, ignoring case.

    Parameters
    ----------
    word : str
        Word to look for.
    names : iterable of str
        Names to choose from.

    Returns
    -------
    str or None
        The name; None if no name is similar.

    Examples
    --------
    >>> closest("purchse", ["Product_ID", "Purchase"])
    'Purchase'
    """
    by_folded = {name.casefold(): name for name in names}
    matches = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the clause ``; did you mean X?``.

    Parameters
    ----------
    word : str
        Word to look for.
    names : iterable of str
        Names to choose from.

    Returns
    -------
    str
        The clause for the end of an error message; empty if no name is similar.

    Examples
    --------
    >>> did_you_mean("nominl", ["nominal", "ordinal"])
    '; did you mean nominal?'
    >>> did_you_mean("xyz", ["nominal", "ordinal"])
    ''
    """
    name = closest(word, names)
    return f"; did you mean {name}?" if name else ""
