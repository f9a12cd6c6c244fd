r"""Compare what customers pay for the same item: a regression within items, clustered by customer.

Purchase :math:`i` of item :math:`p` by customer :math:`c` is

.. math:: y_i = \alpha_p + x_c^T \beta + \varepsilon_i

with one :math:`\alpha` per item and indicators :math:`x` of the customer's attributes. Subtracting the means of the
item from both sides leaves only differences within items, so that :math:`\beta` compares customers who buy the same
item. With the rows of an item together, the sums of squares within items are

.. math:: W = \sum_p \left(\sum_{i \in p} x_i x_i^T - n_p \bar x_p \bar x_p^T\right) ,

and, with the sums of a customer together, the scores are
:math:`s_c = \sum_{i \in c} (x_c - \bar x_{p(i)}) r_i`, which give the sandwich estimator
:math:`W^{-1} (\sum_c s_c s_c^T) W^{-1}`. It is valid for any correlation between the purchases of a customer.

References
----------
A. C. Cameron, D. L. Miller, "A practitioner's guide to cluster-robust inference", Journal of Human Resources 50(2),
2015. https://doi.org/10.3368/jhr.50.2.317
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as sf
from scipy import linalg

from purchasecast.insights.peers.tasks import (
    CUSTOMER_SCHEMA,
    MOMENT_SCHEMA,
    SUM_SCHEMA,
    Layout,
    customer_scores,
    customer_sums,
    pack_items,
    sum_moments,
    within_moments,
)
from purchasecast.numerics import arrow_buckets
from purchasecast.spark.shipping import map_in_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from purchasecast.insights.sales import Sales
    from purchasecast.insights.significance import Floats

__all__ = ["Level", "Peers", "fit_peers"]

_MIN_BUCKETS, _BUCKET_ROWS = 4, 500_000
_MIN_WITHIN = 1e-7  # share of its variance that an indicator must have within items to be estimated


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a customer's attribute."""

    attribute: int  # index of the attribute in `Sales.attributes`
    name: str
    # Customers who have the level, and their transactions.
    customers: int
    rows: int
    total: float  # revenue of these customers


@dataclass(frozen=True, slots=True)
class Peers:
    """A fitted regression within items."""

    levels: tuple[Level, ...]  # all levels of all attributes
    # Indices in `levels` of those with an indicator; the most common level of each attribute has none.
    columns: tuple[int, ...]
    coefficients: Floats  # coefficients of the indicators, in money per purchase
    inverse: Floats  # inverse of W; 0 for indicators that do not vary within items
    # Sum over customers of the outer products of their scores: first the scores of the levels' unadjusted means, then
    # those of the coefficients.
    scores: Floats
    # Transactions, items and customers in the regression.
    rows: int
    items: int
    customers: int
    # One row per customer: ``level``, ``rows``, ``total``, ``r`` and ``rr`` (sum and sum of squares of the
    # residuals), ``usual_rr``, the sum of squares to expect from the spread of the items, and of the half of the rows
    # that is hidden from a check: ``hidden_rows``, ``hidden_r`` and ``hidden_usual_rr``.
    residuals: DataFrame
    # Sums by ``category`` and ``share`` (of a purchase in the mean of its item, rounded): ``rows``, ``spend``,
    # ``around`` (squares around that mean) and ``rest`` (squares of the residuals).
    spread: DataFrame


def fit_peers(sales: Sales) -> Peers:
    """Fit the regression within items.

    Notes
    -----
    One pass over the transactions packs them by item; their sums by customer are packed once more. The driver receives
    the levels, and matrices with one row and column per level.
    """
    customers = sales.customers
    if customers is None:
        raise ValueError("fit_peers needs a customer column")
    levels = _levels(sales, customers)
    columns = _indicators(levels)
    layout = _layout(sales, levels, columns)
    # Read twice: for the coefficients, and then for the residuals.
    packed = sales.keep(map_in_tasks(_rows(sales), partial(pack_items, layout=layout), arrow_buckets.PACKED_SCHEMA))
    moments = map_in_tasks(_by_bucket(packed, layout), partial(within_moments, layout=layout), MOMENT_SCHEMA)
    rows, items, coefficients, inverse = _solve_within(_total_of(moments), levels, columns)
    work = partial(customer_sums, layout=layout, coefficients=coefficients)
    sums = sales.keep(map_in_tasks(_by_bucket(packed, layout), work, SUM_SCHEMA))
    by_customer = _by_bucket(sums.where("packed IS NOT NULL"), layout)
    scored = sales.keep(map_in_tasks(by_customer, partial(customer_scores, layout=layout), CUSTOMER_SCHEMA))
    scores = _total_of(scored.where("moments IS NOT NULL").select("moments"))
    known = customers.selectExpr("level", "xxhash64(level) as customer")
    return Peers(
        levels,
        columns,
        coefficients,
        inverse,
        scores.reshape(len(levels) + len(columns), -1) if levels else np.empty((0, 0)),
        rows=rows,
        items=items,
        customers=sales.customer_count or 0,
        residuals=known.join(scored.where("moments IS NULL").drop("moments"), "customer").drop("customer"),
        spread=sums.where("packed IS NULL").drop("bucket", "packed"),
    )


def _layout(sales: Sales, levels: Sequence[Level], columns: tuple[int, ...]) -> Layout:
    places: list[dict[str, int]] = [{} for _ in sales.attributes]
    for place, level in enumerate(levels):
        places[level.attribute][level.name] = place
    means = tuple(level.total / level.rows for level in levels)
    return Layout(tuple(places), columns, means, max(_MIN_BUCKETS, sales.rows // _BUCKET_ROWS))


def _rows(sales: Sales) -> DataFrame:
    """Return the columns for the executors; items and customers as hashes, which are exact enough for sums."""
    attributes = [f"a_{j}" for j in range(len(sales.attributes))]
    known = sales.frame.where("customer is not null")
    return known.selectExpr("spend", "xxhash64(item) item", "xxhash64(customer) customer", "category", *attributes)


def _by_bucket(packed: DataFrame, layout: Layout) -> DataFrame:
    """Bring the parts of each bucket into one task."""
    return packed.select("bucket", "packed").repartition(layout.buckets, "bucket").sortWithinPartitions("bucket")


def _total_of(moments: DataFrame) -> Floats:
    """Sum moments on the executors, and collect the sum."""
    (row,) = map_in_tasks(moments.repartition(1), sum_moments, MOMENT_SCHEMA).collect()
    return np.frombuffer(bytes(row["moments"]), dtype=np.float64)


def _levels(sales: Sales, customers: DataFrame) -> tuple[Level, ...]:
    """Return the levels of all attributes, in the order of the schema where it has one."""
    if not sales.attributes:
        return ()
    pairs = ", ".join(f"named_struct('attribute', {j}, 'name', a_{j})" for j in range(len(sales.attributes)))
    exploded = customers.selectExpr("rows", "total", f"inline(array({pairs}))")
    sums = [sf.expr("count(1) as customers"), sf.expr("sum(rows) as rows"), sf.expr("sum(total) as total")]
    rows = exploded.groupBy("attribute", "name").agg(*sums).collect()  # at most 50 levels per attribute

    def place(level: Level) -> tuple[int, int, str]:
        known = sales.schema.column(sales.attributes[level.attribute]).levels
        return (level.attribute, known.index(level.name) if level.name in known else len(known), level.name)

    levels = [Level(row["attribute"], row["name"], row["customers"], int(row["rows"]), row["total"]) for row in rows]
    return tuple(sorted(levels, key=place))


def _indicators(levels: Sequence[Level]) -> tuple[int, ...]:
    """Return the levels with an indicator: all but the most common one of each attribute."""
    most_common = {
        max((i for i, level in enumerate(levels) if level.attribute == j), key=lambda i: levels[i].rows)
        for j in {level.attribute for level in levels}
    }
    return tuple(i for i in range(len(levels)) if i not in most_common)


def _solve_within(moments: Floats, levels: Sequence[Level], columns: Sequence[int]) -> tuple[int, int, Floats, Floats]:
    """Return the numbers of transactions and items, the coefficients, and the inverse of W."""
    rows, items, count = int(moments[0]), int(moments[1]), len(columns)
    xx, xy = moments[2 : 2 + count**2].reshape(count, count), moments[2 + count**2 :]
    sizes = np.array([levels[c].rows for c in columns], dtype=np.float64)
    varies = np.flatnonzero(np.diagonal(xx) > _MIN_WITHIN * sizes * (1 - sizes / rows))
    inverse = np.zeros_like(xx)
    if len(varies):
        chosen = np.ix_(varies, varies)
        root = np.sqrt(np.diagonal(xx)[varies])
        scale = np.outer(root, root)  # to equal diagonals, so that the tolerance of pinvh suits small groups, too
        inverse[chosen] = linalg.pinvh(xx[chosen] / scale, rtol=1e-9) / scale
    return rows, items, inverse @ xy, inverse
