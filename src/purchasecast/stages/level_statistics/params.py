"""Params of `LevelStatisticsEncoder` and its model, and what follows from them alone."""

from __future__ import annotations

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCols, HasLabelCol, HasOutputCols

from purchasecast.stages.base import HasFolds
from purchasecast.stages.level_statistics.solver import QUANTILES
from purchasecast.stages.tasks import HasTaskRows

__all__ = ["STATISTICS", "STORED", "WITHIN", "LevelStatisticsParams"]

STORED = ("mean", "sd", *(f"q{round(100 * share)}" for share in QUANTILES), "z", "rank")
STATISTICS = ("count", *STORED, "lift")
WITHIN = frozenset({"z", "rank", "lift"})  # what rankWithinCol is needed for


class LevelStatisticsParams(HasInputCols, HasOutputCols, HasLabelCol, HasFolds, HasTaskRows):
    """Params of the encoder and its model."""

    crossCols: Param[list[str]] = Param(
        Params._dummy(),
        "crossCols",
        'second column of each key, one an input; "" for a key of one column',
        typeConverter=TypeConverters.toListString,
    )
    statistics: Param[list[str]] = Param(
        Params._dummy(),
        "statistics",
        f"what is given of each key: some of {', '.join(STATISTICS)}",
        typeConverter=TypeConverters.toListString,
    )
    rankWithinCol: Param[str] = Param(
        Params._dummy(),
        "rankWithinCol",
        'column, such as the product, in whose levels rows are ranked; "" for no ranks',
        typeConverter=TypeConverters.toString,
    )
    scaleCol: Param[str] = Param(
        Params._dummy(),
        "scaleCol",
        "spread that a lift is made with (scaleCol of LatentFactorEncoder)",
        typeConverter=TypeConverters.toString,
    )
    shrinkage: Param[float] = Param(
        Params._dummy(),
        "shrinkage",
        "rows that a level is shrunk by toward its parent (>= 0)",
        typeConverter=TypeConverters.toFloat,
    )

    def _set_defaults(self) -> None:
        self._setDefault(
            crossCols=[],
            statistics=list(STATISTICS[:-1]),
            rankWithinCol="",
            scaleCol="",
            shrinkage=20.0,
            labelCol="label",
            foldCol="fold",
            numFolds=5,
            maxTaskRows=5_000_000,
        )

    def getCrossCols(self) -> list[str]:
        """Return the second column of each key, ``""`` where it has none."""
        return self.getOrDefault(self.crossCols) or [""] * len(self.getInputCols())

    def getStatistics(self) -> list[str]:
        """Return the names of the statistics that are given."""
        return self.getOrDefault(self.statistics)

    def getRankWithinCol(self) -> str:
        """Return the name of the column in whose levels rows are ranked."""
        return self.getOrDefault(self.rankWithinCol)

    def getScaleCol(self) -> str:
        """Return the name of the column of the spread that a lift is made with."""
        return self.getOrDefault(self.scaleCol)

    def getShrinkage(self) -> float:
        """Return the number of rows that a level is shrunk by."""
        return self.getOrDefault(self.shrinkage)

    def output_names(self) -> dict[str, tuple[int, str]]:
        """Return the output columns, each with the place of its key and its statistic.

        A key with the column that rows are ranked in has no rank or z-score: they would be one half and 0.
        """
        within = self.getRankWithinCol()
        keys = zip(self.getInputCols(), self.getCrossCols(), self.getOutputCols(), strict=True)
        return {
            f"{prefix}_{name}": (k, name)
            for k, (first, second, prefix) in enumerate(keys)
            for name in self.getStatistics()
            if name not in WITHIN or (within and within not in {first, second})
        }

    def _columns(self) -> list[str]:
        """Return the distinct columns of all keys."""
        ranked = [self.getRankWithinCol()] if self.getRankWithinCol() else []
        return list(dict.fromkeys([*self.getInputCols(), *filter(None, self.getCrossCols()), *ranked]))

    def _keys(self) -> list[tuple[str, str]]:
        """Return the keys that have a table: single columns, parents and the ranked one included, before pairs."""
        asked = list(zip(self.getInputCols(), self.getCrossCols(), strict=True))
        ranked = [self.getRankWithinCol()] if self.getRankWithinCol() else []
        singles = dict.fromkeys([*self.getInputCols(), *ranked])
        return [*[(name, "") for name in singles], *dict.fromkeys(key for key in asked if key[1])]
