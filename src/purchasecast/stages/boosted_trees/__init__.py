"""Boosted trees with out-of-fold predictions."""

from purchasecast.stages.boosted_trees.stage import BoostedTreesModel, BoostedTreesRegressor

__all__ = ["BoostedTreesModel", "BoostedTreesRegressor"]
