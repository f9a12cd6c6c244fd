r"""Conformal prediction intervals from out-of-fold residuals, narrow where purchases are steady.

Each row has a predicted scale,

.. math:: s_i^2 = a_0 + a_1 \sigma_{j}^2 + \sum_g a_g \frac{\sigma^2}{n_{g} + \sigma^2 / \tau_g^2} + a_2 \hat y_i^2,

with :math:`\sigma_j` the spread of the product and, for customer and product, the variance that is left of an effect
after :math:`n_g` rows: all of :math:`\tau_g^2` for an unseen level. The weights :math:`a \ge 0` are fitted to squared
out-of-fold residuals. The scores :math:`(y_i - \hat y_i) / s_i` of the same rows give the interval of any level. With
:math:`n` of them, an interval from the score of rank :math:`l` to that of rank :math:`l + k`,
:math:`k = \lceil (n + 1)\,\text{level} \rceil`, holds a new score with a probability of at least the level, if the row
is exchangeable with these. Scores are taken by prediction within a group; where they are too few for the level, the
bounds include those of the group, and of all rows.

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
from purchasecast.numerics.conformal import bounds_by_group, constant_bounds, solve_calibration
from purchasecast.schema.reserved_columns import LOWER, UPPER
from purchasecast.spark.columns import col, number_literal, quoted, text_literal
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.base import TableModelMixin, require_columns
from purchasecast.stages.params import (
    HasLevel,
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

_PORTABLE = ("weights", "least", "rows", "positions", "grid", "others", "groups")  # not every model has all


class _ConformalParams(HasLevel, HasLabelCol, HasPredictionCol):
    """Params of the estimator and its model."""

    spreadCol = str_param("spread of the product's residuals; empty for none", default="scale")
    countCols = str_list_param("training rows of each group's level")
    shrinkages = float_list_param("residual variance over the variance of the effects, one a group")
    variance = float_param("residual variance", default=0.0, minimum=0)
    groupCol = str_param("column whose levels have quantiles of their own; empty for none", default="")
    minGroupRows = int_param("rows from which a group has quantiles of its own", default=100, minimum=1)
    maxRows = int_param("largest number of calibration rows; of more, a sample by hash", default=2_000_000, minimum=100)
    hasMinimum = bool_param("whether bounds are at least the minimum", default=False)
    minimum = float_param("least value of a purchase", default=0.0)

    def _columns_read(self) -> list[str]:
        """Return the columns that the bounds depend on."""
        optional = [self.getOrDefault(self.spreadCol), self.getOrDefault(self.groupCol)]
        counts = self.getOrDefault(self.countCols)
        return [self.getPredictionCol(), *counts, *filter(None, optional)]


class ConformalIntervals(Estimator[Any], _ConformalParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Calibrate intervals on rows that have out-of-fold predictions.

    Parameters
    ----------
    labelCol : str, default "label"
        Numeric column.
    predictionCol : str, default "prediction"
        Out-of-fold predictions.
    spreadCol : str, default "scale"
        Spread of the product's residuals, in units of the label (``scaleCol`` of `LatentFactorEncoder`); ``""`` for
        none.
    countCols : list of str, default []
        Training rows of the customer and of the product (``countCols`` of `CrossedEffectsEncoder`).
    shrinkages : list of float, default []
        Residual variance over the variance of the effects, in rows, one a count column.
    variance : float, default 0.0
        Residual variance, in units of the label squared.
    groupCol : str, default ""
        Levels of this column with at least ``minGroupRows`` rows have quantiles of their own; ``""`` for none.
    minGroupRows : int, default 100
        See `groupCol`. Groups of 1,000 rows or more have quantiles by prediction as well.
    maxRows : int, default 2,000,000
        Largest number of calibration rows, which one task sorts; of more, a sample by hash is taken.
    level : float, default 0.9
        Share of purchases inside the interval; it may also be set on the model.
    hasMinimum : bool, default False
        Whether bounds are raised to `minimum`.
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
            raise SettingsError(
                f"ConformalIntervals.shrinkages: expected one for each of {counts}, found {shrinkages}; name as many."
            )
        require_columns(self, dataset, [*self._columns_read(), self.getLabelCol()])
        rows = self._calibration_rows(dataset)
        work = partial(
            solve_calibration,
            settings={
                "shrinkages": list(shrinkages),
                "variance": self.getOrDefault(self.variance),
                "min_rows": self.getOrDefault(self.minGroupRows),
            },
        )
        model = self._fitted(ConformalIntervalsModel())
        model._calibration = json.loads(map_in_tasks(rows, work, "calibration string").collect()[0]["calibration"])
        return model

    def _calibration_rows(self, dataset: DataFrame) -> DataFrame:
        """Return what the calibration reads, in one partition."""
        group, spread = self.getOrDefault(self.groupCol), self.getOrDefault(self.spreadCol)
        numbers = {"label": self.getLabelCol(), "prediction": self.getPredictionCol()}
        numbers |= {f"n_{g}": name for g, name in enumerate(self.getOrDefault("countCols"))}
        rows = dataset.select(
            *[col(column).cast("double").alias(name) for name, column in numbers.items()],
            (col(spread) if spread else sf.lit(0.0)).cast("double").alias("spread"),
            (col(group) if group else sf.lit("")).cast("string").alias("group"),
        )
        count = rows.count()
        if not count:
            raise DataError(
                "ConformalIntervals: expected rows with out-of-fold predictions, found none; check the folds."
            )
        one_in = -(-count // self.getOrDefault(self.maxRows))
        if one_in > 1:
            rows = rows.where(sf.pmod(sf.xxhash64("label", "prediction"), sf.lit(one_in)) == 0)
        return rows.repartition(1)


class ConformalIntervalsModel(TableModelMixin, Model, _ConformalParams):
    """Adds the columns ``lower`` and ``upper``; see `ConformalIntervals`."""

    def __init__(self) -> None:
        super().__init__()
        self._calibration: dict[str, Any] = {}

    def bounds(self) -> dict[str, tuple[list[float], list[tuple[float, float]]]]:
        """Return by group the borders of the prediction and the bounds of the scores; ``""`` is all other groups."""
        return bounds_by_group(self._calibration, self.getLevel())

    def constant_bounds(self) -> tuple[float, float]:
        """Return the bounds of the residuals in intervals of constant width, to compare the width of others with."""
        return constant_bounds(self._calibration, self.getLevel())

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.check_params()
        require_columns(self, dataset, self._columns_read())
        prediction, group = quoted(self.getPredictionCol()), self.getOrDefault(self.groupCol)
        scale = f"sqrt(greatest({self._variance_sql()}, {number_literal(self._calibration['least'])}))"
        bounds = self.bounds()
        (_, [overall]), columns = bounds.pop(""), {}
        for side, (name, extreme) in enumerate(((LOWER, "least"), (UPPER, "greatest"))):
            score = number_literal(overall[side])
            if bounds and group:
                key = f"coalesce(CAST({quoted(group)} AS STRING), '')"
                borders = _lookup({level: borders for level, (borders, _) in bounds.items()}, key)
                scores = _lookup({level: [pair[side] for pair in pairs] for level, (_, pairs) in bounds.items()}, key)
                score = f"coalesce(get({scores}, size(filter({borders}, x -> x < {prediction}))), {score})"
            # Bounds enclose the prediction, also where all residuals of a cell have the same sign.
            bound = f"{extreme}({prediction} + {score} * {scale}, {prediction})"
            if self.getOrDefault(self.hasMinimum):
                bound = f"greatest({bound}, {number_literal(self.getOrDefault(self.minimum))})"
            columns[name] = sf.expr(bound)
        return dataset.withColumns(columns)

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
        """Return what the scorer needs, as JSON-safe data."""
        params = {"spread": "spreadCol", "counts": "countCols", "group": "groupCol"}
        params |= {name: name for name in ("shrinkages", "variance", "level")}
        minimum = self.getOrDefault(self.minimum) if self.getOrDefault(self.hasMinimum) else None
        return {
            "kind": "interval",
            "prediction": self.getPredictionCol(),
            **{name: self.getOrDefault(param) for name, param in params.items()},
            "minimum": minimum,
            **{name: self._calibration[name] for name in _PORTABLE if name in self._calibration},
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        return {}

    def _state(self) -> dict[str, Any]:
        return self._calibration

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._calibration = dict(state)


def _lookup(arrays: Mapping[str, list[float]], key: str) -> str:
    """Return the SQL expression of the array that belongs to a text; null for another text."""
    entries = [
        f"{text_literal(name)}, CAST(array({', '.join(map(number_literal, numbers))}) AS ARRAY<DOUBLE>)"
        for name, numbers in arrays.items()
    ]
    return f"try_element_at(map({', '.join(entries)}), {key})"
