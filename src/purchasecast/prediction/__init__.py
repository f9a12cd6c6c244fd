"""Score tables with a model, and pairs of customer and product that may be offered."""

from purchasecast.prediction.offers import score_offers
from purchasecast.prediction.predict import Output, PredictResult, evaluate_bundle, predict
from purchasecast.prediction.scoring import readable, score

__all__ = ["Output", "PredictResult", "evaluate_bundle", "predict", "readable", "score", "score_offers"]
