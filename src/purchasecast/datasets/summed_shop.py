"""Generate a shop that sums up all purchases of a product by a customer, on Spark and of any size.

The table has the columns of the schema ``black_friday``. Customers differ in how much they buy, products in
how often they are bought (Zipf-Mandelbrot: popularity falls as 1 / (rank + q)); nobody buys a product twice;
a purchase lies near a whole multiple of the product's price. `planted_effects` holds what is expected.

References
----------
B. Mandelbrot, "An informational theory of the statistical structure of language", 1953 (the popularity law).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.datasets.draws import activity, bell, coprime_stride, most_active, popularity_rank, shuffled, uniform
from purchasecast.datasets.planted_effects import attribute_frame, customer_frame, expected_purchase, product_frame
from purchasecast.datasets.shop import SCORING_SHARE, GeneratedShop, ShopTruth
from purchasecast.schema import load_schema

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from purchasecast.datasets.planted_effects import PlantedEffects

__all__ = ["summed_shop"]

NOISE_SHARE = 0.23  # standard deviation of the noise before it is cut into price steps, as a share of the level
_FEATURES = (
    "User_ID",
    "Product_ID",
    "Gender",
    "Age",
    "Occupation",
    "City_Category",
    "Stay_In_Current_City_Years",
    "Marital_Status",
    "Product_Category_1",
    "Product_Category_2",
    "Product_Category_3",
)
_TARGET = "Purchase"
_UNSEEN_SHARE = 0.013  # products not sold yet, for each product
_ROWS_OF_AN_UNSEEN_PRODUCT = 3


@dataclass(frozen=True, slots=True)
class _Sizes:
    labelled: int
    customers: int
    products: int
    unseen: int

    @property
    def scored(self) -> int:
        return round(self.labelled * SCORING_SHARE)

    @classmethod
    def of(cls, rows: int) -> _Sizes:
        """Grow customers and products more slowly than rows, as shops do, with room for distinct pairs."""
        scale = rows / 550_000
        customers, products = 5900 * scale**0.81, 3600 * scale**0.80
        room = max(1.0, math.sqrt(8 * rows / (customers * products)))
        product_count = max(math.ceil(products * room), 6)
        return cls(
            labelled=rows,
            customers=max(math.ceil(customers * room), 6),
            products=product_count,
            unseen=max(round(product_count * _UNSEEN_SHARE), 1),
        )


def summed_shop(spark: SparkSession, *, rows: int, seed: int, effects: PlantedEffects) -> GeneratedShop:
    """Generate a shop with one row a customer and product.

    Parameters
    ----------
    spark : SparkSession
        Where the frames are computed.
    rows : int
        Number of labelled rows, exactly; at least 1.
    seed : int
        The same seed gives the same shop on any number of partitions.
    effects : PlantedEffects
        How strong each planted effect is.

    Returns
    -------
    GeneratedShop
        Frames of the labelled rows, of the rows to score (two fifths as many) and of the truth.
    """
    sizes = _Sizes.of(rows)
    customers = customer_frame(spark, sizes.customers, seed=seed, effects=effects)
    products = product_frame(spark, sizes.products, sizes.unseen, seed=seed, effects=effects)
    sold = (
        _pairs(spark, sizes, seed)
        .join(customers, "customer_index")
        .join(products, "popularity_rank")
        .withColumn("expected", expected_purchase())
        .withColumn(_TARGET, _purchase(seed))
    )
    part = sf.when(sf.col("labelled"), "transactions").otherwise("scoring").alias("part")
    return GeneratedShop(
        transactions=sold.where("labelled").select(*_FEATURES, _TARGET),
        scoring=sold.where(~sf.col("labelled")).select(*_FEATURES),
        truth=ShopTruth(
            customers=customers.drop("customer_index"),
            products=products,
            attributes=attribute_frame(spark, effects),
            rows=sold.select(*_FEATURES[:2], part, "expected", _TARGET),
        ),
        schema=load_schema("black_friday"),
        order=_FEATURES[:2],
    )


def _pairs(spark: SparkSession, sizes: _Sizes, seed: int) -> DataFrame:
    """Return who buys what: distinct pairs, exactly as many labelled and to be scored as the sizes say.

    A customer's products are drawn by popularity, three times as many as needed because some come up again;
    behind them stands a walk through all products that meets none twice, so that there are always enough.
    """
    index = sf.col("customer_index")
    first_sale = min(sizes.unseen * _ROWS_OF_AN_UNSEEN_PRODUCT, sizes.scored)
    counts = (
        spark.range(sizes.customers)
        .withColumnRenamed("id", "customer_index")
        .withColumn("labelled_rows", _activity(sizes.labelled, sizes, seed))
        .withColumn("wanted", sf.col("labelled_rows") + _activity(sizes.scored - first_sale, sizes, seed))
    )
    wanted, walk_start = sf.col("wanted"), uniform(seed, "walk", index) * sf.lit(sizes.products)
    popular = sf.transform(
        sf.sequence(sf.lit(0), 3 * wanted + 4),
        lambda draw: popularity_rank(uniform(seed, "draw", index, draw), sizes.products),
    )
    stride = coprime_stride(sizes.products)
    walk = sf.transform(
        sf.sequence(sf.lit(0), wanted),
        lambda step: (sf.floor(walk_start) + step * sf.lit(stride)) % sf.lit(sizes.products),
    )
    chosen = sf.slice(sf.array_distinct(sf.concat(popular, walk)), sf.lit(1), wanted)
    # Which of a customer's rows are labelled must not depend on how popular the product is.
    mixed = sf.array_sort(
        sf.transform(chosen, lambda rank: sf.struct(uniform(seed, "part", index, rank).alias("u"), rank.alias("r")))
    )
    sold = counts.select("customer_index", "labelled_rows", sf.posexplode(mixed).alias("place", "product"))
    sold = sold.select(
        "customer_index",
        sf.col("product.r").alias("popularity_rank"),
        (sf.col("place") < sf.col("labelled_rows")).alias("labelled"),
    )
    return sold.unionByName(_first_sales(spark, first_sale, sizes, seed))


def _first_sales(spark: SparkSession, count: int, sizes: _Sizes, seed: int) -> DataFrame:
    """Return the rows to score of products never sold before, each round to other customers."""
    product = (sf.col("id") % sizes.unseen).alias("popularity_rank") + sf.lit(sizes.products)
    turn = sf.floor(sf.col("id") / sizes.unseen)
    buyer = sf.floor(uniform(seed, "first sale", sf.col("id") % sizes.unseen) * sizes.customers) + turn
    return spark.range(count).select(
        (buyer % sizes.customers).alias("customer_index"),
        product.alias("popularity_rank"),
        sf.lit(False).alias("labelled"),
    )


def _activity(rows: int, sizes: _Sizes, seed: int) -> Column:
    """Return a customer's number of rows; all customers' add up to exactly `rows`."""
    place = shuffled(sf.col("customer_index"), sizes.customers, seed)
    per_customer = sizes.labelled * (1 + SCORING_SHARE) / sizes.customers
    # Where products are few the most active would need more than 60 % of them: flatten the curve.
    most = most_active(sizes.customers)
    skew = min(1.0, max(0.0, (0.6 * sizes.products / per_customer - 1) / (most - 1)))
    return activity(place, rows, sizes.customers, skew)


def _purchase(seed: int) -> Column:
    """Return the purchase: a whole number of prices that is on average what is expected, and some change.

    Rounding up or down by a draw keeps the mean, where rounding to the nearest would pull it to the steps.
    """
    keys = (sf.col("customer_index"), sf.col("popularity_rank"))
    price = sf.col("price").cast("double")
    spent = sf.col("expected") + sf.lit(NOISE_SHARE) * sf.col("level") * bell(seed, "noise", *keys)
    steps = sf.greatest(sf.floor(spent / price + uniform(seed, "step", *keys)), sf.lit(1).cast("bigint"))
    change = sf.lit(0.01) * price * bell(seed, "change", *keys)
    return sf.round(steps * price + change).cast("int")
