"""Turn a schema and the name of a model into the stages of a pipeline."""

from purchasecast.recipes.resolve import Recipe, resolve_recipe

__all__ = ["Recipe", "resolve_recipe"]
