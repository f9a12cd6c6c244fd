"""Generated shops whose true effects are known."""

from purchasecast.datasets.generated_shop import GeneratedShop, ShopTruth, generate, write_shop
from purchasecast.datasets.planted_effects import PlantedEffects

__all__ = ["GeneratedShop", "PlantedEffects", "ShopTruth", "generate", "write_shop"]
