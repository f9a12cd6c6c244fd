"""Fit who buys what on a generated shop of any size, in one process without Spark: seconds and memory.

The task of `PurchasePropensity` that fits does the same with the rows that Spark brings to it. Customers have a taste
for one of 50 groups of products, from which six of seven purchases are; activity and popularity are skewed. After the
fit, offers of 10,000 customers are made. One JSON line on stdout.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np
from scipy import sparse

from purchasecast.numerics.purchases.fit import FitSettings, fit_purchase_model
from purchasecast.numerics.purchases.history import Purchases

GROUPS, CATEGORIES, OFFERED = 50, 20, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=600_000)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--purchases", type=int, default=12_000_000)
    parser.add_argument("--head", type=int, default=6_000, help="products that predict others")
    given = parser.parse_args()
    purchases = generated(given.customers, given.products, given.purchases)
    seconds, started = {}, time.perf_counter()
    attributes = sparse.csr_matrix((given.customers, 0), dtype=np.float32)
    category = (np.arange(given.products) % CATEGORIES).astype(np.int64)
    model, history = fit_purchase_model(purchases, attributes, category, FitSettings(head=given.head))
    seconds["fit"] = round(time.perf_counter() - started, 1)
    started = time.perf_counter()
    offered = min(OFFERED, given.customers)
    best = model.best(history.rows(0, offered), attributes[:offered], 50)
    seconds[f"offers of {offered:,} customers"] = round(time.perf_counter() - started, 1)
    figures = {
        "customers": given.customers,
        "products": given.products,
        "purchases": len(purchases),
        "seconds": seconds,
        "model_megabytes": round(len(model.to_bytes()) / 1e6),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1),
        "mean_probability_of_50": round(float(best.probability.mean()), 4),
    }
    print(json.dumps(figures))


def generated(customers: int, products: int, count: int) -> Purchases:
    """Draw distinct pairs of customer and product; the most popular products have the lowest codes."""
    rng = np.random.default_rng(1)
    who = np.minimum(customers * rng.random(count) ** 1.5, customers - 1).astype(np.int64)
    what = np.minimum(products * rng.random(count) ** 3, products - 1).astype(np.int64)
    # Six of seven times, the product next to it that is of the customer's group.
    liked = np.minimum(what - what % GROUPS + who % GROUPS, products - 1)
    what = np.where(rng.random(count) < 6 / 7, liked, what)
    pair = np.unique(who * products + what)
    who, what = np.divmod(pair, products)
    order = np.argsort(-np.bincount(what, minlength=products), kind="stable")
    rank = np.empty(products, dtype=np.int64)
    rank[order] = np.arange(products)
    return Purchases(who, rank[what], None, customers, products)


if __name__ == "__main__":
    main()
