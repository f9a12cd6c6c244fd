r"""Statistics of the label by level: counts, mean, spread, quantiles, and how high a customer buys within products.

A key is a column or a pair of columns. With :math:`n` rows of a level, :math:`\kappa` the shrinkage and :math:`t_0` the
same statistic of the parent (all rows; for a pair, the level of its first column), each statistic is

.. math:: t \leftarrow \frac{n\, t + \kappa\, t_0}{n + \kappa},

with variances in place of standard deviations. The z-score of a row is its label minus the mean of its product, over
the product's standard deviation, both shrunken. The rank of a row is the position of its label among the rows of its
product, in :math:`(0, 1)`, the mean for ties. The mean rank of a customer tells whether the customer takes cheap or
expensive variants, whatever the products cost; :math:`(\text{rank} - 1/2)\, s_j`, with :math:`s_j` the spread of the
product, is in units of the label.

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
from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col, number_literal, quoted
from purchasecast.stages.base import HasFolds, TableModelMixin, broadcast_if_small, require_columns
from purchasecast.stages.level_statistics.passes import solve_by_passes
from purchasecast.stages.level_statistics.solver import QUANTILES, solve_statistics
from purchasecast.stages.params import StageParams, float_param, str_list_param, str_param
from purchasecast.stages.tasks import HasTaskRows, solve_in_tasks, task_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

__all__ = ["STATISTICS", "WITHIN", "LevelStatisticsEncoder", "LevelStatisticsModel"]

STORED = ("mean", "sd", *(f"q{round(100 * share)}" for share in QUANTILES), "z", "rank")
STATISTICS = ("count", *STORED, "lift")
WITHIN = frozenset({"z", "rank", "lift"})  # statistics that need rankWithinCol
_PAIR = "\x1f"  # separates the two levels of a pair in the portable form


class _LevelStatisticsParams(StageParams, HasInputCols, HasOutputCols, HasLabelCol, HasFolds, HasTaskRows):
    """Params of the encoder and its model."""

    inputCols = str_list_param("first column of each key", default=None)
    crossCols = str_list_param("second column of each key; an empty text for a key of one column")
    outputCols = str_list_param("prefix of the output columns of each key", default=None)
    statistics = str_list_param("statistics of each key", default=STATISTICS[:-1], choices=STATISTICS)
    rankWithinCol = str_param("column, such as the product, in whose levels rows are ranked", default="")
    scaleCol = str_param("column of the spread that a lift is made with (scaleCol of LatentFactorEncoder)", default="")
    shrinkage = float_param("rows that a level is shrunk by toward its parent", default=20.0, minimum=0)

    def getCrossCols(self) -> list[str]:
        """Return the second column of each key, ``""`` where it has none."""
        return self.getOrDefault(self.crossCols) or [""] * len(self.getInputCols())

    def output_names(self) -> dict[str, tuple[int, str]]:
        """Return the index of the key and the statistic of each output column.

        A key with the column that rows are ranked in has no rank and no z-score: they would be one half and 0.
        """
        within = self.getOrDefault(self.rankWithinCol)
        keys = zip(self._asked(), self.getOutputCols(), strict=True)
        return {
            f"{prefix}_{name}": (k, name)
            for k, (key, prefix) in enumerate(keys)
            for name in self.getOrDefault(self.statistics)
            if name not in WITHIN or (within and within not in key)
        }

    def _asked(self) -> list[tuple[str, str]]:
        """Return the keys that have output columns."""
        return list(zip(self.getInputCols(), self.getCrossCols(), strict=True))

    def _ranked(self) -> list[str]:
        """Return the column in whose levels rows are ranked, if there is one."""
        return list(filter(None, [self.getOrDefault(self.rankWithinCol)]))

    def _columns(self) -> list[str]:
        """Return the distinct columns of all keys."""
        return list(dict.fromkeys([*self.getInputCols(), *filter(None, self.getCrossCols()), *self._ranked()]))

    def _keys(self) -> list[tuple[str, str]]:
        """Return the keys that have a table: first single columns, with all parents and the ranked one, then pairs."""
        singles = dict.fromkeys([*self.getInputCols(), *self._ranked()])
        return [*[(name, "") for name in singles], *dict.fromkeys(key for key in self._asked() if key[1])]


class LevelStatisticsEncoder(Estimator[Any], _LevelStatisticsParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Encode levels, and pairs of levels, by shrunken statistics of the label, cross-fitted.

    Parameters
    ----------
    inputCols : list of str
        First column of each key, of any type that can be ordered.
    crossCols : list of str, default []
        Second column of each key, ``""`` for a key of one column; by default all keys have one column.
    outputCols : list of str
        Prefix of the output columns of each key: ``PREFIX_count``, ``PREFIX_mean`` and so on.
    statistics : list of str, default all but "lift"
        Some of ``count``, ``mean``, ``sd``, ``q10``, ``q25``, ``q50``, ``q75``, ``q90``, ``z``, ``rank`` and ``lift``.
        Means, spreads, quantiles and lifts are in units of the label.
    rankWithinCol : str, default ""
        Column, such as the product, in whose levels rows get their z-score and their rank from 0 to 1; ``""`` for none.
    scaleCol : str, default ""
        Column of the spread that ``lift``, (rank - 1/2) x spread, is made with.
    labelCol : str, default "label"
        Numeric column without nulls.
    shrinkage : float, default 20.0
        Rows that a level is shrunk by toward its parent.
    foldCol : str, default "fold"
        Column of fold numbers; where the frame has it, fitting and encoding are out of fold.
    numFolds : int, default 5
        Number of folds.
    maxTaskRows : int, default 5,000,000
        Up to this number of rows each fit is solved inside one task, which takes about 600 bytes a row; above it,
        levels are hashed to tasks of about as many rows, and of no fewer than the largest level has.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If a fold number is outside 0 to ``numFolds`` - 1, or there are no rows.
    SettingsError
        If a param is outside its range.

    Notes
    -----
    A null or unseen pair has the statistics of its first column's level. A null or unseen level has those of all rows,
    with z-score 0 and rank 0.5; its count is 0. An out-of-fold count is scaled up to all rows, as it is at scoring:
    otherwise levels would seem smaller in training by a fold. Rows are neither dropped nor reordered, and their order
    does not matter. Every row weighs 1.

    Passes over the rows: one to count, and one that brings them to the tasks; above ``maxTaskRows`` one for the
    statistics of all rows (quantiles are then approximate, by 1 in 10,000 of their rank), one that ranks, and one
    for each first column of a key. The driver receives the statistics of all rows together.

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
                f"LevelStatisticsEncoder.outputCols and crossCols: expected one name for each of {inputs}, "
                f"found {outputs} and {crossed}; name as many."
            )
        scale = self.getOrDefault(self.scaleCol)
        if "lift" in self.getOrDefault(self.statistics) and not (scale and self._ranked()):
            raise SettingsError(
                "LevelStatisticsEncoder.statistics: expected rankWithinCol and scaleCol for lift, found one of them "
                "empty; set both."
            )
        require_columns(self, dataset, [*self._columns(), self.getLabelCol(), *filter(None, [scale])])
        self._check_folds(dataset)

    def _fit(self, dataset: DataFrame) -> LevelStatisticsModel:
        self._check(dataset)
        columns, keys = self._columns(), self._keys()
        named = [col(name).alias(f"c_{c}") for c, name in enumerate(columns)]
        label = col(self.getLabelCol()).cast("double").alias("label")
        with cached(dataset.select(*named, self._fold(dataset).alias("fold"), label)) as rows:
            count = rows.count()
            if not count:
                raise DataError("LevelStatisticsEncoder: expected rows, found none; check the filters before it.")
            solved, fits = self._solve(rows, count, columns, keys)
        place = {name: c for c, name in enumerate(columns)}
        model = self._fitted(LevelStatisticsModel())
        model._overall = [list(map(float, statistics)) for _, statistics in fits]
        model._growth = [fits[-1][0] / max(rows_of_fit, 1.0) for rows_of_fit, _ in fits]
        model._tables_by_key = [_by_fit(solved, t, key, place) for t, key in enumerate(keys)]
        model._levels = [table.count() for table in model._tables_by_key]
        return model

    def _solve(
        self, rows: DataFrame, count: int, columns: list[str], keys: list[tuple[str, str]]
    ) -> tuple[DataFrame, list[tuple[float, Any]]]:
        """Return the statistics of all fits, one row a fit, key and level; and, by fit, rows and those of all rows."""
        coded = [f"c_{c}" for c in range(len(columns))]
        types = [f"l_{c} {rows.schema[name].dataType.simpleString()}" for c, name in enumerate(coded)]
        schema = ", ".join(["fit int, tab int", *types, "n double, s array<double>"])
        place = {name: c for c, name in enumerate(columns)} | {"": -1}
        tables = [(place[first], place[second]) for first, second in keys]
        within = keys.index((self._ranked()[0], "")) if self._ranked() else -1
        shrinkage, limit = self.getOrDefault(self.shrinkage), self.getMaxTaskRows()
        if count > limit:
            return solve_by_passes(
                rows,
                schema,
                partitions=task_count(rows, count, limit),
                coded=len(columns),
                tables=tables,
                fits=self.getNumFolds() + 1,
                rank_within=within,
                shrinkage=shrinkage,
            )
        solved = solve_in_tasks(
            rows,
            [*map(col, coded), col("label")],
            [sf.when(col("fold") != k, col("label")) for k in range(self.getNumFolds() + 1)],
            solve_statistics,
            schema,
            coded=len(columns),
            tables=tables,
            rank_within=within,
            shrinkage=shrinkage,
        ).localCheckpoint(eager=True)
        overall = solved.where("tab = -1").orderBy("fit").select("n", "s").collect()
        return solved, [(row["n"], row["s"]) for row in overall]


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
        outputs, keys, asked = self.output_names(), self._keys(), self._asked()
        scale = [self.getOrDefault(self.scaleCol)] if "lift" in self.getOrDefault(self.statistics) else []
        require_columns(self, dataset, [*self.getInputCols(), *filter(None, self.getCrossCols()), *scale])
        has_folds = self._has_folds(dataset)
        parents = {(first, "") for first, _ in asked}
        joined = dataset
        for t, (first, second) in enumerate(keys):
            if (first, second) in parents or (first, second) in asked:
                same = col(first) == col(f"_pc_level_{t}")
                on = same & (col(second) == col(f"_pc_cross_{t}")) if second else same
                joined = joined.join(self._lookup(t, has_folds=has_folds), on, "left")

        fit = f"coalesce(CAST({quoted(self.getFoldCol())} AS INT), {self.getNumFolds()})"
        of_fit = ("get({}, " + fit + ")" if has_folds else "{}").format
        growth = f"get(array({', '.join(map(number_literal, self._growth))}), {fit})" if has_folds else "1D"
        joined_statistics = self._joined_statistics()
        overall = [[statistics[STORED.index(name)] for name in joined_statistics] for statistics in self._overall]
        chosen = []
        for k, key in enumerate(asked):
            t, parent = keys.index(key), keys.index((key[0], ""))
            values = [of_fit(name) for name in dict.fromkeys((f"_pc_s_{t}", f"_pc_s_{parent}", "_pc_overall"))]
            chosen.append(f"coalesce({', '.join(values)}) AS _pc_k_{k}")
            chosen.append(f"coalesce({of_fit(f'_pc_n_{t}')}, 0D) * {growth} AS _pc_c_{k}")
        spread = (col(scale[0]) if scale else sf.lit(None)).alias("_pc_spread")
        names = [quoted(name) for name in dataset.columns]
        with_overall = joined.withColumn("_pc_overall", sf.lit(overall if has_folds else overall[-1]))
        picked = with_overall.select(*names, spread, *map(sf.expr, chosen))
        left = [quoted(name) for name in dataset.columns if name not in outputs]
        columns = [f"{_term(k, name, joined_statistics)} AS {quoted(output)}" for output, (k, name) in outputs.items()]
        return picked.selectExpr(*left, *columns)

    def _joined_statistics(self) -> list[str]:
        """Return the stored statistics that the outputs need; a join carries no others."""
        needed = {"rank" if name == "lift" else name for name in self.getOrDefault(self.statistics)}
        return [name for name in STORED if name in needed]

    def _lookup(self, t: int, *, has_folds: bool) -> DataFrame:
        """Return the table of a key with the fits that a frame needs: all of them, or the last."""
        last = self.getNumFolds()
        table = self._tables_by_key[t]
        key = [col(name).alias(f"_pc_{name}_{t}") for name in ("level", "cross") if name in table.columns]
        kept = self._joined_statistics()
        of_fit = f"array({', '.join(f'get(x, {STORED.index(name)})' for name in kept)})"
        columns = {"n": col("n"), "s": sf.expr(f"transform(s, x -> {of_fit})")}
        values = [(x if has_folds else sf.get(x, sf.lit(last))).alias(f"_pc_{name}_{t}") for name, x in columns.items()]
        width = len(key) + (1 + len(kept)) * (last + 1 if has_folds else 1)
        return broadcast_if_small(table.select(*key, *values), self._levels[t], width)

    def level_table(self, inputCol: str, crossCol: str = "") -> DataFrame:
        """Return the levels of a key in the fit on all rows.

        Parameters
        ----------
        inputCol : str
            First column of the key.
        crossCol : str, default ""
            Second column of the key; ``""`` for none.

        Returns
        -------
        DataFrame
            One row a level that has rows: ``level`` (and ``cross``), ``count`` and the shrunken statistics.

        Raises
        ------
        SettingsError
            If there is no such key.
        """
        if (inputCol, crossCol) not in self._keys():
            raise SettingsError(
                f"LevelStatisticsModel: expected one of the keys {self._keys()}, found {(inputCol, crossCol)}; "
                "name both columns of a key."
            )
        last = self.getNumFolds()
        table = self._tables_by_key[self._keys().index((inputCol, crossCol))]
        key = [name for name in ("level", "cross") if name in table.columns]
        terms = [f"get(n, {last}) AS count", *[f"get(get(s, {last}), {i}) AS {x}" for i, x in enumerate(STORED)]]
        return table.where(f"get(n, {last}) > 0").selectExpr(*key, *terms)

    def to_portable(self) -> dict[str, Any]:
        """Return what the scorer needs.

        Returns
        -------
        dict
            JSON-safe params, and a frame of statistics for each key. The level of a pair consists of its two levels as
            text, joined by U+001F.
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
    """Return the SQL of a statistic of key `k`."""
    if name == "count":
        return f"_pc_c_{k}"
    place = kept.index("rank" if name == "lift" else name)
    value = f"get(_pc_k_{k}, {place})"
    return f"({value} - 0.5D) * _pc_spread" if name == "lift" else value
