"""Validate rows against a schema: accepted rows with typed values, rejected rows with reasons.

The rules follow from the schema (`rules`). No row is lost: each is either accepted, with typed values, or rejected,
with its original text and the reasons.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pyspark.sql import Window
from pyspark.sql import functions as sf

from purchasecast.errors import SourceError
from purchasecast.files import cause, write_whole
from purchasecast.io import write_single_csv
from purchasecast.results import ValidationReport, check_reject_rate
from purchasecast.schema.reserved_columns import CORRUPT, POSITION
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, escape_formulas
from purchasecast.spark.failures import reading
from purchasecast.validation.rules import DUPLICATE, MALFORMED, check_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from pyspark.sql import Column, DataFrame

    from purchasecast.progress import Steps
    from purchasecast.schema import Schema
    from purchasecast.validation.rules import Checked

__all__ = ["DUPLICATE", "MALFORMED", "REASONS", "Validated", "checked_rows", "validate", "write_rejects"]

REASONS = "reasons"

_LOGGER = logging.getLogger(__name__)
_HASH = "_pc_hash"
_ROWS = "_pc_rows"


@dataclass(frozen=True, slots=True)
class Validated:
    """Result of a validation: accepted rows, rejected rows and a report.

    Use it in a ``with`` statement, or call `close`, to free cached rows.

    Parameters
    ----------
    accepted : DataFrame
        Good rows with the columns of the schema (canonical text for nominal and ordinal, double for numeric, date or
        timestamp for date) and ``_pc_position``.
    read_rejected : callable
        Function without arguments that returns the bad rows; `rejected` calls it.
    report : ValidationReport
        Numbers of rows, and reasons.
    cleanup : ExitStack, optional
        Frees cached frames; `close` closes it.
    """

    accepted: DataFrame
    read_rejected: Callable[[], DataFrame]
    report: ValidationReport
    cleanup: ExitStack = field(default_factory=ExitStack)

    @property
    def rejected(self) -> DataFrame:
        """Bad rows as they were read.

        The columns of the schema as text; ``_pc_corrupt``, the whole line if it has too few or too many fields;
        ``_pc_position``; and ``reasons``, an array of text. The plan is made only when it is asked for, because that
        takes as long as for the good rows.
        """
        return self.read_rejected()

    def close(self) -> None:
        """Free cached rows; the frames can still be used, and read the source again."""
        self.cleanup.close()

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free cached rows."""
        self.close()


def validate(
    raw: DataFrame,
    schema: Schema,
    *,
    target: Literal["required", "optional"] = "required",
    check_duplicates: bool = True,
    cache: bool = False,
) -> Validated:
    """Validate every row of a table against its schema.

    Parameters
    ----------
    raw : DataFrame
        Result of `purchasecast.io.read_table`: one row a record of the source.
    schema : Schema
        Description of the table.
    target : {"required", "optional"}, default "required"
        Whether a row must have the target; if optional, a value that is there must still be valid.
    check_duplicates : bool, default True
        Whether to reject rows with the key of an earlier row of the source.
    cache : bool, default False
        Whether to keep the typed rows in memory, or on disk, for a caller who reads them several times.
        `Validated.close` frees them.

    Returns
    -------
    Validated
        Accepted rows, rejected rows and a report.

    Notes
    -----
    All counts come from one pass over the source; with a key, it shuffles one hash a row. Only if two good rows share a
    hash, a second pass ranks the rows of these hashes by their whole key. To read `rejected` takes another pass, and so
    does `accepted` unless `cache` is set.
    """
    started = time.monotonic()
    required = target == "required"
    checked = check_rows(raw, schema, target_required=required)
    names = [name for name in checked.frame.columns if name in schema.names]
    key = [name for name in schema.key if name in names] if check_duplicates else []
    nullable = [name for name in names if schema.column(name).null != "forbidden"]
    duplicates = None
    with reading("data"), ExitStack() as cleanup:  # frees what it holds if counting fails
        if cache:
            cleanup.enter_context(cached(checked.frame))
        report, suspects = _count(checked, key, nullable)
        if suspects:
            duplicates = cleanup.enter_context(cached(_later_duplicates(checked, key, nullable)))
            report = _with_duplicates(report, duplicates)
            checked = checked.mark_duplicates(duplicates)
        kept = cleanup.pop_all()
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
        cleanup=kept,
    )


def _rejected(raw: DataFrame, schema: Schema, *, required: bool, duplicates: DataFrame | None) -> DataFrame:
    originals = check_rows(raw, schema, target_required=required, originals=True)
    if duplicates is not None:
        originals = originals.mark_duplicates(duplicates)
    bad = originals.frame.where(~originals.good())
    return bad.withColumn(REASONS, originals.reasons()).drop(*originals.bits)


@contextmanager
def checked_rows(
    raw: DataFrame,
    schema: Schema,
    steps: Steps,
    *,
    target: Literal["required", "optional"] = "required",
    max_reject_rate: float = 0.01,
    rejects: str | Path | None = None,
    step: str = "validate",
) -> Iterator[Validated]:
    """Validate the rows of a table, write those that are rejected, and stop where they are too many.

    Parameters
    ----------
    raw : DataFrame
        Result of `purchasecast.io.read_table`.
    schema : Schema
        Description of the table.
    steps : Steps
        Times the validation.
    target : {"required", "optional"}, default "required"
        As in `validate`.
    max_reject_rate : float, default 0.01
        Largest share of rejected rows to continue with, 0..1.
    rejects : str or Path, optional
        Folder for the rejected rows and their reasons.
    step : str, default "validate"
        Name of the step.

    Yields
    ------
    Validated
        The rows, which are kept in memory inside the ``with`` block.

    Raises
    ------
    RejectRateError
        If more rows are rejected than allowed; they are written all the same.
    """
    with steps.step(step) as timed:
        checked = validate(raw, schema, target=target, cache=True)
        timed.rows = checked.report.rows
    with checked:
        if rejects is not None:
            write_rejects(checked, rejects)
        check_reject_rate(checked.report, max_reject_rate, schema=schema)
        yield checked


def write_rejects(validated: Validated, folder: str | Path) -> Path:
    """Write the rejected rows and the report for people to read.

    Parameters
    ----------
    validated : Validated
        Result of `validate`.
    folder : str or Path
        Folder to write to; it is created, and files of an earlier call are replaced.

    Returns
    -------
    Path
        The file ``rejects.csv``: one row a rejected row, in the order of the source, with all reasons in one field,
        separated by semicolons, and a malformed line in ``line``. ``report.json`` is in the same folder.

    Raises
    ------
    SourceError
        If the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "report.json", json.dumps(validated.report.to_dict(), indent=2) + "\n")
    except OSError as error:
        raise SourceError(f"{folder}: cannot write the rejected rows: {cause(error)}.") from error
    path = folder / "rejects.csv"
    rows = validated.rejected.withColumn(REASONS, sf.array_join(REASONS, "; "))
    write_single_csv(escape_formulas(rows.withColumnRenamed(CORRUPT, "line")), path, mode="overwrite")
    return path


def _count(checked: Checked, key: Sequence[str], nullable: Sequence[str]) -> tuple[ValidationReport, int]:
    """Count rows by the rules that they break, and hashes of keys that more than one good row has."""
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
    """Return the positions of good rows with the key of an earlier good row, and which of their values are null."""
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
        return report  # different keys with the same hash
    return replace(
        report,
        accepted=report.accepted - count,
        rejected=report.rejected + count,
        reasons=_by_count({**report.reasons, DUPLICATE: count}),
        nulls={name: nulls - row[f"{_ROWS}_{i}"] for i, (name, nulls) in enumerate(report.nulls.items())},
    )
