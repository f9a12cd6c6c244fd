"""An amount as quantity times unit price, with a hierarchy of product levels, cross-fitted."""

from purchasecast.stages.unit_price.params import QUANTITY_BIN
from purchasecast.stages.unit_price.stage import UnitPriceEncoder, UnitPriceModel

__all__ = ["QUANTITY_BIN", "UnitPriceEncoder", "UnitPriceModel"]
