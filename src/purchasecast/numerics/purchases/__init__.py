"""Who buys what: item-to-item scores, features of pairs, and calibrated probabilities, with NumPy and SciPy."""
