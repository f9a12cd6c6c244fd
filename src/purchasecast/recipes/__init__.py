"""Turn a schema and the name of a model into the stages of a pipeline."""

from purchasecast.recipes.resolve import Recipe, columns_read, resolve_recipe, step_name

__all__ = ["Recipe", "columns_read", "resolve_recipe", "step_name"]
