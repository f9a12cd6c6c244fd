"""Score offers: for each customer the products with the highest expected revenue, probability times amount."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as sf

from purchasecast.bundle.pipeline import load_propensity
from purchasecast.errors import SettingsError, did_you_mean
from purchasecast.prediction.scoring import score
from purchasecast.schema.reserved_columns import PREDICTION
from purchasecast.spark.columns import col, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from purchasecast.bundle import Bundle
    from purchasecast.schema import Column, Schema

__all__ = ["OFFER_COLUMNS", "score_offers"]

#: What `score_offers` adds to the customer and the product.
OFFER_COLUMNS = ("probability", "amount", "expected_revenue", "bought_before")
# Products by probability that amounts are predicted for: three times as many as are kept, and at least so many.
_CANDIDATES, _MIN_CANDIDATES = 3, 100


def score_offers(
    past: DataFrame,
    bundle: Bundle,
    *,
    per_customer: int = 50,
    repeat: bool | None = None,
    purchases: float | None = None,
    by: Literal["expected_revenue", "probability"] = "expected_revenue",
    columns: Sequence[str] = (),
) -> DataFrame:
    """Return the offers with the highest expected revenue, or probability, for each customer.

    Parameters
    ----------
    past : DataFrame
        Past purchases, usually the accepted rows of a validation: they tell what each customer has bought, and the
        attributes of customers and products.
    bundle : Bundle
        A model that was trained with offers.
    per_customer : int, default 50
        Largest number of offers per customer.
    repeat : bool, optional
        False leaves out products that the customer has bought before, True leaves out all others; by default both are
        offered, as far as products are bought again at all.
    purchases : float, optional
        Number of purchases in the period to come, of all customers; by default as many as were hidden in training.
    by : {"expected_revenue", "probability"}, default "expected_revenue"
        What the best offers have most of.
    columns : sequence of str, default ()
        Attributes of the customer or the product to add.

    Returns
    -------
    DataFrame
        One row per offer, lazy: the customer and the product under the schema's names; ``probability`` of at least one
        purchase in the period, ``amount`` that one purchase is predicted to bring, ``expected_revenue``, which is
        their product, ``bought_before``, and the wanted attributes.

    Raises
    ------
    SettingsError
        If the model was trained without offers, a number is not above 0, or a wanted column is no attribute.
    """
    if per_customer < 1:
        raise SettingsError(f"per_customer: expected at least 1, found {per_customer}; take 50.")
    model = load_propensity(bundle)
    schema = bundle.schema
    if model is None or schema.customer is None or schema.product is None:
        raise SettingsError(
            "offers: expected a model that knows who buys what, found one without; train it with a customer and a "
            "product column, and offers."
        )
    customer, product = schema.customer, schema.product
    _check_attributes(columns, schema)
    with_history = model.with_history(past).with_purchases(purchases)
    count = per_customer if by == "probability" else max(_CANDIDATES * per_customer, _MIN_CANDIDATES)
    probable = with_history.recommend(count, repeat=repeat)
    pairs = _described(probable, past, schema)
    kept = [customer, product, "probability", "bought_before", *columns]
    wanted = [col(name) for name in (customer, product, *OFFER_COLUMNS, *columns)]
    scored = score(pairs, bundle, kept).withColumn("amount", sf.greatest(col(PREDICTION), sf.lit(0.0)))
    revenue = col("probability") * col("amount")
    valued = scored.withColumn("expected_revenue", revenue)
    if by == "probability":
        return valued.select(*wanted)
    place = f"row_number() over (partition by {quoted(customer)} order by expected_revenue desc, {quoted(product)})"
    ranked = valued.withColumn("_pc_place", sf.expr(place)).where(col("_pc_place") <= per_customer)
    return ranked.select(*wanted)


def _check_attributes(columns: Sequence[str], schema: Schema) -> None:
    known = [c.name for c in schema.features if c.of in {"customer", "product"}]
    for name in columns:
        if name not in known:
            hint = did_you_mean(name, known) or f"; they are {', '.join(known)}."
            raise SettingsError(f"offers: expected an attribute of a customer or a product, found {name}{hint}")


def _described(pairs: DataFrame, past: DataFrame, schema: Schema) -> DataFrame:
    """Add the columns that the model of amounts reads: attributes, and usual values of all else."""
    features = [c for c in schema.columns if (c.is_feature or c.role == "time") and c.name in past.columns]
    free = [c for c in features if c.of is None and c.name not in {schema.customer, schema.product}]
    numbers = [c for c in free if c.kind in {"numeric", "date"}]
    described = pairs
    for key, role in ((schema.customer, "customer"), (schema.product, "product")):
        own = [c for c in features if c.of == role and c.name != key]
        usual = [sf.max(col(c.name)).alias(c.name) for c in own]
        if role == "customer":  # levels that belong to neither, such as a shop: the customer's most common one
            usual += [sf.mode(col(c.name), True).alias(c.name) for c in free if c not in numbers]
        if usual:
            described = described.join(past.groupBy(col(str(key))).agg(*usual), str(key), "left")
    return described.crossJoin(sf.broadcast(_fixed(past, numbers))) if numbers else described


def _fixed(past: DataFrame, numbers: Sequence[Column]) -> DataFrame:
    """Return one row with the median of numbers, such as a quantity, and the latest date."""
    types = dict(past.dtypes)
    terms = [
        f"percentile_approx({quoted(c.name)}, 0.5)" if c.kind == "numeric" else f"max({quoted(c.name)})"
        for c in numbers
    ]
    columns = [f"cast({term} as {types[c.name]}) as {quoted(c.name)}" for term, c in zip(terms, numbers, strict=True)]
    return past.selectExpr(*columns)
