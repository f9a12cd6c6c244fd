"""The name of a stage for people, and the columns that stages read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["columns_read", "step_name"]

_COLUMN_PARAMS = (
    *("inputCol", "inputCols", "attributeCols", "numericCols", "labelCol", "weightCol"),
    *("userCol", "itemCol", "offsetCol", "foldCol", "featuresCol", "crossCols", "rankWithinCol", "scaleCol"),
    *("userAttributeCols", "itemAttributeCols", "userVectorCol", "itemVectorCol", "levelCols", "numberCols"),
    *("productCol", "quantityCol", "timeCol", "effectCols", "effectCrossCols", "attributeCrossCols"),
)
_STEP_NAMES = {
    "ColumnPreparation": "prepare",
    "SimplePredictors": "simple predictors",
    "UnitPriceEncoder": "unit prices",
    "ScaledColumns": "scale",
    "Bucketizer": "interval groups",
    "Imputer": "impute",
    "StringIndexer": "index levels",
    "OneHotEncoder": "indicators",
    "CrossedEffectsEncoder": "crossed effects",
    "PurchasePatternEncoder": "purchase patterns",
    "LatentFactorEncoder": "latent factors",
    "LevelStatisticsEncoder": "level statistics",
    "BoostedTreesRegressor": "boosted trees",
    "VectorAssembler": "assemble",
}


def step_name(stage: Any) -> str:
    """Return what a stage does, in words for people."""
    name = type(stage).__name__
    return _STEP_NAMES.get(name, name)


def columns_read(stages: Iterable[Any]) -> set[str]:
    """Return the names of the columns that stages read, from their params."""
    names: set[str] = set()
    for stage in stages:
        for param in _COLUMN_PARAMS:
            if stage.hasParam(param) and stage.isDefined(param):
                value = stage.getOrDefault(param)
                names.update([value] if isinstance(value, str) else value)
    return names
