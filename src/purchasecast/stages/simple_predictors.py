r"""Predict with one line: the product's mean, its median, and its unit price times the quantity.

They are the least that a model has to beat, and members of the blend, so that no recipe is worse than the best of
them. For a product :math:`p` with amounts :math:`y_i` and quantities :math:`q_i`

.. math:: \bar y_p, \qquad \operatorname{median}(y_i), \qquad q \, \frac{\sum_i y_i}{\sum_i q_i},

each over the rows that a fit may see. A product without such rows has the value of all rows together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasLabelCol, HasOutputCols
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.spark.columns import col
from purchasecast.stages.base import HasFolds, HasQuantity, TableModelMixin, broadcast_if_small, require_columns
from purchasecast.stages.params import StageParams, str_list_param, str_param

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column, DataFrame

__all__ = ["SimplePredictors", "SimplePredictorsModel"]

_ACCURACY = 10_000  # of medians: their rank is off by a ten thousandth at most
_STATISTICS = ("mean", "median", "unit_price")


class _SimplePredictorsParams(StageParams, HasLabelCol, HasOutputCols, HasQuantity, HasFolds):
    """Params of the estimator and its model."""

    productCol = str_param("product column; empty for none", default="")
    labelCol = str_param("amount", default="label")
    outputCols = str_list_param(
        "three columns to add: mean, median, and unit price times quantity",
        default=("product_mean", "product_median", "unit_price_amount"),
    )


class SimplePredictors(
    Estimator["SimplePredictorsModel"], _SimplePredictorsParams, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Estimate each product's mean, median and unit price, cross-fitted.

    Parameters
    ----------
    productCol : str, default ""
        Product column; empty where there is none, and all rows are one product.
    quantityCol : str, default ""
        Column of the quantity; empty where each row counts as one.
    labelCol : str, default "label"
        Amount.
    outputCols : list of str
        Three columns to add: mean, median, and unit price times quantity, in units of the label.
    foldCol : str, default "fold"
        Column of fold numbers; where the frame has it, fitting and encoding are out of fold.
    numFolds : int, default 5
        Number of folds.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    SettingsError
        If there are not three output columns.

    Notes
    -----
    Two passes: one groups the rows by product, one adds up all of them. Medians are approximate to a ten thousandth of
    their rank, and do not depend on the order of the rows beyond that.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        productCol: str = "",
        quantityCol: str = "",
        labelCol: str = "label",
        outputCols: list[str] | None = None,
        foldCol: str = "fold",
        numFolds: int = 5,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> SimplePredictorsModel:
        self.check_params()
        product, quantity = self.getOrDefault("productCol"), self.getOrDefault("quantityCol")
        if len(self.getOutputCols()) != len(_STATISTICS):
            raise SettingsError(
                f"SimplePredictors.outputCols: expected three names, found {self.getOutputCols()}; "
                "name the columns of the mean, the median and the unit price times quantity."
            )
        require_columns(self, dataset, [self.getLabelCol(), *filter(None, (product, quantity))])
        self._check_folds(dataset)
        aggregates = self._aggregates(dataset)
        model = self._fitted(SimplePredictorsModel())
        model._overall = {name: list(dataset.agg(*aggregates).collect()[0][name]) for name in _STATISTICS}
        model._products, model._levels = None, 0
        if product:
            grouped = dataset.groupBy(col(product).alias("level")).agg(*aggregates)
            model._products = grouped.where("level IS NOT NULL").localCheckpoint()
            model._levels = model._products.count()
        return model

    def _aggregates(self, dataset: DataFrame) -> list[Column]:
        """Return an array a statistic: its value by fit, the last of which sees all rows."""
        label, quantity = col(self.getLabelCol()).cast("double"), self._quantity()
        seen: list[Column] = [sf.lit(True)]
        if self._has_folds(dataset):
            seen = [*[col(self.getFoldCol()) != fold for fold in range(self.getNumFolds())], *seen]
        arrays: dict[str, list[Column]] = {name: [] for name in _STATISTICS}
        for rows in seen:
            arrays["mean"].append(sf.avg(sf.when(rows, label)))
            arrays["median"].append(sf.percentile_approx(sf.when(rows, label), sf.lit(0.5), _ACCURACY))
            pieces = sf.sum(sf.when(rows, quantity))
            arrays["unit_price"].append(sf.when(pieces > 0, sf.sum(sf.when(rows, label)) / pieces))
        return [sf.array(*columns).alias(name) for name, columns in arrays.items()]


class SimplePredictorsModel(Model, _SimplePredictorsParams, TableModelMixin):
    """The fitted predictors: a table of products, and the values of all rows together."""

    _products: DataFrame | None
    _levels: int
    _overall: dict[str, list[float | None]]

    def _transform(self, dataset: DataFrame) -> DataFrame:
        product = self.getOrDefault("productCol")
        require_columns(self, dataset, list(filter(None, (product, self.getOrDefault("quantityCol")))))
        fits = len(self._overall["mean"])
        fit = self._fit_number() if self._has_folds(dataset) and fits > 1 else sf.lit(fits - 1)
        names = list(dataset.columns)
        overall = {name: sf.get(sf.lit(values), fit) for name, values in self._overall.items()}
        joined = dataset
        if self._products is not None:
            table = self._products.select(
                col("level").alias("_pc_level"), *[col(name).alias(f"_pc_simple_{name}") for name in _STATISTICS]
            )
            table = broadcast_if_small(table, self._levels, 1 + len(_STATISTICS) * fits)
            joined = dataset.join(table, col(product) == col("_pc_level"), "left")
            overall = {
                name: sf.coalesce(sf.get(col(f"_pc_simple_{name}"), fit), value) for name, value in overall.items()
            }
        overall["unit_price"] = overall["unit_price"] * self._quantity()
        made = [overall[name].alias(output) for name, output in zip(_STATISTICS, self.getOutputCols(), strict=True)]
        return joined.select(*[col(name) for name in names if name not in self.getOutputCols()], *made)

    def to_portable(self) -> dict[str, Any]:
        """Return what a scorer without Spark needs: JSON-safe params, and a frame of the products' values."""
        last = len(self._overall["mean"]) - 1
        table = None
        if self._products is not None:
            values = [sf.get(name, sf.lit(last)).alias(name) for name in _STATISTICS]
            table = self._products.select("level", *values)
        return {
            "kind": "simple_predictors",
            "product": self.getOrDefault("productCol"),
            "quantity": self.getOrDefault("quantityCol"),
            "outputs": dict(zip(_STATISTICS, self.getOutputCols(), strict=True)),
            "overall": {name: values[last] for name, values in self._overall.items()},
            "table": table,
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        return {} if self._products is None else {"products": self._products}

    def _state(self) -> dict[str, Any]:
        return {"overall": self._overall, "levels": self._levels}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._products = tables.get("products")
        self._overall, self._levels = state["overall"], int(state["levels"])
