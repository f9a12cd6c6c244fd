"""Params that `LinearRegressionGridSearch` and its model share."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

from purchasecast.search.choice import SELECTIONS
from purchasecast.search.grid import DEFAULT_GRID, ParamGrid
from purchasecast.search.native import native_regression
from purchasecast.spark.columns import col
from purchasecast.spark.gram import check_columns, fold_by_content, training_rows
from purchasecast.stages.params import StageParams, float_list_param, float_param, int_param, str_param

if TYPE_CHECKING:
    from pyspark.ml.regression import LinearRegression
    from pyspark.sql import Column, DataFrame

__all__ = ["_LinearRegressionGridSearchParams"]


class _LinearRegressionGridSearchParams(
    StageParams,
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

    regParam = float_list_param(
        "penalties to try, at least 0, on the scale of the label", default=DEFAULT_GRID.reg_param
    )
    elasticNetParam = float_list_param(
        "shares of L1 to try, 0 (ridge) to 1 (lasso), each with each regParam", default=DEFAULT_GRID.elastic_net_param
    )
    numFolds = int_param("number of folds", default=5, minimum=2)
    foldCol = str_param(
        "column of fold numbers from 0 to numFolds - 1; empty for folds by a hash of the row's content", default=""
    )
    metricName = str_param("metric on the held-out fold", default="rmse", choices=("rmse", "mse", "r2"))
    selection = str_param(
        "best, or oneStandardError for the sparsest within one standard error of the best",
        default="best",
        choices=SELECTIONS,
    )
    maxFeatures = int_param("features past which Spark's own CrossValidator runs instead", default=4096, minimum=0)
    maxIter = int_param("of Spark's fit at the chosen penalty, and of the stock search", default=10_000, minimum=0)
    tol = float_param("of Spark's fit at the chosen penalty, and of the stock search", default=1e-12, minimum=0)
    seed = int_param("seed of the folds", default=7)

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
        self.check_params()
        strengths, shares = self.getOrDefault(self.regParam), self.getOrDefault(self.elasticNetParam)
        grid = ParamGrid(tuple(strengths), tuple(shares)).candidates()
        weight, fold = self._weight, self.getOrDefault(self.foldCol)
        check_columns(
            dataset,
            vector=self.getFeaturesCol(),
            numeric=[self.getLabelCol(), *([weight] if weight else [])],
            integral=[fold] if fold else [],
        )
        return grid

    def _fold(self, dataset: DataFrame) -> Column:
        if self.getOrDefault(self.foldCol):
            return sf.col(f"`{self.getOrDefault(self.foldCol)}`").cast("int")
        return fold_by_content(dataset, self.getFeaturesCol(), self.getOrDefault(self.numFolds), self.getSeed())

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
