"""Whether the amounts of a category, or of a product, stand on steps of a unit, and on which.

The amounts are counted in narrow bins, 500 to a factor of e, and `solver` finds the unit of each level from its counts.
With predictions, the probability of every step and sets of steps follow
(`purchasecast.numerics.step_probabilities`).
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasLabelCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.numerics.arrow_columns import read_levels
from purchasecast.numerics.step_fit import solve_steps
from purchasecast.numerics.step_probabilities import NUMBERS, RowSteps
from purchasecast.schema.reserved_columns import AMOUNTS
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import arrow_column, map_in_tasks
from purchasecast.stages.base import TableModelMixin, broadcast_if_small, require_columns
from purchasecast.stages.params import HasLevel, int_param, str_param
from purchasecast.stages.price_ladder.solver import find_ladders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column, DataFrame

__all__ = ["PriceLadder", "PriceLadderModel"]

_BINS = 500.0  # to a factor of e: a fifth of a percent, small beside any band
_FLAT, _BOUNDS = "_pc_ladder_numbers", 2  # column of both bounds, and of the numbers of each step behind them
_MAX_LEVELS = 10_000  # with probabilities, those with the most rows: the driver holds their coefficients


class _PriceLadderParams(HasLevel, HasLabelCol, HasOutputCol):
    """Params of the estimator and its model."""

    levelCol = str_param("column whose levels each have a ladder; empty for one ladder of all rows", default="level")
    outputCol = str_param("output column of the unit", default="unit")
    predictionCol = str_param("out-of-fold predictions of the label; empty for units alone", default="")
    spreadCol = str_param("spread around the prediction; empty for none", default="")
    amountsCol = str_param("output column of the steps with their probabilities", default=AMOUNTS)
    lowerCol = str_param("output column of the lower bound of an interval; empty for none", default="")
    upperCol = str_param("output column of its upper bound; empty for none", default="")
    minLevelRows = int_param("rows from which a level has sets of its own", default=100, minimum=1)
    maxRows = int_param("largest number of rows to fit on; of more, a sample by hash", default=2_000_000, minimum=100)

    def _key(self) -> Column:
        """Return the level of a row as text."""
        name = self.getOrDefault(self.levelCol)
        return (col(name) if name else sf.lit("")).cast("string")

    def _columns_read(self) -> list[str]:
        """Return the columns that units and probabilities depend on."""
        names = [self.getOrDefault(name) for name in ("levelCol", "predictionCol", "spreadCol")]
        return [name for name in names if name]


class PriceLadder(Estimator[Any], _PriceLadderParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Find the steps that amounts stand on, for each level of a column, and how probable each step is.

    Parameters
    ----------
    levelCol : str, default "level"
        Column of the levels, of any type that can be compared, such as a category or the product; ``""`` for one
        ladder of all rows.
    labelCol : str, default "label"
        Numeric column of amounts.
    outputCol : str, default "unit"
        Output column of the unit, the distance of two steps in units of the label.
    predictionCol : str, default ""
        Out-of-fold predictions of the label; ``""`` finds units alone.
    spreadCol : str, default ""
        Spread around the prediction, in units of the label (``scaleCol`` of `LatentFactorEncoder`); ``""`` for none.
    amountsCol : str, default "amounts"
        Output column of the steps, where there are predictions.
    lowerCol, upperCol : str, default ""
        Output columns of the bounds of an interval, where there are predictions; ``""`` for none. A row without a
        ladder keeps the bounds that it has there.
    minLevelRows : int, default 100
        Rows from which a level has sets of its own, with the promised coverage within the level.
    maxRows : int, default 2,000,000
        Largest number of rows that probabilities are fitted on, in one task; of more, a sample by hash is taken.
    level : float, default 0.9
        Share of the amounts that are to be in the sets, and between the bounds; it may also be set on the model.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.

    Notes
    -----
    A level has a ladder if it has at least 30 amounts above 0, and 98 % of them lie in bands ``[k, k + w]`` times one
    unit, for whole numbers ``k`` from 1 to at most 20 and a ``w`` of at most 0.45, with at least two steps in use. The
    output of a level without one, and of a null or unseen level, is null. Rows are neither dropped nor reordered.

    The column of steps holds for each step of the row's level: ``step``, its number; ``low`` and ``high``, the lowest
    and highest amount on it in training; ``probability``; and ``in_set``, whether it is in the set.

    One pass over the rows, and one over counts of amounts: at most 500 for each factor of e between the amounts of a
    level. With predictions, a second pass and one task.

    Examples
    --------
    >>> PriceLadder(levelCol="category", labelCol="spend").getLevelCol()
    'category'
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        levelCol: str = "level",
        labelCol: str = "label",
        outputCol: str = "unit",
        predictionCol: str = "",
        spreadCol: str = "",
        amountsCol: str = AMOUNTS,
        lowerCol: str = "",
        upperCol: str = "",
        minLevelRows: int = 100,
        maxRows: int = 2_000_000,
        level: float = 0.9,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> PriceLadderModel:
        self.check_params()
        require_columns(self, dataset, [*self._columns_read(), self.getLabelCol()])
        name = self.getOrDefault(self.levelCol)
        level, label = (col(name) if name else sf.lit("")), col(self.getLabelCol()).cast("double")
        used = dataset.select(level.alias("level"), label.alias("amount")).where("level IS NOT NULL AND amount > 0")
        counted = used.groupBy("level", sf.floor(sf.log("amount") * _BINS).alias("bin")).agg(
            sf.avg("amount").alias("amount"), sf.count(sf.lit(1)).cast("double").alias("rows")
        )
        level_type = used.schema["level"].dataType.simpleString()
        schema = f"level {level_type}, unit double, start double, end double, steps int, share double, rows double"
        columns = counted.select("level", "amount", "rows").repartition("level")
        model = self._fitted(PriceLadderModel())
        model._ladders = map_in_tasks(columns, find_ladders, schema).localCheckpoint(eager=True)
        if self.getOrDefault(self.predictionCol):
            model._steps = self._fit_steps(dataset, model._ladders)
        return model

    def _fit_steps(self, dataset: DataFrame, ladders: DataFrame) -> dict[str, Any]:
        """Return the probabilities of steps, fitted to rows with a prediction; empty where there is no ladder."""
        largest = ladders.orderBy(sf.desc("rows"), "level").limit(_MAX_LEVELS)
        found = largest.select(col("level").cast("string"), "unit", "start", "end").collect()
        if not found:
            return {}
        spread = self.getOrDefault(self.spreadCol)
        columns = {"label": col(self.getLabelCol()), "prediction": col(self.getOrDefault(self.predictionCol))}
        columns["spread"] = sf.coalesce(col(spread), sf.lit(0.0)) if spread else sf.lit(0.0)
        numbers = [column.cast("double").alias(name) for name, column in columns.items()]
        rows = dataset.select(*numbers, self._key().alias("level")).where(
            "label IS NOT NULL AND prediction IS NOT NULL AND level IS NOT NULL"
        )
        one_in = -(-rows.count() // self.getOrDefault(self.maxRows))
        if one_in > 1:
            rows = rows.where(sf.pmod(sf.xxhash64("label", "prediction"), sf.lit(one_in)) == 0)
        settings = {
            "ladders": {row["level"]: {name: row[name] for name in ("unit", "start", "end")} for row in found},
            "min_rows": self.getOrDefault(self.minLevelRows),
        }
        fitted = map_in_tasks(rows.repartition(1), partial(solve_steps, settings=settings), "fitted string").collect()
        return dict(json.loads(fitted[0]["fitted"])) if fitted else {}


class PriceLadderModel(TableModelMixin, Model, _PriceLadderParams):
    """Ladders by level, and probabilities of their steps; see `PriceLadder`."""

    def __init__(self) -> None:
        super().__init__()
        self._ladders: DataFrame
        self._steps: dict[str, Any] = {}

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

    def share(self, rows: int) -> float:
        """Return the share of the rows that stand on a ladder.

        Parameters
        ----------
        rows : int
            Number of rows that the ladders were fitted on.

        Returns
        -------
        float
            From 0 to 1.
        """
        on = self._ladders.agg(sf.sum(col("share") * col("rows"))).collect()[0][0]
        return float(on or 0.0) / max(rows, 1)

    @property
    def has_probabilities(self) -> bool:
        """Whether there are predictions and ladders, and with them the column of steps."""
        return bool(self._steps)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.check_params()
        require_columns(self, dataset, self._columns_read())
        name, output = self.getOrDefault(self.levelCol), self.getOutputCol()
        lookup = self._ladders.select(col("level").alias("_pc_ladder_level"), col("unit").alias("_pc_ladder_unit"))
        level = col(name) if name else sf.lit("")
        joined = dataset.join(
            broadcast_if_small(lookup, self._ladders.count(), 2), level == col("_pc_ladder_level"), "left"
        )
        kept = [col(column) for column in dataset.columns if column != output]
        found = joined.select(*kept, col("_pc_ladder_unit").alias(output))
        return self._with_amounts(found) if self._steps else found

    def _with_amounts(self, dataset: DataFrame) -> DataFrame:
        """Add the steps of each row, as a list of structs; null where the level has no ladder."""
        spread = self.getOrDefault(self.spreadCol)
        columns = [col(self.getOrDefault(self.predictionCol)), col(spread) if spread else sf.lit(0.0)]
        work = partial(_numbers_of_steps, fitted=self._steps, share=self.getLevel())
        made = arrow_column(work, "array<double>", self._key(), *[column.cast("double") for column in columns])
        # A column of its own: Spark refuses a Python function inside a higher-order function.
        flat, count = sf.col(_FLAT), ((sf.size(_FLAT) - _BOUNDS) / NUMBERS).cast("int")

        def step(place: Column) -> Column:
            number = [sf.get(flat, place * NUMBERS + sf.lit(_BOUNDS + k)) for k in range(NUMBERS)]
            named = zip(("low", "high", "probability"), number[1:4], strict=True)
            amounts = [column.alias(name) for name, column in named]
            return sf.struct(number[0].cast("int").alias("step"), *amounts, (number[4] > 0).alias("in_set"))

        steps = sf.when(count > 0, sf.transform(sf.sequence(sf.lit(0), count - 1), step))
        added = {self.getOrDefault(self.amountsCol): steps}
        for place, name in enumerate((self.getOrDefault(self.lowerCol), self.getOrDefault(self.upperCol))):
            if name:
                before = [col(name)] if name in dataset.columns else []
                added[name] = sf.coalesce(sf.get(flat, sf.lit(place)), *before)
        return dataset.withColumn(_FLAT, made).withColumns(added).drop(_FLAT)

    def to_portable(self) -> dict[str, Any]:
        """Return what the scorer needs, as JSON-safe data."""
        params = {"group": "levelCol", "prediction": "predictionCol", "spread": "spreadCol"}
        params |= {"lower": "lowerCol", "upper": "upperCol"}
        named = {name: self.getOrDefault(param) for name, param in params.items()}
        return {"kind": "price_ladder", **named, "level": self.getLevel(), "fitted": self._steps}

    def _tables(self) -> Mapping[str, DataFrame]:
        return {"ladders": self._ladders}

    def _state(self) -> dict[str, Any]:
        return self._steps

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._ladders = tables["ladders"]
        self._steps = dict(state)


def _numbers_of_steps(
    level: pa.Array, prediction: pa.Array, spread: pa.Array, *, fitted: Mapping[str, Any], share: float
) -> pa.Array:
    """Return for each row the bounds and the numbers of its steps, one after the other; nothing without a ladder."""
    codes, levels = read_levels(pa.chunked_array([level]))
    values = [np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64) for column in (prediction, spread)]
    steps = RowSteps.of(fitted, levels.to_pylist(), codes, values[0], np.nan_to_num(values[1]), share)
    counts, made = steps.lists()
    with_steps = counts > 0
    sizes = np.where(with_steps, _BOUNDS + counts * NUMBERS, 0)
    ends = np.cumsum(sizes)
    flat, is_step = np.empty(int(sizes.sum())), np.ones(int(sizes.sum()), dtype=np.bool_)
    for place, bound in enumerate(steps.bounds()):
        at = (ends - sizes)[with_steps] + place
        flat[at], is_step[at] = bound[with_steps], False
    flat[is_step] = made.ravel()
    return pa.ListArray.from_arrays(pa.array(np.append(0, ends).astype(np.int32)), pa.array(flat))
