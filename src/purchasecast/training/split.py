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


def with_folds(frame: DataFrame, schema: Schema, *, folds: int, seed: int = 7) -> DataFrame:
    """Add the fold column, ``_pc_fold``: integers from 0 to `folds` - 1, drawn by hash.

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

    Returns
    -------
    DataFrame
        The rows with one more column.

    Raises
    ------
    SettingsError
        If `folds` is below 2.
    """
    if folds < 2:
        raise SettingsError(f"folds: expected at least 2, found {folds}; take 5.")
    fold = sf.pmod(_bucket(frame, schema, "fold", seed), sf.lit(folds)).cast("int")
    return frame.withColumn(FOLD, fold)


def _bucket(frame: DataFrame, schema: Schema, purpose: str, seed: int) -> Column:
    """Return a number from 0 to 999,999, independent for each purpose."""
    names = schema.key or [name for name in schema.names if name in frame.columns]
    parts = [sf.coalesce(col(name).cast("string"), sf.lit("")) for name in names]
    return sf.pmod(sf.xxhash64(sf.lit(purpose), sf.lit(seed), *parts), sf.lit(_BUCKETS))
