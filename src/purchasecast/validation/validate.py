"""Tell good rows from bad ones, and say of every bad one what is wrong with it.

The rules come from the schema and are column expressions (`rules`). Nothing is dropped: every row of the source
is either accepted, with typed values, or rejected, with its original text and its reasons.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pyspark.sql import Window
from pyspark.sql import functions as sf
from pyspark.storagelevel import StorageLevel

from purchasecast.errors import SourceError
from purchasecast.io import write_single_csv
from purchasecast.results import ValidationReport
from purchasecast.schema.reserved_columns import CORRUPT, POSITION
from purchasecast.spark.columns import col
from purchasecast.validation.rules import DUPLICATE, MALFORMED, check_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from pyspark.sql import Column, DataFrame

    from purchasecast.schema import Schema
    from purchasecast.validation.rules import Checked

__all__ = ["DUPLICATE", "MALFORMED", "REASONS", "Validated", "validate", "write_rejects"]

REASONS = "reasons"

_LOGGER = logging.getLogger(__name__)
_HASH = "_pc_hash"
_ROWS = "_pc_rows"


@dataclass(frozen=True, slots=True)
class Validated:
    """The rows of a table, good and bad, and the report on them.

    Use it in a ``with`` statement, or call `close`, to free what it caches.

    Parameters
    ----------
    accepted : DataFrame
        Good rows: the columns of the schema, typed (nominal and ordinal: canonical text; numeric: double;
        date: date or timestamp), and ``_pc_position``.
    read_rejected : function
        Returns the bad rows; call `rejected`.
    report : ValidationReport
        The counts.
    cached : tuple of DataFrame
        What `close` frees.
    """

    accepted: DataFrame
    read_rejected: Callable[[], DataFrame]
    report: ValidationReport
    cached: tuple[DataFrame, ...] = ()

    @property
    def rejected(self) -> DataFrame:
        """Bad rows: what stood in the source.

        The columns of the schema as they were read, in text; ``_pc_corrupt`` (the whole line, where it has too few or
        too many fields); ``_pc_position``; and ``reasons``, an array of text. Planned when asked for: it takes as
        long to plan as the good rows.
        """
        return self.read_rejected()

    def close(self) -> None:
        """Free what is cached; the frames stay usable, from the source."""
        for frame in self.cached:
            frame.unpersist()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free what is cached."""
        self.close()


def validate(
    raw: DataFrame,
    schema: Schema,
    *,
    target: Literal["required", "optional"] = "required",
    check_duplicates: bool = True,
    cache: bool = False,
) -> Validated:
    """Check every row of a table against its schema.

    Parameters
    ----------
    raw : DataFrame
        What `read_table` returned: one row a record of the source.
    schema : Schema
        What the rows should look like.
    target : {"required", "optional"}, default "required"
        Whether a row must have target and weight. Where it need not, one that is there must still be valid.
    check_duplicates : bool, default True
        Whether to look for rows with the same key. The first in the source is accepted, later ones are not.
    cache : bool, default False
        Whether to keep the typed rows in memory, and on disk where that does not suffice, for a caller who
        reads them several times. `Validated.close` frees them.

    Returns
    -------
    Validated
        Accepted rows, rejected rows and the report.

    Notes
    -----
    One pass over the source gives all counts; with a key it shuffles one hash a row. Only if two good rows share
    a hash, a second pass ranks the rows of those hashes by their whole key. Reading `accepted` is a pass of its
    own unless `cache` is set, and reading `rejected` always is.
    """
    started = time.monotonic()
    required = target == "required"
    checked = check_rows(raw, schema, target_required=required)
    cached = [checked.frame.persist(StorageLevel.MEMORY_AND_DISK)] if cache else []
    names = [name for name in checked.frame.columns if name in schema.names]
    key = [name for name in schema.key if name in names] if check_duplicates else []
    nullable = [name for name in names if schema.column(name).null != "forbidden"]
    report, suspects = _count(checked, key, nullable)
    duplicates = None
    if suspects:
        duplicates = _later_duplicates(checked, key, nullable).persist(StorageLevel.MEMORY_AND_DISK)
        cached.append(duplicates)
        report = _with_duplicates(report, duplicates)
        checked = checked.mark_duplicates(duplicates)
    _LOGGER.info(
        "validated %d rows: %d accepted, %d rejected, %.1f s",
        report.rows,
        report.accepted,
        report.rejected,
        time.monotonic() - started,
    )
    return Validated(
        accepted=checked.frame.where(checked.good()).drop(*checked.bits),
        read_rejected=partial(_rejected, raw, schema, required=required, duplicates=duplicates),
        report=report,
        cached=tuple(cached),
    )


def _rejected(raw: DataFrame, schema: Schema, *, required: bool, duplicates: DataFrame | None) -> DataFrame:
    originals = check_rows(raw, schema, target_required=required, originals=True)
    if duplicates is not None:
        originals = originals.mark_duplicates(duplicates)
    bad = originals.frame.where(~originals.good())
    return bad.withColumn(REASONS, originals.reasons()).drop(*originals.bits)


def write_rejects(validated: Validated, folder: str | Path) -> Path:
    """Write the rejected rows and the report, for people.

    Parameters
    ----------
    validated : Validated
        What `validate` returned.
    folder : str or Path
        Where to; it is created. Files of an earlier call are replaced.

    Returns
    -------
    Path
        The CSV file ``rejects.csv``: one row a rejected row, in the order of the source; the reasons in one
        field with semicolons between, the whole line of a malformed one in ``line``. ``report.json`` lies beside.

    Raises
    ------
    SourceError
        If the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(validated.report.to_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write the rejects to {folder}: {error.strerror}") from error
    path = folder / "rejects.csv"
    rows = validated.rejected.withColumn(REASONS, sf.array_join(REASONS, "; "))
    write_single_csv(rows.withColumnRenamed(CORRUPT, "line"), path, mode="overwrite")
    return path


def _count(checked: Checked, key: Sequence[str], nullable: Sequence[str]) -> tuple[ValidationReport, int]:
    """Count rows by the rules they break, and the hashes of keys that more than one good row has."""
    empty = [sf.count_if(col(name).isNull()).alias(f"{_ROWS}_{i}") for i, name in enumerate(nullable)]
    rows = sf.count(sf.lit(1)).alias(_ROWS)
    if key:
        by_key = checked.frame.groupBy(*checked.bits, _key_hash(checked, key)).agg(rows, *empty)
        totals = [sf.sum(name).alias(name) for name in by_key.columns if name.startswith(_ROWS)]
        shared = sf.count_if((sf.col(_ROWS) > 1) & sf.col(_HASH).isNotNull()).alias(_HASH)
        groups = by_key.groupBy(*checked.bits).agg(*totals, shared).collect()
    else:
        groups = checked.frame.groupBy(*checked.bits).agg(rows, *empty, sf.lit(0).alias(_HASH)).collect()
    accepted = suspects = 0
    reasons: dict[str, int] = {}
    nulls = dict.fromkeys(nullable, 0)
    for group in groups:
        broken = checked.broken(group)
        for reason in broken:
            reasons[reason] = reasons.get(reason, 0) + group[_ROWS]
        if not broken:
            accepted, suspects = group[_ROWS], group[_HASH]
            nulls = {name: group[f"{_ROWS}_{i}"] for i, name in enumerate(nullable)}
    total = sum(group[_ROWS] for group in groups)
    return ValidationReport(total, accepted, total - accepted, _by_count(reasons), nulls), suspects


def _by_count(reasons: dict[str, int]) -> dict[str, int]:
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))


def _key_hash(checked: Checked, key: Sequence[str]) -> Column:
    columns = [col(name) for name in key]
    return sf.when(checked.good(), sf.xxhash64(*columns)).alias(_HASH)


def _later_duplicates(checked: Checked, key: Sequence[str], nullable: Sequence[str]) -> DataFrame:
    """Return the positions of good rows whose key an earlier good row has, and which values they lack."""
    columns = [col(name) for name in key]
    empty = [col(name).isNull().alias(f"{_ROWS}_{i}") for i, name in enumerate(nullable)]
    good = checked.frame.where(checked.good()).select(*columns, POSITION, _key_hash(checked, key), *empty)
    shared = good.groupBy(_HASH).agg(sf.count(sf.lit(1)).alias(_ROWS)).where(sf.col(_ROWS) > 1).select(_HASH)
    rank = sf.row_number().over(Window.partitionBy(*columns).orderBy(POSITION))
    ranked = good.join(shared, _HASH, "left_semi").withColumn(_ROWS, rank).where(sf.col(_ROWS) > 1)
    return ranked.drop(_HASH, _ROWS, *key)


def _with_duplicates(report: ValidationReport, duplicates: DataFrame) -> ValidationReport:
    empty = [sf.count_if(name).alias(name) for name in duplicates.columns if name != POSITION]
    row = duplicates.agg(sf.count(sf.lit(1)).alias(_ROWS), *empty).collect()[0]
    count = row[_ROWS]
    if not count:
        return report  # different keys that share a hash
    return replace(
        report,
        accepted=report.accepted - count,
        rejected=report.rejected + count,
        reasons=_by_count({**report.reasons, DUPLICATE: count}),
        nulls={name: nulls - row[f"{_ROWS}_{i}"] for i, (name, nulls) in enumerate(report.nulls.items())},
    )
