r"""Shrunken additive effects of crossed groups, fitted together.

The model is a linear mixed model with one random effect a group (customer, product, or any other column),

.. math:: y_i = x_i^T \beta + \sum_g b_{g, \ell_g(i)} + \varepsilon_i, \qquad
          b_{g, \ell} \sim N(0, \tau_g^2), \quad \varepsilon_i \sim N(0, \sigma^2),

with :math:`x` the attributes, which are fitted first by least squares. The effects are best linear unbiased
predictions, computed by backfitting: each group on the residual of the others,

.. math:: b_{g, \ell} \leftarrow \frac{\sum_{i \in \ell} w_i r_i}{\sum_{i \in \ell} w_i + \sigma^2 / \tau_g^2}.

After each group its variance component is estimated again by Schall's fixed point. The number of rounds does not grow
with the data if rows spread over the groups as they do in shops.

References
----------
S. Ghosh, T. Hastie, A. B. Owen, "Backfitting for large scale crossed random effects regressions", Annals of
Statistics 50(1), 2022. https://doi.org/10.1214/21-AOS2121

R. Schall, "Estimation in generalized linear models with random effects", Biometrika 78(4), 1991.
https://doi.org/10.1093/biomet/78.4.719
"""

from __future__ import annotations

import functools
import operator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasInputCols, HasLabelCol, HasMaxIter, HasOutputCols, HasTol, HasWeightCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col
from purchasecast.stages.base import HasFolds, TableModelMixin, broadcast_if_small, require_columns
from purchasecast.stages.crossed_effects.attributes import AttributeEffects, fit_attribute_effects
from purchasecast.stages.crossed_effects.backfit import VarianceComponents, backfit_by_passes, backfit_in_tasks
from purchasecast.stages.params import StageParams, float_param, int_param, str_list_param, str_param
from purchasecast.stages.tasks import HasTaskRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column

__all__ = ["CrossedEffectsEncoder", "CrossedEffectsModel", "VarianceComponents"]


class _CrossedEffectsParams(
    StageParams, HasInputCols, HasOutputCols, HasLabelCol, HasWeightCol, HasMaxIter, HasTol, HasFolds, HasTaskRows
):
    """Params of the encoder and its model."""

    inputCols = str_list_param("columns of the groups", default=None)
    outputCols = str_list_param("output columns of the effects, one a group", default=None)
    attributeCols = str_list_param("index columns of attributes, as StringIndexer makes them, for the prior means")
    numericCols = str_list_param("numeric columns for the prior means")
    countCols = str_list_param("output columns of the training rows of the level, one a group; empty for none")
    baselineCol = str_param("output column of the prior means", default="baseline")
    fittedCol = str_param("output column of prior means plus effects", default="fitted")
    fitsCol = str_param("output column of the fitted values of all fits, where the frame has folds", default="fits")
    maxIter = int_param("largest number of rounds of backfitting", default=30, minimum=1)
    tol = float_param("share by which the residual variance may change in the last round", default=1e-5, minimum=0)

    def _columns_read(self) -> list[str]:
        """Return the columns that encoding reads."""
        attributes, numerics = self.getOrDefault(self.attributeCols), self.getOrDefault(self.numericCols)
        return [*self.getInputCols(), *attributes, *numerics]


class CrossedEffectsEncoder(Estimator[Any], _CrossedEffectsParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Encode crossed groups by their shrunken additive effects on the label, cross-fitted.

    Parameters
    ----------
    inputCols : list of str
        Group columns of any type that can be compared, such as customer and product.
    outputCols : list of str
        Output columns of the effects, one a group, in units of the label.
    labelCol : str, default "label"
        Numeric column without nulls.
    weightCol : str, optional
        Row weights of at least 0, of any scale: they are divided by their mean. Without it every row weighs 1.
    attributeCols : list of str, default []
        Index columns of attributes, as `StringIndexer` makes them, for the prior means.
    numericCols : list of str, default []
        Numeric columns for the prior means.
    countCols : list of str, default []
        Output columns of the training rows of the level (sum of the weights), one a group; empty for none.
    baselineCol, fittedCol, fitsCol : str, default "baseline", "fitted", "fits"
        Output columns of the prior means, of prior means plus effects, and of the fitted values of all fits (see
        Notes).
    foldCol : str, default "fold"
        Column of fold numbers; where the frame has it, fitting and encoding are out of fold.
    numFolds : int, default 5
        Number of folds.
    maxIter : int, default 30
        Largest number of rounds of backfitting.
    tol : float, default 1e-5
        Backfitting stops when the residual variance changes by at most this share in a round.
    maxTaskRows : int, default 5,000,000
        Up to this number of rows each fit is solved with NumPy inside one task, which takes about 100 bytes a row;
        above it, by passes of the cluster.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If a fold number is outside 0 to ``numFolds`` - 1, a fit has no row, or no weight is above 0.
    SettingsError
        If a param is outside its range.

    Notes
    -----
    The effect of a null or unseen level is 0. Element ``k`` of ``fitsCol`` is the fitted value without fold ``k``: a
    stage that is fitted to the residual without a fold needs it, or it would use that fold's labels through this
    encoder. Rows are neither dropped nor reordered.

    Passes over the rows: one for the attributes, one to count, and one that brings the rows to the tasks; above
    ``maxTaskRows`` instead one a group and round, on a cached frame of ``numFolds`` + 5 columns. The driver receives
    (``numFolds`` + 1) x groups x 5 numbers a round.

    Examples
    --------
    >>> encoder = CrossedEffectsEncoder(inputCols=["customer", "product"], outputCols=["a", "b"], labelCol="spend")
    >>> encoder.getNumFolds()
    5
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCols: list[str] | None = None,
        outputCols: list[str] | None = None,
        labelCol: str = "label",
        weightCol: str | None = None,
        attributeCols: list[str] | None = None,
        numericCols: list[str] | None = None,
        countCols: list[str] | None = None,
        baselineCol: str = "baseline",
        fittedCol: str = "fitted",
        fitsCol: str = "fits",
        foldCol: str = "fold",
        numFolds: int = 5,
        maxIter: int = 30,
        tol: float = 1e-5,
        maxTaskRows: int = 5_000_000,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def setWeightCol(self, value: str) -> CrossedEffectsEncoder:
        """Set the column of row weights."""
        return self._set(weightCol=value)

    def _check(self, dataset: DataFrame) -> None:
        self.check_params()
        inputs, counts = self.getInputCols(), self.getOrDefault(self.countCols)
        if len(self.getOutputCols()) != len(inputs) or (counts and len(counts) != len(inputs)):
            raise SettingsError(
                f"CrossedEffectsEncoder.outputCols and countCols: expected one name for each of {inputs}, "
                f"found {self.getOutputCols()} and {counts}; name as many."
            )
        weight = [self.getWeightCol()] if self.isSet(self.weightCol) else []
        require_columns(self, dataset, [*self._columns_read(), self.getLabelCol(), *weight])
        self._check_folds(dataset)

    def _fit(self, dataset: DataFrame) -> CrossedEffectsModel:
        self._check(dataset)
        fits = self.getNumFolds() + 1
        rows, attributes = self._residual_frame(dataset, fits)
        with cached(rows):
            backfit = backfit_in_tasks if rows.count() <= self.getMaxTaskRows() else backfit_by_passes
            tables, components = backfit(rows, len(self.getInputCols()), fits, self.getMaxIter(), self.getTol())
        model = self._fitted(CrossedEffectsModel())
        model._tables_by_group, model._attributes, model.components = tables, attributes, components
        return model

    def _residual_frame(self, dataset: DataFrame, fits: int) -> tuple[DataFrame, AttributeEffects]:
        """Return what backfitting reads: groups, weight, label and the residuals of the prior means of each fit."""
        fold, weight, label = self._fold(dataset), self._weight(dataset), col(self.getLabelCol()).cast("double")
        attribute_cols, numeric_cols = self.getOrDefault(self.attributeCols), self.getOrDefault(self.numericCols)
        attributes = fit_attribute_effects(
            dataset.withColumns({"_pc_fold": fold, "_pc_weight": weight, "_pc_label": label}),
            attributes=attribute_cols,
            numerics=numeric_cols,
            folds=self.getNumFolds(),
            has_folds=self._has_folds(dataset),
        )
        groups = [col(name).alias(f"g_{g}") for g, name in enumerate(self.getInputCols())]
        baselines = col("_pc_baselines")
        # Null where a fit must not see the row: sums skip it, and no later pass needs the folds.
        residuals = [sf.when(fold != k, label - baselines[k]).alias(f"r_{k}") for k in range(fits)]
        with_baselines = dataset.withColumn("_pc_baselines", attributes.all_columns())
        return with_baselines.select(*groups, weight.alias("weight"), label.alias("label"), *residuals), attributes

    def _weight(self, dataset: DataFrame) -> Column:
        """Return the weight of a row over the mean weight, so that the unit of the weights does not matter.

        The residual variance takes the sum of the weights for the number of rows.
        """
        if not self.isSet(self.weightCol):
            return sf.lit(1.0)
        weight = col(self.getWeightCol()).cast("double")
        mean = dataset.agg(sf.avg(sf.when(weight > 0, weight))).collect()[0][0]
        if mean is None:
            raise DataError(
                f"CrossedEffectsEncoder: expected weights above 0 in {self.getWeightCol()}, found none; "
                "check the column, or leave weightCol out."
            )
        return weight / sf.lit(float(mean))


class CrossedEffectsModel(TableModelMixin, Model, _CrossedEffectsParams):
    """Effects of crossed groups, one set a fit; see `CrossedEffectsEncoder`.

    Attributes
    ----------
    components : tuple of VarianceComponents
        Estimates of each fit; the last is that of all rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tables_by_group: list[DataFrame] = []
        self._attributes = AttributeEffects.none(1)
        self.components: tuple[VarianceComponents, ...] = ()

    def _transform(self, dataset: DataFrame) -> DataFrame:
        require_columns(self, dataset, self._columns_read())
        has_folds = self._has_folds(dataset)
        last = self.getNumFolds()
        baselines = self._attributes.all_columns() if has_folds else sf.array(self._attributes.last_column())
        joined = dataset.withColumn("_pc_baselines", baselines)
        for g, name in enumerate(self.getInputCols()):
            joined = joined.join(self._lookup(g, has_folds=has_folds), col(name) == col(f"_pc_level_{g}"), "left")

        fit = self._fit_number() if has_folds else sf.lit(last)
        groups = range(len(self.getInputCols()))
        effects = {g: _of_fit(f"_pc_e_{g}", fit if has_folds else None) for g in groups}
        baseline = sf.get("_pc_baselines", fit if has_folds else sf.lit(0))
        out = {self.getOutputCols()[g]: effects[g] for g in groups}
        counts = self.getOrDefault(self.countCols)
        for g, name in enumerate(counts):
            out[name] = _of_fit(f"_pc_n_{g}", fit if has_folds else None)
        out[self.getOrDefault(self.baselineCol)] = baseline
        out[self.getOrDefault(self.fittedCol)] = functools.reduce(operator.add, effects.values(), baseline)
        if has_folds:
            by_fit = [f"coalesce(_pc_e_{g}[i], 0D)" for g in groups]
            out[self.getOrDefault(self.fitsCol)] = sf.expr(
                f"transform(_pc_baselines, (x, i) -> x + {' + '.join(by_fit)})"
            )
        kept = [col(name) for name in dataset.columns if name not in out]
        return joined.select(*kept, *[value.alias(name) for name, value in out.items()])

    def _lookup(self, g: int, *, has_folds: bool) -> DataFrame:
        """Return the table of a group with the fits that a frame needs: all of them, or the last."""
        last = self.getNumFolds()
        numbers = ["e", "n"] if self.getOrDefault(self.countCols) else ["e"]
        values = [(col(x) if has_folds else sf.get(x, sf.lit(last))).alias(f"_pc_{x}_{g}") for x in numbers]
        table = self._tables_by_group[g].select(col("level").alias(f"_pc_level_{g}"), *values)
        width = len(numbers) * (last + 1 if has_folds else 1)
        return broadcast_if_small(table, self.components[-1].levels[g], 1 + width)

    def level_table(self, inputCol: str) -> DataFrame:
        """Return the levels of a group in the fit on all rows.

        Parameters
        ----------
        inputCol : str
            Column of the group.

        Returns
        -------
        DataFrame
            One row a level: ``level``, ``rows`` (sum of the weights), ``mean`` (of the label), ``effect``.

        Raises
        ------
        SettingsError
            If there is no such group.
        """
        if inputCol not in self.getInputCols():
            raise SettingsError(
                f"CrossedEffectsModel: expected one of {self.getInputCols()}, found {inputCol!r}; name a group."
            )
        last = self.getNumFolds()
        table = self._tables_by_group[self.getInputCols().index(inputCol)]
        weight, effect = sf.get("n", sf.lit(last)), sf.get("e", sf.lit(last))
        return table.select("level", weight.alias("rows"), "mean", effect.alias("effect"))

    def to_portable(self) -> dict[str, Any]:
        """Return what the scorer needs: JSON-safe params, and a frame of level effects for each group."""
        last = self.getNumFolds()
        return {
            "kind": "crossed_effects",
            "inputs": self.getInputCols(),
            "outputs": self.getOutputCols(),
            "counts": self.getOrDefault(self.countCols),
            "baseline": self.getOrDefault(self.baselineCol),
            "fitted": self.getOrDefault(self.fittedCol),
            "attributes": self._attributes.fit_to_dict(last),
            "tables": {name: self.level_table(name) for name in self.getInputCols()},
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        return {str(g): table for g, table in enumerate(self._tables_by_group)}

    def _state(self) -> dict[str, Any]:
        return {
            "attributes": self._attributes.to_dict(),
            "components": [asdict(component) for component in self.components],
        }

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._tables_by_group = [tables[str(g)] for g in range(len(tables))]
        self._attributes = AttributeEffects.from_dict(state["attributes"])
        self.components = tuple(
            VarianceComponents(
                float(c["residual"]), tuple(map(float, c["groups"])), tuple(map(int, c["levels"])), int(c["rounds"])
            )
            for c in state["components"]
        )


def _of_fit(name: str, fit: Column | None) -> Column:
    """Return a number that was joined, of one fit if it is an array by fit; 0 for a null or unseen level."""
    value = col(name) if fit is None else sf.get(name, fit)
    return sf.coalesce(value, sf.lit(0.0))
