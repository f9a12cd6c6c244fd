"""Gradient boosted trees by XGBoost, trained where all cores are, stopped early on a fold, then fitted on all rows.

`xgboost.spark` gives every worker ``spark.task.cpus`` threads, one by default, so that on one machine either a single
core works or several workers talk over the network; and it needs Spark's context, which Spark Connect has not. Here
the rows go to one task, which in local mode takes all cores as threads. Beyond what one task holds,
`xgboost.spark.SparkXGBRegressor` trains on one worker a slot; the model is the same kind either way.

References
----------
T. Chen, C. Guestrin, "XGBoost: a scalable tree boosting system", KDD 2016. https://doi.org/10.1145/2939672.2939785
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasInputCols, HasLabelCol, HasPredictionCol, HasSeed
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.spark import is_local, parallel_slots
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import arrow_column, map_in_tasks
from purchasecast.stages.base import TableModelMixin, require_columns
from purchasecast.stages.boosted_trees.solver import ALL_ROWS, SCHEMA, solve_boosting
from purchasecast.stages.params import StageParams, bool_param, float_param, int_param, str_list_param, str_param
from purchasecast.stages.tasks import HasTaskRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["BoostedTreesModel", "BoostedTreesRegressor"]

_CHUNK = 1 << 20  # characters of a row of the saved booster


class _BoostedTreesParams(StageParams, HasInputCols, HasLabelCol, HasPredictionCol, HasSeed, HasTaskRows):
    """Params of the estimator and its model."""

    inputCols = str_list_param("numeric feature columns", default=None)
    foldCol = str_param("column of fold numbers", default="fold")
    validationFold = int_param("fold that says when to stop; -1 for none: numRounds trees are grown", default=-1)
    everyFold = bool_param(
        "whether every fold, not only that which stops the fit, gets a fit without it", default=False
    )
    orderCol = str_param(
        "integer that rows are sorted by before sampling, so that partitions do not matter", default=""
    )
    numRounds = int_param("most trees", default=1_000, minimum=1)
    patience = int_param("trees without a better error before the fit stops", default=30, minimum=1)
    maxLeaves = int_param("leaves of a tree", default=63, minimum=2)
    learningRate = float_param("weight of a tree", default=0.05, above=0, maximum=1)
    minRows = float_param("least rows of a leaf", default=20.0, minimum=0)
    rowShare = float_param("share of rows that a tree sees", default=0.8, above=0, maximum=1)
    columnShare = float_param("share of columns that a tree sees", default=0.5, above=0, maximum=1)
    ridge = float_param("L2 penalty on a leaf's value", default=5.0, minimum=0)
    numWorkers = int_param(
        "0: one task up to maxTaskRows, else a worker a slot; more than 1: that many workers of xgboost.spark",
        default=0,
        minimum=0,
    )
    seed = int_param("seed of the shares of rows and columns", default=7)


class BoostedTreesRegressor(Estimator[Any], _BoostedTreesParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Fit gradient boosted trees.

    Parameters
    ----------
    inputCols : list of str
        Numeric feature columns; null is missing.
    labelCol, predictionCol, foldCol : str, default "label", "prediction", "fold"
        Columns.
    validationFold : int, default -1
        Fold that says when to stop; the fit on all rows then takes as many trees. -1: ``numRounds`` trees.
    everyFold : bool, default False
        Whether there is a fit without each of the other folds, too, of as many trees: every row then has a prediction
        out of fold. Not by workers of `xgboost.spark`.
    orderCol : str, default ""
        Integer column that rows are sorted by before sampling; without it the order of the rows matters.
    numRounds : int, default 1000
        Most trees.
    patience : int, default 30
        Trees without a better error before the fit stops.
    maxLeaves : int, default 63
        Leaves of a tree.
    learningRate : float, default 0.05
        Weight of a tree.
    minRows : float, default 20.0
        Least rows of a leaf.
    rowShare, columnShare : float, default 0.8 and 0.5
        Shares of rows and columns that a tree sees.
    ridge : float, default 5.0
        L2 penalty on the value of a leaf.
    numWorkers : int, default 0
        0 takes one task with all it has up to ``maxTaskRows``, beyond that one worker of `xgboost.spark` a slot.
    seed : int, default 7
        Seed of the shares.
    maxTaskRows : int, default 5,000,000
        Most rows of one task, which takes 4 bytes a row and feature, twice.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If there are no rows.
    SettingsError
        If a param is outside its range, or more workers are asked for than can run at the same time.

    Notes
    -----
    XGBoost sums gradients in single precision: another number of threads or workers moves predictions by about 1e-4 of
    their size.

    Examples
    --------
    >>> BoostedTreesRegressor(inputCols=["age", "income"], maxLeaves=31).getInputCols()
    ['age', 'income']
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        inputCols: list[str] | None = None,
        labelCol: str = "label",
        predictionCol: str = "prediction",
        foldCol: str = "fold",
        validationFold: int = -1,
        everyFold: bool = False,
        orderCol: str = "",
        numRounds: int = 1_000,
        patience: int = 30,
        maxLeaves: int = 63,
        learningRate: float = 0.05,
        minRows: float = 20.0,
        rowShare: float = 0.8,
        columnShare: float = 0.5,
        ridge: float = 5.0,
        numWorkers: int = 0,
        seed: int = 7,
        maxTaskRows: int = 5_000_000,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _check(self, dataset: DataFrame) -> None:
        self.check_params()
        check_workers(dataset.sparkSession, self.getOrDefault("numWorkers"))
        fold = [self.getOrDefault("foldCol")] if self.getOrDefault("validationFold") >= 0 else []
        order = [self.getOrDefault("orderCol")] if self.getOrDefault("orderCol") else []
        require_columns(self, dataset, [*self.getInputCols(), self.getLabelCol(), *fold, *order])

    def error_without(self, dataset: DataFrame, fold: int) -> float:
        """Return the root mean squared error on a fold of a fit on the others, stopped there; no model is made of all.

        Raises
        ------
        DataError
            If the fold is empty or holds every row, or there are more rows than one task takes.
        """
        alone = self.copy({self.validationFold: fold})
        alone._check(dataset)
        rows = alone._rows(dataset)
        count = rows.count()
        if count > self.getMaxTaskRows():
            raise DataError(
                f"BoostedTreesRegressor: expected at most {self.getMaxTaskRows():,} rows to tune on, found {count:,}; "
                "tune on a sample, or raise maxTaskRows."
            )
        found = alone._in_a_task(rows, last="this fold")
        if fold not in found:
            raise DataError(f"BoostedTreesRegressor: expected rows in fold {fold} and in others, found none in one.")
        return float(found[fold]["error"])

    def _rows(self, dataset: DataFrame) -> DataFrame:
        stops = self.getOrDefault("validationFold") >= 0
        order = self.getOrDefault("orderCol")
        return dataset.select(
            (col(self.getOrDefault("foldCol")) if stops else sf.lit(0)).cast("int").alias("fold"),
            (col(order) if order else sf.monotonically_increasing_id()).cast("long").alias("key"),
            col(self.getLabelCol()).cast("double").alias("label"),
            *[col(name).cast("float").alias(f"f_{f}") for f, name in enumerate(self.getInputCols())],
        )

    def _fit(self, dataset: DataFrame) -> BoostedTreesModel:
        self._check(dataset)
        rows = self._rows(dataset)
        count = rows.count()
        if not count:
            raise DataError("BoostedTreesRegressor: expected rows, found none.")
        workers = self.getOrDefault("numWorkers")
        if workers > 1 or (workers == 0 and count > self.getMaxTaskRows()):
            found = self._by_workers(rows, workers or parallel_slots(rows.sparkSession))
        else:
            found = self._in_a_task(rows, last="every fold" if self.getOrDefault("everyFold") else "all rows")
        model = self._model(found.pop(ALL_ROWS))
        model.without_folds = {fold: self._model(answer) for fold, answer in sorted(found.items())}
        return model

    def _model(self, answer: Mapping[str, Any]) -> BoostedTreesModel:
        model = self._fitted(BoostedTreesModel())
        model._booster, model.rounds = bytes(answer["booster"]), int(answer["rounds"])
        model.error = None if math.isnan(answer["error"]) else float(answer["error"])
        return model

    def _booster_params(self, threads: int) -> dict[str, Any]:
        return {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_depth": 0,
            "max_leaves": self.getOrDefault("maxLeaves"),
            "eta": self.getOrDefault("learningRate"),
            "min_child_weight": self.getOrDefault("minRows"),
            "subsample": self.getOrDefault("rowShare"),
            "colsample_bytree": self.getOrDefault("columnShare"),
            "lambda": self.getOrDefault("ridge"),
            "seed": self.getSeed() % (1 << 31),
            "nthread": threads,
        }

    def _in_a_task(self, rows: DataFrame, *, last: str) -> dict[int, Any]:
        spark = rows.sparkSession
        per_task = int(str(spark.conf.get("spark.task.cpus", "1")))
        # In local mode nothing else runs meanwhile: the task takes the cores of all slots.
        threads = parallel_slots(spark) * per_task if is_local(spark) else per_task
        work = partial(
            solve_boosting,
            params=self._booster_params(threads),
            rounds=self.getOrDefault("numRounds"),
            patience=self.getOrDefault("patience"),
            validation_fold=self.getOrDefault("validationFold"),
            last=last,
        )
        answers = map_in_tasks(rows.repartition(1), work, SCHEMA).collect()
        return {row["without"]: row.asDict() for row in answers}

    def _by_workers(self, rows: DataFrame, workers: int) -> dict[int, Any]:
        """Train with `xgboost.spark`; rounds are found on the fold, then all rows are fitted."""
        from xgboost.spark import SparkXGBRegressor  # noqa: PLC0415  only where it is asked for

        names = [f"f_{f}" for f in range(len(self.getInputCols()))]
        params = {k: v for k, v in self._booster_params(1).items() if k not in {"nthread", "eta", "lambda", "seed"}}
        params |= {"learning_rate": self.getOrDefault("learningRate"), "reg_lambda": self.getOrDefault("ridge")}
        common = {"features_col": names, "label_col": "label", "num_workers": workers, **params}
        common["random_state"] = self.getSeed() % (1 << 31)
        rounds, fold = self.getOrDefault("numRounds"), self.getOrDefault("validationFold")
        found: dict[int, Any] = {}
        if fold >= 0:
            marked = rows.withColumn("out", col("fold") == fold)
            patience = self.getOrDefault("patience")
            stopping = {"validation_indicator_col": "out", "early_stopping_rounds": patience, "eval_metric": "rmse"}
            booster = SparkXGBRegressor(n_estimators=rounds, **stopping, **common).fit(marked).get_booster()
            rounds = int(booster.best_iteration) + 1
            raw = bytes(booster[:rounds].save_raw("json"))
            found[fold] = {"rounds": rounds, "error": float(booster.best_score), "booster": raw}
        booster = SparkXGBRegressor(n_estimators=rounds, **common).fit(rows).get_booster()
        found[ALL_ROWS] = {"rounds": rounds, "error": float("nan"), "booster": bytes(booster.save_raw("json"))}
        return found


class BoostedTreesModel(TableModelMixin, Model, _BoostedTreesParams):
    """Fitted trees; see `BoostedTreesRegressor`.

    Attributes
    ----------
    rounds : int
        Trees.
    error : float or None
        Root mean squared error on the fold that was left out; None where none was.
    without_folds : dict of int to BoostedTreesModel
        By fold the fit without it, whose predictions of it are out of fold; empty without a validation fold; not saved.
    """

    def __init__(self) -> None:
        super().__init__()
        self._booster = b""
        self._saved: DataFrame | None = None
        self.rounds = 0
        self.error: float | None = None
        self.without_folds: dict[int, BoostedTreesModel] = {}

    def booster_json(self) -> bytes:
        """Return the booster as XGBoost's own JSON; `xgboost.Booster().load_model(bytearray(...))` reads it."""
        if self._saved is not None:
            chunks = self._saved.orderBy("place").collect()
            self._booster, self._saved = "".join(row["text"] for row in chunks).encode(), None
        return self._booster

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._predicted(dataset, {ALL_ROWS: self.booster_json()}, sf.lit(ALL_ROWS))

    def out_of_fold(self, dataset: DataFrame) -> DataFrame:
        """Return the rows of the folds that some fit has not seen, each predicted by the fit without its own."""
        fold = col(self.getOrDefault("foldCol")).cast("int")
        boosters = {number: model.booster_json() for number, model in self.without_folds.items()}
        return self._predicted(dataset.where(fold.isin(*boosters)), boosters, fold)

    def _predicted(self, dataset: DataFrame, boosters: dict[int, bytes], which: Column) -> DataFrame:
        require_columns(self, dataset, self.getInputCols())
        features = [col(name).cast("float") for name in self.getInputCols()]
        predicted = arrow_column(_predict_function(boosters), "double", which, *features)
        return dataset.withColumn(self.getPredictionCol(), predicted)

    def to_portable(self) -> dict[str, Any]:
        """Return what a scorer without Spark needs: the booster's JSON beside names."""
        return {
            "kind": "boosted_trees",
            "inputs": self.getInputCols(),
            "output": self.getPredictionCol(),
            "booster": self.booster_json(),
            "tables": {},
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        from pyspark.sql import SparkSession  # noqa: PLC0415  where the model is saved there is a session

        text = self.booster_json().decode()
        rows = [(start // _CHUNK, text[start : start + _CHUNK]) for start in range(0, len(text), _CHUNK)]
        session: SparkSession | None = SparkSession.getActiveSession()
        if session is None:
            raise SettingsError("BoostedTreesModel: expected a running Spark session to save with, found none.")
        return {"booster": session.createDataFrame(rows, "place int, text string")}

    def _state(self) -> dict[str, Any]:
        return {"rounds": self.rounds, "error": self.error}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._saved = tables["booster"]
        self.rounds, self.error = int(state["rounds"]), state["error"]


def check_workers(spark: SparkSession, workers: int) -> None:
    """Refuse more workers than can run at the same time, for which XGBoost would wait without a word.

    Raises
    ------
    SettingsError
        If there are too few slots.
    """
    slots = parallel_slots(spark)
    if not 0 <= workers <= slots:
        raise SettingsError(
            f"numWorkers: expected 0 to {slots}, what can run at the same time, found {workers}; "
            "ask for fewer, or for more executors."
        )


def _predict_function(boosters_json: Mapping[int, bytes]) -> Callable[..., pa.Array]:
    """Return a function of Arrow columns; the first says by which of the boosters a row is predicted."""
    loaded: dict[int, Any] = {}  # once a task, not once a batch

    def predicted(which: pa.Array, *columns: pa.Array) -> pa.Array:
        import xgboost  # noqa: PLC0415  only executors need it

        numbers = which.to_numpy(zero_copy_only=False)
        features = np.column_stack([column.to_numpy(zero_copy_only=False) for column in columns]).astype(np.float32)
        found = np.full(len(numbers), np.nan)
        for number in np.unique(numbers).tolist():
            if number not in loaded:
                loaded[number] = xgboost.Booster({"nthread": 1})
                loaded[number].load_model(bytearray(boosters_json[number]))
            chosen = numbers == number
            found[chosen] = loaded[number].inplace_predict(features[chosen])
        return pa.array(found)

    return predicted
