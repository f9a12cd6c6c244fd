"""Read the columns of a schema from files or databases.

Nothing is inferred. The header of a CSV file is compared with the schema, then all values are read as text, in the
order of the file, so that validation can name the wrong value of a row. Other formats keep their types.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from gzip import BadGzipFile
from typing import TYPE_CHECKING, Literal, NamedTuple

from pyspark.sql import functions as sf
from pyspark.sql.types import StringType, StructField, StructType

from purchasecast.errors import ColumnMismatchError, SettingsError, SourceError, closest
from purchasecast.io.csv_header import read_header
from purchasecast.io.database import jdbc_options
from purchasecast.io.formats import CSV_DIALECT, FORMAT_OF_SUFFIX, suffix_of
from purchasecast.schema.reserved_columns import CORRUPT, POSITION
from purchasecast.schema.values import NUMBER_LOSES, WRITTEN_NUMBER, delimiter_of
from purchasecast.spark import is_remote
from purchasecast.spark.columns import col, without_blanks
from purchasecast.spark.failures import SPARK_FAILURES, reason, redacted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

    from purchasecast.schema import Schema

__all__ = ["UntypedTable", "read_table", "read_untyped", "take_frame", "untyped"]


_LOGGER = logging.getLogger(__name__)
_IGNORED = "_pc_ignored_"
_PLACE = "_pc_column_"
# Without these, malformed lines could not be counted: users may not change them.
_CSV_OWN = {
    "header": "true",
    "mode": "PERMISSIVE",  # keeps malformed lines; the other modes drop them, or stop at the first
    "columnNameOfCorruptRecord": CORRUPT,
    "columnPruning": "false",  # with pruning Spark no longer counts the fields of a line
    "enforceSchema": "true",  # the header was compared already, with a better message
    "inferSchema": "false",
    "ignoreLeadingWhiteSpace": "true",
    "ignoreTrailingWhiteSpace": "true",
}
_SYNONYMS = {"delimiter": "sep", "charset": "encoding"}
# The first lines of local files are read by Python, which has errors of its own.
_UNREADABLE: tuple[type[Exception], ...] = (*SPARK_FAILURES, EOFError, BadGzipFile)


def read_table(
    spark: SparkSession,
    location: str | Path,
    schema: Schema,
    *,
    format: str | None = None,  # noqa: A002  Spark's own name for it
    table: str | None = None,
    options: Mapping[str, str] | None = None,
    target: Literal["required", "optional"] = "required",
) -> DataFrame:
    """Read the columns of a schema from a table, without checking values.

    Parameters
    ----------
    spark : SparkSession
        Spark session.
    location : str or Path
        File, folder, glob or ``jdbc:`` URL.
    schema : Schema
        Description of the table.
    format : str, optional
        Any format that Spark reads; by default it follows from the suffix of the file, or of the first file in the
        folder.
    table : str, optional
        Table, or query in brackets, of a ``jdbc:`` URL.
    options : mapping of str to str, optional
        Options of Spark's reader. ``user`` and ``password`` of a database are taken from here, otherwise from the
        environment variables ``PURCHASECAST_JDBC_USER`` and ``PURCHASECAST_JDBC_PASSWORD``. To read it in parallel,
        set ``partitionColumn``, ``lowerBound``, ``upperBound`` and ``numPartitions``.
    target : {"required", "optional"}, default "required"
        Whether the table must have the target and the weight; optional ones that are missing are missing in the
        result.

    Returns
    -------
    DataFrame
        One row a record of the source, with the columns of the schema in its order (text for CSV);
        ``_pc_corrupt``, the whole line if a CSV line has too few or too many fields, otherwise null; and
        ``_pc_position``, a number that grows with the place in the source.

    Raises
    ------
    SourceError
        If the source cannot be found or read.
    ColumnMismatchError
        If columns are missing, unknown or duplicated.
    SettingsError
        If an option is one that purchasecast sets itself, or `table` does not fit `location`.
    """
    place, given = str(location), {key: str(value) for key, value in (options or {}).items()}
    opened = _open(spark, place, format, table, given, schema.csv)
    if opened.frame is not None:
        return _checked(opened.frame, place, schema, target)
    _check_columns(place, opened.names, schema, target)
    frame = _load(spark, place, "csv", {**opened.csv_options, **_CSV_OWN}, _csv_schema(opened.header, schema))
    return _with_position(_with_plain_numbers(frame, schema), schema)


def read_untyped(
    spark: SparkSession,
    location: str | Path,
    *,
    format: str | None = None,  # noqa: A002  Spark's own name for it
    table: str | None = None,
    options: Mapping[str, str] | None = None,
) -> UntypedTable:
    """Read all columns of a table that no schema describes yet.

    Parameters
    ----------
    spark : SparkSession
        Spark session.
    location : str or Path
        File, folder, glob or ``jdbc:`` URL.
    format : str, optional
        Any format that Spark reads; by default it follows from the suffix.
    table : str, optional
        Table of a ``jdbc:`` URL.
    options : mapping of str to str, optional
        Options of Spark's reader.

    Returns
    -------
    UntypedTable
        The names and the rows (CSV: all text, lines with too few or too many fields left out).

    Raises
    ------
    SourceError
        If the source cannot be found or read.
    """
    place, given = str(location), {key: str(value) for key, value in (options or {}).items()}
    opened = _open(spark, place, format, table, given, {})
    if opened.frame is not None:
        return untyped(opened.frame)
    made = [f"{_PLACE}{number}" for number in range(len(opened.names))]
    # Columns that folder names hold come after those of the files.
    fields = [StructField(name, StringType()) for name in [*made[: len(opened.header)], CORRUPT]]
    frame = _load(spark, place, "csv", {**opened.csv_options, **_CSV_OWN}, StructType(fields))
    frame = frame.where(sf.col(CORRUPT).isNull()).drop(CORRUPT).toDF(*made)
    return UntypedTable(opened.names, frame, is_csv=True)


def untyped(frame: DataFrame) -> UntypedTable:
    """Return a frame as `read_untyped` does."""
    made = (f"{_PLACE}{number}" for number in range(len(frame.columns)))
    return UntypedTable(frame.columns, frame.toDF(*made), is_csv=False)


class UntypedTable(NamedTuple):
    """All columns of a table that no schema describes yet.

    Parameters
    ----------
    names : list of str
        The names in the source; they may be empty or there twice.
    frame : DataFrame
        The rows; the columns are called by their places, ``_pc_column_0`` and so on.
    is_csv : bool
        Whether it comes from CSV files, whose columns are all text.
    """

    names: list[str]
    frame: DataFrame
    is_csv: bool


@dataclass(frozen=True, slots=True)
class _Opened:
    """A table with known columns: a frame, or the header and the options of a CSV file."""

    names: list[str]
    frame: DataFrame | None
    header: list[str] = field(default_factory=list)
    csv_options: dict[str, str] = field(default_factory=dict)


def _open(
    spark: SparkSession, place: str, kind: str | None, table: str | None, given: dict[str, str], csv: Mapping[str, str]
) -> _Opened:
    """Read the names of the columns of a table; `csv` is what its schema says of CSV files."""
    if place.startswith("jdbc:"):
        frame = _load(spark, place, "jdbc", jdbc_options(place, table, given))
        return _Opened(frame.columns, frame)
    if table is not None:
        raise SettingsError(f"table: expected one for a jdbc: URL only, found {table} for {place}; leave it out.")
    if kind is not None and kind.lower() not in {"csv", *FORMAT_OF_SUFFIX.values()}:
        frame = _load(spark, place, kind, given)
        return _Opened(frame.columns, frame)
    files, partition_columns = _list_files(spark, place)
    kind = (kind or _format_of(files[0])).lower()
    if kind != "csv":
        frame = _load(spark, place, kind, given)
        return _Opened(frame.columns, frame)
    options = _csv_options(given, files[0], csv)
    try:
        header = read_header(spark, files, options)
        if len(header) == 1 and "sep" not in options and "delimiter" not in {name.lower() for name in options}:
            options["sep"] = delimiter_of(header[0])
            header = read_header(spark, files, options)
    except _UNREADABLE as error:
        raise SourceError(f"{place}: cannot read it as csv: {reason(error)}.") from error
    return _Opened([*header, *partition_columns], None, header, options)


def take_frame(frame: DataFrame, schema: Schema, *, target: Literal["required", "optional"] = "required") -> DataFrame:
    """Take the columns of a schema from a frame, unchecked.

    Parameters
    ----------
    frame : DataFrame
        Any frame of Spark.
    schema : Schema
        What it should look like.
    target : {"required", "optional"}, default "required"
        Whether the target (and the weight) must be there.

    Returns
    -------
    DataFrame
        As `read_table` returns it.

    Raises
    ------
    ColumnMismatchError
        If columns are missing, unknown or there twice.
    """
    return _checked(frame, "data", schema, target)


def _load(
    spark: SparkSession, place: str, kind: str, options: Mapping[str, str], schema: StructType | None = None
) -> DataFrame:
    reader = spark.read.format(kind).options(**options)
    if schema is not None:
        reader = reader.schema(schema)
    try:
        frame = reader.load() if kind == "jdbc" else reader.load(place)
        frame.columns  # noqa: B018  Spark Connect looks at the source only when it needs a result
    except SPARK_FAILURES as error:
        # `from None`: the original holds the options, and with them the password
        named = redacted(place, options)
        raise SourceError(f"{named}: cannot read it as {kind}{_whose(spark)}: {reason(error, options)}.") from None
    return frame


def _whose(spark: SparkSession) -> str:
    """Return a remark on the machine that a path is one of, where that is another."""
    return " on the Connect server, whose path it must be" if is_remote(spark) else ""


def _list_files(spark: SparkSession, place: str) -> tuple[list[str], list[str]]:
    """Return the files of a location, and the columns in the names of its folders (``Year=2024``)."""
    # The format "text" lists files of any kind without looking into them, on any storage that Spark reaches.
    try:
        listing = spark.read.format("text").load(place)
        partition_columns = [name for name in listing.columns if name != "value"]
        files = sorted(listing.inputFiles())
    except SPARK_FAILURES as error:
        raise SourceError(f"{place}: cannot read it{_whose(spark)}: {reason(error)}.") from None
    if not files:
        raise SourceError(f"{place}: expected a table, found a folder without files; check the path.")
    return files, partition_columns


def _format_of(file: str) -> str:
    kind = FORMAT_OF_SUFFIX.get(suffix_of(file))
    if kind is None:
        raise SourceError(
            f"{file}: expected a file name that ends in one of {', '.join(FORMAT_OF_SUFFIX)}, found another; name "
            "the format=."
        )
    return kind


def _csv_options(given: Mapping[str, str], file: str, described: Mapping[str, str]) -> dict[str, str]:
    """Return the options of the reader: what the user says, else the schema, else what is usual."""
    own = {name.lower() for name in _CSV_OWN}
    for name in given:
        if name.lower() in own:
            raise SettingsError(f"options: expected none that purchasecast sets itself, found {name}; leave it out.")
    said = {_SYNONYMS.get(name.lower(), name.lower()) for name in given}
    described = {name: value for name, value in described.items() if name.lower() not in {"decimal", *said}}
    given = {**described, **given}
    separator = {"sep": "\t"} if suffix_of(file) == ".tsv" and "delimiter" not in given else {}
    encoding = next((value for name, value in given.items() if name.lower() in {"encoding", "charset"}), "")
    # Spark splits lines at the byte of a line feed, which in these encodings is only a part of a character.
    whole = {"multiLine": "true"} if re.match(r"(?i)utf-?(16|32)", encoding) else {}
    return {**CSV_DIALECT, **separator, **whole, **given}


def _csv_schema(header: Sequence[str], schema: Schema) -> StructType:
    """Name the fields of a line in the order of the header, which may differ from that of the schema."""
    folded = Counter(name.casefold() for name in header)
    names = [
        # Only names that Spark cannot tell apart are replaced: it logs a warning for each name that is not in the file.
        name if name in schema.names or (name and folded[name.casefold()] == 1) else f"{_IGNORED}{place}"
        for place, name in enumerate(header)
    ]
    return StructType([StructField(name, StringType()) for name in [*names, CORRUPT]])


def _checked(frame: DataFrame, place: str, schema: Schema, target: str) -> DataFrame:
    _check_columns(place, frame.columns, schema, target)
    return _with_position(frame.withColumn(CORRUPT, sf.lit(None).cast("string")), schema)


def _with_plain_numbers(frame: DataFrame, schema: Schema) -> DataFrame:
    """Write numbers as validation reads them, where the schema says how its CSV files write them."""
    decimal = schema.csv.get("decimal")
    if decimal is None:
        return frame
    numeric = {column.name for column in schema.columns if column.kind == "numeric"}
    columns = []
    for name in frame.columns:
        value = col(name)
        if name in numeric:
            text = without_blanks(value)
            plain = sf.translate(sf.translate(text, NUMBER_LOSES[decimal], ""), ",", ".")
            value = sf.when(text.rlike(f"^(?:{WRITTEN_NUMBER[decimal]})$"), plain).otherwise(value).alias(name)
        columns.append(value)
    return frame.select(*columns)


def _with_position(frame: DataFrame, schema: Schema) -> DataFrame:
    existing = set(frame.columns)
    columns = [col(name) for name in (*schema.names, CORRUPT) if name in existing]
    # At once: the id is the place in the source only while no row has been filtered or moved.
    return frame.select(*columns, sf.monotonically_increasing_id().alias(POSITION))


def _check_columns(place: str, found: Sequence[str], schema: Schema, target: str) -> None:
    required = schema.required_columns(with_target=target == "required")
    counts = Counter(found)
    missing = [name for name in required if name not in counts]
    extra = [name for name in counts if name not in schema.names and not schema.ignores(name)]
    twice = [name for name in schema.names if counts[name] > 1]
    if not (missing or extra or twice):
        return
    lines = [f"{place}: expected the columns of schema {schema.name}, found others."]
    if missing:
        lines.append(f"  missing:  {', '.join(missing)}")
    if extra:
        lines.append(f"  unknown:  {', '.join(_with_guess(name, missing) for name in extra)}")
    if twice:
        lines.append(f"  twice:    {', '.join(twice)}")
    is_text = all(name.isprintable() and "\N{REPLACEMENT CHARACTER}" not in name for name in found)
    lines += [
        f"  expected: {', '.join(required)}",
        f"  found:    {', '.join(map(_shown, found))}",
        "Rename the columns, use another schema, or list what is not needed under ignore in the schema."
        if is_text
        else "This is no text in UTF-8: if it is text, name its encoding by a reader's option encoding=UTF-16.",
    ]
    raise ColumnMismatchError("\n".join(lines))


def _shown(name: str) -> str:
    """Return a name fit for a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name) or "(no name)"


def _with_guess(name: str, missing: Sequence[str]) -> str:
    guess = closest(name, missing)
    return f"{_shown(name)} (did you mean {guess}?)" if guess else _shown(name)
