"""Decide how unit prices are estimated: which columns of the product nest, and what else moves a price."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.numerics.nesting import order_levels
from purchasecast.schema.reserved_columns import BASE_AMOUNT, FOLD, NUMBER, UNIT_PRICE, made_name
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages import UnitPriceEncoder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from purchasecast.schema import Schema

__all__ = ["PricePlan", "plan_prices", "unit_prices"]

_MANY_LEVELS = 2  # columns of a shop that get effects of their own, beside customer and product


@dataclass(frozen=True, slots=True)
class PricePlan:
    """How unit prices are estimated.

    Attributes
    ----------
    levels : tuple of str
        Levels of the product that nest, from coarse to fine.
    attributes : tuple of str
        Its other nominal and ordinal columns.
    places : tuple of str
        Other columns of many levels, such as the store.
    """

    levels: tuple[str, ...]
    attributes: tuple[str, ...]
    places: tuple[str, ...]


def plan_prices(rows: DataFrame, schema: Schema, counts: dict[str, int]) -> PricePlan:
    """Plan how unit prices are estimated; one pass over the rows where the product has several columns.

    Parameters
    ----------
    rows : DataFrame
        Accepted rows.
    schema : Schema
        Description of the rows, with a quantity.
    counts : dict of str to int
        About how many levels each open column has.

    Returns
    -------
    PricePlan
        The plan.
    """
    of_product = [one.name for one in (*schema.nominal, *schema.ordinal) if one.of == "product"]
    levels = _nested_levels(rows, schema, of_product)
    others = [one.name for one in schema.nominal if one.of is None]
    places = sorted(others, key=lambda name: -counts.get(name, 0))[:_MANY_LEVELS]
    return PricePlan(levels, tuple(name for name in of_product if name not in levels), tuple(places))


def _nested_levels(rows: DataFrame, schema: Schema, names: list[str]) -> tuple[str, ...]:
    """Return the columns of the product that nest, from coarse to fine (`purchasecast.numerics.nesting`)."""
    if len(names) < 2:
        return tuple(names)
    amount, quantity = (col(name).cast("double") for name in (schema.target, str(schema.quantity)))
    price = sf.when((amount > 0) & (quantity > 0), sf.log(amount / quantity))
    places = {name: f"c_{place}" for place, name in enumerate(names)}
    keys = [col(name).cast("string").alias(place) for name, place in places.items()]
    # By product: what others of its level cost is to tell of a product, and a combination of levels may have many.
    products = rows.groupBy(*([col(schema.product)] if schema.product else []), *keys).agg(
        sf.count(sf.lit(1)).alias("rows"), sf.avg(price).alias("price")
    )
    products = products.select(*places.values(), "rows", "price")
    found = map_in_tasks(products.repartition(1), partial(order_levels, names=list(places.values())), "name string")
    by_place = {place: name for name, place in places.items()}
    return tuple(by_place[row["name"]] for row in found.collect())  # a few names


def unit_prices(schema: Schema, prices: PricePlan, folds: int) -> UnitPriceEncoder:
    """Return the stage of unit prices: quantity x price, with what product, place and customer add to the price."""
    product, customer = schema.product or "", schema.customer or ""
    effects: list[tuple[str, str, float]] = [(product, "@quantity", 2.0)] if product else []
    effects += [(place, "", 20.0) for place in prices.places]
    effects += [(product, place, 2.0) for place in prices.places if product]
    effects += [(customer, "", 20.0)] if customer else []
    effects += [(product, customer, 1.0)] if product and customer else []
    finest = prices.levels[-1:]
    attributes = [(name, "") for name in (*prices.levels, *prices.attributes)]
    attributes += [(level, name) for level in finest for name in prices.attributes]
    return UnitPriceEncoder(
        labelCol=schema.target,
        quantityCol=made_name(NUMBER, str(schema.quantity)),
        productCol=product,
        levelCols=list(prices.levels),
        timeCol=schema.time or "",
        effectCols=[first for first, _, _ in effects],
        effectCrossCols=[second for _, second, _ in effects],
        effectShrinkages=[shrinkage for _, _, shrinkage in effects],
        attributeCols=[first for first, _ in attributes],
        attributeCrossCols=[second for _, second in attributes],
        amountCol=BASE_AMOUNT,
        outputPrefix=UNIT_PRICE,
        foldCol=FOLD,
        numFolds=folds,
        forward=schema.time is not None,
    )
