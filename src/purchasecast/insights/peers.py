r"""What customers alike pay for the same item: a regression within items, clustered by customer.

Purchase :math:`i` of item :math:`p` by customer :math:`c` is

.. math:: y_i = \alpha_p + x_c^T \beta + \varepsilon_i

with one :math:`\alpha` an item and :math:`x` the indicators of the customer's attributes. Taking the item's means off
both sides leaves :math:`\beta` to what happens within items, so it compares customers who buy the same. The sums of
squares within are those of all rows less those between items, and both come from small tables:

.. math:: W = \sum_c n_c (z_c - m)(z_c - m)^T - \sum_p n_p (\bar z_p - m)(\bar z_p - m)^T .

One more pass gives every customer's sum of scores, :math:`s_c = \sum_{i \in c} (x_c - \bar x_{p(i)}) r_i`, and with it
the sandwich :math:`W^{-1} (\sum_c s_c s_c^T) W^{-1}`, which holds whatever a customer's purchases have in common.

References
----------
A. C. Cameron, D. L. Miller, "A practitioner's guide to cluster-robust inference", Journal of Human Resources 50(2),
2015. https://doi.org/10.3368/jhr.50.2.317
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as sf
from scipy import linalg

from purchasecast._gram_spark import collect_grams
from purchasecast.insights.sales import literal, number_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from purchasecast._gram import Gram
    from purchasecast.insights.discovery import Floats
    from purchasecast.insights.sales import Sales

__all__ = ["Level", "Peers", "fit_peers"]

_LEAST_WITHIN = 1e-7  # of its variance: what varies less within items cannot be told from the items


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a customer's attribute.

    Attributes
    ----------
    attribute : int
        Place of the attribute among `Sales.attributes`.
    name : str
        The level.
    customers, rows : int
        How many have it, and their transactions.
    total : float
        Their revenue.
    """

    attribute: int
    name: str
    customers: int
    rows: int
    total: float


@dataclass(frozen=True, slots=True)
class Peers:
    """A fitted regression within items.

    Attributes
    ----------
    levels : tuple of Level
        All levels of all attributes.
    columns : tuple of int
        Which of `levels` have an indicator; the most common level of each attribute has none.
    coefficients : ndarray of shape (k,)
        Of the indicators, in money a purchase.
    inverse : ndarray of shape (k, k)
        Inverse of W; 0 for what does not vary within items.
    scores : ndarray of shape (levels + k, levels + k)
        Sum over customers of the outer squares of their scores: first those of the levels' plain means, then those of
        the coefficients.
    rows, items, customers : int
        What was fitted on.
    residuals : DataFrame
        One row a customer: ``level``, ``rows``, ``total``, ``r`` and ``rr``, sum and sum of squares of the residuals,
        and ``usual_rr``, what the items' own spread lets expect for ``rr``.
    joined : DataFrame
        One row a transaction: the columns of `Sales.frame`, and ``r``, the residual, and ``usual``, the item's mean.
    """

    levels: tuple[Level, ...]
    columns: tuple[int, ...]
    coefficients: Floats
    inverse: Floats
    scores: Floats
    rows: int
    items: int
    customers: int
    residuals: DataFrame
    joined: DataFrame


def fit_peers(sales: Sales) -> Peers:
    """Fit the regression within items.

    Parameters
    ----------
    sales : Sales
        Transactions with customers.

    Returns
    -------
    Peers
        Coefficients, what their intervals need, and residuals.

    Notes
    -----
    Two passes over the transactions: indicators by item, and residuals by customer. On the driver: the levels, and
    matrices of their number squared.
    """
    customers = sales.customers
    if customers is None:
        raise ValueError("fit_peers needs a customer column")
    levels = _levels(sales, customers)
    columns = _indicators(levels)
    indicators = [_indicator(levels[c]) for c in columns]
    items = sales.keep(_item_table(sales, indicators))
    item_count = int(items.count())
    coefficients, inverse, rows = _solve_within(customers, items, indicators)
    joined = _with_residuals(sales, items, levels, columns, coefficients)
    pulls = [f"sum(r * m_{j}) as rm_{j}" for j in range(len(columns))]
    attributes = [f"max(a_{j}) as a_{j}" for j in range(len(sales.attributes))]
    sums = ["count(1) as rows", "sum(spend) as total", "sum(r) as r", "sum(r * r) as rr", "sum(spread) as usual_rr"]
    terms = [*sums, *attributes, *pulls]
    by_customer = joined.groupBy(sf.col("customer").alias("level")).agg(*[sf.expr(term) for term in terms])
    residuals = sales.keep(by_customer)
    return Peers(
        levels,
        columns,
        coefficients,
        inverse,
        _score_products(residuals, levels, indicators),
        rows=rows,
        items=item_count,
        customers=int(customers.count()),
        residuals=residuals,
        joined=joined,
    )


def _levels(sales: Sales, customers: DataFrame) -> tuple[Level, ...]:
    """Return every attribute's levels, in the schema's order where it has one."""
    if not sales.attributes:
        return ()
    pairs = ", ".join(f"named_struct('attribute', {j}, 'name', a_{j})" for j in range(len(sales.attributes)))
    exploded = customers.selectExpr("rows", "total", f"inline(array({pairs}))")
    sums = [sf.expr("count(1) as customers"), sf.expr("sum(rows) as rows"), sf.expr("sum(total) as total")]
    found = exploded.groupBy("attribute", "name").agg(*sums).collect()  # at most 50 levels an attribute

    def place(level: Level) -> tuple[int, int, str]:
        known = sales.schema.column(sales.attributes[level.attribute]).levels
        return (level.attribute, known.index(level.name) if level.name in known else len(known), level.name)

    return tuple(
        sorted(
            [Level(row["attribute"], row["name"], row["customers"], int(row["rows"]), row["total"]) for row in found],
            key=place,
        )
    )


def _indicators(levels: Sequence[Level]) -> tuple[int, ...]:
    """Return the levels that get an indicator: all but the most common one of each attribute."""
    most_common = {
        max((i for i, level in enumerate(levels) if level.attribute == j), key=lambda i: levels[i].rows)
        for j in {level.attribute for level in levels}
    }
    return tuple(i for i in range(len(levels)) if i not in most_common)


def _indicator(level: Level) -> str:
    return f"(CASE WHEN a_{level.attribute} = {literal(level.name)} THEN 1D ELSE 0D END)"


def _item_table(sales: Sales, indicators: Sequence[str]) -> DataFrame:
    """Return one row an item: rows, mean (``usual``) and variance (``spread``), and means of the indicators ``m_0``."""
    means = [f"avg({indicator}) as m_{j}" for j, indicator in enumerate(indicators)]
    terms = ["count(1) as rows", "avg(spend) as usual", "var_pop(spend) as spread", *means]
    known = sales.frame.where("customer is not null")
    return known.groupBy("item").agg(*[sf.expr(term) for term in terms])


def _gram_of(frame: DataFrame, features: Sequence[str], label: str, weight: str) -> Gram:
    """Return the Gram of features given as SQL terms."""
    prepared = frame.selectExpr(
        f"named_struct('type', 1Y, 'size', {len(features)}, 'indices', cast(null as array<int>), "
        f"'values', array({', '.join(features)})) as features",
        f"cast({label} as double) as label",
        f"cast({weight} as double) as weight",
        "0 as fold",
        "cast(spark_partition_id() as bigint) as key",
    )
    return collect_grams(prepared, len(features), 1)[0]


def _solve_within(customers: DataFrame, items: DataFrame, indicators: Sequence[str]) -> tuple[Floats, Floats, int]:
    """Return the coefficients, the inverse of W, and the number of transactions."""
    if not indicators:
        total = items.selectExpr("sum(rows)").collect()[0][0]
        return np.empty(0), np.empty((0, 0)), int(total)
    of_all = _gram_of(customers.where("level is not null"), indicators, "total / rows", "rows")
    between = _gram_of(items, [f"m_{j}" for j in range(len(indicators))], "usual", "rows")
    within = of_all.comoments - between.comoments
    xx, xy = within[:-1, :-1], within[:-1, -1]
    varies = np.flatnonzero(np.diagonal(xx) > _LEAST_WITHIN * np.diagonal(of_all.comoments)[:-1])
    inverse = np.zeros_like(xx)
    if len(varies):
        chosen = np.ix_(varies, varies)
        root = np.sqrt(np.diagonal(xx)[varies])
        scale = np.outer(root, root)
        inverse[chosen] = linalg.pinvh(xx[chosen] / scale, rtol=1e-9) / scale
    return inverse @ xy, inverse, round(of_all.weight)


def _with_residuals(
    sales: Sales, items: DataFrame, levels: Sequence[Level], columns: Sequence[int], coefficients: Floats
) -> DataFrame:
    """Return the transactions with the item's means and the residual ``r``."""
    own = [f"{number_literal(b)} * {_indicator(levels[c])}" for c, b in zip(columns, coefficients, strict=True)]
    usual = [f"{number_literal(b)} * m_{j}" for j, b in enumerate(coefficients)]
    means = [f"m_{j}" for j in range(len(columns))]
    # Counted and kept before: Spark knows its size, and sends a small one to every task.
    table = items.selectExpr("item", "usual", "spread", f"{' + '.join(usual) or '0D'} as part", *means)
    residual = f"spend - usual - (({' + '.join(own) or '0D'}) - part) as r"
    return sales.frame.where("customer is not null").join(table, "item").selectExpr("*", residual)


def _score_products(residuals: DataFrame, levels: Sequence[Level], indicators: Sequence[str]) -> Floats:
    """Return the sum over customers of the outer squares of their scores."""
    if not levels:
        return np.empty((0, 0))
    plain = [f"{_indicator(level)} * (total - rows * {number_literal(level.total / level.rows)})" for level in levels]
    within = [f"{indicator} * r - rm_{j}" for j, indicator in enumerate(indicators)]
    gram = _gram_of(residuals, [*plain, *within], "0", "1")
    mean = gram.mean[:-1]
    products: Floats = gram.comoments[:-1, :-1] + gram.weight * np.outer(mean, mean)
    return products
