"""Estimators, models and transformers for anybody's `pyspark.ml.Pipeline`.

The saved path of every stage is this package's, ``purchasecast.stages.<name>``: a class may move to another file
without breaking a saved model.
"""

from purchasecast.stages.boosted_trees.stage import BoostedTreesModel, BoostedTreesRegressor
from purchasecast.stages.conformal_intervals import ConformalIntervals, ConformalIntervalsModel
from purchasecast.stages.crossed_effects.backfit import VarianceComponents
from purchasecast.stages.crossed_effects.stage import CrossedEffectsEncoder, CrossedEffectsModel
from purchasecast.stages.latent_factors.stage import LatentFactorEncoder, LatentFactorModel
from purchasecast.stages.level_statistics.stage import LevelStatisticsEncoder, LevelStatisticsModel
from purchasecast.stages.prediction import BoundedPrediction
from purchasecast.stages.preparation import ColumnPreparation
from purchasecast.stages.price_ladder.stage import PriceLadder, PriceLadderModel
from purchasecast.stages.purchase_patterns.stage import PurchasePatternEncoder, PurchasePatternModel
from purchasecast.stages.purchase_propensity.evaluation import evaluate_lists
from purchasecast.stages.purchase_propensity.stage import PurchasePropensity, PurchasePropensityModel
from purchasecast.stages.retransform import Retransform
from purchasecast.stages.scaled_columns import ScaledColumns
from purchasecast.stages.simple_predictors import SimplePredictors, SimplePredictorsModel
from purchasecast.stages.unit_price.stage import UnitPriceEncoder, UnitPriceModel

__all__ = [
    "BoostedTreesModel",
    "BoostedTreesRegressor",
    "BoundedPrediction",
    "ColumnPreparation",
    "ConformalIntervals",
    "ConformalIntervalsModel",
    "CrossedEffectsEncoder",
    "CrossedEffectsModel",
    "LatentFactorEncoder",
    "LatentFactorModel",
    "LevelStatisticsEncoder",
    "LevelStatisticsModel",
    "PriceLadder",
    "PriceLadderModel",
    "PurchasePatternEncoder",
    "PurchasePatternModel",
    "PurchasePropensity",
    "PurchasePropensityModel",
    "Retransform",
    "ScaledColumns",
    "SimplePredictors",
    "SimplePredictorsModel",
    "UnitPriceEncoder",
    "UnitPriceModel",
    "VarianceComponents",
    "evaluate_lists",
]

for _stage in (
    BoostedTreesModel,
    BoostedTreesRegressor,
    BoundedPrediction,
    ColumnPreparation,
    ConformalIntervals,
    ConformalIntervalsModel,
    CrossedEffectsEncoder,
    CrossedEffectsModel,
    LatentFactorEncoder,
    LatentFactorModel,
    LevelStatisticsEncoder,
    LevelStatisticsModel,
    PriceLadder,
    PriceLadderModel,
    PurchasePatternEncoder,
    PurchasePatternModel,
    PurchasePropensity,
    PurchasePropensityModel,
    Retransform,
    ScaledColumns,
    SimplePredictors,
    SimplePredictorsModel,
    UnitPriceEncoder,
    UnitPriceModel,
):
    # Spark saves `__module__` and the class name, and imports a stage by them.
    _stage.__module__ = __name__
