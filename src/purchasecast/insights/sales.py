"""Labelled transactions under fixed names, and their sums by customer and by product.

Texts are keys of a first aggregation, and ``max`` is taken only over its rows, because Spark sorts all rows where an
aggregate is a text. This first aggregation by an entity and its attributes is cached, and answers all later questions
about the attributes of customers and products.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, number_literal, quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from purchasecast.schema import Column as SchemaColumn
    from purchasecast.schema import Schema

__all__ = ["MAX_LEVELS", "NO_LEVEL", "Sales", "own_name", "read_sales"]

MAX_LEVELS = 50  # of an attribute whose levels are compared with each other
NO_LEVEL = "(none)"
_OWN = "_pc_o_"


def own_name(name: str) -> str:
    """Return the name of an attribute beside our own columns: a shop may have a column ``category``."""
    return f"{_OWN}{name}"


def _own_of(schema: Schema, entity: str) -> list[SchemaColumn]:
    """Return the features that are attributes of a customer or of a product."""
    return [c for c in schema.columns if (c.is_feature or c.role == "time") and c.of == entity]


@dataclass
class Sales:
    """Transactions, and their sums by customer and by product."""

    # One row per transaction: ``spend``; ``item`` (the product; without a product role, the combination of the
    # product's attributes); ``category``; ``customer``, ``product`` and ``date`` where the schema has them; and the
    # attributes of the customer ``a_0``, ``a_1``, and so on.
    frame: DataFrame
    schema: Schema
    # Columns behind ``a_0``, ...: nominal and ordinal attributes of the customer with at most 50 levels.
    attributes: tuple[str, ...]
    category: str | None  # column behind ``category``: the main category, where it is an attribute of the product
    rows: int  # transactions
    total: float  # sum of ``spend``
    # One row per entity: ``level``, ``rows``, ``total``; customers also ``a_0``, ...; products also ``category``,
    # ``buyers`` and ``squares`` (sum of squares around the mean of all transactions).
    customers: DataFrame | None = None
    products: DataFrame | None = None
    # One row per customer or product and combination of its attributes: ``level``, ``rows``, ``total``, and the
    # attributes under `own_name`; of products also ``squares``, and one row per ``buyer`` where a customer can buy a
    # product several times.
    customer_attributes: DataFrame | None = None
    product_attributes: DataFrame | None = None
    cleanup: ExitStack = field(default_factory=ExitStack)  # uncaches the tables

    @property
    def mean(self) -> float:
        """Mean spend of a transaction."""
        return self.total / self.rows

    @cached_property
    def customer_count(self) -> int | None:
        """Number of customers; None without a customer column."""
        return self.customers.count() if self.customers is not None else None

    def keep(self, frame: DataFrame) -> DataFrame:
        """Cache a small table until `close`."""
        return self.cleanup.enter_context(cached(frame))

    def close(self) -> None:
        """Uncache all tables."""
        self.cleanup.close()


def read_sales(accepted: DataFrame, schema: Schema) -> Sales:
    """Return validated, labelled rows under fixed names, and their sums.

    The rows are counted in one pass; the sums are computed when they are first read. The caller caches the rows.
    """
    target = f"cast({quoted(schema.target)} as double)"
    candidates = [c for c in (*schema.nominal, *schema.ordinal) if c.of == "customer"]
    candidates.sort(key=lambda column: schema.names.index(column.name))
    # The levels of columns without a domain have to be counted.
    uncounted = [c.name for c in candidates if not c.levels]
    terms = ["count(1)", f"sum({target})", *[f"approx_count_distinct({quoted(name)})" for name in uncounted]]
    counts = accepted.selectExpr(*terms).collect()[0]
    if not counts[0]:
        raise DataError("insights: expected labelled rows, found none; check the table.")
    levels = {c.name: len(c.levels) for c in candidates} | dict(zip(uncounted, counts[2:], strict=True))
    attributes = tuple(c.name for c in candidates if levels[c.name] <= MAX_LEVELS)
    category = schema.main_category
    if category and schema.column(category).of != "product":
        category = None
    frame = accepted.selectExpr(*_select_list(schema, attributes, category))
    sales = Sales(frame, schema, attributes, category, int(counts[0]), float(counts[1]))
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
    if schema.time:
        columns.append(f"cast({quoted(schema.time)} as date) as date")
    columns += [f"coalesce({quoted(name)}, '{NO_LEVEL}') as a_{j}" for j, name in enumerate(attributes)]
    return columns


def _customer_attributes(accepted: DataFrame, schema: Schema, target: str) -> DataFrame:
    customer = quoted(str(schema.customer))
    attributes = [col(c.name).alias(own_name(c.name)) for c in _own_of(schema, "customer")]
    known = accepted.where(f"{customer} is not null")
    by_level = known.groupBy(sf.expr(customer).alias("level"), *attributes)
    return by_level.agg(*_exprs("count(1) as rows", f"sum({target}) as total"))


def _customer_table(sales: Sales, attributes: DataFrame) -> DataFrame:
    # Attributes of a customer do not change. Should they do so in some table, the largest level is used for all rows.
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
    # Where a customer can buy a product only once, every row is a buyer.
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
