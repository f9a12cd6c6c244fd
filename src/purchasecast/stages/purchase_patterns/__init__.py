"""Vectors of customers and products from who bought what."""

from purchasecast.stages.purchase_patterns.stage import PurchasePatternEncoder, PurchasePatternModel

__all__ = ["PurchasePatternEncoder", "PurchasePatternModel"]
