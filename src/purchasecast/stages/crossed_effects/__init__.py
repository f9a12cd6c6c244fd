"""Shrunken additive effects of ids of many levels."""

from purchasecast.stages.crossed_effects.backfit import VarianceComponents
from purchasecast.stages.crossed_effects.stage import CrossedEffectsEncoder, CrossedEffectsModel

__all__ = ["CrossedEffectsEncoder", "CrossedEffectsModel", "VarianceComponents"]
