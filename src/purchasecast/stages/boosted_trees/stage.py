"""Gradient boosted trees by XGBoost, stopped early on a fold, then fitted on all rows.

`xgboost.spark` gives every worker ``spark.task.cpus`` threads, one by default: on one machine either a single core
works, or several workers talk over the network. And it needs a Spark context, which Spark Connect does not have. Here
the rows go to one task, which in local mode takes all cores as threads. For more rows than one task holds,
`xgboost.spark.SparkXGBRegressor` trains with one worker a slot; the model is of the same kind either way.

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
from pyspark.ml.param.shared import HasInputCols, HasLabelCol, HasPredictionCol, HasSeed, HasWeightCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError, SettingsError
from purchasecast.spark import is_local, is_remote, parallel_slots
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


class _BoostedTreesParams(StageParams, HasInputCols, HasLabelCol, HasPredictionCol, HasWeightCol, HasSeed, HasTaskRows):
    """Params of the estimator and its model."""

    inputCols = str_list_param("numeric feature columns", default=None)
    foldCol = str_param("column of fold numbers", default="fold")
    validationFold = int_param("fold that stops the fit early; -1 for none", default=-1, minimum=-1)
    everyFold = bool_param("whether every other fold gets a fit without it, too", default=False)
    orderCol = str_param("integer column that rows are sorted by before sampling; empty for none", default="")
    numRounds = int_param("largest number of trees", default=1_000, minimum=1)
    patience = int_param("trees without a lower error after which the fit stops", default=30, minimum=1)
    maxLeaves = int_param("largest number of leaves of a tree", default=63, minimum=2)
    learningRate = float_param("weight of a tree", default=0.05, above=0, maximum=1)
    minRows = float_param("least number of rows of a leaf", default=20.0, minimum=0)
    rowShare = float_param("share of the rows that a tree sees", default=0.8, above=0, maximum=1)
    columnShare = float_param("share of the columns that a tree sees", default=0.5, above=0, maximum=1)
    ridge = float_param("L2 penalty on the value of a leaf", default=5.0, minimum=0)
    numWorkers = int_param(
        "workers of xgboost.spark; 0 for one task up to maxTaskRows, then one worker a slot", default=0, minimum=0
    )
    seed = int_param("seed of the samples of rows and columns", default=7)


class BoostedTreesRegressor(Estimator[Any], _BoostedTreesParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Fit gradient boosted trees.

    Parameters
    ----------
    inputCols : list of str
        Numeric feature columns; null is a missing value.
    labelCol, predictionCol : str, default "label", "prediction"
        Columns.
    weightCol : str, optional
        Row weights of at least 0, in the fit and in the error that stops it; without it every row weighs 1.
    foldCol : str, default "fold"
        Column of fold numbers.
    validationFold : int, default -1
        Fold on which the first fit stops early; the fit on all rows then gets as many trees. -1: ``numRounds`` trees.
    everyFold : bool, default False
        Whether each other fold gets a fit without it too, of as many trees: then every row has an out-of-fold
        prediction.
    orderCol : str, default ""
        Integer column that rows are sorted by before sampling; without it the order of the rows matters.
    numRounds : int, default 1000
        Largest number of trees.
    patience : int, default 30
        Trees without a lower error on the validation fold after which the fit stops.
    maxLeaves : int, default 63
        Largest number of leaves of a tree.
    learningRate : float, default 0.05
        Weight of a tree, above 0 and at most 1.
    minRows : float, default 20.0
        Least number of rows of a leaf.
    rowShare, columnShare : float, default 0.8, 0.5
        Shares of the rows and of the columns that a tree sees, above 0 and at most 1.
    ridge : float, default 5.0
        L2 penalty on the value of a leaf.
    numWorkers : int, default 0
        Workers of `xgboost.spark`. 0: one task up to ``maxTaskRows``, above it one worker a slot.
    seed : int, default 7
        Seed of the samples.
    maxTaskRows : int, default 5,000,000
        Largest number of rows of one task, which takes twice 4 bytes a row and feature.

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
    XGBoost sums gradients in single precision: another number of threads or workers changes predictions by about 1e-4
    of their size.

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
        weightCol: str | None = None,
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

    def setWeightCol(self, value: str) -> BoostedTreesRegressor:
        """Set the column of row weights."""
        return self._set(weightCol=value)

    def _check(self, dataset: DataFrame) -> None:
        self.check_params()
        check_workers(dataset.sparkSession, self.getOrDefault(self.numWorkers))
        fold = self.getOrDefault(self.foldCol) if self.getOrDefault(self.validationFold) >= 0 else ""
        weight = self.getWeightCol() if self.isSet(self.weightCol) else ""
        optional = filter(None, [fold, weight, self.getOrDefault(self.orderCol)])
        require_columns(self, dataset, [*self.getInputCols(), self.getLabelCol(), *optional])

    def error_without(self, dataset: DataFrame, fold: int) -> float:
        """Return the error on a fold of a fit on the others that stops early on it; there is no fit on all rows.

        Parameters
        ----------
        dataset : DataFrame
            Training rows.
        fold : int
            The left-out fold.

        Returns
        -------
        float
            Root mean squared error, in units of the label.

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
        answers = alone._fit_in_task(rows, last="this fold")
        if fold not in answers:
            raise DataError(
                f"BoostedTreesRegressor: expected rows in fold {fold} and in others, found none in one of them; "
                "check the fold column."
            )
        return float(answers[fold]["error"])

    def _rows(self, dataset: DataFrame) -> DataFrame:
        stops = self.getOrDefault(self.validationFold) >= 0
        order = self.getOrDefault(self.orderCol)
        return dataset.select(
            (col(self.getOrDefault(self.foldCol)) if stops else sf.lit(0)).cast("int").alias("fold"),
            (col(order) if order else sf.monotonically_increasing_id()).cast("long").alias("key"),
            col(self.getLabelCol()).cast("double").alias("label"),
            (col(self.getWeightCol()) if self.isSet(self.weightCol) else sf.lit(1.0)).cast("double").alias("weight"),
            *[col(name).cast("float").alias(f"f_{f}") for f, name in enumerate(self.getInputCols())],
        )

    def _fit(self, dataset: DataFrame) -> BoostedTreesModel:
        self._check(dataset)
        rows = self._rows(dataset)
        count = rows.count()
        if not count:
            raise DataError("BoostedTreesRegressor: expected rows, found none; check the filters before it.")
        workers = self.getOrDefault(self.numWorkers)
        if workers > 1 or (workers == 0 and count > self.getMaxTaskRows()):
            answers = self._fit_by_workers(rows, workers or parallel_slots(rows.sparkSession))
        else:
            every_fold = self.getOrDefault(self.everyFold)
            answers = self._fit_in_task(rows, last="every fold" if every_fold else "all rows")
        model = self._model(answers.pop(ALL_ROWS))
        model.without_folds = {fold: self._model(answer) for fold, answer in sorted(answers.items())}
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
            "max_leaves": self.getOrDefault(self.maxLeaves),
            "eta": self.getOrDefault(self.learningRate),
            "min_child_weight": self.getOrDefault(self.minRows),
            "subsample": self.getOrDefault(self.rowShare),
            "colsample_bytree": self.getOrDefault(self.columnShare),
            "lambda": self.getOrDefault(self.ridge),
            "seed": self.getSeed() % (1 << 31),
            "nthread": threads,
        }

    def _fit_in_task(self, rows: DataFrame, *, last: str) -> dict[int, Any]:
        """Return the boosters by left-out fold, fitted in one task."""
        spark = rows.sparkSession
        per_task = int(str(spark.conf.get("spark.task.cpus", "1")))
        # In local mode nothing else runs meanwhile: the task takes the cores of all slots.
        threads = parallel_slots(spark) * per_task if is_local(spark) else per_task
        work = partial(
            solve_boosting,
            params=self._booster_params(threads),
            rounds=self.getOrDefault(self.numRounds),
            patience=self.getOrDefault(self.patience),
            validation_fold=self.getOrDefault(self.validationFold),
            last=last,
        )
        answers = map_in_tasks(rows.repartition(1), work, SCHEMA).collect()
        return {row["without"]: row.asDict() for row in answers}

    def _fit_by_workers(self, rows: DataFrame, workers: int) -> dict[int, Any]:
        """Return the boosters by left-out fold, fitted by `xgboost.spark`."""
        if is_remote(rows.sparkSession):
            raise SettingsError(
                "BoostedTreesRegressor: expected at most maxTaskRows rows over Spark Connect, where XGBoost has no "
                "workers, found more; raise maxTaskRows if a task has the memory, or train with master=."
            )
        from xgboost.spark import SparkXGBRegressor  # noqa: PLC0415  only where it is asked for

        params = self._booster_params(1)
        for name, own in (("eta", "learning_rate"), ("lambda", "reg_lambda"), ("seed", "random_state")):
            params[own] = params.pop(name)
        del params["nthread"]
        common: dict[str, Any] = {"num_workers": workers, "label_col": "label", **params}
        common["features_col"] = [f"f_{f}" for f in range(len(self.getInputCols()))]
        if self.isSet(self.weightCol):
            common["weight_col"] = "weight"
        rounds, fold = self.getOrDefault(self.numRounds), self.getOrDefault(self.validationFold)
        answers: dict[int, Any] = {}
        without: list[int] = []
        if fold >= 0:
            marked = rows.withColumn("out", col("fold") == fold)
            stopping: dict[str, Any] = {"validation_indicator_col": "out", "eval_metric": "rmse"}
            stopping["early_stopping_rounds"] = self.getOrDefault(self.patience)
            booster = SparkXGBRegressor(n_estimators=rounds, **stopping, **common).fit(marked).get_booster()
            rounds = int(booster.best_iteration) + 1
            answers[fold] = _answer(booster[:rounds], rounds, float(booster.best_score))
            if self.getOrDefault(self.everyFold):
                without = [row["fold"] for row in rows.select("fold").distinct().collect() if row["fold"] != fold]
        for number in (*sorted(without), ALL_ROWS):
            seen = rows if number == ALL_ROWS else rows.where(col("fold") != number)
            booster = SparkXGBRegressor(n_estimators=rounds, **common).fit(seen).get_booster()
            answers[number] = _answer(booster, rounds)
        return answers


class BoostedTreesModel(TableModelMixin, Model, _BoostedTreesParams):
    """Fitted trees; see `BoostedTreesRegressor`.

    Attributes
    ----------
    rounds : int
        Number of trees.
    error : float or None
        Root mean squared error on the left-out fold; None for the fit on all rows.
    without_folds : dict of int to BoostedTreesModel
        The fit without each fold, for out-of-fold predictions; empty without a validation fold. It is not saved.
    """

    def __init__(self) -> None:
        super().__init__()
        self._booster = b""
        self._saved: DataFrame | None = None
        self.rounds = 0
        self.error: float | None = None
        self.without_folds: dict[int, BoostedTreesModel] = {}

    def booster_json(self) -> bytes:
        """Return the booster as XGBoost's own JSON, which `xgboost.Booster().load_model(bytearray(...))` reads."""
        if self._saved is not None:
            chunks = self._saved.orderBy("place").collect()
            self._booster, self._saved = "".join(row["text"] for row in chunks).encode(), None
        return self._booster

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._predicted(dataset, {ALL_ROWS: self.booster_json()}, sf.lit(ALL_ROWS))

    def out_of_fold(self, dataset: DataFrame) -> DataFrame:
        """Predict rows by the fits without their folds.

        Parameters
        ----------
        dataset : DataFrame
            Rows with the features and the fold column.

        Returns
        -------
        DataFrame
            The rows of the folds in `without_folds`, with predictions.
        """
        fold = col(self.getOrDefault(self.foldCol)).cast("int")
        boosters = {number: model.booster_json() for number, model in self.without_folds.items()}
        return self._predicted(dataset.where(fold.isin(*boosters)), boosters, fold)

    def _predicted(self, dataset: DataFrame, boosters: dict[int, bytes], which: Column) -> DataFrame:
        require_columns(self, dataset, self.getInputCols())
        features = [col(name).cast("float") for name in self.getInputCols()]
        predicted = arrow_column(_predict_function(boosters), "double", which, *features)
        return dataset.withColumn(self.getPredictionCol(), predicted)

    def to_portable(self) -> dict[str, Any]:
        """Return what the scorer needs: the names of the columns, and the booster as JSON."""
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
            raise SettingsError("BoostedTreesModel: expected a running Spark session, found none; start one to save.")
        return {"booster": session.createDataFrame(rows, "place int, text string")}

    def _state(self) -> dict[str, Any]:
        return {"rounds": self.rounds, "error": self.error}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._saved = tables["booster"]
        self.rounds, self.error = int(state["rounds"]), state["error"]


def _answer(booster: Any, rounds: int, error: float = math.nan) -> dict[str, Any]:
    return {"rounds": rounds, "error": error, "booster": bytes(booster.save_raw("json"))}


def check_workers(spark: SparkSession, workers: int) -> None:
    """Check that the workers can run at the same time; XGBoost would wait for more without a message.

    Parameters
    ----------
    spark : SparkSession
        The session.
    workers : int
        Number of workers.

    Raises
    ------
    SettingsError
        If there are too few slots.
    """
    slots = parallel_slots(spark)
    if not 0 <= workers <= slots:
        raise SettingsError(
            f"BoostedTreesRegressor.numWorkers: expected 0 to {slots}, the number of tasks that can run at the same "
            f"time, found {workers}; use fewer workers, or more executors."
        )


def _predict_function(boosters_json: Mapping[int, bytes]) -> Callable[..., pa.Array]:
    """Return a function of Arrow columns, the first of which is the number of the booster to use."""
    loaded: dict[int, Any] = {}  # once a task, not once a batch

    def predicted(which: pa.Array, *columns: pa.Array) -> pa.Array:
        import xgboost  # noqa: PLC0415  only executors need it

        numbers = which.to_numpy(zero_copy_only=False)
        features = np.column_stack([column.to_numpy(zero_copy_only=False) for column in columns]).astype(np.float32)
        predictions = np.full(len(numbers), np.nan)
        for number in np.unique(numbers).tolist():
            if number not in loaded:
                loaded[number] = xgboost.Booster({"nthread": 1})
                loaded[number].load_model(bytearray(boosters_json[number]))
            chosen = numbers == number
            predictions[chosen] = loaded[number].inplace_predict(features[chosen])
        return pa.array(predictions)

    return predicted
