"""The steps of a portable model: one small evaluator a `kind`, each in two forms, for a batch and for a row.

A new kind is a module here and a line in ``KINDS``; no other step changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purchasecast.errors import BundleVersionError
from purchasecast.scorer.steps.bins import Bins
from purchasecast.scorer.steps.blend import Blend
from purchasecast.scorer.steps.boosted_trees import BoostedTrees
from purchasecast.scorer.steps.clip import Clip
from purchasecast.scorer.steps.crossed_effects import CrossedEffects
from purchasecast.scorer.steps.index import IndexLevels
from purchasecast.scorer.steps.interval import Interval
from purchasecast.scorer.steps.latent_factors import LatentFactors
from purchasecast.scorer.steps.level_statistics import LevelStatistics
from purchasecast.scorer.steps.linear import Linear
from purchasecast.scorer.steps.numeric import Numeric
from purchasecast.scorer.steps.retransform import Retransform
from purchasecast.scorer.steps.scaled_columns import ScaledColumns
from purchasecast.scorer.steps.simple_predictors import SimplePredictors
from purchasecast.scorer.steps.soft_minimum import SoftMinimum
from purchasecast.scorer.steps.unit_price import UnitPrice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from purchasecast.scorer.steps.base import Context, Step

__all__ = ["KINDS", "build_step"]

KINDS: dict[str, Callable[[Mapping[str, Any], Context], Step]] = {
    "bins": Bins.from_manifest,
    "blend": Blend.from_manifest,
    "boosted_trees": BoostedTrees.from_manifest,
    "clip": Clip.from_manifest,
    "crossed_effects": CrossedEffects.from_manifest,
    "index": IndexLevels.from_manifest,
    "interval": Interval.from_manifest,
    "latent_factors": LatentFactors.from_manifest,
    "level_statistics": LevelStatistics.from_manifest,
    "linear": Linear.from_manifest,
    "numeric": Numeric.from_manifest,
    "retransform": Retransform.from_manifest,
    "scaled_columns": ScaledColumns.from_manifest,
    "simple_predictors": SimplePredictors.from_manifest,
    "soft_minimum": SoftMinimum.from_manifest,
    "unit_price": UnitPrice.from_manifest,
}


def build_step(entry: Mapping[str, Any], context: Context) -> Step:
    """Return the evaluator of one entry of the manifest.

    Parameters
    ----------
    entry : mapping
        With ``kind`` and what that kind needs.
    context : Context
        The tables, vectors and folder that entries refer to.

    Returns
    -------
    Step
        The evaluator.

    Raises
    ------
    BundleVersionError
        If this version does not know the kind.
    """
    kind = entry["kind"]
    if kind not in KINDS:
        raise BundleVersionError(
            f"scorer: expected steps of the kinds {', '.join(KINDS)}, found {kind}; use a newer purchasecast."
        )
    return KINDS[kind](entry, context)
