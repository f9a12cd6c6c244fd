"""Numerical methods on NumPy and Arrow arrays: each module is one method, imported by its own name."""
