"""Holdout and folds by a hash of what names a row, or by time.

A hash of the row itself, and of the seed, puts a row into the same part whatever the order, the partitions or the
number of the other rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.schema.reserved_columns import FOLD
from purchasecast.spark.columns import col

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from purchasecast.schema import Schema

__all__ = ["FOLD", "holdout_split", "with_folds"]

_BUCKETS = 1_000_000


def holdout_split(
    frame: DataFrame, schema: Schema, *, share: float, by: Literal["auto", "random", "time"] = "auto", seed: int = 7
) -> tuple[DataFrame, DataFrame]:
    """Split rows into a training part and a holdout.

    Parameters
    ----------
    frame : DataFrame
        Accepted rows of `validate`.
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
    tuple of DataFrame
        Training rows, holdout rows. By time, all rows of the day (or instant) at the border are held out, so that the
        holdout may be a little larger than asked.

    Raises
    ------
    SettingsError
        If the share is outside its range, or there is no time column to split by.
    """
    if not 0 <= share < 1:
        raise SettingsError(f"holdout: expected a share of at least 0 and below 1, found {share}; take 0.2.")
    if by == "time" and schema.time is None:
        raise SettingsError(
            f"holdout-by: expected a schema with a time column, found none in {schema.name}; "
            'give a column role = "time" or split at random.'
        )
    if share == 0:
        return frame, frame.limit(0)
    if schema.time is not None and by != "random":
        moment = col(schema.time).cast("timestamp").cast("double")
        border = frame.agg(sf.percentile(moment, sf.lit(1 - share))).collect()[0][0]
        late = moment >= sf.lit(border)
    else:
        late = _bucket(frame, schema, "holdout", seed) < int(share * _BUCKETS)
    return frame.where(~late), frame.where(late)


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
