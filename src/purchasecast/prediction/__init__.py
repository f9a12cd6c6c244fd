"""Score tables with a model."""

from purchasecast.prediction.predict import Output, PredictResult, evaluate_bundle, predict
from purchasecast.prediction.scoring import score

__all__ = ["Output", "PredictResult", "evaluate_bundle", "predict", "score"]
