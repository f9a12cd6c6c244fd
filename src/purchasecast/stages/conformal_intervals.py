r"""Conformal prediction intervals from out-of-fold residuals, narrow where purchases are steady.

Each row has a predicted scale,

.. math:: s_i^2 = a_0 + a_1 \sigma_{j}^2 + \sum_g a_g \frac{\sigma^2}{n_{g} + \sigma^2 / \tau_g^2} + a_2 \hat y_i^2,

with :math:`\sigma_j` the spread of the product and, for the customer and the product, the variance that is left of an
effect that :math:`n_g` rows were seen of: all of :math:`\tau_g^2` for a level that is new. The weights :math:`a \ge 0`
are fitted to squared out-of-fold residuals. The quantiles of the scores :math:`(y_i - \hat y_i) / s_i` of the same
rows, by prediction within a group where it has rows enough and else overall, give the interval of any level, the
shortest of those that hold so many scores: by exchangeability a new row falls into it about that often.

References
----------
G. Shafer, V. Vovk, "A tutorial on conformal prediction", JMLR 9, 2008. https://jmlr.org/papers/v9/shafer08a.html

J. Lei, M. G'Sell, A. Rinaldo, R. Tibshirani, L. Wasserman, "Distribution-free predictive inference for regression",
JASA 113, 2018. https://doi.org/10.1080/01621459.2017.1307116
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasLabelCol, HasPredictionCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.numerics.conformal import bounds_at, bounds_by_group, solve_calibration
from purchasecast.schema.reserved_columns import LOWER, UPPER
from purchasecast.spark.columns import col, number_literal, quoted, text_literal
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.base import TableModelMixin, require_columns
from purchasecast.stages.params import (
    StageParams,
    bool_param,
    float_list_param,
    float_param,
    int_param,
    str_list_param,
    str_param,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

__all__ = ["LOWER", "UPPER", "ConformalIntervals", "ConformalIntervalsModel"]


class _ConformalParams(StageParams, HasLabelCol, HasPredictionCol):
    """Params of the estimator and its model."""

    spreadCol = str_param("spread of the product's residuals", default="scale")
    countCols = str_list_param("training rows of each group's level")
    shrinkages = float_list_param("residual variance over the variance of the effects, one a group")
    variance = float_param("residual variance", default=0.0, minimum=0)
    groupCol = str_param(
        'column whose levels get quantiles of their own where they have rows enough; "" for none', default=""
    )
    minGroupRows = int_param("least rows of a group with quantiles of its own", default=100, minimum=1)
    maxRows = int_param(
        "most rows that are calibrated on; of more a part is drawn by hash", default=2_000_000, minimum=100
    )
    level = float_param("share of purchases inside", default=0.9, above=0, below=1)
    hasMinimum = bool_param("whether bounds are held to minimum", default=False)
    minimum = float_param("least value of a purchase", default=0.0)

    def getLevel(self) -> float:
        """Return the share of purchases inside."""
        return self.getOrDefault(self.level)

    def _columns(self) -> list[str]:
        group = self.getOrDefault(self.groupCol)
        spread = [self.getOrDefault(self.spreadCol)] if self.getOrDefault(self.spreadCol) else []
        return [
            self.getPredictionCol(),
            *spread,
            *self.getOrDefault(self.countCols),
            *([group] if group else []),
        ]


class ConformalIntervals(Estimator[Any], _ConformalParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Calibrate intervals on rows that have out-of-fold predictions.

    Parameters
    ----------
    labelCol : str, default "label"
        Numeric column.
    predictionCol : str, default "prediction"
        Predictions of models that have not seen the row.
    spreadCol : str, default "scale"
        Spread of the product's residuals, in units of the label (``scaleCol`` of `LatentFactorEncoder`); ``""`` for
        none.
    countCols : list of str, optional
        Training rows of the customer, of the product (``countCols`` of `CrossedEffectsEncoder`).
    shrinkages : list of float, optional
        For each of these, residual variance over the variance of its effects, in rows.
    variance : float, default 0.0
        Residual variance, in units of the label squared.
    groupCol : str, default ""
        Levels of this column get quantiles of their own where they have ``minGroupRows`` rows.
    minGroupRows : int, default 100
        See `groupCol`. Groups of 1,000 rows or more have quantiles by prediction, too.
    maxRows : int, default 2,000,000
        Most rows to calibrate on, inside one task.
    level : float, default 0.9
        Share of purchases inside; may be set on the model too.
    hasMinimum : bool, default False
        Whether bounds are held to `minimum`.
    minimum : float, default 0.0
        Least value of a purchase.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If there are no rows.
    SettingsError
        If a param is outside its range.

    Examples
    --------
    >>> ConformalIntervals(predictionCol="out_of_fold", level=0.8).getLevel()
    0.8
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        labelCol: str = "label",
        predictionCol: str = "prediction",
        spreadCol: str = "scale",
        countCols: list[str] | None = None,
        shrinkages: list[float] | None = None,
        variance: float = 0.0,
        groupCol: str = "",
        minGroupRows: int = 100,
        maxRows: int = 2_000_000,
        level: float = 0.9,
        hasMinimum: bool = False,
        minimum: float = 0.0,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> ConformalIntervalsModel:
        self.check_params()
        counts, shrinkages = self.getOrDefault(self.countCols), self.getOrDefault(self.shrinkages)
        if len(counts) != len(shrinkages):
            raise SettingsError(f"shrinkages: expected one for each of {counts}, found {shrinkages}.")
        require_columns(self, dataset, [*self._columns(), self.getLabelCol()])
        group, spread = self.getOrDefault(self.groupCol), self.getOrDefault(self.spreadCol)
        numbers = {"label": self.getLabelCol(), "prediction": self.getPredictionCol()}
        numbers |= {f"n_{g}": name for g, name in enumerate(counts)}
        rows = dataset.select(
            *[col(column).cast("double").alias(name) for name, column in numbers.items()],
            (col(spread) if spread else sf.lit(0.0)).cast("double").alias("spread"),
            (col(group) if group else sf.lit("")).cast("string").alias("group"),
        )
        most = self.getOrDefault(self.maxRows)
        drawn = -(-rows.count() // most)
        if drawn > 1:
            rows = rows.where(sf.pmod(sf.xxhash64("label", "prediction"), sf.lit(drawn)) == 0)
        settings = {
            "shrinkages": list(shrinkages),
            "variance": self.getOrDefault(self.variance),
            "least_rows": self.getOrDefault(self.minGroupRows),
        }
        work = partial(solve_calibration, settings=settings)
        found = map_in_tasks(rows.repartition(1), work, "found string").collect() if drawn else []
        if not found:
            raise DataError("intervals: expected rows with out-of-fold predictions, found none; check the folds.")
        model = self._fitted(ConformalIntervalsModel())
        model._calibration = json.loads(found[0]["found"])
        return model


class ConformalIntervalsModel(TableModelMixin, Model, _ConformalParams):
    """Adds ``lower`` and ``upper``; see `ConformalIntervals`."""

    def __init__(self) -> None:
        super().__init__()
        self._calibration: dict[str, Any] = {}

    def setLevel(self, value: float) -> ConformalIntervalsModel:
        """Set the share of purchases inside; any level can be had from one calibration."""
        self._set(level=value)
        self.check_params()
        return self

    def bounds(self) -> dict[str, tuple[list[float], list[tuple[float, float]]]]:
        """Return, by group, borders of the prediction and the scores' bounds between them; ``""`` is all others."""
        return bounds_by_group(self._calibration, self.getLevel())

    def constant_bounds(self) -> tuple[float, float]:
        """Return what an interval of constant width adds to a prediction: the measure of what scale and groups gain."""
        return bounds_at(self._calibration["constant"], self._calibration["rows"], self.getLevel())

    def calibration_rows(self) -> int:
        """Return the number of rows behind the quantiles."""
        return int(self._calibration["rows"])

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.check_params()
        require_columns(self, dataset, self._columns())
        prediction, group = quoted(self.getPredictionCol()), self.getOrDefault(self.groupCol)
        scale = f"sqrt(greatest({self._variance_sql()}, {number_literal(self._calibration['least'])}))"
        overall, *others = self.bounds().items()
        made = {}
        for place, name in enumerate((LOWER, UPPER)):
            quantile = number_literal(overall[1][1][0][place])
            if others and group:
                key = f"coalesce(CAST({quoted(group)} AS STRING), '')"
                borders = _lookup({name: borders for name, (borders, _) in others}, key)
                values = _lookup({name: [bound[place] for bound in bounds] for name, (_, bounds) in others}, key)
                bin_number = f"size(filter({borders}, x -> x < {prediction}))"
                quantile = f"coalesce(get({values}, {bin_number}), {quantile})"
            bound = f"{prediction} + {quantile} * {scale}"
            held = f"least({bound}, {prediction})" if name == LOWER else f"greatest({bound}, {prediction})"
            if self.getOrDefault(self.hasMinimum):
                held = f"greatest({held}, {number_literal(self.getOrDefault(self.minimum))})"
            made[name] = sf.expr(held)
        return dataset.withColumns(made)

    def _variance_sql(self) -> str:
        prediction, spread = quoted(self.getPredictionCol()), self.getOrDefault(self.spreadCol)
        spread = quoted(spread) if spread else "0D"
        counts = zip(self.getOrDefault("countCols"), self.getOrDefault("shrinkages"), strict=True)
        variance = self.getOrDefault(self.variance)
        groups = [
            f"{number_literal(variance)} / ({quoted(name)} + {number_literal(shrunk)})" for name, shrunk in counts
        ]
        terms = ["1D", f"{spread} * {spread}", *groups, f"{prediction} * {prediction}"]
        weights = self._calibration["weights"]
        return " + ".join(f"{number_literal(weight)} * ({term})" for weight, term in zip(weights, terms, strict=True))

    def to_portable(self) -> dict[str, Any]:
        """Return what a scorer without Spark needs, as JSON-safe data."""
        params = {"spread": "spreadCol", "counts": "countCols", "group": "groupCol"}
        params |= {name: name for name in ("shrinkages", "variance", "level")}
        minimum = self.getOrDefault(self.minimum) if self.getOrDefault(self.hasMinimum) else None
        return {
            "kind": "interval",
            "prediction": self.getPredictionCol(),
            **{name: self.getOrDefault(param) for name, param in params.items()},
            "minimum": minimum,
            **{name: self._calibration[name] for name in ("weights", "least", "rows", "grid", "groups")},
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        return {}

    def _state(self) -> dict[str, Any]:
        return self._calibration

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._calibration = dict(state)


def _lookup(arrays: Mapping[str, list[float]], key: str) -> str:
    """Return the SQL of a map from texts to arrays of numbers, looked up; null where there is no such text."""
    entries = [
        f"{text_literal(name)}, CAST(array({', '.join(map(number_literal, numbers))}) AS ARRAY<DOUBLE>)"
        for name, numbers in arrays.items()
    ]
    return f"try_element_at(map({', '.join(entries)}), {key})"
