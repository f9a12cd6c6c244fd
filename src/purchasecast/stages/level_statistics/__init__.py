"""Out-of-fold statistics of the target by level."""

from purchasecast.stages.level_statistics.stage import LevelStatisticsEncoder, LevelStatisticsModel

__all__ = ["LevelStatisticsEncoder", "LevelStatisticsModel"]
