r"""Generate shops with dates, quantity, promotions and changing prices, on Spark and of any size.

One row is a line of a visit. With the product's price :math:`p_j(t)` on the day, the quantity :math:`q`, the share
that a promotion takes off :math:`d`, and the customer's spending :math:`s_c` (segment, region and the customer's
own), an amount is

.. math::
    \text{multiplicative:}\quad & a = q\, p_j(t)\, (1 - d)\, e^{s_c}\, \epsilon, \quad E[\epsilon] = 1 \\
    \text{additive:}\quad & a = 40 + p_j + 40 s_c + 2.5 (q - 1) + \epsilon, \quad E[\epsilon] = 0 \\
    \text{ladder:}\quad & a = k\, p_j, \quad E[k] = 3.5 + 3 s_c, \quad k \text{ whole}

so that ``expected`` is exact, whatever a model finds. `visits` says who buys what, and when.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as sf

from purchasecast.datasets.draws import bell, look_up, pick, shuffled, total, uniform
from purchasecast.datasets.shop import GeneratedShop, ShopTruth
from purchasecast.datasets.visits import CATEGORIES, DAYS, ShopSizes, line_probabilities, lines_of_visits, with_taste
from purchasecast.schema import Column as SchemaColumn
from purchasecast.schema import Schema

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["KINDS", "ShopKind", "dated_shop", "dated_shop_schema"]

# Categories by department, each with its usual price.
_CATEGORIES = {
    ("bakery", "bread"): 3.0,
    ("bakery", "cakes"): 7.0,
    ("bakery", "snacks"): 4.0,
    ("dairy", "cheese"): 6.0,
    ("dairy", "ice cream"): 5.0,
    ("dairy", "milk"): 2.5,
    ("drinks", "coffee"): 9.0,
    ("drinks", "water"): 2.0,
    ("drinks", "wine"): 10.0,
    ("household", "cleaning"): 6.0,
    ("household", "paper"): 4.5,
    ("household", "pets"): 14.0,
}
# Levels of the customers' attributes: share of the customers, and what it adds to the customer's spending.
_SEGMENTS = {"budget": (0.35, -0.10), "family": (0.45, 0.0), "premium": (0.20, 0.15)}
_REGIONS = {"north": (0.3, 0.03), "east": (0.2, -0.03), "south": (0.3, 0.0), "west": (0.2, 0.0)}
_ADDITIVE_BASE, _FEE, _ADDITIVE_NOISE = 40.0, 2.5, 6.0
_STEPS, _STEPS_OF_SPENDING, _STEPS_NOISE = 3.5, 3.0, 0.4  # so bounded that no amount has less than one step
_EXTRA_PIECES = 0.6  # scale of the exponential number whose floor is added to the first piece
_TAIL = 1.3  # exponent of the Pareto law of heavy quantities
_LARGEST_QUANTITY = 5000
_OUTLIER_SHARE, _OUTLIER = 0.002, 15.0  # so many lines have an amount so many times as large, whatever the product
_PROMOTED_SHARE = 0.15  # of the products, each week
_DISCOUNTS = (0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class ShopKind:
    """What sets one kind of dated shop apart.

    Attributes
    ----------
    form : {"multiplicative", "additive", "ladder"}
        How an amount is made, by the formulas of this module.
    noise : float
        Standard deviation of the multiplicative noise before it is scaled to mean 1.
    product_sd, customer_sd : float
        Standard deviation of the logarithm of a product's own price in its category, and of a customer's own spending.
    quantity : bool
        Whether the table has the quantity; where it has not, it still is part of the amount, and only its
        expectation is known.
    price_change : float
        Logarithm of a product's one change of price, up or down, on a day in the first three fifths of the time.
        Where there are changes, all prices also rise by 3 % a year.
    promotions : bool
        Whether products are cheaper in some weeks, by a share that the column ``discount`` says, and sell more a line.
    heavy : bool
        Whether quantities follow a Pareto law, and a few amounts are out of all proportion.
    customers, products : float
        How many there are, as a multiple of what a shop of so many rows usually has.
    """

    form: Literal["multiplicative", "additive", "ladder"] = "multiplicative"
    noise: float = 0.15
    product_sd: float = 0.3
    customer_sd: float = 0.1
    quantity: bool = True
    price_change: float = 0.0
    promotions: bool = False
    heavy: bool = False
    customers: float = 1.0
    products: float = 1.0


KINDS = {
    "additive": ShopKind(form="additive"),
    "multiplicative": ShopKind(),
    "ladder": ShopKind(form="ladder", quantity=False),
    "drift": ShopKind(price_change=0.35),
    "promotion": ShopKind(promotions=True),
    "heavy_tails": ShopKind(heavy=True),
    # So many levels that most have a handful of rows, and so alike that a model must lean on their categories.
    "few_rows": ShopKind(noise=0.25, product_sd=0.05, customer_sd=0.03, customers=15.0, products=25.0),
    "no_quantity": ShopKind(quantity=False),
    "grocery": ShopKind(price_change=0.15, promotions=True),
}


def dated_shop(spark: SparkSession, *, kind: str, rows: int, seed: int = 7) -> GeneratedShop:
    """Generate a shop with dates.

    Parameters
    ----------
    spark : SparkSession
        Where the frames are computed.
    kind : str
        One of `KINDS`.
    rows : int
        Number of labelled lines, exactly; at least 1.
    seed : int, default 7
        The same seed gives the same shop on any number of partitions.

    Returns
    -------
    GeneratedShop
        Labelled lines of 364 days, the lines to score of the 21 weeks after, and the truth.
    """
    made = KINDS[kind]
    sizes = ShopSizes.of(rows, customers=made.customers, products=made.products)
    customers = _customers(spark, sizes, made, seed)
    products = _products(spark, sizes, made, seed)
    lines = (
        lines_of_visits(spark, customers, sizes, seed).join(products, "product_index").withColumns(_sale(made, seed))
    )
    expected = _expected(made)
    lines = lines.withColumn("expected", expected).withColumn("amount", _amount(made, seed))
    schema = dated_shop_schema(kind)
    features = [name for name in schema.names if name != schema.target]
    part = sf.when(sf.col("labelled"), "transactions").otherwise("scoring").alias("part")
    told = ("line_id", "customer_id", "product_id", "day", "quantity", "discount", "unit_price")
    return GeneratedShop(
        transactions=lines.where("labelled").select(*schema.names),
        scoring=lines.where(~sf.col("labelled")).select(*features),
        truth=ShopTruth(
            customers=customers.drop("customer_index"),
            products=products.drop("product_index"),
            attributes=_attributes(spark),
            rows=lines.select(*told, part, "expected", "amount"),
            pairs=line_probabilities(customers, products, sizes),
        ),
        schema=schema,
        order=("line_id",),
    )


def dated_shop_schema(kind: str) -> Schema:
    """Return the description of a dated shop's table.

    Parameters
    ----------
    kind : str
        One of `KINDS`.

    Returns
    -------
    Schema
        Its schema; it has a quantity and a discount only where the kind has them.

    Examples
    --------
    >>> dated_shop_schema("no_quantity").time
    'day'
    """
    columns = [
        SchemaColumn("line_id", "nominal", type="integer", role="row"),
        SchemaColumn("visit_id", "nominal", type="integer", role="row"),
        SchemaColumn("day", "date", role="time", calendar=("month", "dayofweek")),
        SchemaColumn("customer_id", "nominal", role="customer"),
        SchemaColumn("segment", "nominal", domain=tuple(_SEGMENTS), of="customer"),
        SchemaColumn("region", "nominal", domain=tuple(_REGIONS), of="customer"),
        SchemaColumn("product_id", "nominal", role="product"),
        SchemaColumn("department", "nominal", of="product"),
        SchemaColumn("category", "nominal", of="product"),
    ]
    if KINDS[kind].quantity:
        columns.append(SchemaColumn("quantity", "numeric", type="integer", role="quantity", minimum=1))
    if KINDS[kind].promotions:
        columns.append(SchemaColumn("discount", "numeric", minimum=0, maximum=1))
    columns.append(SchemaColumn("amount", "numeric", role="target", minimum=0))
    return Schema(kind, f"Generated shop: {kind}", tuple(columns), key=("line_id",), money="USD")


def _customers(spark: SparkSession, sizes: ShopSizes, kind: ShopKind, seed: int) -> DataFrame:
    """Return the customers, one row each: attributes, spending and taste."""
    index = sf.col("customer_index")
    frame = spark.range(sizes.customers).withColumnRenamed("id", "customer_index")
    columns: dict[str, Column] = {"customer_id": sf.format_string("C%07d", shuffled(index, sizes.customers, seed))}
    parts = []
    for name, levels in (("segment", _SEGMENTS), ("region", _REGIONS)):
        place = pick(uniform(seed, name, index), [share for share, _ in levels.values()])
        columns[name] = look_up(list(levels), place)
        parts.append(look_up([effect for _, effect in levels.values()], place))
    columns["attribute_effect"] = total(parts)
    columns["customer_effect"] = sf.lit(kind.customer_sd) * bell(seed, "customer", index)
    spending = sf.col("attribute_effect") + sf.col("customer_effect")
    return with_taste(frame.withColumns(columns).withColumn("spending", spending), sizes, seed)


def _products(spark: SparkSession, sizes: ShopSizes, kind: ShopKind, seed: int) -> DataFrame:
    """Return the products, one row each, by falling popularity; the last have not been sold yet."""
    index = sf.col("product_index")
    count = sizes.products + sizes.new_products
    category = (index % CATEGORIES).cast("int")
    names, prices = list(_CATEGORIES), list(_CATEGORIES.values())
    own = sf.lit(kind.product_sd) * bell(seed, "product", index)
    change_day = sf.lit(0.1 * DAYS) + sf.lit(0.5 * DAYS) * uniform(seed, "change day", index)
    direction = sf.when(uniform(seed, "direction", index) < 2 / 3, 1.0).otherwise(-1.0)
    return (
        spark.range(count)
        .withColumnRenamed("id", "product_index")
        .withColumns(
            {
                "product_id": sf.format_string("P%07d", shuffled(index, count, seed)),
                "department": look_up([department for department, _ in names], category),
                "category": look_up([name for _, name in names], category),
                "popularity_rank": sf.floor(index / CATEGORIES),
                "unseen": index >= sizes.products,
                "price": sf.round(look_up(prices, category) * sf.exp(own), 2),
                "price_change": sf.lit(kind.price_change) * direction,
                "change_day": sf.floor(change_day).cast("int"),
            }
        )
    )


def _sale(kind: ShopKind, seed: int) -> dict[str, Column]:
    """Return what is true of a line before anybody pays: promotion, quantity and the price on the day."""
    week = (sf.col("product_index"), sf.floor(sf.col("days") / 7))
    discount = sf.lit(0.0)
    if kind.promotions:
        promoted = uniform(seed, "promotion", *week) < _PROMOTED_SHARE
        size = sf.floor(uniform(seed, "discount", *week) * len(_DISCOUNTS)).cast("int")
        discount = sf.when(promoted, look_up(_DISCOUNTS, size)).otherwise(0.0)
    price = sf.col("price").cast("double")
    if kind.price_change:
        changed = sf.when(sf.col("days") >= sf.col("change_day"), sf.col("price_change")).otherwise(0.0)
        price = price * sf.exp(sf.lit(0.03 / DAYS) * sf.col("days") + changed)
    place = uniform(seed, "quantity", sf.col("customer_index"), sf.col("line"))
    if kind.heavy:
        # The Pareto law's inverse; 1 - place is never 0.
        quantity = sf.floor(sf.pow(1 - place, sf.lit(-1 / _TAIL)))
        quantity = sf.least(quantity, sf.lit(_LARGEST_QUANTITY).cast("bigint"))
    else:
        quantity = 1 + sf.floor(-sf.log(1 - place) * _extra_pieces(discount))
    return {"discount": discount, "unit_price": price, "quantity": quantity.cast("int")}


def _extra_pieces(discount: Column) -> Column:
    return sf.lit(_EXTRA_PIECES) * sf.exp(3 * sf.col("spending")) * (1 + 3 * discount)


def _expected(kind: ShopKind) -> Column:
    """Return the true expectation of an amount, given all that the table says, and the truth's effects."""
    spending, price = sf.col("spending"), sf.col("unit_price")
    if kind.form == "additive":
        return _ADDITIVE_BASE + price + _ADDITIVE_BASE * spending + _FEE * (sf.col("quantity") - 1)
    if kind.form == "ladder":
        return price * (_STEPS + _STEPS_OF_SPENDING * spending)
    quantity = sf.col("quantity")
    if not kind.quantity:
        # The floor of an exponential number is a geometric one.
        quantity = 1 + 1 / (sf.exp(1 / _extra_pieces(sf.col("discount"))) - 1)
    return quantity * price * (1 - sf.col("discount")) * sf.exp(spending)


def _amount(kind: ShopKind, seed: int) -> Column:
    """Return the amount: on average `expected`, in whole cents."""
    keys = (sf.col("customer_index"), sf.col("line"))
    noise = bell(seed, "noise", *keys)
    if kind.form == "additive":
        amount = sf.col("expected") + _ADDITIVE_NOISE * noise
    elif kind.form == "ladder":
        steps = _STEPS + _STEPS_OF_SPENDING * sf.col("spending") + _STEPS_NOISE * noise
        # Rounding up or down by a draw keeps the mean.
        amount = sf.col("unit_price") * sf.floor(steps + uniform(seed, "step", *keys))
    else:
        # E[exp(s z)] of the bell-shaped z, a sum of three uniforms from -1 to 1, is (sinh(s) / s) ** 3.
        mean = (math.sinh(kind.noise) / kind.noise) ** 3
        paid = sf.col("quantity") * sf.col("unit_price") * (1 - sf.col("discount")) * sf.exp(sf.col("spending"))
        amount = paid * sf.exp(kind.noise * noise) / mean
        if kind.heavy:
            usual = (1 - _OUTLIER_SHARE * _OUTLIER) / (1 - _OUTLIER_SHARE)
            out = uniform(seed, "outlier", *keys) < _OUTLIER_SHARE
            amount = amount * sf.when(out, _OUTLIER).otherwise(usual)
    return sf.greatest(sf.round(amount, 2), sf.lit(0.01))


def _attributes(spark: SparkSession) -> DataFrame:
    rows = [
        (name, level, effect)
        for name, levels in (("segment", _SEGMENTS), ("region", _REGIONS))
        for level, (_, effect) in levels.items()
    ]
    return spark.createDataFrame(rows, "attribute string, level string, effect double")
