"""Who buys what in a dated shop, and when: lines of visits by taste, popularity, habit and season.

Half of the lines are of the customer's few usual products, a tenth of the category of the month, the others of one of
three favourite categories or of any; within a category popularity falls as 1 / (rank + q). Customers come more often
at weekends and before the end of the year; one in ten leaves in the second half of the time, one in ten joins in the
first. So the probability that a line is of a product is known: `line_probabilities`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeVar

from pyspark.sql import functions as sf

from purchasecast.datasets.draws import (
    activity,
    look_up,
    pick,
    popularity_rank,
    popularity_share,
    shuffled,
    total,
    uniform,
)
from purchasecast.datasets.shop import SCORING_SHARE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    _Month = TypeVar("_Month", int, Column)

__all__ = ["CATEGORIES", "DAYS", "FIRST_DAY", "ShopSizes", "line_probabilities", "lines_of_visits", "with_taste"]

CATEGORIES = 12  # as many as months, so that each month has one
FIRST_DAY = date(2023, 1, 2)
WEEKS = 52  # with labelled rows; the rows to score follow, in as many weeks as rows a week need
DAYS = 7 * WEEKS
SCORING_WEEKS = round(WEEKS * SCORING_SHARE)
# How busy a day is, Monday first, and the weeks of a month.
_WEEKDAYS = (1.0, 1.0, 1.0, 1.1, 1.4, 1.8, 0.7)
_MONTHS = (0.9, 0.9, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9, 1.0, 1.0, 1.1, 1.5)

_USUAL_PRODUCTS = 8
_USUAL_SHARE, _MONTHLY_SHARE = 0.5, 0.1  # of the lines; the others go by favourite categories and popularity
_FAVOURITES = 3
_FAVOURITE_SHARE = 0.7  # of those others
_LINES_A_VISIT = 3
_LEAVES, _JOINS = 3, 7  # last digit of the customers who leave, or come later
_MOST_LINES = 2**20  # of one customer: room between the numbers of two


@dataclass(frozen=True, slots=True)
class ShopSizes:
    """How many lines, customers and products a shop has.

    Attributes
    ----------
    labelled, scored : int
        Lines of the first year, and of the time after it.
    customers : int
        Customers of either.
    per_category : int
        Products of each category that are sold from the start.
    new_products : int
        Products that are first sold after the first year.
    """

    labelled: int
    scored: int
    customers: int
    per_category: int
    new_products: int

    @property
    def products(self) -> int:
        """The products that are sold from the start."""
        return self.per_category * CATEGORIES

    @classmethod
    def of(cls, rows: int, *, customers: float = 1.0, products: float = 1.0) -> ShopSizes:
        """Grow customers and products more slowly than rows, as shops do."""
        scale = rows / 550_000
        count = max(1500 * scale**0.7 * products, 1.0)
        return cls(
            labelled=rows,
            scored=round(rows * SCORING_SHARE),
            customers=max(math.ceil(3000 * scale**0.75 * customers), 6),
            per_category=math.ceil(count / CATEGORIES),
            new_products=max(round(count * 0.013), 1),
        )


def with_taste(customers: DataFrame, sizes: ShopSizes, seed: int) -> DataFrame:
    """Add each customer's favourite categories and usual products."""
    index = sf.col("customer_index")
    favourites = [sf.floor(uniform(seed, f"favourite {k}", index) * CATEGORIES) for k in range(_FAVOURITES)]
    usual = sf.transform(
        sf.sequence(sf.lit(0), sf.lit(_USUAL_PRODUCTS - 1)),
        lambda slot: _by_taste(seed, "usual", sizes, index, slot),
    )
    return customers.withColumn("favourites", sf.array(*favourites)).withColumn("usual_products", usual)


def lines_of_visits(spark: SparkSession, customers: DataFrame, sizes: ShopSizes, seed: int) -> DataFrame:
    """Return the lines, each with its customer's columns: number, visit, day and product."""
    first_sales = min(3 * sizes.new_products, sizes.scored)
    counted = customers.withColumns(_line_counts(sizes, sizes.scored - first_sales, seed))
    count = sf.col("labelled_lines") + sf.col("scored_lines")
    index, labelled = sf.col("customer_index"), sf.col("line") < sf.col("labelled_lines")
    # A sequence from 0 down to -1 would have two elements: leave out who has no lines.
    lines = counted.where(count > 0).withColumn("line", sf.explode(sf.sequence(sf.lit(0), count - 1)))
    lines = lines.withColumns({"labelled": labelled, "visit": _visit(seed)}).withColumn("days", _days_since_start(seed))
    lines = lines.withColumn("product_index", _product(seed, sizes))
    # Products that are new in the scoring period: three lines each, every one of another visit.
    buyer = sf.floor(uniform(seed, "first sale", sf.col("id")) * sizes.customers)
    new = spark.range(first_sales).select(
        (sf.lit(sizes.products) + sf.col("id") % sizes.new_products).alias("product_index"),
        sf.col("id").alias("turn"),
        (buyer + _leaves(buyer, sizes).cast("int")).alias("customer_index"),
    )
    new = new.join(counted, "customer_index").withColumns(
        {
            "labelled": sf.lit(False),
            "line": count + sf.col("turn"),
            "visit": sf.lit(_MOST_LINES - 1) - sf.col("turn"),
        }
    )
    lines = lines.unionByName(new.withColumn("days", _days_since_start(seed)).drop("turn"))
    return lines.withColumns(
        {
            "line_id": index * _MOST_LINES + sf.col("line"),
            "visit_id": index * _MOST_LINES + sf.col("visit"),
            "day": sf.date_add(sf.lit(FIRST_DAY), sf.col("days")),
        }
    )


def _line_counts(sizes: ShopSizes, scored: int, seed: int) -> dict[str, Column]:
    """Return how many lines a customer has; who leaves has none to score, and the next customer has them as well."""
    index = sf.col("customer_index")

    def lines(rows: int, customer: Column) -> Column:
        return activity(shuffled(customer, sizes.customers, seed), rows, sizes.customers)

    before = index - sf.lit(1)
    own = sf.when(_leaves(index, sizes), 0).otherwise(lines(scored, index))
    taken = sf.when((index > 0) & _leaves(before, sizes), lines(scored, before)).otherwise(0)
    return {
        "labelled_lines": lines(sizes.labelled, index),
        "scored_lines": own + taken,
        "leaves": _leaves(index, sizes),
    }


def _leaves(customer: Column, sizes: ShopSizes) -> Column:
    return (customer % 10 == _LEAVES) & (customer < sizes.customers - 1)


def _visit(seed: int) -> Column:
    """Return the visit that a line belongs to: of those of its part one at random, three lines each on average."""
    keys = (sf.col("customer_index"), sf.col("line"))
    earlier = sf.ceil(sf.col("labelled_lines") / _LINES_A_VISIT)
    later = sf.ceil(sf.col("scored_lines") / _LINES_A_VISIT)
    place = uniform(seed, "visit", *keys)
    return sf.when(sf.col("labelled"), sf.floor(place * earlier)).otherwise(earlier + sf.floor(place * later))


def _days_since_start(seed: int) -> Column:
    """Return the day of a visit, from 0: a week by how busy its month is, and a day of the week."""
    index = sf.col("customer_index")
    keys = (index, sf.col("visit"))
    # Who leaves has been gone since a day in the second half; who joins came on a day in the first half.
    turn = uniform(seed, "turn", index) / 2
    begin = sf.when(index % 10 == _JOINS, turn).otherwise(0.0)
    end = sf.when(sf.col("leaves"), 1.0 - turn).otherwise(1.0)
    place = uniform(seed, "week", *keys)
    labelled = pick(begin + place * (end - begin), _busy_weeks(0, WEEKS))
    scored = sf.lit(WEEKS) + pick(place, _busy_weeks(WEEKS, SCORING_WEEKS))
    week = sf.when(sf.col("labelled"), labelled).otherwise(scored)
    return 7 * week + pick(uniform(seed, "weekday", *keys), _WEEKDAYS)


def _busy_weeks(first: int, count: int) -> list[float]:
    """Return how busy each week is, by the month that its Thursday is in."""
    thursdays = [FIRST_DAY + timedelta(days=7 * week + 3) for week in range(first, first + count)]
    return [_MONTHS[day.month - 1] for day in thursdays]


def _product(seed: int, sizes: ShopSizes) -> Column:
    """Return the product of a line: a usual one, one of the month's category, or one by taste."""
    keys = (sf.col("customer_index"), sf.col("line"))
    source = uniform(seed, "source", *keys)
    slot = sf.floor(_USUAL_PRODUCTS * sf.pow(uniform(seed, "slot", *keys), sf.lit(2.0))).cast("int")
    month = sf.month(sf.date_add(sf.lit(FIRST_DAY), sf.col("days")))
    monthly = _product_of(_month_category(month), popularity_rank(uniform(seed, "monthly", *keys), sizes.per_category))
    return (
        sf.when(source < _USUAL_SHARE, sf.element_at(sf.col("usual_products"), slot + sf.lit(1)))
        .when(source < _USUAL_SHARE + _MONTHLY_SHARE, monthly)
        .otherwise(_by_taste(seed, "line", sizes, *keys))
    )


def _by_taste(seed: int, name: str, sizes: ShopSizes, *keys: Column) -> Column:
    """Return a product of a favourite category, or of any by popularity; within it by popularity."""
    favourite = sf.floor(uniform(seed, f"{name} favourite", *keys) * _FAVOURITES).cast("int")
    popular = sf.floor(CATEGORIES * sf.pow(uniform(seed, f"{name} category", *keys), sf.lit(2.0)))
    category = sf.when(
        uniform(seed, f"{name} taste", *keys) < _FAVOURITE_SHARE,
        sf.element_at(sf.col("favourites"), favourite + sf.lit(1)),
    ).otherwise(popular)
    return _product_of(category, popularity_rank(uniform(seed, f"{name} product", *keys), sizes.per_category))


def _product_of(category: Column, rank: Column) -> Column:
    return rank * sf.lit(CATEGORIES) + category


def _month_category(month: _Month) -> _Month:
    """Return the category of a month from 1 to 12: each has one of its own."""
    return (month * 5) % CATEGORIES


def line_probabilities(customers: DataFrame, products: DataFrame, sizes: ShopSizes) -> DataFrame:
    """Return for each customer and product the probability that a line to score of this customer is of this product.

    Lazy, and of the size customers x products: to be asked for of small shops only.
    """
    monthly = [0.0] * CATEGORIES
    busy = _busy_weeks(WEEKS, SCORING_WEEKS)
    for week, share in enumerate(busy, WEEKS):
        for weekday, share_of_day in enumerate(_WEEKDAYS):
            month = (FIRST_DAY + timedelta(days=7 * week + weekday)).month
            monthly[_month_category(month)] += share * share_of_day / sum(busy) / sum(_WEEKDAYS)
    popular = [math.sqrt((k + 1) / CATEGORIES) - math.sqrt(k / CATEGORIES) for k in range(CATEGORIES)]
    slots = [math.sqrt((k + 1) / _USUAL_PRODUCTS) - math.sqrt(k / _USUAL_PRODUCTS) for k in range(_USUAL_PRODUCTS)]
    category = (sf.col("product_index") % CATEGORIES).cast("int")
    usual = total(
        [
            sf.when(sf.col("usual_products")[k] == sf.col("product_index"), share).otherwise(0.0)
            for k, share in enumerate(slots)
        ]
    )
    favourite = total([(sf.col("favourites")[k] == category).cast("double") for k in range(_FAVOURITES)]) / _FAVOURITES
    taste = _FAVOURITE_SHARE * favourite + (1 - _FAVOURITE_SHARE) * look_up(popular, category)
    by_category = _MONTHLY_SHARE * look_up(monthly, category) + (1 - _USUAL_SHARE - _MONTHLY_SHARE) * taste
    within = popularity_share(sf.col("popularity_rank"), sizes.per_category)
    return (
        customers.crossJoin(products.where(~sf.col("unseen")))
        .withColumn("probability", _USUAL_SHARE * usual + by_category * within)
        .select("customer_id", "product_id", "probability")
    )
