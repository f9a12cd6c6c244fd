"""Compare customers with comparable customers, for the same items."""
