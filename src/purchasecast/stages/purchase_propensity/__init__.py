"""The probability that a customer buys a product in the period to come; entered by `purchasecast.stages`."""
