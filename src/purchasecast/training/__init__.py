"""Train a model: validate, split, fit, evaluate, refit, save."""

from purchasecast.training.train import TrainResult, train

__all__ = ["TrainResult", "train"]
