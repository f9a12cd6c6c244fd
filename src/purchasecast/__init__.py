"""Predict what each customer will spend on each product, on Spark, and say what to do about it."""

__version__ = "0.1.0"
