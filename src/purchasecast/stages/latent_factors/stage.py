r"""The interaction of customer and product as a product of latent factors, on the residual of their additive effects.

With :math:`r` the residual of the additive effects and :math:`s_j` the spread of product :math:`j`'s residuals,

.. math:: \frac{r_{ij}}{s_j} \approx u_i^T v_j, \qquad
          s_j^2 = \frac{\sum_{i} r_{ij}^2 + \kappa\, \bar{r^2}}{n_j + \kappa},

fitted by variational Bayes, in which factors have a posterior, and a prior that follows from attributes (see
`blocks`). The division by the spread makes cheap and expensive products comparable; the product of the factors is
multiplied by the spread afterwards.

References
----------
Y. Lim, Y. Teh, "Variational Bayesian approach to movie rating prediction", KDD Cup 2007.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasLabelCol, HasMaxIter, HasOutputCol, HasSeed
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.base import HasFolds, TableModelMixin, broadcast_if_small, numbered, require_columns
from purchasecast.stages.crossed_effects.attributes import MAX_LEVELS
from purchasecast.stages.latent_factors.attribute_means import AttributeMeans
from purchasecast.stages.latent_factors.factorize import factorize_in_tasks
from purchasecast.stages.latent_factors.passes import factorize_by_passes
from purchasecast.stages.latent_factors.solver import Factorization, first_of_level
from purchasecast.stages.params import StageParams, float_param, int_param, str_list_param, str_param
from purchasecast.stages.tasks import HasTaskRows, task_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame

__all__ = ["LatentFactorEncoder", "LatentFactorModel"]

logger = logging.getLogger(__name__)


class _LatentFactorParams(StageParams, HasLabelCol, HasOutputCol, HasMaxIter, HasSeed, HasFolds, HasTaskRows):
    """Params of the encoder and its model."""

    userCol = str_param("customer column of any type", default="user")
    itemCol = str_param("product column of any type", default="item")
    offsetCol = str_param(
        "what is subtracted from the label: a number, or an array of one number a fit (fitsCol of "
        "CrossedEffectsEncoder)",
        default="fits",
    )
    outputCol = str_param("output column of the interaction", default="interaction")
    scaleCol = str_param("output column of the spread of the product's residuals; empty for none", default="")
    userFactorsPrefix = str_param("prefix of the output columns of the customer's factors; empty for none", default="")
    itemFactorsPrefix = str_param("prefix of the output columns of the product's factors; empty for none", default="")
    userAttributeCols = str_list_param("index columns of the customer's attributes, for the prior of the factors")
    itemAttributeCols = str_list_param("index columns of the product's attributes, for the prior of the factors")
    userVectorCol = str_param("array column of the customer's vector, for the prior; empty for none", default="")
    itemVectorCol = str_param("array column of the product's vector, for the prior; empty for none", default="")
    rank = int_param("number of factors", default=8, minimum=1)
    maxIter = int_param("rounds over users and items", default=20, minimum=1)
    scalePrior = float_param("rows that a product's spread is shrunk by toward that of all", default=20.0, minimum=0)
    seed = int_param("seed of the first factors", default=7)

    def _attribute_cols(self) -> tuple[list[str], list[str]]:
        """Return the attributes of customers and of products."""
        return self.getOrDefault(self.userAttributeCols), self.getOrDefault(self.itemAttributeCols)

    def _vector_cols(self) -> tuple[str, str]:
        """Return the vectors of customers and of products, empty for none."""
        return self.getOrDefault(self.userVectorCol), self.getOrDefault(self.itemVectorCol)


class LatentFactorEncoder(Estimator[Any], _LatentFactorParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Encode the interaction of customer and product by latent factors of the residual, cross-fitted.

    Parameters
    ----------
    userCol, itemCol : str, default "user", "item"
        Columns of the two groups, of any type that can be compared.
    labelCol : str, default "label"
        Numeric column without nulls.
    offsetCol : str, default "fits"
        What is subtracted from the label: a numeric column, or an array of ``numFolds`` + 1 numbers, one a fit.
    outputCol : str, default "interaction"
        Output column, in units of the label.
    scaleCol : str, default ""
        Output column of the spread of the product's residuals, in units of the label; empty for none.
    userFactorsPrefix, itemFactorsPrefix : str, default ""
        Prefix of ``rank`` output columns of the factors, ``PREFIX_0`` and so on; empty for none.
    userAttributeCols, itemAttributeCols : list of str, default []
        Index columns (0 and up; null for none), as `StringIndexer` makes them, of attributes of customers and products:
        for the prior of the factors and for unseen levels. Where the rows of a level differ, the largest index
        counts.
    userVectorCol, itemVectorCol : str, default ""
        Array columns of a vector of each customer and product that is not made from labels, such as the purchase
        patterns of `PurchasePatternEncoder`: numbers of a mean square of about 1, of one length; for the prior of
        the factors and for unseen levels. All rows of a level have the same vector. Empty for none.
    rank : int, default 8
        Number of factors.
    maxIter : int, default 20
        Rounds over users and items.
    maxTaskRows : int, default 5,000,000
        Up to this number of rows each fit is solved with NumPy inside one task, which takes up to 420 bytes a row;
        above it, by one pass a round, on blocks of about as many rows. Both take 4 ``rank`` squared bytes a product.
    scalePrior : float, default 20.0
        Rows that the spread of a product's residuals is shrunk by toward that of all.
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
        If a fold number is outside 0 to ``numFolds`` - 1, or there is no row.
    SettingsError
        If a param is outside its range.

    Notes
    -----
    A null or unseen customer or product has the factors that its attributes and its vector predict, and a product their
    spread; a null or unseen attribute contributes 0, and so does a null vector. Rows are neither dropped nor reordered,
    and their order does not matter.

    Passes over the rows: one to count, one for the vectors, and one that brings the rows to the tasks; above
    ``maxTaskRows`` instead one for the spreads, one that packs the ratings by customer, and one over the packed ratings
    in each round, which moves tables of products only. The driver receives the prior means.

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
        userAttributeCols: list[str] | None = None,
        itemAttributeCols: list[str] | None = None,
        userVectorCol: str = "",
        itemVectorCol: str = "",
        rank: int = 8,
        maxIter: int = 20,
        maxTaskRows: int = 5_000_000,
        scalePrior: float = 20.0,
        seed: int = 7,
        foldCol: str = "fold",
        numFolds: int = 5,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> LatentFactorModel:
        self.check_params()
        groups = [self.getOrDefault(self.userCol), self.getOrDefault(self.itemCol)]
        user_attributes, item_attributes = self._attribute_cols()
        columns = [*groups, self.getLabelCol(), self.getOrDefault(self.offsetCol), *user_attributes, *item_attributes]
        require_columns(self, dataset, [*columns, *filter(None, self._vector_cols())])
        self._check_folds(dataset)
        with cached(self._residual_frame(dataset)) as rows:
            count, user_sizes, item_sizes = self._measure(rows)
            vectors, widths = self._vectors(dataset)
            how = self._factorization(user_sizes, item_sizes, widths)
            if count <= self.getMaxTaskRows():
                factors = factorize_in_tasks(rows, vectors, how)
            else:
                factors = factorize_by_passes(rows, vectors, how, task_count(rows, count, self.getMaxTaskRows()))
            levels = (factors.users.count(), factors.items.count())
        model = self._fitted(LatentFactorModel())
        model._users, model._items, model._levels = factors.users, factors.items, levels
        model._means = (
            AttributeMeans(tuple(user_attributes), user_sizes, factors.user_means, self._vector_cols()[0]),
            AttributeMeans(tuple(item_attributes), item_sizes, factors.item_means, self._vector_cols()[1]),
        )
        return model

    def _factorization(
        self, user_sizes: tuple[int, ...], item_sizes: tuple[int, ...], widths: Sequence[int]
    ) -> Factorization:
        return Factorization(
            rank=self.getOrDefault(self.rank),
            iterations=self.getMaxIter(),
            scale_prior=self.getOrDefault(self.scalePrior),
            seed=self.getSeed(),
            fits=self.getNumFolds() + 1,
            user_sizes=user_sizes,
            item_sizes=item_sizes,
            user_width=widths[0],
            item_width=widths[1],
        )

    def _vectors(self, dataset: DataFrame) -> tuple[DataFrame | None, list[int]]:
        """Return one row a level with its vector, and the length of the vectors of customers and of products."""
        if not any(self._vector_cols()):
            return None, [0, 0]
        groups = self.getOrDefault(self.userCol), self.getOrDefault(self.itemCol)
        nothing = [
            sf.array_repeat(sf.lit(-1), len(names)).alias(f"{side}_attributes")
            for side, names in zip(("user", "item"), self._attribute_cols(), strict=True)
        ]
        tables, widths = [], []
        for side, group, vector in zip(("user", "item"), groups, self._vector_cols(), strict=True):
            widths.append(0)
            if not vector:
                continue
            table = _one_a_level(dataset, group, vector).localCheckpoint(eager=True)
            lengths = table.agg(sf.min(sf.size("vector")), sf.max(sf.size("vector"))).collect()[0]
            if lengths[0] != lengths[1]:
                raise DataError(
                    f"LatentFactorEncoder: expected vectors of one length in {vector}, found {lengths[0]} and "
                    f"{lengths[1]}; pad them."
                )
            widths[-1] = int(lengths[0] or 0)
            tables.append(table.select(col("level").alias(side), col("vector").alias(f"{side}_vector"), *nothing))
        union = functools.reduce(lambda one, two: one.unionByName(two, allowMissingColumns=True), tables)
        for side in ("user", "item"):
            if f"{side}_vector" not in union.columns:
                union = union.withColumn(f"{side}_vector", sf.lit(None).cast("array<double>"))
        return union, widths

    def _measure(self, rows: DataFrame) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """Return the number of rows, and of values of each attribute of customers and of products, in one pass."""
        users, items = map(len, self._attribute_cols())
        largest = [
            sf.max(sf.get(f"{side}_attributes", sf.lit(j)))
            for side, count in (("user", users), ("item", items))
            for j in range(count)
        ]
        count, *indices = rows.agg(sf.count(sf.lit(1)), *largest).collect()[0]
        if not count:
            groups = f"{self.getOrDefault(self.userCol)} and {self.getOrDefault(self.itemCol)}"
            raise DataError(
                f"LatentFactorEncoder: expected rows with {groups}, found none; check the columns for nulls."
            )
        sizes = [int(index) + 1 for index in indices]
        if sum(sizes) > MAX_LEVELS:
            raise SettingsError(
                f"LatentFactorEncoder: expected at most {MAX_LEVELS:,} values in userAttributeCols and "
                f"itemAttributeCols together, found {sum(sizes):,}; leave out columns with many values."
            )
        return int(count), tuple(sizes[:users]), tuple(sizes[users:])

    def _residual_frame(self, dataset: DataFrame) -> DataFrame:
        """Return user, item, attributes, fold and the residual ``r_k`` of each fit, of rows that have both groups."""
        user, item = col(self.getOrDefault(self.userCol)), col(self.getOrDefault(self.itemCol))
        label, offset = col(self.getLabelCol()).cast("double"), col(self.getOrDefault(self.offsetCol))
        is_array = dataset.select(offset).schema[0].dataType.typeName() == "array"
        fits = range(self.getNumFolds() + 1)
        residuals = [(label - (offset[k] if is_array else offset)).alias(f"r_{k}") for k in fits]
        attributes = [
            sf.array(*[sf.coalesce(col(name).cast("int"), sf.lit(-1)) for name in names])
            .cast("array<int>")
            .alias(f"{side}_attributes")
            for side, names in zip(("user", "item"), self._attribute_cols(), strict=True)
        ]
        named = user.alias("user"), item.alias("item"), self._fold(dataset).alias("fold")
        return dataset.where(user.isNotNull() & item.isNotNull()).select(*named, *attributes, *residuals)


def _one_a_level(dataset: DataFrame, group: str, vector: str) -> DataFrame:
    """Return ``level`` and ``vector``, one row a level.

    Each partition keeps the first row of a level before anything is shuffled: Spark would sort all vectors.
    """
    selected = dataset.select(col(group).alias("level"), col(vector).cast("array<double>").alias("vector")).dropna()
    schema = f"level {selected.schema['level'].dataType.simpleString()}, vector array<double>"
    return map_in_tasks(selected, first_of_level, schema).groupBy("level").agg(sf.first("vector").alias("vector"))


class LatentFactorModel(TableModelMixin, Model, _LatentFactorParams):
    """Factors of customers and products, one set a fit; see `LatentFactorEncoder`."""

    def __init__(self) -> None:
        super().__init__()
        self._users: DataFrame
        self._items: DataFrame
        self._levels = (0, 0)
        self._means: tuple[AttributeMeans, AttributeMeans] | None = None
        self._saved_means: list[DataFrame] = []

    def _prior_means(self) -> tuple[AttributeMeans, AttributeMeans]:
        """Return the prior means of customers and of products; those of a loaded model are read at the first use."""
        if self._means is None:
            users, items = map(
                AttributeMeans.from_frame, self._saved_means, self._attribute_cols(), self._vector_cols()
            )
            self._means = (users, items)
        return self._means

    def _transform(self, dataset: DataFrame) -> DataFrame:
        means = self._prior_means()
        groups = [self.getOrDefault(self.userCol), self.getOrDefault(self.itemCol)]
        vectors = filter(None, self._vector_cols())
        require_columns(self, dataset, [*groups, *means[0].columns, *means[1].columns, *vectors])
        has_folds = self._has_folds(dataset)
        fit = self._fit_number() if has_folds else sf.lit(self.getNumFolds())
        joined = dataset
        for side, name in zip("uv", groups, strict=True):
            same = col(name) == col(f"_pc_{side}_level")
            on = same & (fit == col(f"_pc_{side}_fit")) if has_folds else same
            joined = joined.join(self._lookup(side, has_folds=has_folds), on, "left")
        # Only rows whose level has no factors sum over attributes; for most rows it is a comparison.
        expected = {
            f"_pc_{side}_expected": sf.when(col(f"_pc_{side}").isNull(), prior.column(fit if has_folds else None))
            for side, prior in zip("uv", means, strict=True)
        }
        rank = self.getOrDefault(self.rank)
        factors = {
            "_pc_u": sf.coalesce(col("_pc_u"), col("_pc_u_expected")),
            "_pc_v": sf.coalesce(col("_pc_v"), sf.slice("_pc_v_expected", 1, rank)),
            "_pc_s": sf.coalesce(col("_pc_s"), sf.exp(sf.get("_pc_v_expected", sf.lit(rank)))),
        }
        joined = joined.withColumns(expected).withColumns(factors)
        out = self._outputs()
        kept = [col(name) for name in dataset.columns if name not in out]
        return joined.select(*kept, *[value.alias(name) for name, value in out.items()])

    def _outputs(self) -> dict[str, Column]:
        """Return the output columns of a joined row."""
        # A higher-order function also ends Spark's generated method here. With the joins of a second stage in it, the
        # method would be too large for Java to compile, and all joins would take four times as long.
        product = sf.expr("aggregate(zip_with(_pc_u, _pc_v, (x, y) -> x * y), 0D, (a, x) -> a + x) * _pc_s")
        out = {self.getOutputCol(): product}
        if self.getOrDefault(self.scaleCol):
            out[self.getOrDefault(self.scaleCol)] = col("_pc_s")
        for prefix, values in ((self.userFactorsPrefix, "_pc_u"), (self.itemFactorsPrefix, "_pc_v")):
            if self.getOrDefault(prefix):
                names = numbered(self.getOrDefault(prefix), self.getOrDefault(self.rank))
                out |= {name: sf.get(values, sf.lit(f)) for f, name in enumerate(names)}
        return out

    def _lookup(self, side: str, *, has_folds: bool) -> DataFrame:
        """Return the table of one side with one row a level and fit, or with the last fit only.

        With a row for each fit, the joined rows carry the factors of one fit instead of those of all.
        """
        last = self.getNumFolds()
        table, levels = (self._users, self._levels[0]) if side == "u" else (self._items, self._levels[1])
        level, scale = col("level").alias(f"_pc_{side}_level"), [] if side == "u" else ["s"]
        if has_folds:
            of_fit = table.select(level, *scale, sf.posexplode("f").alias(f"_pc_{side}_fit", f"_pc_{side}"))
            number = col(f"_pc_{side}_fit")
        else:
            of_fit, number = table.select(level, *scale, sf.get("f", sf.lit(last)).alias(f"_pc_{side}")), sf.lit(last)
        if scale:
            of_fit = of_fit.withColumn("_pc_s", sf.get("s", number)).drop("s")
        rows = levels * (last + 1 if has_folds else 1)
        return broadcast_if_small(of_fit, rows, self.getOrDefault(self.rank) + 2)

    def to_portable(self) -> dict[str, Any]:
        """Return what the scorer needs: JSON-safe params, and a frame of factors for customers and for products."""
        user_means, item_means = self._prior_means()
        return {
            "kind": "latent_factors",
            "inputs": [self.getOrDefault(self.userCol), self.getOrDefault(self.itemCol)],
            "output": self.getOutputCol(),
            "scale": self.getOrDefault(self.scaleCol),
            "user_factors": self.getOrDefault(self.userFactorsPrefix),
            "item_factors": self.getOrDefault(self.itemFactorsPrefix),
            "rank": self.getOrDefault(self.rank),
            "user_vector": user_means.vector,
            "item_vector": item_means.vector,
            "user_means": user_means.fit_to_dict(-1),
            "item_means": item_means.fit_to_dict(-1),
            "tables": {"user": self._last_factors(self._users), "item": self._last_factors(self._items)},
        }

    def _last_factors(self, table: DataFrame) -> DataFrame:
        """Return ``level``, the factors ``0`` and so on of the fit on all rows and, for products, ``scale``."""
        last = self.getNumFolds()
        factors = [sf.expr(f"get(get(f, {last}), {f})").alias(str(f)) for f in range(self.getOrDefault(self.rank))]
        scale = [sf.get("s", sf.lit(last)).alias("scale")] if "s" in table.columns else []
        return table.where(sf.get("f", sf.lit(last)).isNotNull()).select("level", *factors, *scale)

    def _tables(self) -> Mapping[str, DataFrame]:
        users, items = (means.to_frame(self._users.sparkSession) for means in self._prior_means())
        return {"users": self._users, "items": self._items, "user_means": users, "item_means": items}

    def _state(self) -> dict[str, Any]:
        return {"levels": list(self._levels)}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._users, self._items = tables["users"], tables["items"]
        self._saved_means = [tables["user_means"], tables["item_means"]]
        self._levels = (int(state["levels"][0]), int(state["levels"][1]))
