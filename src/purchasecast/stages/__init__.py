"""Estimators and models of our own for anybody's `pyspark.ml.Pipeline`, one idea a module."""

from purchasecast.stages.crossed_effects import CrossedEffectsEncoder, CrossedEffectsModel, VarianceComponents
from purchasecast.stages.latent_factors import LatentFactorEncoder, LatentFactorModel

__all__ = [
    "CrossedEffectsEncoder",
    "CrossedEffectsModel",
    "LatentFactorEncoder",
    "LatentFactorModel",
    "VarianceComponents",
]
