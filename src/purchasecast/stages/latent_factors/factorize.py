"""Latent factors of all fits: each fit inside one task or, if too large, all fits by Spark's ALS.

The models are described in `stage`. Alternating least squares inside a task minimises the same sum of squares with the
same penalty as Spark's, from other first factors. In Spark's ALS all fits run as one: fit ``k`` gets users and items
with numbers of its own, so that the rating matrix is block diagonal and each block is factorized by itself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.ml.recommendation import ALS
from pyspark.sql import Window
from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.spark.columns import col
from purchasecast.stages.base import numbered
from purchasecast.stages.latent_factors.solver import (
    ITEM,
    ITEM_MEANS,
    USER,
    USER_MEANS,
    Factorization,
    least_squares_means,
    solve_factors,
)
from purchasecast.stages.tasks import solve_in_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

__all__ = ["Factors", "factorize_by_als", "factorize_in_tasks"]

_MAX_INT = 2**31 - 1  # ALS numbers users and items by 32-bit integers
_INDEX_BUCKETS = 256
_RATINGS_PER_BLOCK = 1_500_000  # of ALS: large blocks shuffle less, but a block has to fit into the memory of a task


@dataclass(frozen=True, slots=True)
class Factors:
    """Factors of all fits.

    Attributes
    ----------
    users, items : DataFrame
        One row a level: ``level``, ``f`` (by fit, an array of factors) and, for items, ``s`` (spread by fit).
    user_means, item_means : ndarray of shape (fits, 1 + values + length of the vector, width)
        Prior means: contributions of a constant, of each value of an attribute and of each element of the vector to the
        factors of a level and, for items, to the logarithm of its spread. Those of factors are 0 after least squares.
    """

    users: DataFrame
    items: DataFrame
    user_means: NDArray[np.float64]
    item_means: NDArray[np.float64]


def factorize_in_tasks(rows: DataFrame, vectors: DataFrame | None, how: Factorization) -> Factors:
    """Solve each fit with NumPy inside one task.

    Parameters
    ----------
    rows : DataFrame
        ``user``, ``item``, ``fold``, the residuals ``r_0`` and so on of the fits, ``user_attributes`` and
        ``item_attributes``, arrays of int.
    vectors : DataFrame or None
        One row a level: ``user`` with ``user_vector``, or ``item`` with ``item_vector``, the other two null.
    how : Factorization
        Settings.

    Returns
    -------
    Factors
        They do not depend on the order of the rows.
    """
    names = ["user", "item", "user_attributes", "item_attributes"]
    if vectors is not None:
        rows = rows.unionByName(vectors, allowMissingColumns=True)
        names += ["user_vector", "item_vector"]
    residuals = [sf.when(col("fold") != k, col(f"r_{k}")) for k in range(how.fits)]
    types = {name: rows.schema[name].dataType.simpleString() for name in ("user", "item")}
    schema = f"fit int, side int, user {types['user']}, item {types['item']}, factors array<double>, scale double"
    solved = solve_in_tasks(
        rows,
        [col(name) for name in names],
        residuals,
        solve_factors,
        schema,
        how=how,
    ).localCheckpoint(eager=True)
    collected = solved.where(~col("side").isin(USER, ITEM)).select("fit", "side", "factors").collect()  # two a fit
    means = {(row["side"], row["fit"]): row["factors"] for row in collected}
    users, items = (
        solved.where(f"side = {side}")
        .groupBy(col(name).alias("level"))
        .agg(sf.expr(_IN_ORDER.format("factors")).alias("f"), sf.expr(_IN_ORDER.format("scale")).alias("s"))
        for side, name in ((USER, "user"), (ITEM, "item"))
    )
    user_means, item_means = (
        np.array([means[side, k] for k in range(how.fits)]).reshape(how.fits, 1 + size, -1)
        for side, size in ((USER_MEANS, how.user_size), (ITEM_MEANS, how.item_size))
    )
    return Factors(
        users.drop("s").localCheckpoint(eager=False), items.localCheckpoint(eager=False), user_means, item_means
    )


_IN_ORDER = "transform(array_sort(collect_list(struct(fit, {0}))), x -> x.{0})"


def factorize_by_als(rows: DataFrame, vectors: DataFrame | None, how: Factorization) -> Factors:  # noqa: ARG001
    """Solve all fits by one run of Spark's ALS, without vectors; arguments and result as of `factorize_in_tasks`."""
    overall, item_scales = _residual_spread(rows, how.fits, how.scale_prior)
    users, items = _number_levels(rows, "user"), _number_levels(rows, "item")
    ratings = _block_diagonal(rows, users, items, item_scales, how.fits)
    # From the data and not from the partitions, because the random first factors depend on the blocks.
    blocks = max(2, -(-rows.count() * (how.fits - 1) // _RATINGS_PER_BLOCK))
    als = ALS(
        userCol="user",
        itemCol="item",
        ratingCol="rating",
        rank=how.rank,
        regParam=how.reg,
        maxIter=how.iterations,
        seed=how.seed,
        numUserBlocks=blocks,
        numItemBlocks=blocks,
    )
    factors = als.fit(ratings)
    spread = item_scales.select("level", sf.array(*numbered("s", how.fits)).alias("s"))
    means = [least_squares_means(how, spread_of_all) for spread_of_all in overall]
    return Factors(
        _wide_table(users, factors.userFactors, how.fits).localCheckpoint(eager=True),
        _wide_table(items, factors.itemFactors, how.fits).join(spread, "level").localCheckpoint(eager=True),
        np.stack([of_user for of_user, _ in means]),
        np.stack([of_item for _, of_item in means]),
    )


def _residual_spread(rows: DataFrame, fits: int, prior: float) -> tuple[list[float], DataFrame]:
    """Return the spread of all rows for each fit, and a table of the shrunken spread ``s_k`` of each item."""
    sums = []
    for k in range(fits):
        taken = col("fold") != k
        sums += [
            sf.sum(sf.when(taken, col(f"r_{k}") * col(f"r_{k}")).otherwise(0.0)).alias(f"q_{k}"),
            sf.count(sf.when(taken, 1)).alias(f"n_{k}"),
        ]
    by_item = rows.groupBy(col("item").alias("level")).agg(*sums).localCheckpoint(eager=True)
    totals = by_item.agg(*[sf.sum(f"{name}_{k}") for k in range(fits) for name in "qn"]).collect()[0]
    mean_squares = [float(totals[2 * k] or 0) / max(float(totals[2 * k + 1] or 0), 1.0) for k in range(fits)]
    scales = []
    for k, mean_square in enumerate(mean_squares):
        least = mean_square * 1e-12 or 1.0  # residuals of exactly 0 must not divide by 0
        shrunken = (col(f"q_{k}") + prior * mean_square) / sf.greatest(col(f"n_{k}") + prior, sf.lit(1e-9))
        scales.append(sf.sqrt(sf.greatest(shrunken, sf.lit(least))).alias(f"s_{k}"))
    return [mean_square**0.5 for mean_square in mean_squares], by_item.select("level", *scales)


def _number_levels(rows: DataFrame, name: str) -> DataFrame:
    """Assign numbers from 0 to the levels of a column, whatever the order and partitions of the rows.

    The number of a level is its rank within its hash bucket, plus the levels of the buckets before: no task sorts all
    levels, and the driver adds up 256 counts.
    """
    bucket = sf.pmod(sf.xxhash64("level"), sf.lit(_INDEX_BUCKETS)).cast("int")
    rank = sf.row_number().over(Window.partitionBy("bucket").orderBy("level")) - 1
    levels = rows.select(col(name).alias("level")).distinct()
    ranked = levels.withColumn("bucket", bucket).withColumn("rank", rank).localCheckpoint(eager=True)
    counts = {row["bucket"]: row["count"] for row in ranked.groupBy("bucket").count().collect()}  # at most 256 rows
    starts = [0, *itertools.accumulate(counts.get(b, 0) for b in range(_INDEX_BUCKETS))]
    number = sf.get(sf.lit(starts), col("bucket")).cast("long") + col("rank")
    return ranked.select("level", number.alias("number"))


def _block_diagonal(rows: DataFrame, users: DataFrame, items: DataFrame, scales: DataFrame, fits: int) -> DataFrame:
    """Return a scaled rating for each row and each fit that sees it, with users and items numbered by fit."""
    for name, levels in (("userCol", users), ("itemCol", items)):
        if levels.count() * fits > _MAX_INT:
            raise DataError(
                f"LatentFactorEncoder.{name}: expected at most {_MAX_INT // fits:,} levels with {fits - 1} folds, "
                "found more; use fewer folds, or a pipeline without this stage."
            )
    numbered_rows = (
        rows.join(users.withColumnRenamed("level", "user").withColumnRenamed("number", "user_number"), "user")
        .join(items.withColumnRenamed("level", "item").withColumnRenamed("number", "item_number"), "item")
        .join(scales.withColumnRenamed("level", "item"), "item")
    )
    ratings = sf.array(*[sf.when(col("fold") != k, col(f"r_{k}") / col(f"s_{k}")) for k in range(fits)])
    exploded = numbered_rows.select("user_number", "item_number", sf.posexplode(ratings).alias("fit", "rating"))
    return exploded.where(col("rating").isNotNull()).select(
        (col("user_number") * fits + col("fit")).cast("int").alias("user"),
        (col("item_number") * fits + col("fit")).cast("int").alias("item"),
        col("rating").cast("float").alias("rating"),
    )


def _wide_table(levels: DataFrame, factors: DataFrame, fits: int) -> DataFrame:
    """Return one row a level: ``level``, and ``f``, the factors by fit, null where the fit has none."""
    fit = sf.pmod("id", sf.lit(fits))
    of_fit = [sf.max(sf.when(fit == k, col("features").cast("array<double>"))) for k in range(fits)]
    by_number = factors.groupBy((col("id") / fits).cast("long").alias("number")).agg(sf.array(*of_fit).alias("f"))
    return levels.join(by_number, "number").drop("number")
