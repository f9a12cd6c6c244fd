"""Generate a realistic shop whose truth is known, on Spark and of any size.

The table has the columns of the schema ``black_friday``. Customers differ in how much they buy, products in
how often they are bought (Zipf-Mandelbrot: popularity falls as 1 / (rank + q)); nobody buys a product twice;
a purchase lies near a whole multiple of the product's price. `planted_effects` holds what is expected.

References
----------
B. Mandelbrot, "An informational theory of the statistical structure of language", 1953 (the popularity law).
"""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as sf

from purchasecast.datasets.planted_effects import (
    PlantedEffects,
    attribute_frame,
    bell,
    coprime_stride,
    customer_frame,
    expected_purchase,
    product_frame,
    shuffled,
    uniform,
)
from purchasecast.errors import SettingsError
from purchasecast.io import write_single_csv, write_table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["GeneratedShop", "PlantedEffects", "ShopTruth", "generate", "write_shop"]

logger = logging.getLogger(__name__)

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
_SUFFIXES = (".csv", ".parquet", ".pq", "")
_SCORING_SHARE = 0.4  # rows to score for each labelled row
_UNSEEN_SHARE = 0.013  # products not sold yet, for each product
_ROWS_OF_AN_UNSEEN_PRODUCT = 3
_HEAD = 100  # how many times the flat head of the popularity law fits into the number of products
# Share of the purchases made by the least active customers up to a share x: the sum of weight * x ** power.
_ACTIVITY = ((0.20, 1), (0.25, 2), (0.25, 4), (0.22, 10), (0.08, 60))


@dataclass(frozen=True, slots=True)
class ShopTruth:
    """What was planted.

    Attributes
    ----------
    customers : DataFrame
        One row a customer: attributes, effects, taste.
    products : DataFrame
        One row a product: categories, price, level, effect, factors, whether it is unseen.
    attributes : DataFrame
        One row a level of a customers' attribute: its effect.
    rows : DataFrame
        One row a transaction, labelled or to be scored: key, part, expected and actual purchase.
    """

    customers: DataFrame
    products: DataFrame
    attributes: DataFrame
    rows: DataFrame


@dataclass(frozen=True, slots=True)
class GeneratedShop:
    """A generated shop: lazily evaluated frames.

    Attributes
    ----------
    transactions : DataFrame
        The labelled rows.
    scoring : DataFrame
        Rows without a target; some of their products are not in `transactions`.
    truth : ShopTruth
        What was planted.
    """

    transactions: DataFrame
    scoring: DataFrame
    truth: ShopTruth


@dataclass(frozen=True, slots=True)
class _Sizes:
    labelled: int
    customers: int
    products: int
    unseen: int

    @property
    def scored(self) -> int:
        return round(self.labelled * _SCORING_SHARE)

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


def generate(spark: SparkSession, *, rows: int, seed: int = 7, effects: PlantedEffects | bool = True) -> GeneratedShop:
    """Generate a shop.

    Parameters
    ----------
    spark : SparkSession
        Where the frames are computed.
    rows : int
        Number of labelled transactions, exactly; at least 1.
    seed : int, default 7
        The same seed gives the same shop on any number of partitions.
    effects : PlantedEffects or bool, default True
        How strong each planted effect is; False plants none, so that purchases depend on nothing.

    Returns
    -------
    GeneratedShop
        Frames of the labelled rows, of the rows to score (two fifths as many) and of the truth.

    Raises
    ------
    SettingsError
        If `rows` is below 1.
    """
    if rows < 1:
        raise SettingsError(f"A shop has at least one row, not {rows}: give a larger number of rows.")
    if isinstance(effects, bool):
        effects = PlantedEffects() if effects else PlantedEffects.none()
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
    )


def write_shop(
    shop: GeneratedShop, out: str, *, truth: bool = False, scoring: bool = False, overwrite: bool = False
) -> dict[str, str]:
    """Write a generated shop, sorted by customer and product, so that a seed always gives the same file.

    Parameters
    ----------
    shop : GeneratedShop
        What to write.
    out : str
        One CSV file if it ends in ``.csv``; a Parquet folder if it ends in ``.parquet``, or in no suffix.
    truth : bool, default False
        Write the truth beside it as Parquet, into ``<out>.truth``.
    scoring : bool, default False
        Write the rows to score beside it, as ``<out>.scoring`` with the same suffix.
    overwrite : bool, default False
        Replace what is there already.

    Returns
    -------
    dict of str to str
        What was written, by name, and where.

    Raises
    ------
    SourceError
        If something cannot be written, or is there already and `overwrite` is off.
    SettingsError
        If `out` ends in another suffix.
    """
    stem, suffix = os.path.splitext(str(out))  # noqa: PTH122 -- an address like hdfs://... is no local path
    if suffix.lower() not in _SUFFIXES:
        raise SettingsError(f"A shop is written as .csv or .parquet, not as {suffix}: choose another name than {out}.")
    mode: Literal["overwrite", "error"] = "overwrite" if overwrite else "error"
    tables = {"transactions": (shop.transactions, str(out))}
    if scoring:
        tables["scoring"] = (shop.scoring, f"{stem}.scoring{suffix}")
    for name, (frame, path) in tables.items():
        ordered = frame.orderBy(*_FEATURES[:2])
        if suffix.lower() == ".csv":
            write_single_csv(ordered, path, mode=mode)
        else:
            write_table(ordered, path, format="parquet", mode=mode)
        logger.info("Wrote %s to %s", name, path)
    written = {name: path for name, (_, path) in tables.items()}
    if truth:
        for name in ("customers", "products", "attributes", "rows"):
            written[f"truth_{name}"] = f"{stem}.truth/{name}"
            write_table(getattr(shop.truth, name), written[f"truth_{name}"], format="parquet", mode=mode)
    return written


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
        lambda draw: _by_popularity(uniform(seed, "draw", index, draw), sizes.products),
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
    """Return a customer's number of rows; all customers' add up to exactly `rows`.

    Each takes the part of a rising curve between its place and the next, both rounded, so nothing is lost.
    """
    place = shuffled(sf.col("customer_index"), sizes.customers, seed)
    before_last = 1 - 1 / sizes.customers
    most = sizes.customers * (1 - sum(weight * before_last**power for weight, power in _ACTIVITY))
    per_customer = sizes.labelled * (1 + _SCORING_SHARE) / sizes.customers
    # Where products are few the most active would need more than 60 % of them: flatten the curve.
    skew = min(1.0, max(0.0, (0.6 * sizes.products / per_customer - 1) / (most - 1)))

    def up_to(count: Column) -> Column:
        share = count / sf.lit(sizes.customers)
        curve = share * sf.lit(1 - skew)
        for weight, power in _ACTIVITY:
            curve = curve + sf.lit(skew * weight) * sf.pow(share, sf.lit(float(power)))
        return sf.round(curve * sf.lit(rows)).cast("int")

    return up_to(place + sf.lit(1)) - up_to(place)


def _by_popularity(value: Column, products: int) -> Column:
    """Turn a uniform number into a popularity rank: the inverse of the law's distribution function."""
    head = products / _HEAD
    rank = sf.floor(sf.lit(head) * (sf.pow(sf.lit(float(_HEAD + 1)), value) - sf.lit(1.0)))
    return sf.least(rank, sf.lit(products - 1).cast("bigint"))


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
