r"""Statistics of the label by level: counts, mean, spread, quantiles, and how high a customer buys within products.

A key is a column, or a pair of columns. With :math:`n` rows of a level, :math:`\kappa` the shrinkage and :math:`t_0`
the same statistic of the parent (all rows; for a pair, the level of its first column), each statistic is

.. math:: t \leftarrow \frac{n\, t + \kappa\, t_0}{n + \kappa},

variances in place of standard deviations. The z-score of a row is its label less the mean of its product, over the
product's standard deviation, both shrunken. The rank of a row is where its label stands among the rows of its product,
in :math:`(0, 1)`, ties in their middle; the mean rank of a customer says how dear a variant of a product the customer
takes, whatever the products cost. Multiplied by the product's spread, :math:`(\text{rank} - 1/2)\, s_j` is in money.

References
----------
D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in classification and prediction
problems", SIGKDD Explorations 3(1), 2001. https://doi.org/10.1145/507533.507538
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasInputCols, HasLabelCol, HasOutputCols
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.spark.columns import col, quoted
from purchasecast.stages.base import HasFolds, TableModelMixin, broadcast_if_small, require_columns
from purchasecast.stages.level_statistics.solver import QUANTILES, solve_statistics
from purchasecast.stages.params import StageParams, float_param, str_list_param, str_param
from purchasecast.stages.tasks import HasTaskRows, solve_in_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

__all__ = ["STATISTICS", "WITHIN", "LevelStatisticsEncoder", "LevelStatisticsModel"]

STORED = ("mean", "sd", *(f"q{round(100 * share)}" for share in QUANTILES), "z", "rank")
STATISTICS = ("count", *STORED, "lift")
WITHIN = frozenset({"z", "rank", "lift"})  # what rankWithinCol is needed for
_PAIR = "\x1f"  # between the two parts of a pair's level in the portable form


class _LevelStatisticsParams(StageParams, HasInputCols, HasOutputCols, HasLabelCol, HasFolds, HasTaskRows):
    """Params of the encoder and its model, and what follows from them alone."""

    inputCols = str_list_param("first column of each key", default=None)
    crossCols = str_list_param('second column of each key, one an input; "" for a key of one column')
    outputCols = str_list_param("prefix of the output columns of each key", default=None)
    statistics = str_list_param("what is given of each key", default=STATISTICS[:-1], choices=STATISTICS)
    rankWithinCol = str_param(
        'column, such as the product, in whose levels rows are ranked; "" for no ranks', default=""
    )
    scaleCol = str_param("spread that a lift is made with (scaleCol of LatentFactorEncoder)", default="")
    shrinkage = float_param("rows that a level is shrunk by toward its parent", default=20.0, minimum=0)

    def getCrossCols(self) -> list[str]:
        """Return the second column of each key, ``""`` where it has none."""
        return self.getOrDefault(self.crossCols) or [""] * len(self.getInputCols())

    def output_names(self) -> dict[str, tuple[int, str]]:
        """Return the output columns, each with the place of its key and its statistic.

        A key with the column that rows are ranked in has no rank or z-score: they would be one half and 0.
        """
        within = self.getOrDefault(self.rankWithinCol)
        keys = zip(self.getInputCols(), self.getCrossCols(), self.getOutputCols(), strict=True)
        return {
            f"{prefix}_{name}": (k, name)
            for k, (first, second, prefix) in enumerate(keys)
            for name in self.getOrDefault(self.statistics)
            if name not in WITHIN or (within and within not in {first, second})
        }

    def _columns(self) -> list[str]:
        """Return the distinct columns of all keys."""
        ranked = [self.getOrDefault(self.rankWithinCol)] if self.getOrDefault(self.rankWithinCol) else []
        return list(dict.fromkeys([*self.getInputCols(), *filter(None, self.getCrossCols()), *ranked]))

    def _keys(self) -> list[tuple[str, str]]:
        """Return the keys that have a table: single columns, parents and the ranked one included, before pairs."""
        asked = list(zip(self.getInputCols(), self.getCrossCols(), strict=True))
        ranked = [self.getOrDefault(self.rankWithinCol)] if self.getOrDefault(self.rankWithinCol) else []
        singles = dict.fromkeys([*self.getInputCols(), *ranked])
        return [*[(name, "") for name in singles], *dict.fromkeys(key for key in asked if key[1])]


class LevelStatisticsEncoder(Estimator[Any], _LevelStatisticsParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Encode levels, and pairs of levels, by shrunken statistics of the label, cross-fitted.

    Parameters
    ----------
    inputCols : list of str
        First column of each key, of any type that has equality and order.
    crossCols : list of str, optional
        Second column of each key, ``""`` for a key of one column; by default no key has one.
    outputCols : list of str
        Prefix of each key's output columns, ``PREFIX_count``, ``PREFIX_mean`` and so on.
    statistics : list of str, optional
        Some of ``count``, ``mean``, ``sd``, ``q10``, ``q25``, ``q50``, ``q75``, ``q90``, ``z``, ``rank`` and ``lift``;
        by default all but the last. All but counts, z-scores and ranks are in units of the label.
    rankWithinCol : str, default ""
        Column, such as the product, in whose levels rows get their z-score and their rank from 0 to 1; ``""`` for
        neither.
    scaleCol : str, default ""
        Column of the spread that ``lift``, (rank - 1/2) x spread, is made with.
    labelCol : str, default "label"
        Numeric column, without nulls.
    shrinkage : float, default 20.0
        Rows that a level is shrunk by toward its parent.
    foldCol : str, default "fold"
        Column of fold numbers; where the frame has it, fitting and encoding are out of fold.
    numFolds : int, default 5
        Number of folds.
    maxTaskRows : int, default 5,000,000
        Most rows: they are sorted inside one task, which takes about 150 bytes a row.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If a fold number lies outside 0 to ``numFolds`` - 1, or there are no rows or more than ``maxTaskRows``.
    SettingsError
        If a param is outside its range.

    Notes
    -----
    A pair that is null or unseen has the statistics of its first column's level; a level that is null or unseen those
    of all rows, the z-score 0 and the rank 0.5. Counts are 0 then. Out of fold, a count is scaled up to all rows: as it
    will be at scoring, or a regression would take a fold less for a level of fewer rows. Rows are neither dropped nor
    reordered, and their order does not matter. Every row weighs 1.

    Passes over the rows: one that counts, then one that hands them to the tasks. Nothing reaches the driver but the
    statistics of all rows.

    Examples
    --------
    >>> encoder = LevelStatisticsEncoder(inputCols=["customer"], outputCols=["c"], statistics=["mean", "q90"])
    >>> list(encoder.output_names())
    ['c_mean', 'c_q90']
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCols: list[str] | None = None,
        crossCols: list[str] | None = None,
        outputCols: list[str] | None = None,
        statistics: list[str] | None = None,
        rankWithinCol: str = "",
        scaleCol: str = "",
        labelCol: str = "label",
        shrinkage: float = 20.0,
        foldCol: str = "fold",
        numFolds: int = 5,
        maxTaskRows: int = 5_000_000,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _check(self, dataset: DataFrame) -> None:
        self.check_params()
        inputs, crossed, outputs = self.getInputCols(), self.getCrossCols(), self.getOutputCols()
        if len(outputs) != len(inputs) or len(crossed) != len(inputs) or len(set(outputs)) != len(outputs):
            raise SettingsError(
                f"outputCols and crossCols: expected one name for each of {inputs}, found {outputs} and {crossed}."
            )
        if "lift" in self.getOrDefault(self.statistics) and not (
            self.getOrDefault(self.scaleCol) and self.getOrDefault(self.rankWithinCol)
        ):
            raise SettingsError("lift: expected rankWithinCol and scaleCol, found one of them empty; name both.")
        scale = [self.getOrDefault(self.scaleCol)] if self.getOrDefault(self.scaleCol) else []
        require_columns(self, dataset, [*self._columns(), self.getLabelCol(), *scale])
        self._check_folds(dataset)

    def _fit(self, dataset: DataFrame) -> LevelStatisticsModel:
        self._check(dataset)
        fits, columns, keys = self.getNumFolds() + 1, self._columns(), self._keys()
        fold = col(self.getFoldCol()).cast("int") if self._has_folds(dataset) else sf.lit(-1)
        named = [col(name).alias(f"c_{c}") for c, name in enumerate(columns)]
        rows = dataset.select(*named, fold.alias("fold"), col(self.getLabelCol()).cast("double").alias("label"))
        with cached(rows):
            count = rows.count()
            if not 0 < count <= self.getMaxTaskRows():
                raise DataError(
                    f"LevelStatisticsEncoder: expected 1 to {self.getMaxTaskRows():,} rows, found {count:,}; "
                    "raise maxTaskRows where tasks have 150 bytes a row, or fit on a sample."
                )
            types = [f"l_{c} {rows.schema[f'c_{c}'].dataType.simpleString()}" for c in range(len(columns))]
            place = {name: c for c, name in enumerate(columns)} | {"": -1}
            solved = solve_in_tasks(
                rows,
                [*[col(f"c_{c}") for c in range(len(columns))], col("label")],
                [sf.when(col("fold") != k, col("label")) for k in range(fits)],
                solve_statistics,
                ", ".join(["fit int, tab int", *types, "n double, s array<double>"]),
                coded=len(columns),
                tables=[(place[first], place[second]) for first, second in keys],
                rank_within=keys.index((self.getOrDefault(self.rankWithinCol), ""))
                if self.getOrDefault(self.rankWithinCol)
                else -1,
                shrinkage=self.getOrDefault(self.shrinkage),
            ).localCheckpoint(eager=True)
        found = {row["fit"]: row for row in solved.where("tab = -1").select("fit", "n", "s").collect()}
        model = self._fitted(LevelStatisticsModel())
        model._overall = [list(found[k]["s"]) for k in range(fits)]
        model._growth = [found[fits - 1]["n"] / max(found[k]["n"], 1.0) for k in range(fits)]
        model._tables_by_key = [_by_fit(solved, t, key, place) for t, key in enumerate(keys)]
        model._levels = [table.count() for table in model._tables_by_key]
        return model


def _by_fit(solved: DataFrame, t: int, key: tuple[str, str], place: Mapping[str, int]) -> DataFrame:
    """Return one row a level: ``level`` (and ``cross``), and by fit the arrays ``n`` of counts and ``s``."""
    names = {"level": f"l_{place[key[0]]}"} | ({"cross": f"l_{place[key[1]]}"} if key[1] else {})
    by = [col(column).alias(name) for name, column in names.items()]
    in_order = "transform(array_sort(collect_list(struct(fit, {0}))), x -> x.{0})"
    arrays = [sf.expr(in_order.format(name)).alias(name) for name in ("n", "s")]
    return solved.where(f"tab = {t}").groupBy(*by).agg(*arrays).localCheckpoint(eager=False)


class LevelStatisticsModel(TableModelMixin, Model, _LevelStatisticsParams):
    """Statistics of levels, one set a fit; see `LevelStatisticsEncoder`."""

    def __init__(self) -> None:
        super().__init__()
        self._tables_by_key: list[DataFrame] = []
        self._levels: list[int] = []
        self._overall: list[list[float]] = []
        self._growth: list[float] = []  # rows of the last fit over those of each

    def _transform(self, dataset: DataFrame) -> DataFrame:
        outputs, keys = self.output_names(), self._keys()
        scale = [self.getOrDefault(self.scaleCol)] if "lift" in self.getOrDefault(self.statistics) else []
        require_columns(self, dataset, [*self.getInputCols(), *filter(None, self.getCrossCols()), *scale])
        has_folds = self._has_folds(dataset)
        asked = list(zip(self.getInputCols(), self.getCrossCols(), strict=True))
        needed = [t for t, key in enumerate(keys) if key in asked or any(key == (pair[0], "") for pair in asked)]
        joined = dataset
        for t in needed:
            first, second = keys[t]
            same = col(first) == col(f"_pc_level_{t}")
            on = same & (col(second) == col(f"_pc_cross_{t}")) if second else same
            joined = joined.join(self._lookup(t, has_folds=has_folds), on, "left")

        fit = f"coalesce(CAST({quoted(self.getFoldCol())} AS INT), {self.getNumFolds()})"
        one = "get({}, " + fit + ")" if has_folds else "{}"
        overall = "get(_pc_overall, " + fit + ")" if has_folds else "_pc_overall"
        by_fit = ", ".join(map(number_literal, self._growth))
        growth = f"get(array({by_fit}), {fit})" if has_folds else "1D"
        kept = self._looked_up()
        overalls = [[statistics[STORED.index(name)] for name in kept] for statistics in self._overall]
        every = sf.lit(overalls) if has_folds else sf.lit(overalls[-1])
        chosen = []
        for k, key in enumerate(asked):
            t, parent = keys.index(key), keys.index((key[0], ""))
            looked_up = [one.format(f"_pc_s_{place}") for place in dict.fromkeys((t, parent))]
            chosen.append(f"coalesce({', '.join([*looked_up, overall])}) AS _pc_k_{k}")
            chosen.append(f"coalesce({one.format(f'_pc_n_{t}')}, 0D) * {growth} AS _pc_c_{k}")
        spread = (
            col(self.getOrDefault(self.scaleCol)).alias("_pc_spread") if scale else sf.lit(None).alias("_pc_spread")
        )
        names = [quoted(name) for name in dataset.columns]
        picked = joined.withColumn("_pc_overall", every).select(*names, spread, *map(sf.expr, chosen))
        left = [quoted(name) for name in dataset.columns if name not in outputs]
        made = [f"{_term(k, name, kept)} AS {quoted(output)}" for output, (k, name) in outputs.items()]
        return picked.selectExpr(*left, *made)

    def _looked_up(self) -> list[str]:
        """Return the stored statistics that what is asked for is made of; a join carries no others."""
        wanted = {"rank" if name == "lift" else name for name in self.getOrDefault(self.statistics)}
        return [name for name in STORED if name in wanted]

    def _lookup(self, t: int, *, has_folds: bool) -> DataFrame:
        """Return one key's table with only the fits that a frame needs: all of them, or the last."""
        last = self.getNumFolds()
        table = self._tables_by_key[t]
        key = [col(name).alias(f"_pc_{name}_{t}") for name in ("level", "cross") if name in table.columns]
        kept = self._looked_up()
        of_fit = f"array({', '.join(f'get(x, {STORED.index(name)})' for name in kept)})"
        columns = {"n": col("n"), "s": sf.expr(f"transform(s, x -> {of_fit})")}
        values = [(x if has_folds else sf.get(x, sf.lit(last))).alias(f"_pc_{name}_{t}") for name, x in columns.items()]
        width = len(key) + (1 + len(kept)) * (last + 1 if has_folds else 1)
        return broadcast_if_small(table.select(*key, *values), self._levels[t], width)

    def level_table(self, inputCol: str, crossCol: str = "") -> DataFrame:
        """Return what the fit on all rows knows of a key's levels.

        Returns
        -------
        DataFrame
            One row a level that has rows: ``level`` (and ``cross``), ``count`` and the shrunken statistics.
        """
        if (inputCol, crossCol) not in self._keys():
            raise SettingsError(f"inputCol: expected one of the keys {self._keys()}, found {(inputCol, crossCol)}.")
        last = self.getNumFolds()
        table = self._tables_by_key[self._keys().index((inputCol, crossCol))]
        key = [name for name in ("level", "cross") if name in table.columns]
        terms = [f"get(n, {last}) AS count", *[f"get(get(s, {last}), {i}) AS {x}" for i, x in enumerate(STORED)]]
        return table.where(f"get(n, {last}) > 0").selectExpr(*key, *terms)

    def to_portable(self) -> dict[str, Any]:
        """Return what a scorer without Spark needs: JSON-safe params, and a frame of statistics a key.

        The level of a pair is its two parts as text, joined by U+001F. The frames stay on the executors.
        """
        keys = self._keys()
        tables = {}
        for first, second in keys:
            table = self.level_table(first, second)
            if second:
                joined = sf.concat_ws(_PAIR, col("level").cast("string"), col("cross").cast("string"))
                table = table.withColumn("level", joined).drop("cross")
            tables[_PAIR.join([first, second]) if second else first] = table
        return {
            "kind": "level_statistics",
            "keys": [[name for name in key if name] for key in keys],
            "stored": list(STORED),
            "overall": dict(zip(STORED, self._overall[-1], strict=True)),
            "outputs": [
                {"output": output, "key": keys.index((self.getInputCols()[k], self.getCrossCols()[k])), "name": name}
                for output, (k, name) in self.output_names().items()
            ],
            "scale": self.getOrDefault(self.scaleCol),
            "tables": tables,
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        return {str(t): table for t, table in enumerate(self._tables_by_key)}

    def _state(self) -> dict[str, Any]:
        return {"overall": self._overall, "levels": self._levels, "growth": self._growth}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._tables_by_key = [tables[str(t)] for t in range(len(tables))]
        self._overall = [list(map(float, statistics)) for statistics in state["overall"]]
        self._levels = list(map(int, state["levels"]))
        self._growth = list(map(float, state["growth"]))


def _term(k: int, name: str, kept: list[str]) -> str:
    if name == "count":
        return f"_pc_c_{k}"
    place = kept.index("rank" if name == "lift" else name)
    value = f"get(_pc_k_{k}, {place})"
    return f"({value} - 0.5D) * _pc_spread" if name == "lift" else value
