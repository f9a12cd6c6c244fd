"""Params of `LatentFactorEncoder` and its model."""

from __future__ import annotations

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol, HasMaxIter, HasOutputCol, HasRegParam, HasSeed

from purchasecast.stages.base import HasFolds
from purchasecast.stages.tasks import HasTaskRows

__all__ = ["SOLVERS", "LatentFactorParams"]

SOLVERS = ("variational", "als")


class LatentFactorParams(HasLabelCol, HasOutputCol, HasMaxIter, HasRegParam, HasSeed, HasFolds, HasTaskRows):
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
            maxIter=20,
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

    def optional(self, name: str) -> str:
        """Return the name of a column that need not be asked for."""
        return str(self.getOrDefault(name))
