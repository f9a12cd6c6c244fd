"""Shops to try things on: generated ones whose true effects are known, and a real one."""

from purchasecast.datasets.dated_shop import dated_shop_schema
from purchasecast.datasets.generated_shop import SHOP_KINDS, generate_shop
from purchasecast.datasets.journey_table import complete_journey
from purchasecast.datasets.planted_effects import PlantedEffects
from purchasecast.datasets.shop import GeneratedShop, ShopTruth, write_shop

__all__ = [
    "SHOP_KINDS",
    "GeneratedShop",
    "PlantedEffects",
    "ShopTruth",
    "complete_journey",
    "dated_shop_schema",
    "generate_shop",
    "write_shop",
]
