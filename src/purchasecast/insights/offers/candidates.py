r"""Select candidate products for each customer without pairing every customer with every product.

Customers are divided into at most 32 cells of similar preferences: the signs of their latent factors along the
directions in which interactions differ most, which are the leading eigenvectors of :math:`S\, U^T U\, S` with
:math:`S = (V^T V)^{1/2}`, where :math:`V` are the factors of the products in money. The mean customer of each cell
ranks all products, by the price of a product and the preferences of the cell. The candidates of a customer are the best
products of the cell's list that the customer has not bought; customers with more purchases consider more products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as sf
from pyspark.sql.types import ArrayType, BooleanType, DoubleType, IntegerType, StringType, StructField, StructType
from scipy import linalg

from purchasecast.insights.offers.tasks import (
    OWN,
    SPENDS,
    Listing,
    make_listing,
    offer_lines,
    pack_purchases,
    second_moments,
    shortlist,
)
from purchasecast.insights.sales import own_name
from purchasecast.numerics.arrow_buckets import PACKED_SCHEMA
from purchasecast.spark.columns import col, number_literal, quoted
from purchasecast.spark.shipping import apply_in_tasks, map_in_tasks
from purchasecast.stages import LatentFactorModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame

    from purchasecast.insights.offers.ranking import Lists
    from purchasecast.insights.sales import Sales
    from purchasecast.insights.significance import Floats
    from purchasecast.schema import Column, Schema

__all__ = ["candidate_pairs", "line_fields"]

_MAX_BITS = 5  # directions, each of which doubles the number of cells
_CUSTOMERS_PER_CELL = 20
_MIN_BUYERS = 5  # of a product that is offered
_MIN_BUCKETS, _CUSTOMERS_PER_BUCKET = 16, 1_000  # one bucket is in the memory of a task at a time
_PRIOR_ROWS = 10.0  # rows of the mean purchase that the price of a product is averaged with


@dataclass(frozen=True, slots=True)
class _Taste:
    """Latent factors of the model, and the directions that divide customers into cells."""

    users: DataFrame
    items: DataFrame
    rank: int
    directions: Floats


def candidate_pairs(
    sales: Sales,
    accepted: DataFrame,
    model: Any,
    bought: DataFrame,
    little_known: Sequence[str],
    *,
    folder: Path | None,
    lists: Lists,
) -> DataFrame:
    """Return pairs of customer and product that are worth offering.

    `bought` has the pairs to come, which are not offered either; `little_known` are products that all customers
    consider. With a portable model in `folder`, the tasks score the pairs, and the lines of `lists` come back as
    `best_lines` returns them. Without, the pairs come back with the columns that the model reads.

    One exchange of three numbers per purchase, packed, brings the purchases of a customer together; the pairs are made
    in the tasks that have them. The driver receives the products that at most 32 cells consider: 400 per cell and the
    best of each category, with their attributes.
    """
    schema = sales.schema
    if sales.customers is None or sales.products is None or not schema.customer or not schema.product:
        raise ValueError("candidate_pairs needs customers and products")
    count = max(sales.customer_count or 0, 1)
    # Few customers make few cells: the mean of a cell needs some twenty of them.
    taste = _taste(model, bits=int(min(_MAX_BITS, max(math.log2(count / _CUSTOMERS_PER_CELL), 0.0))))
    celled, listing = _listing(sales, taste, little_known, count)
    columns = _ModelColumns.of(schema)
    buckets = max(_MIN_BUCKETS, -(-count // _CUSTOMERS_PER_BUCKET))
    bucket = f"cast(pmod(xxhash64(customer), {buckets}) as int) as bucket"
    purchases = _purchases(sales, bought, bucket)
    packed = map_in_tasks(purchases, partial(pack_purchases, buckets=buckets), PACKED_SCHEMA)
    people = _people(sales, accepted, celled, columns, bucket)
    fixed = _fixed_values(accepted, columns.free)
    sources = columns.sources | {schema.customer: "customer", schema.product: "product"}
    types = {field.name: field for field in accepted.schema}
    read = [types[name] for name in (*sources, *fixed)] if folder is None else [_double(own_name("predicted"))]
    fields = _pair_fields(types, schema) + read
    work = partial(
        offer_lines,
        lists=lists if folder is not None else None,
        listing=listing,
        columns=sources,
        fixed=fixed,
        folder=str(folder) if folder is not None else None,
        names=tuple(field.name for field in fields),
    )
    grouped = people.groupBy("bucket").cogroup(packed.groupBy("bucket"))
    return apply_in_tasks(grouped, work, StructType(fields if folder is None else line_fields(accepted, schema)))


@dataclass(frozen=True, slots=True)
class _ModelColumns:
    """The features of the model by what they belong to."""

    # Numbers and dates that belong to neither customer nor product, such as a quantity: all pairs have one value.
    free: list[Column]
    changing: list[Column]  # levels that belong to neither: a customer has the most common one
    sources: dict[str, str]  # for each feature that is not free, its name among the columns of customers and products

    @classmethod
    def of(cls, schema: Schema) -> _ModelColumns:
        features = [c for c in schema.columns if c.is_feature or c.role == "time"]
        free = [c for c in features if c.of is None and c.kind in {"numeric", "date"}]
        changing = [c for c in features if c.of is None and c not in free]
        return cls(free, changing, {c.name: own_name(c.name) for c in features if c not in free})


def _purchases(sales: Sales, bought: DataFrame, bucket: str) -> DataFrame:
    """Return past purchases and those to come as hashes; the category only of past ones."""
    past = sales.frame.where("customer is not null").selectExpr(
        bucket, "xxhash64(customer) as c", "xxhash64(product) as p", "xxhash64(category) as g"
    )
    return past.unionByName(
        bought.selectExpr(bucket, "xxhash64(customer) as c", "xxhash64(product) as p", "cast(null as bigint) as g")
    )


def _people(sales: Sales, accepted: DataFrame, celled: DataFrame, columns: _ModelColumns, bucket: str) -> DataFrame:
    """Return one row per customer: cell, attributes, and the most common levels of what changes."""
    people = celled.join(_usual(sales.customer_attributes, "customer"), "customer")
    if columns.changing:
        modes = [sf.mode(col(c.name), True).alias(own_name(c.name)) for c in columns.changing]
        customer = col(str(sales.schema.customer)).alias("customer")
        people = people.join(accepted.groupBy(customer).agg(*modes), "customer")
    return people.selectExpr("*", bucket, "xxhash64(customer) as c")


def _double(name: str) -> StructField:
    return StructField(name, DoubleType())


def _pair_fields(types: Mapping[str, StructField], schema: Schema) -> list[StructField]:
    return [
        StructField(own_name("customer"), types[str(schema.customer)].dataType),
        StructField(own_name("product"), types[str(schema.product)].dataType),
        StructField(own_name("category"), StringType()),
        _double(own_name("uptake")),
        StructField(own_name("little_known"), BooleanType()),
        StructField(own_name("new_category"), BooleanType()),
    ]


def line_fields(accepted: DataFrame, schema: Schema) -> list[StructField]:
    """Return the fields of the result of `best_lines`."""
    customer, product, category, *_ = _pair_fields({field.name: field for field in accepted.schema}, schema)
    texts = [StructField(field.name.removeprefix(OWN), field.dataType) for field in (customer, product, category)]
    numbers = [_double(name) for name in ("predicted", "uptake", "expected")]
    return [StructField("campaign", StringType()), StructField("place", IntegerType()), *texts, *numbers]


def _listing(sales: Sales, taste: _Taste | None, little_known: Sequence[str], count: int) -> tuple[DataFrame, Listing]:
    """Return customers with their cell, and the list of each cell, on the driver."""
    customers, products = sales.customers, sales.products
    if customers is None or products is None:
        raise ValueError("offers need customers and products")
    priced = products.where(f"level is not null and buyers >= {_MIN_BUYERS}").selectExpr(
        "level as product",
        "category",
        "rows",
        f"least(buyers / {number_literal(count)}, 1D) as uptake",
        f"(total + {number_literal(_PRIOR_ROWS * sales.mean)}) / (rows + {number_literal(_PRIOR_ROWS)}) as price",
    )
    known = customers.where("level is not null").selectExpr("level as customer", "rows as purchases")
    described = priced.join(_usual(sales.product_attributes, "product"), "product")
    celled, centres = _cells(known, taste)
    if taste is None:
        described = described.withColumn("scale", sf.lit(0.0))
    else:
        described = described.join(taste.items.withColumnRenamed("level", "product"), "product", "left")
    asked = described.selectExpr("*", "xxhash64(product) as p", "xxhash64(category) as g")
    ranked_by = {"price", "scale", *map(str, range(taste.rank if taste else 0))}
    kept = [name for name in asked.columns if name not in ranked_by]
    fields = [*(asked.schema[name] for name in kept), StructField(SPENDS, ArrayType(DoubleType()))]
    always = frozenset(map(str, little_known))
    work = partial(shortlist, centres=np.array([*centres.values()]), kept=tuple(kept), always=always)
    listed = map_in_tasks(asked, work, StructType(fields)).toArrow()
    return celled, make_listing(listed, tuple(centres), always)


def _usual(attributes: DataFrame | None, key: str) -> DataFrame:
    """Return one row per customer or product with its attributes."""
    if attributes is None:
        raise ValueError("offers need customers and products")
    own = [name for name in attributes.columns if name.startswith(OWN)]
    # The count keeps the aggregation valid where there are no attributes; Spark drops it again.
    rows = sf.count(sf.lit(1)).alias("_pc_known")
    by_key = attributes.groupBy(sf.col("level").alias(key))
    return by_key.agg(rows, *[sf.max(col(name)).alias(name) for name in own]).drop("_pc_known")


def _fixed_values(accepted: DataFrame, free: Sequence[Column]) -> dict[str, Any]:
    """Return the median of numbers, such as a quantity, and the latest date."""
    if not free:
        return {}
    terms = [
        f"percentile_approx({quoted(c.name)}, 0.5)" if c.kind == "numeric" else f"max({quoted(c.name)})" for c in free
    ]
    types = dict(accepted.dtypes)
    row = accepted.selectExpr(*[f"cast({term} as {types[c.name]})" for term, c in zip(terms, free, strict=True)])
    return {c.name: value for c, value in zip(free, row.collect()[0], strict=True)}


def _taste(model: Any, bits: int) -> _Taste | None:
    """Return the last latent factors of the model, and the directions in which interactions differ most."""
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
    """Return the weighted sum of the outer products of the factors, a rank x rank matrix."""
    selected = table.selectExpr(f"cast({weight} as double) as weight", *[f"cast(`{i}` as double)" for i in range(rank)])
    moments = map_in_tasks(selected, second_moments, "moments array<double>").collect()  # one row per task
    sums = [np.asarray(row["moments"]).reshape(rank, rank) for row in moments]
    return np.sum(sums, axis=0) if sums else np.zeros((rank, rank))


def _cells(known: DataFrame, taste: _Taste | None) -> tuple[DataFrame, dict[int, list[float]]]:
    """Return customers with their cell, and the mean factors of each cell."""
    if taste is None:
        return known.selectExpr("*", "0 as cell"), {0: []}
    axes = range(taste.rank)
    # Bit k of a cell is the sign along direction k.
    bits = [
        "(CASE WHEN "
        + " + ".join(f"coalesce(`{i}`, 0D) * {number_literal(direction[i])}" for i in axes)
        + f" > 0 THEN {1 << k} ELSE 0 END)"
        for k, direction in enumerate(taste.directions.T)
    ]
    users = taste.users.withColumnRenamed("level", "customer")
    placed = known.join(users, "customer", "left").selectExpr("*", f"{' + '.join(bits)} as cell")
    means = [sf.expr(f"coalesce(avg(`{i}`), 0D)") for i in axes]
    centres = placed.groupBy("cell").agg(*means).orderBy("cell").collect()  # at most 32 rows
    return placed.select("customer", "purchases", "cell"), {row[0]: [float(v) for v in row[1:]] for row in centres}
