"""Export a fitted pipeline as the portable model that is scored without Spark."""

from purchasecast.export.offers import export_offers
from purchasecast.export.pipeline import export_scorer, write_scorer

__all__ = ["export_offers", "export_scorer", "write_scorer"]
