"""Whether the amounts of a category, or of a product, stand on steps of a unit, and on which.

The amounts are counted in narrow bins, 500 to a factor of e, and `solver` finds the unit of each level from its counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasLabelCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.base import TableModelMixin, broadcast_if_small, require_columns
from purchasecast.stages.params import StageParams, str_param
from purchasecast.stages.price_ladder.solver import find_ladders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

__all__ = ["PriceLadder", "PriceLadderModel"]

_BINS = 500.0  # to a factor of e: a fifth of a percent, small beside any band


class _PriceLadderParams(StageParams, HasLabelCol, HasOutputCol):
    """Params of the estimator and its model."""

    levelCol = str_param("column whose levels each have a ladder, such as a category or the product", default="level")
    outputCol = str_param("output column of the unit", default="unit")


class PriceLadder(Estimator[Any], _PriceLadderParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Find the steps that amounts stand on, for each level of a column.

    Parameters
    ----------
    levelCol : str, default "level"
        Column of the levels, of any type that can be compared, such as a category or the product.
    labelCol : str, default "label"
        Numeric column of amounts.
    outputCol : str, default "unit"
        Output column of the unit, the distance of two steps in units of the label.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.

    Notes
    -----
    A level has a ladder if it has at least 30 amounts above 0, and 98 % of them lie in bands ``[k, k + w]`` times one
    unit, for whole numbers ``k`` from 1 to at most 20 and a ``w`` of at most 0.45, with at least two steps in use. The
    output of a level without one, and of a null or unseen level, is null. Rows are neither dropped nor reordered.

    One pass over the rows, and one over counts of amounts: at most 500 for each factor of e between the amounts of a
    level.

    Examples
    --------
    >>> PriceLadder(levelCol="category", labelCol="spend").getLevelCol()
    'category'
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(self, *, levelCol: str = "level", labelCol: str = "label", outputCol: str = "unit") -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> PriceLadderModel:
        self.check_params()
        level, label = self.getOrDefault(self.levelCol), self.getLabelCol()
        require_columns(self, dataset, [level, label])
        amounts = dataset.select(col(level).alias("level"), col(label).cast("double").alias("amount"))
        used = amounts.where(col("level").isNotNull() & (col("amount") > 0))
        counted = used.groupBy("level", sf.floor(sf.log("amount") * _BINS).alias("bin")).agg(
            sf.avg("amount").alias("amount"), sf.count(sf.lit(1)).cast("double").alias("rows")
        )
        level_type = used.schema["level"].dataType.simpleString()
        schema = f"level {level_type}, unit double, start double, end double, steps int, share double, rows double"
        columns = counted.select("level", "amount", "rows").repartition("level")
        model = self._fitted(PriceLadderModel())
        model._ladders = map_in_tasks(columns, find_ladders, schema).localCheckpoint(eager=True)
        return model


class PriceLadderModel(TableModelMixin, Model, _PriceLadderParams):
    """Ladders by level; see `PriceLadder`."""

    def __init__(self) -> None:
        super().__init__()
        self._ladders: DataFrame

    def ladders(self) -> DataFrame:
        """Return the ladders that were found.

        Returns
        -------
        DataFrame
            One row a level that has a ladder: ``level``; ``unit``, in units of the label; ``start`` and ``end`` of the
            band around each step, in units of the ladder; ``steps``, the number of the highest one; ``share`` of the
            rows inside the bands; ``rows``.
        """
        return self._ladders

    def _transform(self, dataset: DataFrame) -> DataFrame:
        level, output = self.getOrDefault(self.levelCol), self.getOutputCol()
        require_columns(self, dataset, [level])
        lookup = self._ladders.select(col("level").alias("_pc_ladder_level"), col("unit").alias("_pc_ladder_unit"))
        joined = dataset.join(
            broadcast_if_small(lookup, self._ladders.count(), 2), col(level) == col("_pc_ladder_level"), "left"
        )
        kept = [col(name) for name in dataset.columns if name != output]
        return joined.select(*kept, col("_pc_ladder_unit").alias(output))

    def _tables(self) -> Mapping[str, DataFrame]:
        return {"ladders": self._ladders}

    def _state(self) -> dict[str, Any]:
        return {}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._ladders = tables["ladders"]
