"""Decide how unit prices are estimated: which columns of the product nest, and what else moves a price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from purchasecast.schema.reserved_columns import BASE_AMOUNT, FOLD, NUMBER, UNIT_PRICE, made_name
from purchasecast.stages import UnitPriceEncoder

if TYPE_CHECKING:
    from purchasecast.schema import Schema

__all__ = ["PricePlan", "plan_prices", "unit_prices"]

_NESTED = 1.05  # pairs a level of the finer column, up to which two columns nest; counts are off by 2 percent
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


def plan_prices(schema: Schema, counts: dict[str | tuple[str, str], int]) -> PricePlan:
    """Order the product's columns by nesting: a finer one has hardly more pairs with a coarser one than levels."""
    of_product = [one.name for one in (*schema.nominal, *schema.ordinal) if one.of == "product"]
    levels: list[str] = []
    for name in sorted(of_product, key=lambda name: (counts[name], of_product.index(name))):
        pairs = {coarse: counts.get((coarse, name)) or counts.get((name, coarse), 0) for coarse in levels}
        if all(pairs[coarse] <= _NESTED * counts[name] for coarse in levels):
            levels.append(name)
    others = [one.name for one in schema.nominal if one.of is None]
    places = sorted(others, key=lambda name: -counts.get(name, 0))[:_MANY_LEVELS]
    return PricePlan(tuple(levels), tuple(name for name in of_product if name not in levels), tuple(places))


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
