"""Latent factors of customers and products."""

from purchasecast.stages.latent_factors.stage import LatentFactorEncoder, LatentFactorModel

__all__ = ["LatentFactorEncoder", "LatentFactorModel"]
