"""Who buys what: lists from train.csv against the purchases of test.csv, beside EASE and implicit ALS in NumPy.

The peers see the same pairs in the same run: EASE (Steck 2019) with penalty 1,000, implicit ALS (Hu, Koren, Volinsky
2008) with 128 factors, weight 0.3 of what is not bought and penalty 0.01, and the most popular products. No peer and no
part of the package sees test.csv before the lists are made; the number of its rows is told to the package as the
purchases to come. Revenue counts the mean amount of a product in train.csv, because test.csv has no amounts. Progress
goes to stderr, one JSON line to stdout.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.csv as pa_csv
from _session import options, report, session
from scipy import linalg, sparse

from purchasecast.schema import load_schema
from purchasecast.stages import PurchasePropensity

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

LENGTHS = (5, 10)
FACTORS, OTHERS, RIDGE, ROUNDS = 128, 0.3, 0.01, 10
CATEGORIES, CATEGORY_LINES = 6, 1_000


def main() -> None:
    given = options(__doc__).parse_args()
    schema = load_schema("black_friday")
    past, coming = (pa_csv.read_csv(given.data / f"{name}.csv") for name in ("train", "test"))
    customers, who, late_who = codes(past["User_ID"], coming["User_ID"])
    products, what, late_what = codes(past["Product_ID"], coming["Product_ID"])
    shape = (len(customers), len(products))
    seen = sparse.csr_matrix((np.ones(len(who), np.float32), (who, what)), shape)
    bought = np.zeros(shape, dtype=bool)
    bought[late_who, late_what] = True
    sums = np.bincount(what, past[schema.target].to_numpy().astype(float), len(products))
    price = sums / np.maximum(np.bincount(what, minlength=len(products)), 1)
    category = np.empty(len(products), dtype=object)
    for rows, place in ((coming, late_what), (past, what)):
        category[place] = rows["Product_Category_1"].to_numpy()
    ways: dict[str, NDArray[Any]] = {}
    seconds = {}
    for name, score in (("popular", popular), ("ease", ease), ("als", implicit_als)):
        started = time.perf_counter()
        ways[name] = score(seen)
        seconds[name] = round(time.perf_counter() - started, 1)
        say(f"{name}: {seconds[name]} s")
    ways["ease x price"] = np.maximum(ways["ease"], 0) * price
    started = time.perf_counter()
    frame = session().read.csv(str(given.data / "train.csv"), header=True)
    told = probabilities(frame, coming.num_rows, customers, products)
    seconds["purchasecast"] = round(time.perf_counter() - started, 1)
    ways |= {"purchasecast": told, "purchasecast x price": told * price}
    known = seen.toarray() > 0
    figures = {name: quality(np.where(known, -np.inf, score), bought, price) for name, score in ways.items()}
    report(seconds=seconds, lists=figures, categories=by_category(told, price, bought, category, known))


def codes(first: Any, second: Any) -> tuple[list[str], NDArray[Any], NDArray[Any]]:
    """Return all levels of two columns as texts, and their numbers in both."""
    texts = [np.array(column.to_pylist()).astype(str) for column in (first, second)]
    levels, numbers = np.unique(np.concatenate(texts), return_inverse=True)
    return levels.tolist(), numbers[: len(texts[0])], numbers[len(texts[0]) :]


def popular(seen: sparse.csr_matrix) -> NDArray[Any]:
    return np.broadcast_to(np.asarray(seen.sum(axis=0)), seen.shape).astype(np.float32)


def ease(seen: sparse.csr_matrix, penalty: float = 1_000.0) -> NDArray[Any]:
    """Return the scores of EASE: each product predicted from all others by ridge regression."""
    gram = (seen.T @ seen).toarray().astype(float)
    gram[np.diag_indices(len(gram))] += penalty
    inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
    weights = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return seen @ weights.astype(np.float32)


def implicit_als(seen: sparse.csr_matrix) -> NDArray[Any]:
    """Return the scores of alternating least squares on 1 for bought and 0, with a smaller weight, for not bought."""
    rng = np.random.default_rng(7)
    users, items = (rng.normal(0, 0.1, (size, FACTORS)) for size in seen.shape)
    turned = seen.T.tocsr()
    for _ in range(ROUNDS):
        solve_side(users, items, seen)
        solve_side(items, users, turned)
    return (users @ items.T).astype(np.float32)


def solve_side(own: NDArray[Any], other: NDArray[Any], matrix: sparse.csr_matrix) -> None:
    """Solve the factors of one side, given those of the other."""
    every = OTHERS * other.T @ other
    for row in range(len(own)):
        chosen = other[matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]]
        # The penalty is in proportion to the weights of the row, as in Rendle et al., "Revisiting iALS", 2022.
        ridge = RIDGE * (len(chosen) + OTHERS * len(other))
        system = every + (1 - OTHERS) * chosen.T @ chosen + ridge * np.eye(FACTORS)
        own[row] = linalg.solve(system, chosen.sum(axis=0), assume_a="pos", check_finite=False)


def probabilities(frame: DataFrame, purchases: float, customers: list[str], products: list[str]) -> NDArray[Any]:
    """Return the probability of each pair that the package recommends, 0 of all others."""
    stage = PurchasePropensity(
        customerCol="User_ID",
        productCol="Product_ID",
        categoryCol="Product_Category_1",
        attributeCols=["Gender", "Age", "Occupation", "City_Category", "Stay_In_Current_City_Years", "Marital_Status"],
    )
    best = stage.fit(frame).with_purchases(purchases).recommend(len(products)).toArrow()
    told = np.zeros((len(customers), len(products)))
    rows, columns = (
        np.searchsorted(levels, best[name].to_numpy().astype(str))
        for levels, name in ((customers, "User_ID"), (products, "Product_ID"))
    )
    told[rows, columns] = best["probability"].to_numpy()
    return told


def quality(scores: NDArray[Any], bought: NDArray[Any], price: NDArray[Any]) -> dict[str, float]:
    """Return precision at 5 and 10, and the revenue of hits at 10 a customer."""
    rows = np.arange(len(scores))[:, None]
    top = np.argpartition(-scores, max(LENGTHS), axis=1)[:, : max(LENGTHS)]
    top = top[rows, np.argsort(-scores[rows, top], axis=1)]
    hits = bought[rows, top]
    found = {f"precision at {length}": round(float(hits[:, :length].mean()), 4) for length in LENGTHS}
    return {**found, "revenue at 10": round(float((hits * price[top]).sum() / len(scores)), 1)}


def by_category(
    told: NDArray[Any], price: NDArray[Any], bought: NDArray[Any], category: NDArray[Any], known: NDArray[np.bool_]
) -> dict[str, list[float]]:
    """Return expected and actual buyers of the lists that `insights` makes.

    One list for each category with much revenue, and one of categories that are new to the customer: the best product
    of each customer in a category, and of these the best lines.
    """
    rows, revenue, found = np.arange(len(told)), told * price, {}
    past = known.sum(axis=0) * price
    levels = np.unique(category)
    by_revenue = sorted(levels, key=lambda level: -past[category == level].sum())
    fresh = []
    for level in levels:
        own = np.flatnonzero(category == level)
        best = own[revenue[:, own].argmax(axis=1)]
        if level in by_revenue[:CATEGORIES]:
            found[str(level)] = _told_and_bought(rows, best, revenue, told, bought)
        is_new = ~known[:, own].any(axis=1)
        fresh.append((rows[is_new], best[is_new]))
    customer, product = (np.concatenate(part) for part in zip(*fresh, strict=True))
    found["new"] = _told_and_bought(customer, product, revenue, told, bought)
    return {**found, "all": np.sum([*found.values()], axis=0).tolist()}


def _told_and_bought(
    customer: NDArray[Any], product: NDArray[Any], revenue: NDArray[Any], told: NDArray[Any], bought: NDArray[Any]
) -> list[float]:
    lines = np.argsort(-revenue[customer, product])[:CATEGORY_LINES]
    pairs = customer[lines], product[lines]
    return [round(float(told[pairs].sum())), int(bought[pairs].sum())]


def say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
