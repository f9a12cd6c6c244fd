"""Estimators and models of our own for anybody's `pyspark.ml.Pipeline`, one idea a module."""

from purchasecast.stages.boosted_trees import BoostedTreesModel, BoostedTreesRegressor
from purchasecast.stages.crossed_effects import CrossedEffectsEncoder, CrossedEffectsModel, VarianceComponents
from purchasecast.stages.latent_factors import LatentFactorEncoder, LatentFactorModel
from purchasecast.stages.level_statistics import LevelStatisticsEncoder, LevelStatisticsModel
from purchasecast.stages.retransform import Retransform

__all__ = [
    "BoostedTreesModel",
    "BoostedTreesRegressor",
    "CrossedEffectsEncoder",
    "CrossedEffectsModel",
    "LatentFactorEncoder",
    "LatentFactorModel",
    "LevelStatisticsEncoder",
    "LevelStatisticsModel",
    "Retransform",
    "VarianceComponents",
]
