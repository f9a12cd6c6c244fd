"""The prediction of a recipe: a weighted sum of its members, kept within the range of the target."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param.shared import HasInputCols, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.numerics.soft_minimum import SoftMinimum
from purchasecast.spark.columns import col
from purchasecast.stages.base import require_columns
from purchasecast.stages.params import StageParams, float_list_param, str_list_param, str_param

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["BoundedPrediction"]

_BLEND = "_pc_blend"


class BoundedPrediction(
    Transformer, StageParams, HasInputCols, HasOutputCol, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Add the weighted sum of the members' columns, not below the minimum of the target.

    Parameters
    ----------
    inputCols : list of str
        Prediction of each member, in units of the target.
    weights : list of float, default [1.0]
        Weight of each member.
    outputCol : str, default "prediction"
        Column to add.
    minimum : list of float, default []
        One number: the least value that the target may have. Empty for none.
    bend : list of float, default []
        Two numbers, origin and width of a `purchasecast.numerics.soft_minimum.SoftMinimum`. Empty where values below
        the minimum are set to it.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    SettingsError
        If there is not one weight a member, or `minimum` and `bend` do not have the lengths above.
    """

    inputCols = str_list_param("prediction of each member", default=None)
    weights = float_list_param("weight of each member", default=(1.0,))
    outputCol = str_param("column to add", default="prediction")
    minimum = float_list_param("least value of the target, or nothing")
    bend = float_list_param("origin and width of the bend, or nothing")

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCols: list[str] | None = None,
        weights: list[float] | None = None,
        outputCol: str = "prediction",
        minimum: list[float] | None = None,
        bend: list[float] | None = None,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def members(self) -> dict[str, float]:
        """Return the weight of each member's column."""
        names, weights = self.getInputCols(), self.getOrDefault("weights")
        if len(names) != len(weights):
            raise SettingsError(
                f"BoundedPrediction.weights: expected {len(names)} numbers, found {len(weights)}; give one a member."
            )
        return dict(zip(names, weights, strict=True))

    def soft_minimum(self) -> SoftMinimum | None:
        """Return the bend toward the minimum; None where values are cut off at it."""
        bend, minimum = self.getOrDefault("bend"), self.getOrDefault("minimum")
        if len(minimum) > 1 or len(bend) not in {0, 2} or (bend and not minimum):
            raise SettingsError(
                f"BoundedPrediction.minimum and bend: expected at most one number, and two numbers or none, found "
                f"{minimum} and {bend}; a bend needs a minimum."
            )
        return SoftMinimum(minimum[0], *bend) if bend else None

    def total(self) -> Column:
        """Return the weighted sum before it is bounded."""
        terms = [col(name) if weight == 1.0 else sf.lit(weight) * col(name) for name, weight in self.members().items()]
        return sum(terms[1:], start=terms[0])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.check_params()
        require_columns(self, dataset, self.getInputCols())
        value, bend, minimum = self.total(), self.soft_minimum(), self.getOrDefault("minimum")
        if bend is not None:
            value = _bent(value, bend)
        elif minimum:
            value = sf.greatest(value, sf.lit(minimum[0]))
        return dataset.withColumn(self.getOutputCol(), value)

    def to_portable(self) -> list[dict[str, Any]]:
        """Return the steps of a scorer without Spark, as JSON-safe data."""
        members, bend, steps = self.members(), self.soft_minimum(), []
        value = next(iter(members))
        if list(members.values()) != [1.0]:
            steps.append({"kind": "blend", "members": members, "output": _BLEND})
            value = _BLEND
        step: dict[str, Any] = {"input": value, "output": self.getOutputCol()}
        if bend is not None:
            return [*steps, {"kind": "soft_minimum", **step, **asdict(bend)}]
        return [*steps, {"kind": "clip", **step, "minimum": next(iter(self.getOrDefault("minimum")), None)}]


def _bent(value: Column, bend: SoftMinimum) -> Column:
    """Return the values that `SoftMinimum.values` gives."""
    step = (value - bend.origin) / bend.width
    return bend.minimum + bend.width * (sf.greatest(step, sf.lit(0.0)) + sf.log1p(sf.exp(-sf.abs(step))))
