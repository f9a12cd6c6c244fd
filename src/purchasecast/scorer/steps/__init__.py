"""The steps of a portable model. Each kind has two forms that give the same result: for a batch and for one row.

A new kind is a class and a line in ``KINDS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.errors import BundleVersionError
from purchasecast.scorer.steps.amounts import Blend, Clip, Retransform, SoftMinimum
from purchasecast.scorer.steps.bins import Bins
from purchasecast.scorer.steps.boosted_trees import BoostedTrees
from purchasecast.scorer.steps.columns import IndexLevels, Numeric
from purchasecast.scorer.steps.crossed_effects import CrossedEffects
from purchasecast.scorer.steps.interval import Interval
from purchasecast.scorer.steps.latent_factors import LatentFactors
from purchasecast.scorer.steps.level_statistics import LevelStatistics
from purchasecast.scorer.steps.linear import Linear
from purchasecast.scorer.steps.price_ladder import PriceLadder
from purchasecast.scorer.steps.scaled_columns import ScaledColumns
from purchasecast.scorer.steps.simple_predictors import SimplePredictors
from purchasecast.scorer.steps.unit_price import UnitPrice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from purchasecast.scorer.steps.base import Context, Step

__all__ = ["KINDS", "build_step"]

KINDS: dict[str, type[Step]] = {
    "bins": Bins,
    "blend": Blend,
    "boosted_trees": BoostedTrees,
    "clip": Clip,
    "crossed_effects": CrossedEffects,
    "index": IndexLevels,
    "interval": Interval,
    "latent_factors": LatentFactors,
    "level_statistics": LevelStatistics,
    "linear": Linear,
    "numeric": Numeric,
    "price_ladder": PriceLadder,
    "retransform": Retransform,
    "scaled_columns": ScaledColumns,
    "simple_predictors": SimplePredictors,
    "soft_minimum": SoftMinimum,
    "unit_price": UnitPrice,
}


def build_step(entry: Mapping[str, Any], context: Context) -> Step:
    """Return the step that an entry of ``scorer.json`` describes.

    Raises
    ------
    BundleVersionError
        If this version does not know its kind.
    """
    kind = entry["kind"]
    if kind not in KINDS:
        raise BundleVersionError(
            f"scorer: expected steps of the kinds {', '.join(KINDS)}, found {kind}; use a newer purchasecast."
        )
    return KINDS[kind](entry, context)
