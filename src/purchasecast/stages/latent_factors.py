r"""The interaction of two groups as a product of latent factors, on what their additive effects leave over.

With :math:`r` the residual of the additive effects and :math:`s_j` the spread of product :math:`j`'s residuals,

.. math:: \frac{r_{ij}}{s_j} \approx u_i^T v_j, \qquad
          s_j^2 = \frac{\sum_{i} r_{ij}^2 + \kappa\, \bar{r^2}}{n_j + \kappa},

fitted by variational Bayes, in which factors have a posterior and a prior that follows from attributes (see
`_solve_posterior`), or by alternating least squares with a ridge penalty on every rating. Dividing by the spread lets
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
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol, HasMaxIter, HasOutputCol, HasRegParam, HasSeed
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast._columns import col
from purchasecast.errors import SettingsError
from purchasecast.stages._base import HasFolds, TableModelMixin, broadcast_if_small, numbered, require_columns
from purchasecast.stages._factorize import Factorization, factorize_by_als, factorize_in_tasks
from purchasecast.stages._in_tasks import HasTaskRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

__all__ = ["LatentFactorEncoder", "LatentFactorModel"]

logger = logging.getLogger(__name__)

SOLVERS = ("variational", "als")


class _LatentFactorParams(HasLabelCol, HasOutputCol, HasMaxIter, HasRegParam, HasSeed, HasFolds, HasTaskRows):
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
    solver: Param[str] = Param(
        Params._dummy(),
        "solver",
        "variational: Bayes, inside a task only; als: alternating least squares",
        typeConverter=TypeConverters.toString,
    )
    userAttributeCols: Param[list[str]] = Param(
        Params._dummy(),
        "userAttributeCols",
        "level numbers of the customer's attributes, for the prior of the factors",
        typeConverter=TypeConverters.toListString,
    )
    itemAttributeCols: Param[list[str]] = Param(
        Params._dummy(),
        "itemAttributeCols",
        "level numbers of the product's attributes, for the prior of the factors",
        typeConverter=TypeConverters.toListString,
    )
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
            solver="variational",
            userAttributeCols=[],
            itemAttributeCols=[],
            rank=8,
            regParam=0.1,
            maxIter=30,
            maxTaskRows=5_000_000,
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
    solver : {"variational", "als"}, default "variational"
        Bayes, which has no penalty to choose and predicts better where customers have tens of purchases each; or least
        squares. Beyond `maxTaskRows`, and where posteriors would take more than 2 GB, always least squares.
    userAttributeCols, itemAttributeCols : list of str, default []
        Numeric columns of level numbers (0 and up; null for none), as of `StringIndexer`: attributes of customers and
        products, for the prior of "variational". Where a level's rows differ, the largest number counts.
    rank : int, default 8
        Number of factors.
    regParam : float, default 0.1
        Ridge penalty of least squares a rating, on the scaled residual.
    maxIter : int, default 30
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
    A null or unseen customer or product has no interaction: 0; its spread is that of all products together.
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
        maxIter: int = 30,
        maxTaskRows: int = 5_000_000,
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
        if self.getOrDefault("solver") not in SOLVERS:
            raise SettingsError(f"solver: expected one of {list(SOLVERS)}, found {self.getOrDefault('solver')!r}.")
        needed = [self.getUserCol(), self.getItemCol(), self.getLabelCol(), self.getOffsetCol()]
        attributes = [*self.getOrDefault("userAttributeCols"), *self.getOrDefault("itemAttributeCols")]
        require_columns(self, dataset, [*needed, *attributes])
        self._check_folds(dataset)

    def _fit(self, dataset: DataFrame) -> LatentFactorModel:
        self._check(dataset)
        fits = self.getNumFolds() + 1
        rows = self._residual_frame(dataset, fits).persist()
        try:
            how = Factorization(
                solver=self.getOrDefault("solver"),
                rank=self.getRank(),
                reg=self.getRegParam(),
                iterations=self.getMaxIter(),
                scale_prior=self.getScalePrior(),
                seed=self.getSeed(),
                fits=fits,
            )
            count = rows.count()
            fits_in_tasks = count <= self.getMaxTaskRows()
            if not fits_in_tasks and how.solver != "als":
                logger.warning(
                    "LatentFactorEncoder: %s rows are more than maxTaskRows, so that factors come from Spark's ALS, "
                    "which predicts a little worse; raise maxTaskRows where a task has the memory",
                    f"{count:,}",
                )
            found = (factorize_in_tasks if fits_in_tasks else factorize_by_als)(rows, how)
            model = LatentFactorModel()
            model._resetUid(self.uid)
            self._copyValues(model)
            model._users, model._items, model._overall_scale = found.users, found.items, found.overall
            model._levels = (found.users.count(), found.items.count())
        finally:
            rows.unpersist()
        return model

    def _residual_frame(self, dataset: DataFrame, fits: int) -> DataFrame:
        """Return user, item, attributes, fold and the residual ``r_k`` of each fit, for rows that have both groups."""
        fold = col(self.getFoldCol()).cast("int") if self._has_folds(dataset) else sf.lit(-1)
        user, item, offset = col(self.getUserCol()), col(self.getItemCol()), col(self.getOffsetCol())
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
            same = col(name) == col(f"_pc_{side}_level")
            on = same & (fit == col(f"_pc_{side}_fit")) if has_folds else same
            joined = joined.join(self._lookup(side, has_folds=has_folds), on, "left")

        # A higher-order function also ends Spark's generated method here; with the joins of a second stage in it, it
        # would pass the size up to which Java compiles it, and all joins would be four times slower.
        dot = "aggregate(zip_with(_pc_u, _pc_v, (x, y) -> x * y), 0D, (sum, x) -> sum + x)"
        out = {self.getOutputCol(): sf.expr(f"coalesce({dot} * _pc_s, 0D)")}
        if self._optional("scaleCol"):
            out[self._optional("scaleCol")] = sf.coalesce(col("_pc_s"), sf.get(sf.lit(self._overall_scale), fit))
        for option, values in (("userFactorsPrefix", "_pc_u"), ("itemFactorsPrefix", "_pc_v")):
            if self._optional(option):
                names = numbered(self._optional(option), self.getRank())
                out |= {name: sf.expr(f"coalesce(get({values}, {f}), 0D)") for f, name in enumerate(names)}
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
        return broadcast_if_small(of_fit, rows * (last + 1 if has_folds else 1), self.getRank() + 2)

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
            "tables": {"user": self._last_factors(self._users), "item": self._last_factors(self._items)},
        }

    def _last_factors(self, table: DataFrame) -> DataFrame:
        """Return ``level``, the factors ``0`` .. of the fit on all rows and, for items, ``scale``."""
        last = self.getNumFolds()
        factors = [sf.expr(f"get(get(f, {last}), {i})").alias(str(i)) for i in range(self.getRank())]
        scale = [sf.get("s", sf.lit(last)).alias("scale")] if "s" in table.columns else []
        return table.where(sf.get("f", sf.lit(last)).isNotNull()).select("level", *factors, *scale)

    def _tables(self) -> Mapping[str, DataFrame]:
        return {"users": self._users, "items": self._items}

    def _state(self) -> dict[str, Any]:
        return {"overall_scale": self._overall_scale, "levels": list(self._levels)}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._users, self._items = tables["users"], tables["items"]
        self._overall_scale = [float(scale) for scale in state["overall_scale"]]
        self._levels = (int(state["levels"][0]), int(state["levels"][1]))
