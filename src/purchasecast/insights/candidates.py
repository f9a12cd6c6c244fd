r"""Which products to think of for which customer, without pairing every customer with every product.

Customers are sorted into at most 32 cells of taste: the signs of their latent factors along the directions in which
interactions differ most, the leading eigenvectors of :math:`S\, U^T U\, S` with :math:`S = (V^T V)^{1/2}` and :math:`V`
the products' factors in money. Each cell's mean customer ranks all products, by the price of a product and the cell's
taste; a customer's candidates are the best of the cell's list that she has not bought, as many more as she has bought
much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark import cloudpickle
from pyspark.sql import functions as sf
from scipy import linalg

from purchasecast._columns import col, quoted
from purchasecast.insights import _offer_tasks
from purchasecast.insights._offer_tasks import second_moments
from purchasecast.insights.sales import number_literal
from purchasecast.stages import LatentFactorModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from purchasecast.insights.discovery import Floats
    from purchasecast.insights.sales import Sales
    from purchasecast.schema import Column, Schema

__all__ = ["candidate_pairs", "complete_rows", "to_every_task"]

cloudpickle.register_pickle_by_value(_offer_tasks)  # type: ignore[no-untyped-call]  # executors lack this package
_MOST_BITS = 5
_CUSTOMERS_A_CELL = 20
_LEAST_BUYERS = 5  # of a product that is offered
_LISTED = 200  # products of a cell's list, by spend and by revenue each
_FIRST = 30  # of the list that every customer looks at
_CANDIDATES = 50  # of a customer, beside the best of each category
_OF_CATEGORY = 3
_PAIR = ("customer", "product", "category", "uptake")
# Sorted and compared faster than two texts; should two of a billion pairs share one, a candidate is not offered.
_PAIR_HASH = "xxhash64(customer, product)"
_PRIOR_ROWS = 10.0  # that a product's price is shrunk by toward the mean purchase


@dataclass(frozen=True, slots=True)
class _Taste:
    """Latent factors, as the model has them, and the directions that tell customers apart."""

    users: DataFrame
    items: DataFrame
    rank: int
    directions: Floats


def candidate_pairs(sales: Sales, model: Any, bought: DataFrame, little_known: Sequence[str]) -> DataFrame:
    """Return the pairs that are worth scoring.

    Parameters
    ----------
    sales : Sales
        Transactions with customers and products.
    model : PipelineModel
        The model; where it has latent factors they say who has which taste.
    bought : DataFrame
        ``customer`` and ``product`` of every pair that must not come up again.
    little_known : sequence of str
        A few products to think of for every customer.

    Returns
    -------
    DataFrame
        One row a pair, none of them bought: ``customer``, ``product``, ``category``, ``uptake`` (the share of all
        customers who bought the product) and ``little_known``.
    """
    customers, products = sales.customers, sales.products
    if customers is None or products is None:
        raise ValueError("candidate_pairs needs customers and products")
    count = max(customers.count(), 1)
    taste = _taste(model, bits=int(min(_MOST_BITS, max(math.log2(count / _CUSTOMERS_A_CELL), 0.0))))
    priced = products.where(f"level is not null and buyers >= {_LEAST_BUYERS}").selectExpr(
        "level as product",
        "category",
        "rows",
        f"least(buyers / {number_literal(count)}, 1D) as uptake",
        f"(total + {number_literal(_PRIOR_ROWS * sales.mean)}) / (rows + {number_literal(_PRIOR_ROWS)}) as price",
    )
    known = customers.where("level is not null").selectExpr("level as customer", "rows as purchases")
    celled, lists = _lists(known, priced, taste)
    looked_at = celled.join(sf.broadcast(lists), "cell").where(
        f"place <= {_FIRST} + purchases / 2 or of_category <= {_OF_CATEGORY}"
    )
    named = sf.lit(list(little_known)).cast("array<string>")
    is_little = sf.array_contains(named, sf.col("product").cast("string"))
    few = known.crossJoin(sf.broadcast(priced.where(is_little)))
    fresh = (
        looked_at.where(~is_little)
        .selectExpr(*_PAIR, "place", "of_category", "false as little_known")
        .unionByName(few.selectExpr(*_PAIR, "0 as place", "0 as of_category", "true as little_known"))
        .withColumn("pair", sf.expr(_PAIR_HASH))
        .join(bought.selectExpr(f"{_PAIR_HASH} as pair"), "pair", "left_anti")
    )
    ranked = fresh.selectExpr("*", "row_number() over (partition by customer order by place, product) as turn")
    first = ranked.where(f"little_known or turn <= {_CANDIDATES} or of_category <= {_OF_CATEGORY}")
    return first.select(*_PAIR, "little_known")


def complete_rows(accepted: DataFrame, schema: Schema, pairs: DataFrame, *, few: bool = False) -> DataFrame:
    """Add to pairs of customer and product what else the model reads.

    Parameters
    ----------
    accepted : DataFrame
        Past transactions.
    schema : Schema
        Their description.
    pairs : DataFrame
        ``_pc_o_customer``, ``_pc_o_product`` and other columns of names that no table may use; they stay.
    few : bool, default False
        Whether customers and products are so few that every task can have them all.

    Returns
    -------
    DataFrame
        The pairs with the columns of the schema: the attributes of the customer and of the product; of what belongs to
        neither the customer's most common level, the median quantity and the latest date.
    """
    features = [c for c in schema.columns if c.role in {None, "time"}]
    of_product = [c for c in features if c.of == "product"]
    free = [c for c in features if c.of is None and c.kind in {"numeric", "date"}]
    of_customer = [c for c in features if c not in of_product and c not in free]
    frame = pairs
    for role, name, columns in (("customer", schema.customer, of_customer), ("product", schema.product, of_product)):
        if name is None:
            raise ValueError(f"complete_rows needs a {role} column")
        frame = _with_usual(frame, accepted, name, f"_pc_o_{role}", columns, few=few)
    if free:
        usual = [
            f"percentile_approx({quoted(c.name)}, 0.5)" if c.kind == "numeric" else f"max({quoted(c.name)})"
            for c in free
        ]
        values = accepted.selectExpr(*usual).collect()[0]
        types = dict(accepted.dtypes)
        frame = frame.withColumns(
            {c.name: sf.lit(value).cast(types[c.name]) for c, value in zip(free, values, strict=True)}
        )
    return frame


def _with_usual(
    frame: DataFrame, accepted: DataFrame, name: str, pair: str, columns: Sequence[Column], *, few: bool
) -> DataFrame:
    """Add to every pair the level or value that stands for all rows of its customer or product."""
    changing = [c for c in columns if c.of is None and c.kind in {"nominal", "ordinal"}]
    steady = [c.name for c in columns if c not in changing]
    # Distinct first: a text as an aggregate makes Spark sort its rows, and steady ones are few.
    distinct = accepted.select(col(name).alias(pair), *map(col, steady)).distinct()
    known = distinct.groupBy(pair).agg(
        sf.count(sf.lit(1)).alias("_pc_known"), *[sf.max(col(n)).alias(n) for n in steady]
    )
    frame = frame.join(to_every_task(known.drop("_pc_known"), few=few), pair)
    if changing:
        modes = [sf.mode(col(c.name), True).alias(c.name) for c in changing]
        frame = frame.join(to_every_task(accepted.groupBy(col(name).alias(pair)).agg(*modes), few=few), pair)
    return frame.withColumn(name, sf.col(pair))


def to_every_task(frame: DataFrame, *, few: bool) -> DataFrame:
    """Mark a table as small, so that joins with it move nothing else; of many rows the join stays Spark's to plan."""
    return sf.broadcast(frame) if few else frame


def _taste(model: Any, bits: int) -> _Taste | None:
    """Return the last latent factors of the model, and the directions of their interactions."""
    stages = [stage for stage in model.stages if isinstance(stage, LatentFactorModel)]
    if not stages or bits < 1:
        return None
    portable = stages[-1].to_portable()
    users, items, rank = portable["tables"]["user"], portable["tables"]["item"], int(portable["rank"])
    by_user, by_item = _second_moments(users, rank, "1D"), _second_moments(items, rank, "scale * scale")
    root = np.real(linalg.sqrtm(by_item))
    _, vectors = linalg.eigh(root @ by_user @ root)
    return _Taste(users, items, rank, root @ vectors[:, ::-1][:, : min(bits, rank)])


def _second_moments(table: DataFrame, rank: int, weight: str) -> Floats:
    """Return the weighted sums of products of factors, a rank x rank matrix."""
    selected = table.selectExpr(f"cast({weight} as double) as weight", *[f"cast(`{i}` as double)" for i in range(rank)])
    found = selected.mapInArrow(second_moments, "moments array<double>").collect()  # one a partition
    sums = [np.asarray(row["moments"]).reshape(rank, rank) for row in found]
    return np.sum(sums, axis=0) if sums else np.zeros((rank, rank))


def _lists(known: DataFrame, priced: DataFrame, taste: _Taste | None) -> tuple[DataFrame, DataFrame]:
    """Return customers with their cell, and every cell's list of products in order."""
    if taste is None:
        celled = known.selectExpr("*", "0 as cell")
        scored = priced.selectExpr("*", "0 as cell", "price as spend")
    else:
        axes = range(taste.rank)
        bits = [
            "(CASE WHEN "
            + " + ".join(f"coalesce(`{i}`, 0D) * {number_literal(direction[i])}" for i in axes)
            + f" > 0 THEN {1 << k} ELSE 0 END)"
            for k, direction in enumerate(taste.directions.T)
        ]
        users = taste.users.withColumnRenamed("level", "customer")
        placed = known.join(users, "customer", "left").selectExpr("*", f"{' + '.join(bits)} as cell")
        celled = placed.select("customer", "purchases", "cell")
        means = [sf.expr(f"coalesce(avg(`{i}`), 0D) as u_{i}") for i in axes]
        centres = sf.broadcast(placed.groupBy("cell").agg(*means))
        items = taste.items.withColumnRenamed("level", "product")
        interaction = " + ".join(f"u_{i} * `{i}`" for i in axes)
        crossed = priced.join(items, "product", "left").crossJoin(centres)
        scored = crossed.selectExpr(
            "product", "category", "rows", "uptake", "cell", f"price + coalesce(scale * ({interaction}), 0D) as spend"
        )
    ranked = scored.selectExpr(
        "*",
        "row_number() over (partition by cell order by spend desc, product) as by_spend",
        "row_number() over (partition by cell order by spend * rows desc, product) as by_revenue",
        "row_number() over (partition by cell, category order by spend desc, product) as of_category",
    )
    listed = ranked.selectExpr(
        "cell", "product", "category", "uptake", "least(by_spend, by_revenue) as place", "of_category"
    )
    return celled, listed.where(f"place <= {_LISTED} or of_category <= {_OF_CATEGORY}")
