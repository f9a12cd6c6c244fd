"""Params that `LinearRegressionGridSearch` and its model share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import (
    HasFeaturesCol,
    HasFitIntercept,
    HasLabelCol,
    HasMaxIter,
    HasParallelism,
    HasPredictionCol,
    HasSeed,
    HasStandardization,
    HasTol,
    HasWeightCol,
)

from purchasecast.errors import SettingsError
from purchasecast.search.choice import SELECTIONS
from purchasecast.search.grid import DEFAULT_GRID, ParamGrid
from purchasecast.search.native import native_regression
from purchasecast.spark.columns import col
from purchasecast.spark.gram import check_columns, fold_by_content, training_rows

if TYPE_CHECKING:
    from pyspark.ml.regression import LinearRegression
    from pyspark.sql import Column, DataFrame

__all__ = ["_LinearRegressionGridSearchParams"]

_METRICS = ("rmse", "mse", "r2")


class _LinearRegressionGridSearchParams(
    HasFeaturesCol,
    HasLabelCol,
    HasPredictionCol,
    HasWeightCol,
    HasFitIntercept,
    HasStandardization,
    HasMaxIter,
    HasTol,
    HasSeed,
    HasParallelism,
):
    """Params of `LinearRegressionGridSearch` and its model."""

    regParam: Param[list[float]] = Param(
        Params._dummy(),
        "regParam",
        "penalties to try, at least 0, on the scale of the label",
        typeConverter=TypeConverters.toListFloat,
    )
    elasticNetParam: Param[list[float]] = Param(
        Params._dummy(),
        "elasticNetParam",
        "shares of L1 to try, 0 (ridge) to 1 (lasso), each with each regParam",
        typeConverter=TypeConverters.toListFloat,
    )
    numFolds: Param[int] = Param(
        Params._dummy(), "numFolds", "number of folds, at least 2", typeConverter=TypeConverters.toInt
    )
    foldCol: Param[str] = Param(
        Params._dummy(),
        "foldCol",
        "column of fold numbers from 0 to numFolds - 1; empty for folds by a hash of the row's content",
        typeConverter=TypeConverters.toString,
    )
    metricName: Param[str] = Param(
        Params._dummy(),
        "metricName",
        "metric on the held-out fold (rmse, mse, r2)",
        typeConverter=TypeConverters.toString,
    )
    selection: Param[str] = Param(
        Params._dummy(),
        "selection",
        "best, or oneStandardError for the sparsest within one standard error of the best",
        typeConverter=TypeConverters.toString,
    )
    maxFeatures: Param[int] = Param(
        Params._dummy(),
        "maxFeatures",
        "features past which Spark's own CrossValidator runs instead",
        typeConverter=TypeConverters.toInt,
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._setDefault(
            regParam=list(DEFAULT_GRID.reg_param),
            elasticNetParam=list(DEFAULT_GRID.elastic_net_param),
            numFolds=5,
            foldCol="",
            metricName="rmse",
            selection="best",
            maxFeatures=4096,
            maxIter=10_000,
            tol=1e-12,
            seed=7,
            parallelism=1,
            fitIntercept=True,
            standardization=True,
        )

    def getRegParam(self) -> list[float]:
        """Return the penalties to try."""
        return self.getOrDefault(self.regParam)

    def getElasticNetParam(self) -> list[float]:
        """Return the shares of L1 to try."""
        return self.getOrDefault(self.elasticNetParam)

    def getNumFolds(self) -> int:
        """Return the number of folds."""
        return self.getOrDefault(self.numFolds)

    def getFoldCol(self) -> str:
        """Return the fold column, or an empty string."""
        return self.getOrDefault(self.foldCol)

    def getMetricName(self) -> str:
        """Return the metric."""
        return self.getOrDefault(self.metricName)

    def getSelection(self) -> str:
        """Return the rule by which a candidate is taken."""
        return self.getOrDefault(self.selection)

    def getMaxFeatures(self) -> int:
        """Return the cap on features of the one-pass search."""
        return self.getOrDefault(self.maxFeatures)

    @property
    def _weight(self) -> str | None:
        """The weight column, or None."""
        return (self.isDefined(self.weightCol) and self.getWeightCol()) or None

    def _rows(self, dataset: DataFrame, fold: Column, **others: Column) -> DataFrame:
        """Select what the executors read."""
        return training_rows(
            dataset,
            vector=self.getFeaturesCol(),
            label=self.getLabelCol(),
            weight=self._weight,
            fold=fold,
            **others,
        )

    def _check(self, dataset: DataFrame) -> tuple[tuple[float, float], ...]:
        """Check params and columns, and return the candidates."""
        grid = ParamGrid(tuple(self.getRegParam()), tuple(self.getElasticNetParam())).candidates()
        if self.getNumFolds() < 2:
            raise SettingsError(f"numFolds must be at least 2, found {self.getNumFolds()}; 5 is usual")
        for param, allowed in ((self.metricName, _METRICS), (self.selection, SELECTIONS)):
            if self.getOrDefault(param) not in allowed:
                raise SettingsError(
                    f"{param.name} must be one of {', '.join(allowed)}, found {self.getOrDefault(param)!r}; "
                    "take one of these"
                )
        weight, fold = self._weight, self.getFoldCol()
        check_columns(
            dataset,
            vector=self.getFeaturesCol(),
            numeric=[self.getLabelCol(), *([weight] if weight else [])],
            integral=[fold] if fold else [],
        )
        return grid

    def _fold(self, dataset: DataFrame) -> Column:
        if self.getFoldCol():
            return col(self.getFoldCol()).cast("int")
        return fold_by_content(dataset, self.getFeaturesCol(), self.getNumFolds(), self.getSeed())

    def _native(self) -> LinearRegression:
        """Return Spark's estimator with the params that the candidates share."""
        return native_regression(
            featuresCol=self.getFeaturesCol(),
            labelCol=self.getLabelCol(),
            predictionCol=self.getPredictionCol(),
            fitIntercept=self.getFitIntercept(),
            standardization=self.getStandardization(),
            maxIter=self.getMaxIter(),
            tol=self.getTol(),
            weightCol=self._weight,
        )
