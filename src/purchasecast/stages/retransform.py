r"""Predictions of a transformed target in units of the target, without the bias of the plain inverse.

A regression of :math:`f(y)` predicts :math:`\hat v`, and for concave :math:`f` the inverse :math:`f^{-1}(\hat v)` is
too low on average. Duan's smearing estimate averages over the residuals :math:`e_i = f(y_i) - \hat v_i` instead:

.. math:: \hat y = \frac{1}{n} \sum_i f^{-1}(\hat v + e_i) =
   \begin{cases} e^{\hat v}\, \overline{e^{e_i}} - 1 & f = \log(1 + y) \\
                 \hat v^2 + 2 \hat v\, \overline{e_i} + \overline{e_i^2} & f = \sqrt y \end{cases}

so that two means of out-of-fold residuals are enough.

References
----------
N. Duan, "Smearing estimate: a nonparametric retransformation method", Journal of the American Statistical Association
78(383), 1983. https://doi.org/10.1080/01621459.1983.10478017
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.spark.columns import col
from purchasecast.stages.base import require_columns
from purchasecast.stages.params import StageParams, float_list_param, str_param

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["SMEARED", "Retransform", "back_to_money", "smearing_terms", "transformed"]

SMEARED = ("log1p", "sqrt")


class Retransform(
    Transformer, StageParams, HasInputCol, HasOutputCol, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Turn predictions of a transformed target into predictions of the target.

    Parameters
    ----------
    inputCol, outputCol : str
        Columns of the prediction of the transformed target, and of the target.
    transformName : {"log1p", "sqrt"}, default "sqrt"
        Transformation of the target.
    smearing : list of float, default [0.0, 0.0]
        Means of the two `smearing_terms` over out-of-fold residuals.

    Raises
    ------
    ColumnMismatchError
        If the column is missing.
    SettingsError
        If a param is outside its range.
    """

    inputCol = str_param("prediction of the transformed target", default=None)
    transformName = str_param("transformation of the target", default="sqrt", choices=SMEARED)
    smearing = float_list_param("means of the smearing terms over out-of-fold residuals", default=(0.0, 0.0), length=2)

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        transformName: str = "sqrt",
        smearing: list[float] | None = None,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.check_params()
        name, means = self.getOrDefault(self.transformName), self.getOrDefault(self.smearing)
        require_columns(self, dataset, [self.getInputCol()])
        value = back_to_money(col(self.getInputCol()), name, (float(means[0]), float(means[1])))
        return dataset.withColumn(self.getOutputCol(), value)

    def to_portable(self) -> dict[str, Any]:
        """Return what the scorer needs, as JSON-safe data."""
        return {
            "kind": "retransform",
            "input": self.getInputCol(),
            "output": self.getOutputCol(),
            "transform": self.getOrDefault("transformName"),
            "smearing": list(map(float, self.getOrDefault("smearing"))),
        }


def transformed(target: Column, transform: str) -> Column:
    """Return the transformed target."""
    return {"none": target, "log1p": sf.log1p(target), "sqrt": sf.sqrt(target)}[transform]


def smearing_terms(residual: Column, transform: str) -> tuple[Column, Column]:
    """Return two terms of a residual of the transformed target: the smearing estimate needs their means."""
    return (residual, sf.exp(residual)) if transform == "log1p" else (residual, residual * residual)


def back_to_money(value: Column, transform: str, means: tuple[float, float]) -> Column:
    """Return the smearing estimate of the target, from its transformed prediction and the means of `smearing_terms`."""
    if transform == "log1p":
        return sf.exp(value) * means[1] - 1.0
    return value * value + value * (2.0 * means[0]) + means[1]
