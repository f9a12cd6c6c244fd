"""The errors a user of purchasecast can meet.

Every message is one sentence that says what was expected, what was found and what to do.

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
        ├── JavaNotFoundError               no Java of version 17 or later
        └── SlotsError                      more workers asked for than the cluster has slots
"""

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
    "SlotsError",
    "SourceError",
    "SparkUnavailableError",
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


class SlotsError(SparkUnavailableError):
    """More parallel workers are asked for than the cluster has slots."""
