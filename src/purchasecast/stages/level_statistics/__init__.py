"""Out-of-fold statistics of the target by level."""

from purchasecast.stages.level_statistics.stage import (
    STATISTICS,
    WITHIN,
    LevelStatisticsEncoder,
    LevelStatisticsModel,
)

__all__ = ["STATISTICS", "WITHIN", "LevelStatisticsEncoder", "LevelStatisticsModel"]
