"""Fixtures of these tests, from `tests.tiny_model`."""

from tests.tiny_model import model, shop

__all__ = ["model", "shop"]
