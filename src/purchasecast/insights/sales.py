"""Labelled transactions as every measure reads them: under fixed names, and added up by customer and by product.

Texts go into the keys of a first sum, and only its rows through ``max``: Spark sorts all rows for a text as aggregate.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf
from pyspark.storagelevel import StorageLevel

from purchasecast._columns import quoted
from purchasecast.errors import DataError
from purchasecast.evaluate import first_category

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from purchasecast.schema import Schema

__all__ = ["MOST_LEVELS", "NO_LEVEL", "Sales", "literal", "number_literal", "read_sales"]

MOST_LEVELS = 50  # of an attribute whose levels are compared one by one
NO_LEVEL = "(none)"


def literal(text: str) -> str:
    r"""Return a text as Spark SQL reads it.

    Examples
    --------
    >>> print(literal("it's"))
    'it\'s'
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def number_literal(value: float) -> str:
    """Return a number as Spark SQL reads it, to the last digit; in brackets, as it may be negative.

    Examples
    --------
    >>> number_literal(-0.1)
    '(-0.1D)'
    """
    return f"({float(value)!r}D)"


@dataclass(slots=True)
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
    cleanup: ExitStack = field(default_factory=ExitStack)

    @property
    def mean(self) -> float:
        """Mean of a transaction."""
        return self.total / self.rows

    def keep(self, frame: DataFrame) -> DataFrame:
        """Keep a small table until `close`."""
        frame.persist(StorageLevel.MEMORY_AND_DISK)
        self.cleanup.callback(frame.unpersist)
        return frame

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
    category = first_category(schema)
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
    if schema.customer:
        sales.customers = sales.keep(_customer_table(sales))
    if schema.product:
        sales.products = sales.keep(_product_table(sales))
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


def _customer_table(sales: Sales) -> DataFrame:
    # A customer's attributes do not change; should they in some table, the largest level stands for all its rows.
    attributes = [f"a_{j}" for j in range(len(sales.attributes))]
    known = sales.frame.where("customer is not null")
    by_level = known.groupBy("customer", *attributes).agg(*_exprs("count(1) as rows", "sum(spend) as total"))
    terms = ["sum(rows) as rows", "sum(total) as total", *[f"max({name}) as {name}" for name in attributes]]
    return by_level.groupBy(sf.col("customer").alias("level")).agg(*_exprs(*terms))


def _product_table(sales: Sales) -> DataFrame:
    once_each = set(sales.schema.key) == {sales.schema.customer, sales.schema.product}
    if sales.schema.customer is None:
        buyers, keys = "cast(null as bigint)", ["product", "category"]
    elif once_each:
        buyers, keys = "sum(rows)", ["product", "category"]
    else:
        buyers, keys = "count(distinct customer)", ["product", "category", "customer"]
    off_centre = f"(spend - {number_literal(sales.mean)})"
    sums = ("count(1) as rows", "sum(spend) as total", f"sum({off_centre} * {off_centre}) as squares")
    by_level = sales.frame.where("product is not null").groupBy(*keys).agg(*_exprs(*sums))
    terms = (
        "max(category) as category",
        "sum(rows) as rows",
        f"{buyers} as buyers",
        "sum(total) as total",
        "sum(squares) as squares",
    )
    return by_level.groupBy(sf.col("product").alias("level")).agg(*_exprs(*terms))


def _exprs(*terms: str) -> list[Column]:
    return [sf.expr(term) for term in terms]
