"""Multiply columns by a scale: predictions of a ratio become amounts, a spread in logarithms becomes one in money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param.shared import HasInputCols, HasOutputCols
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.spark.columns import col
from purchasecast.stages.base import require_columns
from purchasecast.stages.params import StageParams, float_param, str_list_param, str_param

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["ScaledColumns"]


class ScaledColumns(
    Transformer, StageParams, HasInputCols, HasOutputCols, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Add columns that are others, kept within a range, times a scale.

    Parameters
    ----------
    inputCols, outputCols : list of str
        Columns to multiply, and what to call the products.
    scaleCol : str
        Column to multiply by.
    lower, upper : float, default 0.0 and 1e308
        Range that an input is kept within before it is multiplied.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    SettingsError
        If there is not one output an input, or the range is empty.
    """

    inputCols = str_list_param("columns to multiply", default=None)
    outputCols = str_list_param("name of each product", default=None)
    scaleCol = str_param("column to multiply by", default="scale")
    lower = float_param("least input", default=0.0)
    upper = float_param("largest input", default=1e308)

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCols: list[str] | None = None,
        outputCols: list[str] | None = None,
        scaleCol: str = "scale",
        lower: float = 0.0,
        upper: float = 1e308,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.check_params()
        inputs, outputs, scale = self.getInputCols(), self.getOutputCols(), self.getOrDefault("scaleCol")
        lower, upper = self.getOrDefault("lower"), self.getOrDefault("upper")
        if len(inputs) != len(outputs) or lower > upper:
            raise SettingsError(
                f"ScaledColumns.outputCols, lower and upper: expected {len(inputs)} names and a range, found "
                f"{len(outputs)} names and {lower} to {upper}; name one output an input, and no lower above upper."
            )
        require_columns(self, dataset, [*inputs, scale])
        pairs = zip(inputs, outputs, strict=True)
        return dataset.withColumns(
            {
                output: sf.least(sf.greatest(col(name), sf.lit(lower)), sf.lit(upper)) * col(scale)
                for name, output in pairs
            }
        )

    def to_portable(self) -> dict[str, Any]:
        """Return what a scorer without Spark needs, as JSON-safe data."""
        return {
            "kind": "scaled_columns",
            "columns": dict(zip(self.getInputCols(), self.getOutputCols(), strict=True)),
            "scale": self.getOrDefault("scaleCol"),
            "lower": self.getOrDefault("lower"),
            "upper": self.getOrDefault("upper"),
        }
