"""Params of `BoostedTreesRegressor` and its model."""

from __future__ import annotations

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCols, HasLabelCol, HasPredictionCol, HasSeed

from purchasecast.stages.tasks import HasTaskRows

__all__ = ["BoostedTreesParams"]


class BoostedTreesParams(HasInputCols, HasLabelCol, HasPredictionCol, HasSeed, HasTaskRows):
    """Params of the estimator and its model."""

    foldCol: Param[str] = Param(
        Params._dummy(), "foldCol", "column of fold numbers", typeConverter=TypeConverters.toString
    )
    validationFold: Param[int] = Param(
        Params._dummy(),
        "validationFold",
        "fold that says when to stop; -1 for none: numRounds trees are grown",
        typeConverter=TypeConverters.toInt,
    )
    orderCol: Param[str] = Param(
        Params._dummy(),
        "orderCol",
        "integer that rows are sorted by before sampling, so that partitions do not matter",
        typeConverter=TypeConverters.toString,
    )
    everyFold: Param[bool] = Param(
        Params._dummy(),
        "everyFold",
        "whether every fold, not only that which stops the fit, gets a fit without it",
        typeConverter=TypeConverters.toBoolean,
    )
    numRounds: Param[int] = Param(Params._dummy(), "numRounds", "most trees (>= 1)", typeConverter=TypeConverters.toInt)
    patience: Param[int] = Param(
        Params._dummy(),
        "patience",
        "trees without a better error before the fit stops (>= 1)",
        typeConverter=TypeConverters.toInt,
    )
    maxLeaves: Param[int] = Param(
        Params._dummy(), "maxLeaves", "leaves of a tree (>= 2)", typeConverter=TypeConverters.toInt
    )
    learningRate: Param[float] = Param(
        Params._dummy(), "learningRate", "weight of a tree, in (0, 1]", typeConverter=TypeConverters.toFloat
    )
    minRows: Param[float] = Param(
        Params._dummy(), "minRows", "least rows of a leaf (>= 0)", typeConverter=TypeConverters.toFloat
    )
    rowShare: Param[float] = Param(
        Params._dummy(), "rowShare", "share of rows that a tree sees, in (0, 1]", typeConverter=TypeConverters.toFloat
    )
    columnShare: Param[float] = Param(
        Params._dummy(),
        "columnShare",
        "share of columns that a tree sees, in (0, 1]",
        typeConverter=TypeConverters.toFloat,
    )
    ridge: Param[float] = Param(
        Params._dummy(), "ridge", "L2 penalty on a leaf's value (>= 0)", typeConverter=TypeConverters.toFloat
    )
    numWorkers: Param[int] = Param(
        Params._dummy(),
        "numWorkers",
        "0: one task up to maxTaskRows, else a worker a slot; more than 1: that many workers of xgboost.spark",
        typeConverter=TypeConverters.toInt,
    )

    def _set_defaults(self) -> None:
        self._setDefault(
            labelCol="label",
            predictionCol="prediction",
            foldCol="fold",
            validationFold=-1,
            everyFold=False,
            orderCol="",
            numRounds=1_000,
            patience=30,
            maxLeaves=63,
            learningRate=0.05,
            minRows=20.0,
            rowShare=0.8,
            columnShare=0.5,
            ridge=5.0,
            numWorkers=0,
            seed=7,
            maxTaskRows=5_000_000,
        )
