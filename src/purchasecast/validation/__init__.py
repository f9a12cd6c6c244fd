"""Validate rows against a schema."""

from purchasecast.validation.validate import Validated, checked_rows, validate, write_rejects

__all__ = ["Validated", "checked_rows", "validate", "write_rejects"]
