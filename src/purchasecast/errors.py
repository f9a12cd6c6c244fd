"""The errors a user of purchasecast can meet.

Every message is one sentence that says what was expected, what was found and what to do. An argument is written
``name=``, or stands at the beginning, as in ``folds: expected ...``; the command line shows its option instead.

::

    PurchasecastError
    ├── SchemaError (ValueError)            a schema file or a schema that contradicts itself
    ├── SettingsError (ValueError)          an option or parameter outside its range
    ├── SourceError (OSError)               a table that cannot be found, read or written
    ├── DataError (ValueError)              a table that is not what its schema says
    │   ├── ColumnMismatchError             columns missing, extra or named twice
    │   └── RejectRateError                 more bad rows than allowed (exit code 3)
    ├── BundleError (ValueError)            a model directory that cannot be used
    │   ├── BundleVersionError              written by a format this version does not read
    │   └── BundleCorruptError              a file missing or changed since it was written
    └── SparkUnavailableError (RuntimeError)  no Spark session can be had
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
    """Base of every error that purchasecast raises on purpose.

    Attributes
    ----------
    exit_code : int
        What the command line exits with: 1 for a failure, 2 for wrong usage, 3 for a check that did not hold.
    """

    exit_code = 1


class SchemaError(PurchasecastError, ValueError):
    """A schema file, or a schema, is wrong."""


class SettingsError(PurchasecastError, ValueError):
    """An option or a parameter is outside its range."""

    exit_code = 2


class SourceError(PurchasecastError, OSError):
    """A table cannot be found, read or written."""


class DataError(PurchasecastError, ValueError):
    """A table is not what its schema says."""


class ColumnMismatchError(DataError):
    """Columns are missing, extra or named twice."""


class RejectRateError(DataError):
    """More rows are bad than the run allows."""

    exit_code = 3


class BundleError(PurchasecastError, ValueError):
    """A model directory cannot be used."""


class BundleVersionError(BundleError):
    """The bundle was written in a format that this version does not read."""


class BundleCorruptError(BundleError):
    """A file of the bundle is missing, or is not the one that was written."""


class SparkUnavailableError(PurchasecastError, RuntimeError):
    """No Spark session can be had."""


class JavaNotFoundError(SparkUnavailableError):
    """No Java of version 17 or later is on this machine."""


def closest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that looks most like a word, whatever the case of either.

    Parameters
    ----------
    word : str
        What was written.
    names : iterable of str
        What could have been meant.

    Returns
    -------
    str or None
        The likeliest name; None where nothing comes near.

    Examples
    --------
    >>> closest("purchse", ["Product_ID", "Purchase"])
    'Purchase'
    """
    by_folded = {name.casefold(): name for name in names}
    matches = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the clause ``; did you mean X?``, or nothing where no name comes near.

    Parameters
    ----------
    word : str
        What was written.
    names : iterable of str
        What could have been meant.

    Returns
    -------
    str
        A clause to put behind an error message.

    Examples
    --------
    >>> did_you_mean("nominl", ["nominal", "ordinal"])
    '; did you mean nominal?'
    >>> did_you_mean("xyz", ["nominal", "ordinal"])
    ''
    """
    name = closest(word, names)
    return f"; did you mean {name}?" if name else ""
