"""Which products to offer to whom."""
