"""Out-of-fold statistics of the target by level."""

from purchasecast.stages.level_statistics.params import STATISTICS, WITHIN
from purchasecast.stages.level_statistics.stage import LevelStatisticsEncoder, LevelStatisticsModel

__all__ = ["STATISTICS", "WITHIN", "LevelStatisticsEncoder", "LevelStatisticsModel"]
