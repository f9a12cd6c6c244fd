"""Steps that amounts stand on."""

from purchasecast.stages.price_ladder.stage import PriceLadder, PriceLadderModel

__all__ = ["PriceLadder", "PriceLadderModel"]
