"""Fixtures of these tests, from `tests.tiny_model`."""

from tests.tiny_model import model, scorer_json, server, shop

__all__ = ["model", "scorer_json", "server", "shop"]
