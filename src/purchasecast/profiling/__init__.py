"""Profile a table: univariate analysis of the target and of every feature."""

from purchasecast.profiling.profile import profile

__all__ = ["profile"]
