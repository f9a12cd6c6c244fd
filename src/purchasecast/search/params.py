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
from pyspark.ml.regression import LinearRegression

from purchasecast.search.choice import SELECTIONS
from purchasecast.search.exact import MAX_FEATURES
from purchasecast.search.grid import DEFAULT_GRID, ParamGrid
from purchasecast.spark.columns import col
from purchasecast.spark.gram import check_columns, fold_by_content
from purchasecast.stages.params import StageParams, float_list_param, float_param, int_param, str_param

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["LinearRegressionGridSearchParams"]


class LinearRegressionGridSearchParams(
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
        "L1 ratios to try with each regParam, 0 (ridge) to 1 (lasso)", default=DEFAULT_GRID.elastic_net_param
    )
    numFolds = int_param("number of folds", default=5, minimum=2)
    foldCol = str_param("column of fold numbers 0..numFolds-1; empty for folds by a hash of the row", default="")
    metricName = str_param("metric on the held-out fold", default="rmse", choices=("rmse", "mse", "r2"))
    selection = str_param(
        "best, or oneStandardError: the sparsest candidate within one standard error of the best",
        default="best",
        choices=SELECTIONS,
    )
    maxFeatures = int_param(
        "number of features above which Spark's CrossValidator runs instead", default=MAX_FEATURES, minimum=0
    )
    maxIter = int_param("iterations of the fits of Spark's CrossValidator", default=10_000, minimum=0)
    tol = float_param("tolerance of the fits of Spark's CrossValidator", default=1e-12, minimum=0)
    seed = int_param("seed of the folds", default=7)

    @property
    def _weight(self) -> str | None:
        """The weight column, or None."""
        return (self.isDefined(self.weightCol) and self.getWeightCol()) or None

    def _check(self, dataset: DataFrame) -> tuple[tuple[float, float], ...]:
        """Check params and columns, and return the candidates."""
        self.check_params()
        strengths, ratios = self.getOrDefault(self.regParam), self.getOrDefault(self.elasticNetParam)
        fold = self.getOrDefault(self.foldCol)
        check_columns(
            dataset,
            vector=self.getFeaturesCol(),
            numeric=[self.getLabelCol(), *([self._weight] if self._weight else [])],
            integral=[fold] if fold else [],
        )
        return ParamGrid(tuple(strengths), tuple(ratios)).candidates()

    def _fold(self, dataset: DataFrame) -> Column:
        fold = self.getOrDefault(self.foldCol)
        if fold:
            return col(fold).cast("int")
        return fold_by_content(dataset, self.getFeaturesCol(), self.getOrDefault(self.numFolds), self.getSeed())

    def _native(self) -> LinearRegression:
        """Return Spark's estimator with the params that all candidates share."""
        native = LinearRegression(
            featuresCol=self.getFeaturesCol(),
            labelCol=self.getLabelCol(),
            predictionCol=self.getPredictionCol(),
            fitIntercept=self.getFitIntercept(),
            standardization=self.getStandardization(),
            maxIter=self.getMaxIter(),
            tol=self.getTol(),
        )
        return native.setWeightCol(self._weight) if self._weight else native
