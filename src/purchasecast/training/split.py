"""Holdout and folds by a hash of what names a row, or by time.

A hash of the row itself, and of the seed, puts a row into the same part whatever the order, the partitions or the
number of the other rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.schema.reserved_columns import FOLD
from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from purchasecast.schema import Schema

__all__ = ["Split", "holdout_split", "with_folds"]

_BUCKETS = 1_000_000


@dataclass(frozen=True, slots=True)
class Split:
    """Training rows and held-out rows.

    Attributes
    ----------
    training : DataFrame
        Rows to fit on.
    holdout : DataFrame
        Rows that nothing sees before the evaluation.
    share : float
        Share of rows in the holdout: as measured where rows are split by time, as asked where they are drawn.
    """

    training: DataFrame
    holdout: DataFrame
    share: float


def holdout_split(
    frame: DataFrame, schema: Schema, *, share: float, by: Literal["auto", "random", "time"] = "auto", seed: int = 7
) -> Split:
    """Split rows into a training part and a holdout.

    Parameters
    ----------
    frame : DataFrame
        Accepted rows of `purchasecast.validation.validate`.
    schema : Schema
        Names the key and the time column.
    share : float
        Share of rows to hold out, in [0, 1); 0 leaves the holdout empty.
    by : {"auto", "random", "time"}, default "auto"
        ``time`` holds out the latest rows, as the model will be used; ``random`` draws by hash; ``auto`` takes time
        where the schema has a time column.
    seed : int, default 7
        Seed of the hash.

    Returns
    -------
    Split
        Both parts. By time, rows of the same day (or instant) stay together, and the border is the one that comes
        nearest to `share`; where a few days hold many rows, the holdout may be far from it.

    Raises
    ------
    SettingsError
        If the share is outside its range, or there is no time column to split by.
    DataError
        If all rows have the same time, so that none of them is the latest.
    """
    if not 0 <= share < 1:
        raise SettingsError(f"holdout: expected a share of at least 0 and below 1, found {share}; take 0.2.")
    if by == "time" and schema.time is None:
        raise SettingsError(
            f"holdout_by: expected a schema with a time column, found none in {schema.name}; "
            'give a column role = "time", or take holdout_by="random".'
        )
    if share == 0:
        return Split(frame, frame.limit(0), 0.0)
    if schema.time is not None and by != "random":
        return _split_by_time(frame, schema.time, share)
    drawn = _bucket(frame, schema, "holdout", seed) < int(share * _BUCKETS)
    return Split(frame.where(~drawn), frame.where(drawn), share)


def _split_by_time(frame: DataFrame, time: str, share: float) -> Split:
    """Hold out the latest rows, cut between two days so that the share held out is nearest to what is asked."""
    moment = col(time).cast("timestamp").cast("double")
    border = sf.lit(frame.agg(sf.percentile(moment, sf.lit(1 - share))).collect()[0][0])
    # Rows of the border's day go to one side together: all of them into the holdout, or none.
    rows, later, later_or_same = frame.agg(
        sf.count(moment), sf.count_if(moment > border), sf.count_if(moment >= border)
    ).collect()[0]
    cuts = {later: moment > border, later_or_same: moment >= border}
    possible = [held for held in cuts if 0 < held < rows]
    if not possible:
        raise DataError(
            f"holdout: expected at least two different values of {time}, to hold out the latest, found one; "
            'take holdout_by="random".'
        )
    held = min(possible, key=lambda count: abs(count - share * rows))
    late = cuts[held]
    return Split(frame.where(~late), frame.where(late), held / rows)


def with_folds(
    frame: DataFrame, schema: Schema, *, folds: int, seed: int = 7, by: Literal["hash", "time"] = "hash"
) -> DataFrame:
    """Add the fold column, ``_pc_fold``: integers from 0 to `folds` - 1, drawn by hash or in the order of time.

    Parameters
    ----------
    frame : DataFrame
        Training rows.
    schema : Schema
        Names the key.
    folds : int
        Number of folds, at least 2.
    seed : int, default 7
        Seed of the hash.
    by : {"hash", "time"}, default "hash"
        ``time`` makes consecutive blocks of time of about as many rows each, the earliest numbered 0. Rows of one day
        (or instant) stay together, so that blocks differ by as much as one of these holds; none is empty. Rows without
        a time are in block 0.

    Returns
    -------
    DataFrame
        The rows with one more column.

    Raises
    ------
    SettingsError
        If `folds` is below 2, or by time if there is no time column or it has fewer distinct times than folds.

    Notes
    -----
    By time, two passes over the time column, and one more a fold where days hold more rows than a fold should.
    """
    if folds < 2:
        raise SettingsError(f"folds: expected at least 2, found {folds}; take 5.")
    if by == "time":
        return frame.withColumn(FOLD, _time_block(frame, schema, folds))
    fold = sf.pmod(_bucket(frame, schema, "fold", seed), sf.lit(folds)).cast("int")
    return frame.withColumn(FOLD, fold)


def _bucket(frame: DataFrame, schema: Schema, purpose: str, seed: int) -> Column:
    """Return a number from 0 to 999,999, independent for each purpose."""
    names = schema.key or [name for name in schema.names if name in frame.columns]
    parts = [sf.coalesce(col(name).cast("string"), sf.lit("")) for name in names]
    return sf.pmod(sf.xxhash64(sf.lit(purpose), sf.lit(seed), *parts), sf.lit(_BUCKETS))


def _time_block(frame: DataFrame, schema: Schema, folds: int) -> Column:
    """Return the number of the block of time that a row is in."""
    if schema.time is None:
        raise SettingsError(
            f"folds by time: expected a schema with a time column, found none in {schema.name}; "
            'give a column role = "time" or draw the folds by hash.'
        )
    moment = col(schema.time).cast("timestamp").cast("double")
    moments = frame.select(moment.alias("moment")).where("moment IS NOT NULL")
    block = sf.lit(0)
    for border in _block_borders(moments, folds):
        block = block + sf.when(moment >= sf.lit(border), 1).otherwise(0)
    return block.cast("int")


def _block_borders(moments: DataFrame, folds: int) -> list[float]:
    """Return the first moment of every block but the earliest, ascending."""
    moment = sf.col("moment")
    shares = [k / folds for k in range(1, folds)]
    wanted = moments.agg(sf.percentile(moment, sf.lit(shares)).alias("borders"), sf.min(moment).alias("first"))
    asked = wanted.collect()[0]
    last = [row[0] for row in moments.distinct().orderBy(moment.desc()).limit(folds - 1).collect()]
    if len(last) < folds - 1 or last[-1] <= asked["first"]:
        raise SettingsError(
            f"folds by time: expected at least {folds} distinct times, found fewer; take fewer folds or draw by hash."
        )
    # A percentile may lie between two moments: the next one is what a block can begin with.
    snapped = moments.agg(*[sf.min(sf.when(moment >= border, moment)) for border in asked["borders"]]).collect()[0]
    borders: list[float] = []
    for border, latest in zip(snapped, reversed(last), strict=True):
        before = borders[-1] if borders else asked["first"]
        if border <= before:  # a day of more rows than a block: the next one begins after it
            border = moments.where(moment > before).agg(sf.min(moment)).collect()[0][0]  # noqa: PLW2901
        borders.append(min(border, latest))
    return borders
