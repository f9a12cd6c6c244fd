"""Fixtures of these tests, from `tests.planted_shop`."""

from tests.planted_shop import shop

__all__ = ["shop"]
