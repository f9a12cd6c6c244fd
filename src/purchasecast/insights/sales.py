"""Labelled transactions as every measure reads them: under fixed names, and added up by customer and by product.

Texts go into the keys of a first sum, and only its rows through ``max``: Spark sorts all rows for a text as aggregate.
This first sum of an entity and its attributes is kept, and is all that later reads ask of an entity's attributes.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.insights.offers.tasks import OWN
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, number_literal, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from purchasecast.schema import Column as SchemaColumn
    from purchasecast.schema import Schema

__all__ = ["MOST_LEVELS", "NO_LEVEL", "Sales", "own_name", "read_sales"]

MOST_LEVELS = 50  # of an attribute whose levels are compared one by one
NO_LEVEL = "(none)"


def own_name(name: str) -> str:
    """Return an attribute under a name that no table may use: a shop's own category may be called category."""
    return f"{OWN}{name}"


def _own_of(schema: Schema, entity: str) -> list[SchemaColumn]:
    """Return the columns that a model may read and that belong to a customer, or to a product."""
    return [c for c in schema.columns if (c.is_feature or c.role == "time") and c.of == entity]


@dataclass
class Sales:
    """Transactions, and their sums by customer and by product.

    Attributes
    ----------
    frame : DataFrame
        One row a transaction: ``spend``; ``item``, what it was spent on (the product; without a product role, the
        combination of the product's attributes); ``category``; ``customer`` and ``product`` where the schema has them;
        and the customer's attributes ``a_0`` ..
    schema : Schema
        Description of the table.
    attributes : tuple of str
        Columns behind ``a_0`` ..: nominal and ordinal attributes of the customer, of at most 50 levels.
    category : str or None
        Column behind ``category``: the first nominal attribute of the product.
    rows : int
        Transactions.
    total : float
        Sum of ``spend``.
    customers, products : DataFrame or None
        One row each: ``level``, ``rows``, ``total``; customers have ``a_0`` .., products ``category``, ``buyers`` and
        ``squares`` (sum of squares around the mean of all transactions).
    customer_attributes, product_attributes : DataFrame or None
        One row a customer or product and combination of its attributes, which is one where they do not change:
        ``level``, ``rows``, ``total``, the attributes under `own_name`; of products also ``squares``, and, where a
        customer can buy one several times, one row each ``buyer``.
    cleanup : ExitStack
        Frees what is kept.
    """

    frame: DataFrame
    schema: Schema
    attributes: tuple[str, ...]
    category: str | None
    rows: int
    total: float
    customers: DataFrame | None = None
    products: DataFrame | None = None
    customer_attributes: DataFrame | None = None
    product_attributes: DataFrame | None = None
    cleanup: ExitStack = field(default_factory=ExitStack)

    @property
    def mean(self) -> float:
        """Mean of a transaction."""
        return self.total / self.rows

    @cached_property
    def customer_count(self) -> int | None:
        """Number of customers; None without the role. A pass over `customers`, once."""
        return self.customers.count() if self.customers is not None else None

    def keep(self, frame: DataFrame) -> DataFrame:
        """Keep a small table until `close`."""
        return self.cleanup.enter_context(cached(frame))

    def close(self) -> None:
        """Free what is kept."""
        self.cleanup.close()


def read_sales(accepted: DataFrame, schema: Schema) -> Sales:
    """Return accepted, labelled rows under fixed names.

    Parameters
    ----------
    accepted : DataFrame
        What `validate` accepted, with the target; cached by the caller.
    schema : Schema
        Their description.

    Returns
    -------
    Sales
        One pass counts them; the sums by customer and product are made when first read.

    Raises
    ------
    DataError
        If there is no row.
    """
    candidates = [c for c in (*schema.nominal, *schema.ordinal) if c.of == "customer"]
    candidates.sort(key=lambda column: schema.names.index(column.name))
    open_ended = [c.name for c in candidates if not c.levels]
    counts = accepted.selectExpr(
        "count(1)",
        f"sum(cast({quoted(schema.target)} as double))",
        *[f"approx_count_distinct({quoted(name)})" for name in open_ended],
    ).collect()[0]
    if not counts[0]:
        raise DataError("insights: expected labelled rows, found none; check the table.")
    many = {name for name, levels in zip(open_ended, counts[2:], strict=True) if levels > MOST_LEVELS}
    attributes = tuple(c.name for c in candidates if c.name not in many and len(c.levels) <= MOST_LEVELS)
    category = schema.main_category
    if category and schema.column(category).of != "product":
        category = None
    sales = Sales(
        accepted.selectExpr(*_select_list(schema, attributes, category)),
        schema,
        attributes,
        category,
        int(counts[0]),
        float(counts[1]),
    )
    target = f"cast({quoted(schema.target)} as double)"
    if schema.customer:
        sales.customer_attributes = sales.keep(_customer_attributes(accepted, schema, target))
        sales.customers = sales.keep(_customer_table(sales, sales.customer_attributes))
    if schema.product:
        sales.product_attributes = sales.keep(_product_attributes(accepted, schema, target, sales.mean))
        sales.products = sales.keep(_product_table(sales, sales.product_attributes))
    return sales


def _select_list(schema: Schema, attributes: tuple[str, ...], category: str | None) -> list[str]:
    of_product = [c.name for c in (*schema.nominal, *schema.ordinal) if c.of == "product"]
    if schema.product:
        item = f"coalesce({quoted(schema.product)}, '(unknown)')"
    else:
        levels = ", ".join(f"coalesce({quoted(name)}, '{NO_LEVEL}')" for name in of_product)
        item = f"concat_ws('|', {levels})" if levels else "'everything'"
    columns = [f"cast({quoted(schema.target)} as double) as spend", f"{item} as item"]
    columns.append(f"coalesce({quoted(category)}, '{NO_LEVEL}') as category" if category else "'all' as category")
    if schema.customer:
        columns.append(f"{quoted(schema.customer)} as customer")
    if schema.product:
        columns.append(f"{quoted(schema.product)} as product")
    columns += [f"coalesce({quoted(name)}, '{NO_LEVEL}') as a_{j}" for j, name in enumerate(attributes)]
    return columns


def _customer_attributes(accepted: DataFrame, schema: Schema, target: str) -> DataFrame:
    customer = quoted(str(schema.customer))
    attributes = [col(c.name).alias(own_name(c.name)) for c in _own_of(schema, "customer")]
    known = accepted.where(f"{customer} is not null")
    by_level = known.groupBy(sf.expr(customer).alias("level"), *attributes)
    return by_level.agg(*_exprs("count(1) as rows", f"sum({target}) as total"))


def _customer_table(sales: Sales, attributes: DataFrame) -> DataFrame:
    # A customer's attributes do not change; should they in some table, the largest level stands for all its rows.
    largest = [
        f"max(coalesce({quoted(own_name(name))}, '{NO_LEVEL}')) as a_{j}" for j, name in enumerate(sales.attributes)
    ]
    return attributes.groupBy("level").agg(*_exprs("sum(rows) as rows", "sum(total) as total", *largest))


def _product_attributes(accepted: DataFrame, schema: Schema, target: str, mean: float) -> DataFrame:
    product = quoted(str(schema.product))
    keys = [sf.expr(product).alias("level"), *[col(c.name).alias(own_name(c.name)) for c in _own_of(schema, "product")]]
    off_centre = f"({target} - {number_literal(mean)})"
    sums = ("count(1) as rows", f"sum({target}) as total", f"sum({off_centre} * {off_centre}) as squares")
    if schema.customer and set(schema.key) != {schema.customer, schema.product}:
        keys.append(col(schema.customer).alias("buyer"))
    return accepted.where(f"{product} is not null").groupBy(*keys).agg(*_exprs(*sums))


def _product_table(sales: Sales, attributes: DataFrame) -> DataFrame:
    category = f"coalesce({quoted(own_name(sales.category))}, '{NO_LEVEL}')" if sales.category else "'all'"
    # Where a customer buys a product once only, every row is a buyer.
    once = "sum(rows)" if sales.customers is not None else "cast(null as bigint)"
    buyers = "count(distinct buyer)" if "buyer" in attributes.columns else once
    terms = (
        f"max({category}) as category",
        "sum(rows) as rows",
        f"{buyers} as buyers",
        "sum(total) as total",
        "sum(squares) as squares",
    )
    return attributes.groupBy("level").agg(*_exprs(*terms))


def _exprs(*terms: str) -> list[Column]:
    return [sf.expr(term) for term in terms]
