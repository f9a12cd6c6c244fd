"""Generate a realistic shop whose truth is known, on Spark and of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purchasecast.datasets.dated_shop import KINDS, dated_shop
from purchasecast.datasets.planted_effects import PlantedEffects
from purchasecast.datasets.summed_shop import summed_shop
from purchasecast.errors import SettingsError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from purchasecast.datasets.shop import GeneratedShop

__all__ = ["SHOP_KINDS", "generate_shop"]

SHOP_KINDS = ("black_friday", *KINDS)


def generate_shop(
    spark: SparkSession,
    *,
    rows: int,
    seed: int = 7,
    kind: str = "black_friday",
    effects: PlantedEffects | bool = True,
) -> GeneratedShop:
    """Generate a shop.

    Parameters
    ----------
    spark : SparkSession
        Where the frames are computed.
    rows : int
        Number of labelled transactions, exactly; at least 1.
    seed : int, default 7
        The same seed gives the same shop on any number of partitions.
    kind : str, default "black_friday"
        ``black_friday`` sums up all purchases of a product by a customer, without dates. The others have one row a
        line of a visit, with dates, repeats and a season. ``grocery`` is the realistic one: quantity, promotions and
        changing prices. The others plant one thing each: ``additive`` and ``multiplicative`` amounts, a ``ladder`` of
        whole multiples of a price, ``drift`` of prices, ``promotion``, ``heavy_tails``, ``few_rows`` a level,
        ``no_quantity`` in the table though it is in the amount.
    effects : PlantedEffects or bool, default True
        Of ``black_friday`` only: how strong each planted effect is; False plants none, so that purchases depend on
        nothing.

    Returns
    -------
    GeneratedShop
        Frames of the labelled rows, of the rows to score (two fifths as many) and of the truth.

    Raises
    ------
    SettingsError
        If `rows` is below 1, there is no such `kind`, or it has no `effects` to choose.
    """
    if rows < 1:
        raise SettingsError(f"rows: expected at least 1, found {rows}; take for example 30000.")
    if kind not in SHOP_KINDS:
        kinds = ", ".join(SHOP_KINDS)
        raise SettingsError(
            f"kind: expected one of {kinds}, found {kind}{did_you_mean(kind, SHOP_KINDS) or '; take one of these.'}"
        )
    if kind == "black_friday":
        if isinstance(effects, bool):
            effects = PlantedEffects() if effects else PlantedEffects.none()
        return summed_shop(spark, rows=rows, seed=seed, effects=effects)
    if effects is not True:
        raise SettingsError(f"effects: expected the kind black_friday, found {kind}; leave the effects out.")
    return dated_shop(spark, kind=kind, rows=rows, seed=seed)
