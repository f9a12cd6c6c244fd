r"""The known truth of a generated shop: its customers, its products and what each of them adds to a purchase.

Every value is a function of the seed and of a row's number, by hashing; so it does not depend on how Spark
cuts the rows into partitions. A purchase of product :math:`p` by customer :math:`c` is expected to be

.. math:: \mu_{cp} = \ell_p + a_c + b_c + t_c \cdot f_p

with :math:`\ell_p` the product's level (its first category's level and its own effect), :math:`a_c` the sum
of the effects of the customer's attributes, :math:`b_c` the customer's own effect, :math:`t_c` the customer's
taste and :math:`f_p` the product's factors, which grow with the product's level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from purchasecast.datasets.draws import bell, look_up, pick, shuffled, spread, total, uniform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = [
    "MEAN_PURCHASE",
    "PRICE_STEPS",
    "RANK",
    "PlantedEffects",
    "attribute_frame",
    "customer_frame",
    "expected_purchase",
    "product_frame",
]

RANK = 3  # length of the taste and factor vectors
MEAN_PURCHASE = 9000.0
PRICE_STEPS = 5  # a product's level is this many times its price
_CUSTOMER_SD = 700.0
_PRODUCT_SD = 1000.0
_INTERACTION_SD = 750.0
_FIRST_CUSTOMER = 1_000_001


@dataclass(frozen=True, slots=True)
class PlantedEffects:
    """How strong each planted effect is: 1 as designed, 0 not there at all.

    Attributes
    ----------
    gender, age, occupation, city, stay, marital : float
        Effects of the customers' attributes.
    customer : float
        The customers' own effects.
    category, product : float
        Levels of the first categories, and the products' own effects.
    interaction : float
        Taste times factors.
    """

    gender: float = 1.0
    age: float = 1.0
    occupation: float = 1.0
    city: float = 1.0
    stay: float = 1.0
    marital: float = 1.0
    customer: float = 1.0
    category: float = 1.0
    product: float = 1.0
    interaction: float = 1.0

    @classmethod
    def none(cls) -> PlantedEffects:
        """Return effects that are all zero: purchases that depend on nothing."""
        return cls(**{field.name: 0.0 for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class _Attribute:
    """One attribute of the customers: its column, and for each level its share and its effect in money."""

    column: str
    strength: str
    levels: Mapping[str | int, tuple[float, float]]


_ATTRIBUTES = (
    _Attribute("Gender", "gender", {"F": (0.28, -180.0), "M": (0.72, 70.0)}),
    _Attribute(
        "Age",
        "age",
        {
            "0-17": (0.04, -250.0),
            "18-25": (0.18, -120.0),
            "26-35": (0.35, 0.0),
            "36-45": (0.20, 80.0),
            "46-50": (0.09, 60.0),
            "51-55": (0.08, 220.0),
            "55+": (0.06, 120.0),
        },
    ),
    _Attribute(
        "Occupation",
        "occupation",
        # Common occupations and rare ones, effects that come back every seven codes.
        {code: (0.12 / (1 + code * 0.21) ** 1.1, 40.0 * (code % 7 - 3)) for code in range(21)},
    ),
    _Attribute("City_Category", "city", {"A": (0.27, -200.0), "B": (0.42, 0.0), "C": (0.31, 300.0)}),
    _Attribute(
        "Stay_In_Current_City_Years",
        "stay",
        {"0": (0.14, -30.0), "1": (0.35, 0.0), "2": (0.19, 20.0), "3": (0.17, 0.0), "4+": (0.15, 30.0)},
    ),
    _Attribute("Marital_Status", "marital", {0: (0.59, 10.0), 1: (0.41, -15.0)}),
)
# First category: share of the products and level in money. Shares and levels give mean 9,000 and sd 4,000.
_CATEGORIES = {
    1: (0.22, 13500.0),
    2: (0.05, 11000.0),
    3: (0.05, 10000.0),
    4: (0.04, 4200.0),
    5: (0.24, 6200.0),
    6: (0.03, 15500.0),
    7: (0.01, 16500.0),
    8: (0.20, 7400.0),
    9: (0.01, 14500.0),
    10: (0.015, 19000.0),
    11: (0.05, 4800.0),
    12: (0.02, 4000.0),
    13: (0.02, 3800.0),
    14: (0.01, 13000.0),
    15: (0.015, 14700.0),
    16: (0.02, 15000.0),
}


def attribute_frame(spark: SparkSession, effects: PlantedEffects) -> DataFrame:
    """Return the planted effects of the customers' attributes, one row a level of an attribute."""
    rows = [
        (attribute.column, str(level), effect * getattr(effects, attribute.strength))
        for attribute in _ATTRIBUTES
        for level, (_, effect) in attribute.levels.items()
    ]
    return spark.createDataFrame(rows, "attribute string, level string, effect double")


def customer_frame(spark: SparkSession, count: int, *, seed: int, effects: PlantedEffects) -> DataFrame:
    """Return the customers, one row each: index, id, attributes and what they add to a purchase."""
    index = sf.col("customer_index")
    columns: dict[str, Column] = {"User_ID": (index + sf.lit(_FIRST_CUSTOMER)).cast("int")}
    parts: list[Column] = []
    for attribute in _ATTRIBUTES:
        shares = [share for share, _ in attribute.levels.values()]
        place = pick(uniform(seed, attribute.column, index), shares)
        columns[attribute.column] = look_up(list(attribute.levels), place)
        strength = getattr(effects, attribute.strength)
        parts.append(look_up([effect * strength for _, effect in attribute.levels.values()], place))
    columns["attribute_effect"] = total(parts)
    columns["customer_effect"] = sf.lit(_CUSTOMER_SD * effects.customer) * bell(seed, "customer", index)
    for k in range(1, RANK + 1):
        columns[f"taste_{k}"] = bell(seed, f"taste {k}", index)
    return spark.range(count).withColumnRenamed("id", "customer_index").withColumns(columns)


def product_frame(spark: SparkSession, count: int, unseen: int, *, seed: int, effects: PlantedEffects) -> DataFrame:
    """Return the products, one row each, by falling popularity; the last `unseen` have not been sold yet."""
    rank = sf.col("popularity_rank")
    start = (seed * 0.7548776662466927) % 1.0
    place = pick(spread(rank, math.sqrt(2), start), [share for share, _ in _CATEGORIES.values()])
    levels = [MEAN_PURCHASE + effects.category * (level - MEAN_PURCHASE) for _, level in _CATEGORIES.values()]
    nested = spread(rank, math.sqrt(5), start)  # below 0.7: a second category; below 0.3: a third one as well
    number = sf.lit(100) * shuffled(rank, count + unseen, seed) + sf.lit(42)
    first = look_up(list(_CATEGORIES), place)
    second = first + sf.lit(1) + sf.floor(sf.lit(3.0) * uniform(seed, "second", rank)).cast("int")
    third = sf.col("Product_Category_2") + sf.lit(1)
    third += sf.floor(sf.lit(2.0) * uniform(seed, "third", rank)).cast("int")
    category_level = look_up(levels, place)
    # A third of the category's level at most, so that no product is priced near zero.
    own = sf.lit(_PRODUCT_SD * effects.product / MEAN_PURCHASE) * category_level * bell(seed, "product", rank)
    frame = spark.range(count + unseen).withColumnRenamed("id", "popularity_rank")
    frame = frame.withColumns(
        {
            "Product_ID": sf.format_string("P%08d", number),
            "Product_Category_1": first,
            "Product_Category_2": sf.when(nested < 0.7, second),
            "category_level": category_level,
            "product_effect": own,
            "unseen": rank >= sf.lit(count),
        }
    ).withColumn("Product_Category_3", sf.when(nested < 0.3, third))
    frame = frame.withColumn("price", sf.round((sf.col("category_level") + own) / PRICE_STEPS).cast("int"))
    # The price is whole money, and the level follows it, so that level and price tell the same story.
    level = (sf.col("price") * PRICE_STEPS).cast("double")
    frame = frame.withColumns({"level": level, "product_effect": level - sf.col("category_level")})
    scale = sf.lit(effects.interaction * _INTERACTION_SD / math.sqrt(RANK) / MEAN_PURCHASE) * sf.col("level")
    return frame.withColumns({f"factor_{k}": scale * bell(seed, f"factor {k}", rank) for k in range(1, RANK + 1)})


def expected_purchase() -> Column:
    """Return what a purchase is expected to be, from the customers' and the products' columns."""
    tasted = [sf.col(f"taste_{k}") * sf.col(f"factor_{k}") for k in range(1, RANK + 1)]
    return total([sf.col("level"), sf.col("attribute_effect"), sf.col("customer_effect"), *tasted])
