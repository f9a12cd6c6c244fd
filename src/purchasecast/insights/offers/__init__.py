"""Which products to offer to which customers."""
