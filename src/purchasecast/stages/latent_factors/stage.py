r"""The interaction of two groups as a product of latent factors, on what their additive effects leave over.

With :math:`r` the residual of the additive effects and :math:`s_j` the spread of product :math:`j`'s residuals,

.. math:: \frac{r_{ij}}{s_j} \approx u_i^T v_j, \qquad
          s_j^2 = \frac{\sum_{i} r_{ij}^2 + \kappa\, \bar{r^2}}{n_j + \kappa},

fitted by variational Bayes, in which factors have a posterior and a prior that follows from attributes (see
`variational`), or by alternating least squares with a ridge penalty on every rating. Dividing by the spread lets
cheap and dear products speak with the same voice; the product is multiplied back afterwards.

References
----------
Y. Lim, Y. Teh, "Variational Bayesian approach to movie rating prediction", KDD Cup 2007.
Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan, "Large-scale parallel collaborative filtering for the Netflix prize",
AAIM 2008. https://doi.org/10.1007/978-3-540-68880-8_32
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasLabelCol, HasMaxIter, HasOutputCol, HasRegParam, HasSeed
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col
from purchasecast.stages.base import HasFolds, TableModelMixin, broadcast_if_small, numbered, require_columns
from purchasecast.stages.crossed_effects.attributes import MOST_LEVELS
from purchasecast.stages.latent_factors.attribute_means import AttributeMeans
from purchasecast.stages.latent_factors.factorize import Factorization, factorize_by_als, factorize_in_tasks
from purchasecast.stages.latent_factors.solver import posterior_fits
from purchasecast.stages.params import StageParams, float_param, int_param, str_list_param, str_param
from purchasecast.stages.tasks import HasTaskRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

__all__ = ["LatentFactorEncoder", "LatentFactorModel"]

logger = logging.getLogger(__name__)


class _LatentFactorParams(
    StageParams, HasLabelCol, HasOutputCol, HasMaxIter, HasRegParam, HasSeed, HasFolds, HasTaskRows
):
    """Params of the encoder and its model."""

    userCol = str_param("customer column, any type", default="user")
    itemCol = str_param("product column, any type", default="item")
    offsetCol = str_param(
        "what the factors are fitted beside: a number, or an array of one a fit (fitsCol of CrossedEffectsEncoder)",
        default="fits",
    )
    outputCol = str_param("output column for the interaction", default="interaction")
    scaleCol = str_param("output column for the product's residual spread; empty for none", default="")
    userFactorsPrefix = str_param("prefix of the output columns of the customer's factors; empty for none", default="")
    itemFactorsPrefix = str_param("prefix of the output columns of the product's factors; empty for none", default="")
    solver = str_param(
        "variational: Bayes, inside a task only; als: alternating least squares",
        default="variational",
        choices=("variational", "als"),
    )
    userAttributeCols = str_list_param("level numbers of the customer's attributes, for the prior of the factors")
    itemAttributeCols = str_list_param("level numbers of the product's attributes, for the prior of the factors")
    rank = int_param("number of factors", default=8, minimum=1)
    regParam = float_param("ridge penalty of least squares a rating, on the scaled residual", default=0.1, minimum=0)
    maxIter = int_param("rounds over users and items", default=20, minimum=1)
    scalePrior = float_param(
        "rows that a product's residual spread is shrunk by toward that of all", default=20.0, minimum=0
    )
    seed = int_param("seed of the first factors", default=7)

    def optional(self, name: str) -> str:
        """Return the name of a column that need not be asked for."""
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
    solver : {"variational", "als"}, default "variational"
        Bayes, which has no penalty to choose and predicts better where customers have tens of purchases each; or least
        squares. Beyond `maxTaskRows`, and where posteriors would take more than 2 GB, always least squares.
    userAttributeCols, itemAttributeCols : list of str, default []
        Numeric columns of level numbers (0 and up; null for none), as of `StringIndexer`: attributes of customers and
        products, for the prior of "variational" and for unseen levels. Where a level's rows differ, the largest number
        counts.
    rank : int, default 8
        Number of factors.
    regParam : float, default 0.1
        Ridge penalty of least squares a rating, on the scaled residual.
    maxIter : int, default 20
        Rounds over users and items; least squares needs about 15.
    maxTaskRows : int, default 5,000,000
        Up to this many rows every fit is solved with NumPy inside one task, which takes about 100 bytes a row and, for
        "variational", 4 ``rank`` squared a level; beyond, all fits by one run of Spark's ALS.
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
    A null or unseen customer or product has the factors that its attributes say, and a product the spread; an attribute
    that is null or unseen adds nothing. After least squares attributes say nothing: the interaction is 0, the spread
    that of all products together.
    Rows are neither dropped nor reordered, and their order does not matter. (Beyond ``maxTaskRows`` Spark's ALS
    computes in single precision: another order or partitioning moves the output by up to 1e-3 of its size.)

    Passes over the rows: one that counts, then one that hands the rows to the tasks; or, beyond ``maxTaskRows``, one
    each for spreads and for the two numberings, and one to hand the ratings to Spark's ALS, which holds ``numFolds`` of
    them a row and shuffles only factors from there on. Nothing but a few sums reaches the driver.

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
        solver: str = "variational",
        userAttributeCols: list[str] | None = None,
        itemAttributeCols: list[str] | None = None,
        rank: int = 8,
        regParam: float = 0.1,
        maxIter: int = 20,
        maxTaskRows: int = 5_000_000,
        scalePrior: float = 20.0,
        seed: int = 7,
        foldCol: str = "fold",
        numFolds: int = 5,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _check(self, dataset: DataFrame) -> None:
        self.check_params()
        needed = [
            self.getOrDefault(self.userCol),
            self.getOrDefault(self.itemCol),
            self.getLabelCol(),
            self.getOrDefault(self.offsetCol),
        ]
        attributes = [*self.getOrDefault("userAttributeCols"), *self.getOrDefault("itemAttributeCols")]
        require_columns(self, dataset, [*needed, *attributes])
        self._check_folds(dataset)

    def _fit(self, dataset: DataFrame) -> LatentFactorModel:
        self._check(dataset)
        fits = self.getNumFolds() + 1
        with cached(self._residual_frame(dataset, fits)) as rows:
            count, user_sizes, item_sizes = self._measure(rows)
            how = Factorization(
                solver=self.getOrDefault("solver"),
                rank=self.getOrDefault(self.rank),
                reg=self.getRegParam(),
                iterations=self.getMaxIter(),
                scale_prior=self.getOrDefault(self.scalePrior),
                seed=self.getSeed(),
                fits=fits,
                user_sizes=user_sizes,
                item_sizes=item_sizes,
            )
            fits_in_tasks = count <= self.getMaxTaskRows()
            found = (factorize_in_tasks if fits_in_tasks else factorize_by_als)(rows, how)
            levels = (found.users.count(), found.items.count())
        if how.solver != "als":
            self._warn_of_least_squares(count, sum(levels))
        model = self._fitted(LatentFactorModel())
        model._users, model._items, model._levels = found.users, found.items, levels
        model._means = (
            AttributeMeans(tuple(self.getOrDefault("userAttributeCols")), user_sizes, found.user_means),
            AttributeMeans(tuple(self.getOrDefault("itemAttributeCols")), item_sizes, found.item_means),
        )
        return model

    def _measure(self, rows: DataFrame) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """Return the number of rows, and of the values of each attribute of users and of items, in one pass."""
        sides = [len(self.getOrDefault(name)) for name in ("userAttributeCols", "itemAttributeCols")]
        largest = [
            sf.max(sf.get(f"{side}_attributes", sf.lit(j)))
            for side, count in zip(("user", "item"), sides, strict=True)
            for j in range(count)
        ]
        count, *found = rows.agg(sf.count(sf.lit(1)), *largest).collect()[0]
        if not count:
            names = f"{self.getOrDefault(self.userCol)} and {self.getOrDefault(self.itemCol)}"
            raise DataError(f"LatentFactorEncoder: expected rows with {names}, found none; check the columns' nulls.")
        sizes = [int(number) + 1 for number in found]
        if sum(sizes) > MOST_LEVELS:
            raise SettingsError(
                f"userAttributeCols and itemAttributeCols: expected at most {MOST_LEVELS:,} values together, "
                f"found {sum(sizes):,}; leave out columns of many values."
            )
        return int(count), tuple(sizes[: sides[0]]), tuple(sizes[sides[0] :])

    def _warn_of_least_squares(self, rows: int, levels: int) -> None:
        """Say where factors are of another making than what was asked for."""
        reason = ""
        if rows > self.getMaxTaskRows():
            reason = f"{rows:,} rows are more than maxTaskRows; raise it where a task has the memory"
        elif not posterior_fits(levels, self.getOrDefault(self.rank)):
            reason = f"posteriors of {levels:,} customers and products would take over 2 GB a task; lower the rank"
        if reason:
            logger.warning(
                "LatentFactorEncoder: factors come from least squares, which predicts a little worse: %s", reason
            )

    def _residual_frame(self, dataset: DataFrame, fits: int) -> DataFrame:
        """Return user, item, attributes, fold and the residual ``r_k`` of each fit, for rows that have both groups."""
        fold = col(self.getFoldCol()).cast("int") if self._has_folds(dataset) else sf.lit(-1)
        user, item, offset = (
            col(self.getOrDefault(self.userCol)),
            col(self.getOrDefault(self.itemCol)),
            col(self.getOrDefault(self.offsetCol)),
        )
        is_array = dataset.select(offset).schema[0].dataType.typeName() == "array"
        label = col(self.getLabelCol()).cast("double")
        residuals = [(label - (offset[k] if is_array else offset)).alias(f"r_{k}") for k in range(fits)]
        both = user.isNotNull() & item.isNotNull()
        attributes = [
            sf.array(*[sf.coalesce(col(name).cast("int"), sf.lit(-1)) for name in self.getOrDefault(param)])
            .cast("array<int>")
            .alias(f"{role}_attributes")
            for role, param in (("user", "userAttributeCols"), ("item", "itemAttributeCols"))
        ]
        named = (user.alias("user"), item.alias("item"), fold.alias("fold"))
        return dataset.where(both).select(*named, *attributes, *residuals)


class LatentFactorModel(TableModelMixin, Model, _LatentFactorParams):
    """Factors of customers and products, one set a fit; see `LatentFactorEncoder`."""

    def __init__(self) -> None:
        super().__init__()
        self._users: DataFrame
        self._items: DataFrame
        self._levels = (0, 0)
        self._means: tuple[AttributeMeans, AttributeMeans] | None = None
        self._saved_means: list[DataFrame] = []

    def _of_attributes(self) -> tuple[AttributeMeans, AttributeMeans]:
        """Return what attributes say of customers and of products; of a model from a file, read when first needed."""
        if self._means is None:
            columns = (self.getOrDefault("userAttributeCols"), self.getOrDefault("itemAttributeCols"))
            users, items = map(AttributeMeans.from_frame, self._saved_means, columns)
            self._means = (users, items)
        return self._means

    def _transform(self, dataset: DataFrame) -> DataFrame:
        means = self._of_attributes()
        inputs = [self.getOrDefault(self.userCol), self.getOrDefault(self.itemCol)]
        require_columns(self, dataset, [*inputs, *means[0].columns, *means[1].columns])
        has_folds = self._has_folds(dataset)
        fit = self._fit_number() if has_folds else sf.lit(self.getNumFolds())
        joined = dataset
        for side, name in zip("uv", inputs, strict=True):
            same = col(name) == col(f"_pc_{side}_level")
            on = same & (fit == col(f"_pc_{side}_fit")) if has_folds else same
            joined = joined.join(self._lookup(side, has_folds=has_folds), on, "left")

        # Only for rows that no table has: most cost a comparison, not a sum over attributes.
        asked = fit if has_folds else None
        expected = {
            f"_pc_{side}_expected": sf.when(col(f"_pc_{side}").isNull(), of.column(asked))
            for side, of in zip("uv", means, strict=True)
        }
        rank = self.getOrDefault(self.rank)
        factors = {
            "_pc_u": sf.coalesce(col("_pc_u"), col("_pc_u_expected")),
            "_pc_v": sf.coalesce(col("_pc_v"), sf.slice("_pc_v_expected", 1, rank)),
            "_pc_s": sf.coalesce(col("_pc_s"), sf.exp(sf.get("_pc_v_expected", sf.lit(rank)))),
        }
        joined = joined.withColumns(expected).withColumns(factors)
        # A higher-order function also ends Spark's generated method here; with the joins of a second stage in it, it
        # would pass the size up to which Java compiles it, and all joins would be four times slower.
        out = {
            self.getOutputCol(): sf.expr(
                "aggregate(zip_with(_pc_u, _pc_v, (x, y) -> x * y), 0D, (a, x) -> a + x) * _pc_s"
            )
        }
        if self.optional("scaleCol"):
            out[self.optional("scaleCol")] = col("_pc_s")
        for option, values in (("userFactorsPrefix", "_pc_u"), ("itemFactorsPrefix", "_pc_v")):
            if self.optional(option):
                names = numbered(self.optional(option), rank)
                out |= {name: sf.get(values, sf.lit(f)) for f, name in enumerate(names)}
        kept = [col(name) for name in dataset.columns if name not in out]
        return joined.select(*kept, *[value.alias(name) for name, value in out.items()])

    def _lookup(self, side: str, *, has_folds: bool) -> DataFrame:
        """Return one side's table: one row a level and fit, or of the last fit only.

        With a row for each fit the joined rows carry one fit's factors, not those of all.
        """
        last = self.getNumFolds()
        table, rows = (self._users, self._levels[0]) if side == "u" else (self._items, self._levels[1])
        level, scale = col("level").alias(f"_pc_{side}_level"), [] if side == "u" else ["s"]
        if has_folds:
            of_fit = table.select(level, *scale, sf.posexplode("f").alias(f"_pc_{side}_fit", f"_pc_{side}"))
            number = col(f"_pc_{side}_fit")
        else:
            of_fit, number = table.select(level, *scale, sf.get("f", sf.lit(last)).alias(f"_pc_{side}")), sf.lit(last)
        if scale:
            of_fit = of_fit.withColumn("_pc_s", sf.get("s", number)).drop("s")
        return broadcast_if_small(of_fit, rows * (last + 1 if has_folds else 1), self.getOrDefault(self.rank) + 2)

    def to_portable(self) -> dict[str, Any]:
        """Return what a scorer without Spark needs: JSON-safe params, and a frame of factors a group.

        The frames stay on the executors; whoever exports writes them as Parquet.
        """
        user_means, item_means = self._of_attributes()
        return {
            "kind": "latent_factors",
            "inputs": [self.getOrDefault(self.userCol), self.getOrDefault(self.itemCol)],
            "output": self.getOutputCol(),
            "scale": self.optional("scaleCol"),
            "user_factors": self.optional("userFactorsPrefix"),
            "item_factors": self.optional("itemFactorsPrefix"),
            "rank": self.getOrDefault(self.rank),
            "user_means": user_means.fit_to_dict(-1),
            "item_means": item_means.fit_to_dict(-1),
            "tables": {"user": self._last_factors(self._users), "item": self._last_factors(self._items)},
        }

    def _last_factors(self, table: DataFrame) -> DataFrame:
        """Return ``level``, the factors ``0`` .. of the fit on all rows and, for items, ``scale``."""
        last = self.getNumFolds()
        factors = [sf.expr(f"get(get(f, {last}), {i})").alias(str(i)) for i in range(self.getOrDefault(self.rank))]
        scale = [sf.get("s", sf.lit(last)).alias("scale")] if "s" in table.columns else []
        return table.where(sf.get("f", sf.lit(last)).isNotNull()).select("level", *factors, *scale)

    def _tables(self) -> Mapping[str, DataFrame]:
        users, items = (means.to_frame(self._users.sparkSession) for means in self._of_attributes())
        return {"users": self._users, "items": self._items, "user_means": users, "item_means": items}

    def _state(self) -> dict[str, Any]:
        return {"levels": list(self._levels)}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._users, self._items = tables["users"], tables["items"]
        self._saved_means = [tables["user_means"], tables["item_means"]]
        self._levels = (int(state["levels"][0]), int(state["levels"][1]))
