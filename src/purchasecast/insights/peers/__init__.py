"""Compare customers with like customers."""
