"""Price bands, products outside them, and expensive products with few buyers."""
