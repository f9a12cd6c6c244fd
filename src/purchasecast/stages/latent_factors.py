r"""The interaction of two groups as a product of latent factors, on what their additive effects leave over.

With :math:`r` the residual of the additive effects and :math:`s_j` the spread of product :math:`j`'s residuals,

.. math:: \frac{r_{ij}}{s_j} \approx u_i^T v_j, \qquad
          s_j^2 = \frac{\sum_{i} r_{ij}^2 + \kappa\, \bar{r^2}}{n_j + \kappa},

fitted by Spark's own alternating least squares. Dividing by the spread lets cheap and dear products speak with the
same voice; the product is multiplied back afterwards.

All folds' fits run as one ALS: fit ``k`` gets customers and products with numbers of its own, so that the rating matrix
is block diagonal and its factorization is that of every block. The cost is that of the ratings, the overhead that
of a single run.

References
----------
Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan, "Large-scale parallel collaborative filtering for the Netflix prize",
AAIM 2008. https://doi.org/10.1007/978-3-540-68880-8_32
"""

from __future__ import annotations

import functools
import itertools
import operator
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol, HasMaxIter, HasOutputCol, HasRegParam, HasSeed
from pyspark.ml.recommendation import ALS
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Window
from pyspark.sql import functions as sf

from purchasecast._columns import col
from purchasecast.errors import DataError, SettingsError
from purchasecast.stages._base import (
    HasFolds,
    TableModelMixin,
    broadcast_if_small,
    numbered,
    require_columns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

__all__ = ["LatentFactorEncoder", "LatentFactorModel"]

_LARGEST_INT = 2**31 - 1  # ALS numbers users and items by 32-bit integers
_INDEX_BUCKETS = 256
_RATINGS_PER_BLOCK = 1_500_000  # of ALS: fewer blocks shuffle less, and a block must fit into a task's memory


class _LatentFactorParams(HasLabelCol, HasOutputCol, HasMaxIter, HasRegParam, HasSeed, HasFolds):
    """Params of the encoder and its model."""

    userCol: Param[str] = Param(
        Params._dummy(), "userCol", "customer column, any type", typeConverter=TypeConverters.toString
    )
    itemCol: Param[str] = Param(
        Params._dummy(), "itemCol", "product column, any type", typeConverter=TypeConverters.toString
    )
    offsetCol: Param[str] = Param(
        Params._dummy(),
        "offsetCol",
        "what the factors are fitted beside: a number, or an array of one a fit (fitsCol of CrossedEffectsEncoder)",
        typeConverter=TypeConverters.toString,
    )
    rank: Param[int] = Param(Params._dummy(), "rank", "number of factors (>= 1)", typeConverter=TypeConverters.toInt)
    scalePrior: Param[float] = Param(
        Params._dummy(),
        "scalePrior",
        "rows that a product's residual spread is shrunk by toward that of all (>= 0)",
        typeConverter=TypeConverters.toFloat,
    )
    scaleCol: Param[str] = Param(
        Params._dummy(),
        "scaleCol",
        "output column for the product's residual spread; empty for none",
        typeConverter=TypeConverters.toString,
    )
    userFactorsPrefix: Param[str] = Param(
        Params._dummy(),
        "userFactorsPrefix",
        "prefix of the output columns of the customer's factors; empty for none",
        typeConverter=TypeConverters.toString,
    )
    itemFactorsPrefix: Param[str] = Param(
        Params._dummy(),
        "itemFactorsPrefix",
        "prefix of the output columns of the product's factors; empty for none",
        typeConverter=TypeConverters.toString,
    )

    def _set_defaults(self) -> None:
        self._setDefault(
            userCol="user",
            itemCol="item",
            labelCol="label",
            offsetCol="fits",
            outputCol="interaction",
            scaleCol="",
            userFactorsPrefix="",
            itemFactorsPrefix="",
            rank=8,
            regParam=0.1,
            maxIter=10,
            scalePrior=20.0,
            seed=7,
            foldCol="fold",
            numFolds=5,
        )

    def getUserCol(self) -> str:
        """Return the name of the customer column."""
        return self.getOrDefault(self.userCol)

    def getItemCol(self) -> str:
        """Return the name of the product column."""
        return self.getOrDefault(self.itemCol)

    def getOffsetCol(self) -> str:
        """Return the name of the column that the factors are fitted beside."""
        return self.getOrDefault(self.offsetCol)

    def getRank(self) -> int:
        """Return the number of factors."""
        return self.getOrDefault(self.rank)

    def getScalePrior(self) -> float:
        """Return the number of rows that a spread is shrunk by."""
        return self.getOrDefault(self.scalePrior)

    def _optional(self, name: str) -> str:
        return str(self.getOrDefault(name))


class LatentFactorEncoder(Estimator[Any], _LatentFactorParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Encode the interaction of customer and product by latent factors of the residual, cross-fitted.

    Parameters
    ----------
    userCol, itemCol : str, default "user" and "item"
        Columns of the two groups, of any type that has equality.
    labelCol : str, default "label"
        Numeric column, without nulls.
    offsetCol : str, default "fits"
        What is taken off the label first: a numeric column, or an array of ``numFolds`` + 1 numbers, one a fit.
    outputCol : str, default "interaction"
        Output column, in units of the label.
    scaleCol : str, default ""
        Output column for the product's residual spread, in units of the label; empty for none.
    userFactorsPrefix, itemFactorsPrefix : str, default ""
        Prefix of ``rank`` output columns for the factors, ``PREFIX_0`` on; empty for none.
    rank : int, default 8
        Number of factors.
    regParam : float, default 0.1
        Ridge penalty of ALS a rating, on the scaled residual.
    maxIter : int, default 10
        Iterations of ALS.
    scalePrior : float, default 20.0
        Rows that a product's residual spread is shrunk by toward that of all.
    seed : int, default 7
        Seed of the first factors.
    foldCol : str, default "fold"
        Column of fold numbers; where the frame has it, fitting and encoding are out of fold.
    numFolds : int, default 5
        Number of folds.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If a fold number lies outside 0 to ``numFolds`` - 1, or there are more levels than ALS can number.
    SettingsError
        If a param is outside its range.

    Notes
    -----
    A null or unseen customer or product has no interaction: 0; its spread is that of all products together.
    Rows are neither dropped nor reordered. ALS computes in single precision: another order or partitioning of the
    rows moves the output by about 1e-5 of its size.

    Passes over the rows: one each for spreads and for the two numberings, then one to hand the ratings to ALS, which
    holds ``numFolds`` of them a row and shuffles only factors from there on. Nothing but a few sums reaches the driver.

    Examples
    --------
    >>> LatentFactorEncoder(userCol="customer", itemCol="product", rank=12).getRank()
    12
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        userCol: str = "user",
        itemCol: str = "item",
        labelCol: str = "label",
        offsetCol: str = "fits",
        outputCol: str = "interaction",
        scaleCol: str = "",
        userFactorsPrefix: str = "",
        itemFactorsPrefix: str = "",
        rank: int = 8,
        regParam: float = 0.1,
        maxIter: int = 10,
        scalePrior: float = 20.0,
        seed: int = 7,
        foldCol: str = "fold",
        numFolds: int = 5,
    ) -> None:
        super().__init__()
        self._set_defaults()
        self._set(**self._input_kwargs)

    def _check(self, dataset: DataFrame) -> None:
        for name, least in (("rank", 1), ("maxIter", 1), ("regParam", 0), ("scalePrior", 0)):
            if self.getOrDefault(name) < least:
                raise SettingsError(f"{name}: expected at least {least}, found {self.getOrDefault(name)}.")
        require_columns(self, dataset, [self.getUserCol(), self.getItemCol(), self.getLabelCol(), self.getOffsetCol()])
        self._check_folds(dataset)

    def _fit(self, dataset: DataFrame) -> LatentFactorModel:
        self._check(dataset)
        fits = self.getNumFolds() + 1
        rows = self._residual_frame(dataset, fits).persist()
        try:
            overall, item_scales = _residual_spread(rows, fits, self.getScalePrior())
            users, items = _number_levels(rows, "user"), _number_levels(rows, "item")
            ratings = _block_diagonal(rows, users, items, item_scales, fits)
            # By the data, never by the partitions: the random start of the factors depends on the blocks.
            blocks = max(2, -(-rows.count() * self.getNumFolds() // _RATINGS_PER_BLOCK))
            als = ALS(
                userCol="user",
                itemCol="item",
                ratingCol="rating",
                rank=self.getRank(),
                regParam=self.getRegParam(),
                maxIter=self.getMaxIter(),
                seed=self.getSeed(),
                numUserBlocks=blocks,
                numItemBlocks=blocks,
            )
            factors = als.fit(ratings)
            model = LatentFactorModel()
            model._resetUid(self.uid)
            self._copyValues(model)
            model._users = _long_table(users, factors.userFactors, self.getRank(), fits)
            spread = item_scales.select("level", sf.posexplode(sf.array(*numbered("s", fits))).alias("fit", "scale"))
            model._items = _long_table(items, factors.itemFactors, self.getRank(), fits, spread)
            model._overall_scale = overall
            model._levels = (model._users.count(), model._items.count())
        finally:
            rows.unpersist()
        return model

    def _residual_frame(self, dataset: DataFrame, fits: int) -> DataFrame:
        """Return user, item, fold and the residual ``r_k`` of each fit, for rows that have both groups."""
        fold = col(self.getFoldCol()).cast("int") if self._has_folds(dataset) else sf.lit(-1)
        user, item, offset = col(self.getUserCol()), col(self.getItemCol()), col(self.getOffsetCol())
        is_array = dataset.select(offset).schema[0].dataType.typeName() == "array"
        label = col(self.getLabelCol()).cast("double")
        residuals = [(label - (offset[k] if is_array else offset)).alias(f"r_{k}") for k in range(fits)]
        both = user.isNotNull() & item.isNotNull()
        return dataset.where(both).select(user.alias("user"), item.alias("item"), fold.alias("fold"), *residuals)


class LatentFactorModel(TableModelMixin, Model, _LatentFactorParams):
    """Factors of customers and products, one set a fit; see `LatentFactorEncoder`."""

    def __init__(self) -> None:
        super().__init__()
        self._set_defaults()
        self._users: DataFrame
        self._items: DataFrame
        self._overall_scale: list[float] = []
        self._levels = (0, 0)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        require_columns(self, dataset, [self.getUserCol(), self.getItemCol()])
        last = self.getNumFolds()
        has_folds = self._has_folds(dataset)
        fit = self._fit_number() if has_folds else sf.lit(last)
        joined = dataset
        for side, name in (("u", self.getUserCol()), ("v", self.getItemCol())):
            table = self._lookup(side, has_folds=has_folds)
            on = col(name) == col(f"_pc_{side}_level")
            joined = joined.join(table, on & (fit == col(f"_pc_{side}_fit")) if has_folds else on, "left")

        user = [col(f"_pc_u_{f}") for f in range(self.getRank())]
        item = [col(f"_pc_v_{f}") for f in range(self.getRank())]
        product = functools.reduce(operator.add, [u * v for u, v in zip(user, item, strict=True)])
        out = {self.getOutputCol(): sf.coalesce(product * col("_pc_v_scale"), sf.lit(0.0))}
        if self._optional("scaleCol"):
            overall = sf.get(sf.lit(self._overall_scale), fit) if has_folds else sf.lit(self._overall_scale[last])
            out[self._optional("scaleCol")] = sf.coalesce(col("_pc_v_scale"), overall)
        for option, values in (("userFactorsPrefix", user), ("itemFactorsPrefix", item)):
            if self._optional(option):
                names = numbered(self._optional(option), self.getRank())
                out |= {name: sf.coalesce(v, sf.lit(0.0)) for name, v in zip(names, values, strict=True)}
        kept = [col(name) for name in dataset.columns if name not in out]
        return joined.select(*kept, *[value.alias(name) for name, value in out.items()])

    def _lookup(self, side: str, *, has_folds: bool) -> DataFrame:
        table, rows = (self._users, self._levels[0]) if side == "u" else (self._items, self._levels[1])
        if not has_folds:
            table, rows = table.where(col("fit") == self.getNumFolds()).drop("fit"), rows // (self.getNumFolds() + 1)
        renamed = table.select(*[col(name).alias(f"_pc_{side}_{name}") for name in table.columns])
        return broadcast_if_small(renamed, rows, len(table.columns))

    def to_portable(self) -> dict[str, Any]:
        """Return what a scorer without Spark needs: JSON-safe params, and a frame of factors a group.

        The frames stay on the executors; whoever exports writes them as Parquet.
        """
        last = self.getNumFolds()
        return {
            "kind": "latent_factors",
            "inputs": [self.getUserCol(), self.getItemCol()],
            "output": self.getOutputCol(),
            "scale": self._optional("scaleCol"),
            "user_factors": self._optional("userFactorsPrefix"),
            "item_factors": self._optional("itemFactorsPrefix"),
            "rank": self.getRank(),
            "overall_scale": self._overall_scale[last],
            "tables": {
                "user": self._users.where(col("fit") == last).drop("fit"),
                "item": self._items.where(col("fit") == last).drop("fit"),
            },
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        return {"users": self._users, "items": self._items}

    def _state(self) -> dict[str, Any]:
        return {"overall_scale": self._overall_scale, "levels": list(self._levels)}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._users, self._items = tables["users"], tables["items"]
        self._overall_scale = [float(scale) for scale in state["overall_scale"]]
        self._levels = (int(state["levels"][0]), int(state["levels"][1]))


def _residual_spread(rows: DataFrame, fits: int, prior: float) -> tuple[list[float], DataFrame]:
    """Return the spread over all rows, one a fit, and a table of each item's shrunken spread ``s_k``."""
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
    """Give the levels of a column numbers from 0, the same whatever the order and partitions of the rows.

    A level's number is its rank within its hash bucket, after all levels of the buckets before: no sort of all
    levels in one place, and only 256 counts to add up.
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
    """Return one scaled rating for each row and each fit that sees the row, numbered so that fits share nothing."""
    for name, levels in (("userCol", users), ("itemCol", items)):
        if levels.count() * fits > _LARGEST_INT:
            raise DataError(
                f"{name}: expected at most {_LARGEST_INT // fits} levels with {fits - 1} folds, found more; "
                "use fewer folds or drop LatentFactorEncoder from the pipeline."
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


def _long_table(
    levels: DataFrame, factors: DataFrame, rank: int, fits: int, spread: DataFrame | None = None
) -> DataFrame:
    """Return one row a level and fit: ``level``, ``fit``, the factors ``0`` .. and, for items, ``scale``."""
    by_number = factors.select(
        (col("id") / fits).cast("long").alias("number"),
        sf.pmod("id", sf.lit(fits)).alias("fit"),
        *[sf.get("features", sf.lit(f)).cast("double").alias(str(f)) for f in range(rank)],
    )
    table = levels.join(by_number, "number").drop("number")
    if spread is not None:
        table = table.join(spread, ["level", "fit"])
    return table.localCheckpoint(eager=True)
