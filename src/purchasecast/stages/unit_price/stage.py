r"""An amount as quantity times unit price: robust, for products seen and unseen, cross-fitted.

With :math:`y` the amount, :math:`q` the quantity, :math:`x = \log q` and :math:`w` the weight of a row, the **line**
starts at the weighted mean of :math:`\log y` over all rows. Level by level, from coarse to fine (department, category,
type), it takes in a line of amount against quantity, fitted to what the coarser levels leave,
:math:`r = \log y - \ell`, with :math:`n` and :math:`m` the sum of weights and the mean of :math:`x` in the level:

.. math:: \ell \leftarrow \ell + \frac{\sum w r}{n + \kappa_h}
          + \frac{\sum w (x - m)\, r}{\sum w (x - m)^2 + \kappa_s}\, [x - m]_{-4}^{4}.

The slope starts at 0 and is what the levels show: in a level where more pieces cost more it comes near 1, in one that
counts thousandths of a litre beside whole bottles it does not, and no prediction explodes. (Without levels, all rows
are one level.) A **product** that has been sold has a unit price of its own, shrunk to what the line says at its
quantities,

.. math:: u_p = \frac{\sum w (\log y - x) + \kappa_p\, \overline{(\ell - x)}_p}{n_p + \kappa_p}, \qquad
          \log b = \begin{cases} u_p + x & \text{product seen} \\ \ell & \text{otherwise} \end{cases}

and the amount is :math:`b = e^{\log b}`, held to within a factor of 2 of the amounts and of the unit prices that the
finest known level has shown: from :math:`\min(\underline{\log y}, \underline{\log y - x} + x) - \log 2` to
:math:`\max(\overline{\log y}, \overline{\log y - x} + x) + \log 2`. Sums of logarithms are what is robust here: one row
of a thousand times the amount moves a product of a hundred rows by 7 %.

Prices move. With a time, what a product costs of late is told beside its price of all time, a row at age :math:`a`
weighing :math:`d = 2^{-a / h}`, with a half-life :math:`h` of a thirtieth of the time that all rows take:

.. math:: \frac{\sum w d\, (\log y - x - u_p)}{\sum w d + 0.2}.

**Effects** are shrunken means of what the unit price leaves, :math:`[\log y - x - u_p]_{-1.5}^{1.5}`, one key after the
other, each on the residual of those before; **attributes** are shrunken means of what the line leaves,
:math:`\log y - \ell`, every row weighing :math:`w / \sqrt{n_p}`: they tell of products not seen.

References
----------
D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in classification and prediction
problems", SIGKDD Explorations 3(1), 2001. https://doi.org/10.1145/507533.507538

A. Gelman, J. Hill, "Data Analysis Using Regression and Multilevel/Hierarchical Models", Cambridge University Press,
2006, chapters 12 and 13 (varying intercepts and slopes). https://doi.org/10.1017/CBO9780511790942
"""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col
from purchasecast.stages.base import TableModelMixin, require_columns
from purchasecast.stages.unit_price.in_task import fit_in_task
from purchasecast.stages.unit_price.params import QUANTITY_BIN, UnitPriceParams
from purchasecast.stages.unit_price.solver import (
    LINE_VALUES,
    MAX_LOG_DISTANCE,
    PRODUCT_VALUES,
    RECENT_SHRINKAGE,
    SPREAD_PRIOR,
    Table,
    along_line,
    fit_attribute,
    fit_effect,
    fit_line,
    fit_product,
    line_of_all,
    looked_up,
    quantity_bin,
    recency,
    without_effect,
    without_line,
    without_price,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame

__all__ = ["UnitPriceEncoder", "UnitPriceModel"]

EFFECT_LIMIT = 1.5  # log unit prices further off than a factor of 4.5 tell of a wrong quantity, not of an effect
RANGE_MARGIN = math.log(2.0)
_BIN = "_pc_bin"
_PAIR = "\x1f"  # between the two parts of a pair's level in the portable form


class UnitPriceEncoder(Estimator[Any], UnitPriceParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Predict an amount as quantity times unit price, and give what it is made of, cross-fitted.

    Parameters
    ----------
    labelCol : str, default "label"
        Numeric column of the amount, in money.
    quantityCol : str, default ""
        Numeric column of the quantity; ``""`` where every row counts 1.
    productCol : str, default ""
        Column of the product, of any type that has equality; ``""`` for none.
    levelCols : list of str, default []
        Levels of the product, from coarse to fine.
    timeCol : str, default ""
        Column of the time, by which recent prices are told; ``""`` for none.
    effectCols : list of str, default []
        First column of the key of each effect on the log unit price, in the order in which they are fitted.
    effectCrossCols : list of str, default []
        Second column of each key; ``""`` for none, ``"@quantity"`` for the quantity in steps of a factor of the square
        root of e. By default no key has one.
    effectShrinkages : list of float, default []
        Rows that each effect is shrunk by; by default 20 each.
    attributeCols, attributeCrossCols : list of str, default []
        Columns of the key of each attribute, such as the maker, or the type and the maker.
    amountCol : str, default "base_amount"
        Output column for the amount, in money.
    outputPrefix : str, default "unit_price"
        Prefix of the other output columns (see Notes).
    weightCol : str, optional
        Row weights; a row of weight 2 counts as two rows. Without it every row weighs 1.
    foldCol : str, default "fold"
        Column of fold numbers; where the frame has it, fitting and encoding are out of fold.
    numFolds : int, default 5
        Number of folds.
    forward : bool, default False
        Whether folds are numbered in the order of time, and the rows of a fold are encoded from the earlier folds only.
        Those of fold 0 have null outputs then.
    levelShrinkage, slopeShrinkage : float, default 3.0, 5.0
        Rows that the line of a level is shrunk by in height, and sum of squares of log quantity in slope.
    productShrinkage : float, default 0.1
        Rows that a unit price is shrunk by toward the line.
    halfLife : float, default 1/30
        Share of the time that all rows take, after which a row counts half as much in a recent price.
    attributeShrinkage : float, default 2.0
        Weight that the effect of an attribute is shrunk by.
    maxTaskRows : int, default 5,000,000
        Number of rows up to which everything is fitted with NumPy in one task; above it, by passes of the cluster.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If a fold number lies outside 0 to ``numFolds`` - 1, or no row has an amount and a quantity above 0.
    SettingsError
        If a param is outside its range.

    Notes
    -----
    Output columns, with the prefix ``unit_price``; logarithms are natural:

    - ``unit_price_line``: log of the line; ``unit_price_log_quantity``: log quantity;
    - ``unit_price_rows_0`` ..: log(1 + rows) of each level;
    - with a product: ``unit_price_line_excess`` (log of the line less that of the amount), ``unit_price_newness``
      (1 / (1 + rows)), ``unit_price_log_quantity_excess`` (log quantity less the product's mean),
      ``unit_price_rows_product`` (log(1 + rows)), ``unit_price_spread`` (standard deviation of the product's log unit
      price), ``unit_price_low`` and ``unit_price_high`` (its least and largest log unit price, less its mean);
    - with a product and a time: ``unit_price_recent`` (the product's recent log unit price, less its mean);
    - ``unit_price_effect_0``, ``unit_price_effect_rows_0`` (log(1 + rows)) .. of each effect, and
      ``unit_price_attribute_0`` .. of each attribute.

    Rows whose amount or quantity is not above 0 do not train. A quantity of 0 or below predicts 0. A quantity that is
    null predicts at the usual one, the geometric mean of the product, else of the finest known level, else of all rows;
    log quantity has the usual one in both cases. A level that is null or unseen adds nothing to the line, its counts
    are 0, effects and attributes too; an unseen product has the excess, low, high and recent 0 and the spread 0.2 of no
    row. A row without a time counts nothing in a recent price.

    Up to ``maxTaskRows`` rows, one pass that brings them to a task. Above it, one for the line of all, one a level, one
    for the product, one an effect and one an attribute, on a cached frame of ``numFolds`` + 1 residuals a row. Linear
    in rows and levels. On the driver: 8 numbers a fit.

    Examples
    --------
    >>> encoder = UnitPriceEncoder(productCol="product", quantityCol="pieces", levelCols=["category"])
    >>> list(encoder.output_names().values())[:3]
    ['base_amount', 'unit_price_line', 'unit_price_log_quantity']
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        labelCol: str = "label",
        quantityCol: str = "",
        productCol: str = "",
        levelCols: list[str] | None = None,
        timeCol: str = "",
        effectCols: list[str] | None = None,
        effectCrossCols: list[str] | None = None,
        effectShrinkages: list[float] | None = None,
        attributeCols: list[str] | None = None,
        attributeCrossCols: list[str] | None = None,
        amountCol: str = "base_amount",
        outputPrefix: str = "unit_price",
        weightCol: str | None = None,
        foldCol: str = "fold",
        numFolds: int = 5,
        forward: bool = False,
        levelShrinkage: float = 3.0,
        slopeShrinkage: float = 5.0,
        productShrinkage: float = 0.1,
        halfLife: float = 1 / 30,
        attributeShrinkage: float = 2.0,
        maxTaskRows: int = 5_000_000,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def setWeightCol(self, value: str) -> UnitPriceEncoder:
        """Set the column of row weights."""
        return self._set(weightCol=value)

    def _fit(self, dataset: DataFrame) -> UnitPriceModel:
        self.check_params()
        weight = [self.getWeightCol()] if self.isSet(self.weightCol) else []
        time = [self.getOrDefault("timeCol")] if self.getOrDefault("timeCol") else []
        require_columns(self, dataset, [*self._input_columns(), self.getLabelCol(), *weight, *time])
        self._check_folds(dataset)
        model = self._fitted(UnitPriceModel())
        if dataset.count() <= self.getMaxTaskRows():
            self._fit_in_task(self._training_frame(dataset), model)
            return model
        with cached(self._training_frame(dataset)) as rows, cached(self._fit_prices(rows, model)) as residuals:
            self._fit_effects(residuals, model)
        return model

    def _fit_in_task(self, rows: DataFrame, model: UnitPriceModel) -> None:
        """Fit everything with NumPy in one task."""
        places = self._places()
        keys = {part: [places[name] for name in names] for part, names in self.part_columns().items()}
        shrinkages = self.effect_shrinkages()
        model._start, tables = fit_in_task(rows, keys, shrinkages, self.getNumFolds() + 1, self._constants())
        self._check_start(model)
        for part, table in tables.items():
            model._add(part, table)

    def _constants(self) -> dict[str, float]:
        shrinkages = ("level", "slope", "product", "attribute")
        constants = {name: float(self.getOrDefault(f"{name}Shrinkage")) for name in shrinkages}
        prior_rows, prior_variance = SPREAD_PRIOR
        constants |= {"distance": MAX_LOG_DISTANCE, "limit": EFFECT_LIMIT}
        constants |= {"prior_rows": prior_rows, "prior_variance": prior_variance}
        return constants | {"half_life": float(self.getOrDefault("halfLife")), "recent": RECENT_SHRINKAGE}

    def _check_start(self, model: UnitPriceModel) -> None:
        if not model._start[-1]["rows"]:
            raise DataError(
                f"UnitPriceEncoder: expected rows with {self.getLabelCol()} and "
                f"{self.getOrDefault('quantityCol') or 'weight'} above 0, found none; name other columns."
            )

    def _places(self) -> dict[str, str]:
        """Return the name of each column in the frame that is trained on."""
        names = [name for name in self._input_columns() if name != self.getOrDefault("quantityCol")]
        return {name: f"c_{c}" for c, name in enumerate(names)} | {QUANTITY_BIN: "bin"}

    def _training_frame(self, dataset: DataFrame) -> DataFrame:
        """Return keys, weight, time, log quantity, log amount, and the log amount by fit, null where it is not seen."""
        quantity = self._quantity()
        weight = col(self.getWeightCol()).cast("double") if self.isSet(self.weightCol) else sf.lit(1.0)
        amount = col(self.getLabelCol()).cast("double")
        trains = _is_positive(amount) & _is_positive(quantity) & _is_positive(weight)
        x, y = sf.when(trains, sf.log(quantity)), sf.when(trains, sf.log(amount))
        by_fit = [sf.when(self._sees(dataset, k), y) for k in range(self.getNumFolds() + 1)]
        keys = [col(name).alias(place) for name, place in self._places().items() if name != QUANTITY_BIN]
        time = self.getOrDefault("timeCol")
        moment = col(time).cast("timestamp").cast("double") if time else sf.lit(0.0)
        made = {"bin": quantity_bin(x), "w": weight, "t": moment, "x": x, "y": y, "r": sf.array(*by_fit)}
        return dataset.select(*keys, *[value.alias(name) for name, value in made.items()])

    def _sees(self, dataset: DataFrame, k: int) -> Column:
        """Return whether fit `k` may learn from a row."""
        if not self._has_folds(dataset) or k == self.getNumFolds():
            return sf.lit(True)
        fold = col(self.getFoldCol()).cast("int")
        return fold < k if self.getOrDefault("forward") else fold != k

    def _fit_prices(self, rows: DataFrame, model: UnitPriceModel) -> DataFrame:
        """Fit lines and unit prices; return a frame of what they leave."""
        fits, places = self.getNumFolds() + 1, self._places()
        levels, slope = self.getOrDefault("levelCols"), self.getOrDefault(self.slopeShrinkage)
        model._start = line_of_all(rows, fits, slope_shrinkage=None if levels else slope)
        self._check_start(model)
        starts = [
            along_line(col("x"), *[sf.lit(start[name]) for name in ("height", "slope", "log_quantity")])
            for start in model._start
        ]
        left = [sf.get("r", sf.lit(k)) - starts[k] for k in range(fits)]
        rest = rows.withColumn("r", sf.array(*left))
        shrinkage = self.getOrDefault(self.levelShrinkage)
        for name in levels:
            table = fit_line(rest, places[name], fits, shrinkage=shrinkage, slope_shrinkage=slope)
            model._levels.append(table)
            rest = without_line(rest, table, places[name], fits)
        product = places.get(self.getOrDefault("productCol"), "")
        if product:
            recencies = recency(rows, fits, half_life=self.getOrDefault("halfLife"))
            shrinkage = self.getOrDefault(self.productShrinkage)
            model._product = fit_product(rest, product, fits, recencies, shrinkage=shrinkage)
        return without_price(rest, model._product, product, fits, limit=EFFECT_LIMIT)

    def _fit_effects(self, rows: DataFrame, model: UnitPriceModel) -> None:
        """Fit attributes on what the line leaves, and effects, each on what those before leave."""
        fits, places = self.getNumFolds() + 1, self._places()
        shrinkage = self.getOrDefault(self.attributeShrinkage)
        for key in self.attribute_keys():
            keys = [places[name] for name in key if name]
            model._attributes.append(fit_attribute(rows, keys, fits, shrinkage=shrinkage))
        rest = rows
        for key, shrinkage in zip(self.effect_keys(), self.effect_shrinkages(), strict=True):
            keys = [places[name] for name in key if name]
            table = fit_effect(rest, keys, fits, shrinkage=shrinkage)
            model._effects.append(table)
            rest = without_effect(rest, table, keys, fits)


class UnitPriceModel(TableModelMixin, Model, UnitPriceParams):
    """Lines, unit prices and effects, one set a fit; see `UnitPriceEncoder`."""

    def __init__(self) -> None:
        super().__init__()
        self._start: list[dict[str, float]] = []  # the line of all rows, by fit
        self._levels: list[Table] = []
        self._product: Table | None = None
        self._effects: list[Table] = []
        self._attributes: list[Table] = []

    def _add(self, part: str, table: Table) -> None:
        """Take over a level table; parts come in the order of their numbers."""
        if part == "product":
            self._product = table
        else:
            kinds = {"level": self._levels, "effect": self._effects, "attribute": self._attributes}
            kinds[part.partition("_")[0]].append(table)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        require_columns(self, dataset, self._input_columns())
        names = self.output_names()
        # Outputs of the same name are replaced; helper columns carry a prefix that no shop's column has.
        kept = [col(name) for name in dataset.columns if name not in set(names.values())]
        fit = self._fit_number() if self._has_folds(dataset) else None
        joined = dataset
        for i, (name, table) in enumerate(zip(self.getOrDefault("levelCols"), self._levels, strict=True)):
            joined = self._looked_up(joined, table, [name], LINE_VALUES, f"l{i}", fit)
        if self._product:
            joined = self._looked_up(joined, self._product, [self.getOrDefault("productCol")], PRODUCT_VALUES, "p", fit)
        joined = joined.withColumn("_pc_fit_rows", self._of_all("rows", fit))
        joined = joined.withColumn("_pc_x", self._log_quantity(fit)).withColumn(_BIN, quantity_bin(col("_pc_x")))
        for tag, keys, tables in (("e", self._effect_columns(), self._effects), *self._attribute_plan()):
            values = ("effect", "rows") if tag == "e" else ("effect",)
            for i, (key, table) in enumerate(zip(keys, tables, strict=True)):
                joined = self._looked_up(joined, table, key, values, f"{tag}{i}", fit)
        made = self._outputs(fit)
        # A fit that has seen no row, as that of fold 0 going forward, knows nothing.
        outputs = [sf.when(col("_pc_fit_rows") > 0, made[kind]).alias(name) for kind, name in names.items()]
        return joined.select(*kept, *outputs)

    def _effect_columns(self) -> list[list[str]]:
        return [[_BIN if name == QUANTITY_BIN else name for name in key if name] for key in self.effect_keys()]

    def _attribute_plan(self) -> list[tuple[str, list[list[str]], list[Table]]]:
        return [("a", [[name for name in key if name] for key in self.attribute_keys()], self._attributes)]

    def _looked_up(
        self, rows: DataFrame, table: Table, keys: Sequence[str], values: Sequence[str], tag: str, fit: Column | None
    ) -> DataFrame:
        """Join a table's values: of the row's fit where there are folds, else only those of the last fit."""
        last = sf.lit(self.getNumFolds())
        joined = looked_up(rows, table, keys, {x: col(x) if fit is not None else sf.get(x, last) for x in values}, tag)
        if fit is None:
            return joined
        return joined.withColumns({f"_pc_{tag}_{x}": sf.get(f"_pc_{tag}_{x}", fit) for x in values})

    def _of_all(self, name: str, fit: Column | None) -> Column:
        """Return a value of the line of all rows."""
        values = [start[name] for start in self._start]
        return sf.lit(values[-1]) if fit is None else sf.get(sf.lit(values), fit)

    def _finest(self, name: str, fit: Column | None) -> Column:
        """Return what the finest known level has: the product, a level from fine to coarse, or all rows."""
        tags = [*(["p"] if self._product else []), *[f"l{i}" for i in reversed(range(len(self._levels)))]]
        return sf.coalesce(*[col(f"_pc_{tag}_{name}") for tag in tags], self._of_all(name, fit))

    def _log_quantity(self, fit: Column | None) -> Column:
        if not self.getOrDefault("quantityCol"):
            return sf.lit(0.0)
        quantity = self._quantity()
        return sf.when(_is_positive(quantity), sf.log(quantity)).otherwise(self._finest("log_quantity", fit))

    def _outputs(self, fit: Column | None) -> dict[str, Column]:
        """Return the output columns by what they hold."""
        x, zero = col("_pc_x"), sf.lit(0.0)
        parts = ("height", "slope", "log_quantity")
        lines = [[self._of_all(name, fit) for name in parts]]
        lines += [[col(f"_pc_l{i}_{name}") for name in parts] for i in range(len(self._levels))]
        line = functools.reduce(operator.add, [along_line(x, *values) for values in lines])
        made = {"line": line, "log_quantity": x}
        for i in range(len(self._levels)):
            made[f"rows_{i}"] = sf.log1p(sf.coalesce(col(f"_pc_l{i}_rows"), zero))
        log_amount = line
        if self._product:
            price = col("_pc_p_log_price")  # null where the product is unseen
            log_amount = sf.coalesce(price + x, line)
            made["line_excess"] = line - log_amount
            made["newness"] = 1.0 / (1.0 + sf.coalesce(col("_pc_p_rows"), zero))
            made["log_quantity_excess"] = sf.coalesce(x - col("_pc_p_log_quantity"), zero)
            made["rows_product"] = sf.log1p(sf.coalesce(col("_pc_p_rows"), zero))
            made["spread"] = sf.coalesce(col("_pc_p_spread"), sf.lit(0.2))
            made["low"] = sf.coalesce(col("_pc_p_low_price") - price, zero)
            made["high"] = sf.coalesce(col("_pc_p_high_price") - price, zero)
            made["recent"] = sf.coalesce(col("_pc_p_recent"), zero)
        low = sf.least(self._finest("low_amount", fit), self._finest("low_price", fit) + x) - RANGE_MARGIN
        high = sf.greatest(self._finest("high_amount", fit), self._finest("high_price", fit) + x) + RANGE_MARGIN
        amount = sf.exp(sf.greatest(sf.least(log_amount, high), low))
        if self.getOrDefault("quantityCol"):
            amount = sf.when(self._quantity() <= 0, 0.0).otherwise(amount)
        made["amount"] = amount
        for i in range(len(self._effects)):
            made[f"effect_{i}"] = sf.coalesce(col(f"_pc_e{i}_effect"), zero)
            made[f"effect_rows_{i}"] = sf.log1p(sf.coalesce(col(f"_pc_e{i}_rows"), zero))
        for i in range(len(self._attributes)):
            made[f"attribute_{i}"] = sf.coalesce(col(f"_pc_a{i}_effect"), zero)
        return made

    def _named_tables(self) -> dict[str, Table]:
        named = {f"level_{i}": table for i, table in enumerate(self._levels)}
        named |= {"product": self._product} if self._product else {}
        named |= {f"effect_{i}": table for i, table in enumerate(self._effects)}
        return named | {f"attribute_{i}": table for i, table in enumerate(self._attributes)}

    def level_table(self, name: str) -> DataFrame:
        """Return what the fit on all rows knows of a level table.

        Parameters
        ----------
        name : str
            ``"product"``, ``"level_0"`` .., ``"effect_0"`` .. or ``"attribute_0"`` ..

        Returns
        -------
        DataFrame
            One row a level: ``level`` (and ``cross``) and its values, null or 0 where no row trains it.
        """
        frame = self._named_tables()[name].frame
        last = sf.lit(self.getNumFolds())
        keys = [x for x in ("level", "cross") if x in frame.columns]
        return frame.select(*keys, *[sf.get(x, last).alias(x) for x in frame.columns if x not in keys])

    def to_portable(self) -> dict[str, Any]:
        """Return what the scorer needs.

        Returns
        -------
        dict
            JSON-safe params, and a frame of values for each table. The level of a pair consists of its two levels as
            text, joined by U+001F.
        """
        tables = {}
        for name in self._named_tables():
            table = self.level_table(name)
            if "cross" in table.columns:
                joined = sf.concat_ws(_PAIR, col("level").cast("string"), col("cross").cast("string"))
                table = table.withColumn("level", joined).drop("cross")
            tables[name] = table
        return {
            "kind": "unit_price",
            "quantity": self.getOrDefault("quantityCol"),
            "quantity_bin": QUANTITY_BIN,
            "start": self._start[-1],
            "keys": self.part_columns(),
            "outputs": self.output_names(),
            "tables": tables,
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        return {name: table.frame for name, table in self._named_tables().items()}

    def _state(self) -> dict[str, Any]:
        return {"start": self._start, "sizes": {name: table.size for name, table in self._named_tables().items()}}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        read = {name: Table(frame, int(state["sizes"][name])) for name, frame in tables.items()}
        self._start = [{name: float(value) for name, value in start.items()} for start in state["start"]]
        self._product = read.get("product")
        self._levels = [read[f"level_{i}"] for i in range(len(self.getOrDefault("levelCols")))]
        self._effects = [read[f"effect_{i}"] for i in range(len(self.effect_keys()))]
        self._attributes = [read[f"attribute_{i}"] for i in range(len(self.attribute_keys()))]


def _is_positive(value: Column) -> Column:
    """Return whether a number is above 0 and finite; Spark takes NaN for larger than every number."""
    return sf.coalesce((value > 0) & (value < float("inf")), sf.lit(False))
