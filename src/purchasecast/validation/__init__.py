"""Validate rows against a schema."""

from purchasecast.validation.validate import Validated, validate, write_rejects

__all__ = ["Validated", "validate", "write_rejects"]
