"""Prices: spread and bands."""
