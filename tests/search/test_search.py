"""`LinearRegressionGridSearch` against Spark's own `CrossValidator` and `LinearRegression`."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import time
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.linalg import Vectors
from pyspark.ml.regression import LinearRegression, LinearRegressionModel
from pyspark.ml.tuning import CrossValidator
from pyspark.sql import functions as sf

from purchasecast.errors import ColumnMismatchError, DataError, SettingsError
from purchasecast.numerics.gram import Gram, merge_all
from purchasecast.numerics.penalized import Solutions, solve
from purchasecast.search import LinearRegressionGridSearch, LinearRegressionGridSearchModel, fit_exact
from purchasecast.search.exact import native_model
from purchasecast.spark import gram
from purchasecast.spark.gram import collect_grams, run_interruptible, training_rows

pytestmark = pytest.mark.spark

REG, RATIO = [0.0, 0.3], [0.0, 0.5, 1.0]
COLUMNS = list("abcde")


def draw(rows=300, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 5)) * [1, 10, 0.1, 3, 1] + [0, 5, 1, 0, 2]
    x[:, 3] *= rng.random(rows) < 0.2
    table = pd.DataFrame(x, columns=COLUMNS)
    table["label"] = x @ [1, 0.2, 3, 0, -1] + rng.normal(size=rows) + 4
    table["w"] = rng.integers(0, 4, rows) * 1.0
    table["fold"] = rng.integers(0, 3, rows)
    table["customer"] = [f"c{i % 40}" for i in range(rows)]
    return table


def assemble(frame):
    return VectorAssembler(inputCols=COLUMNS, outputCol="features").transform(frame)


@contextmanager
def threads_left_open():
    """Let `CrossValidator` forget to close its thread pool."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture(scope="module")
def frame(spark):
    cached = assemble(spark.createDataFrame(draw())).cache()
    yield cached
    cached.unpersist()


@contextmanager
def forbidden_fits(frame):
    """Fail where Spark's own regression is fitted to the frame."""
    fit = LinearRegression.fit

    def checked(self, dataset, *arguments):
        assert dataset.count() != frame.count()
        return fit(self, dataset, *arguments)

    LinearRegression.fit = checked
    try:
        yield
    finally:
        LinearRegression.fit = fit


def rows_of(frame, weighted=False):
    fold, weight = sf.col("fold").cast("int"), "w" if weighted else None
    return training_rows(frame, vector="features", label="label", weight=weight, fold=fold)


def search(**params):
    given = {"foldCol": "fold", "numFolds": 3, "regParam": REG, "elasticNetParam": RATIO, **params}
    return LinearRegressionGridSearch(**given)


@pytest.mark.parametrize(
    ("params", "weighted"),
    [
        ({"metricName": "rmse"}, True),
        ({"metricName": "r2", "standardization": False}, True),
        ({"metricName": "mse", "fitIntercept": False}, False),
    ],
)
def test_metrics_and_choice_are_those_of_the_stock_search(frame, params, weighted):
    ours = search(**params, **({"weightCol": "w"} if weighted else {})).fit(frame)
    form = {k: v for k, v in params.items() if k != "metricName"}
    stock = LinearRegression(maxIter=2000, tol=1e-13, **form)
    evaluator = RegressionEvaluator(metricName=params["metricName"])
    if weighted:
        stock, evaluator = stock.setWeightCol("w"), evaluator.setWeightCol("w")
    grid = [{stock.regParam: reg, stock.elasticNetParam: ratio} for reg in REG for ratio in RATIO]
    with threads_left_open():
        expected = CrossValidator(
            estimator=stock, estimatorParamMaps=grid, evaluator=evaluator, numFolds=3, foldCol="fold", parallelism=2
        ).fit(frame)
    np.testing.assert_allclose(ours.avgMetrics, expected.avgMetrics, rtol=1e-6)
    np.testing.assert_allclose(ours.stdMetrics, expected.stdMetrics, rtol=1e-5)
    np.testing.assert_allclose(
        ours.bestModel.coefficients.toArray(), expected.bestModel.coefficients.toArray(), rtol=1e-5
    )
    assert ours.bestModel.intercept == pytest.approx(expected.bestModel.intercept, rel=1e-5)
    assert ours.searchResult.rows == ((draw().w > 0).sum() if weighted else 300)


def test_every_candidate_has_the_coefficients_of_a_native_fit(frame):
    model = search(weightCol="w").fit(frame)
    grid = [(reg, ratio) for reg in REG for ratio in RATIO]
    ours = solve(model._moments, grid)
    native = LinearRegression(maxIter=2000, tol=1e-13, weightCol="w")
    points = [{native.regParam: reg, native.elasticNetParam: ratio} for reg, ratio in grid]
    for place, fitted in enumerate(native.fit(frame, points)):
        np.testing.assert_allclose(ours.coefficients[place], fitted.coefficients.toArray(), rtol=1e-5, atol=1e-9)
        assert ours.intercepts[place] == pytest.approx(fitted.intercept, rel=1e-5)


def test_a_pipeline_ends_in_sparks_own_model(frame, spark, tmp_path):
    table = draw()
    plain = spark.createDataFrame(table)
    assembler = VectorAssembler(inputCols=COLUMNS, outputCol="features")
    fitted = Pipeline(stages=[assembler, search()]).fit(plain)
    native = PipelineModel([*fitted.stages[:-1], fitted.stages[-1].bestModel])
    assert isinstance(native.stages[-1], LinearRegressionModel)
    native.write().save(str(tmp_path / "native"))
    again = PipelineModel.load(str(tmp_path / "native")).transform(plain).toPandas().prediction
    ours = fitted.transform(plain).toPandas().prediction
    np.testing.assert_array_equal(again, ours)


def test_estimator_and_model_come_back_from_disk(frame, tmp_path):
    estimator = search(selection="oneStandardError", weightCol="w")
    estimator.write().save(str(tmp_path / "estimator"))
    again = LinearRegressionGridSearch.load(str(tmp_path / "estimator"))
    assert {p.name: v for p, v in again.extractParamMap().items()} == {
        p.name: v for p, v in estimator.extractParamMap().items()
    }
    model = again.fit(frame)
    model.write().save(str(tmp_path / "model"))
    loaded = LinearRegressionGridSearchModel.load(str(tmp_path / "model"))
    assert loaded.searchResult == model.searchResult
    assert loaded.uid == model.uid
    assert loaded.foldMetrics == model.foldMetrics
    np.testing.assert_array_equal(loaded.coefficientCovariance, model.coefficientCovariance)
    np.testing.assert_array_equal(
        loaded.transform(frame).toPandas().prediction, model.transform(frame).toPandas().prediction
    )


def test_dense_sparse_order_and_partitions_change_nothing(spark, frame):
    table = draw()
    expected = search().fit(frame).avgMetrics
    shuffled = table.sample(frac=1.0, random_state=5)
    rows = [
        (
            Vectors.dense(r[:5]) if i % 2 else Vectors.sparse(5, {k: v for k, v in enumerate(r[:5]) if v}),
            r[5],
            int(r[7]),
        )
        for i, r in enumerate(shuffled[[*COLUMNS, "label", "w", "fold"]].to_numpy().tolist())
    ]
    moved = spark.createDataFrame(rows, ["features", "label", "fold"]).repartition(11)
    np.testing.assert_allclose(search().fit(moved).avgMetrics, expected, rtol=1e-12)


def test_folds_by_content_do_not_follow_the_order_of_rows(spark, frame):
    first = search(foldCol="", seed=3).fit(frame)
    moved = assemble(spark.createDataFrame(draw().sample(frac=1.0, random_state=2)).repartition(7))
    np.testing.assert_allclose(search(foldCol="", seed=3).fit(moved).avgMetrics, first.avgMetrics, rtol=1e-12)
    assert search(foldCol="", seed=4).fit(frame).avgMetrics != first.avgMetrics


@pytest.mark.parametrize("is_large", [False, True])
def test_the_driver_receives_one_row_a_fold_however_many_partitions(frame, monkeypatch, is_large):
    rows = rows_of(frame)
    expected = collect_grams(rows, 5, 3)
    seen = []
    read = Gram.from_bytes
    monkeypatch.setattr(Gram, "from_bytes", lambda payload: seen.append(len(payload)) or read(payload))
    if is_large:  # partials of many features are merged in two levels
        monkeypatch.setattr(gram, "_TREE_FEATURES", 4)
    grams = collect_grams(rows_of(frame.repartition(40)), 5, 3)
    assert len(seen) == 3
    for found, one in zip(grams, expected, strict=True):
        assert found.rows == one.rows
        np.testing.assert_allclose(found.comoments, one.comoments, rtol=1e-9, atol=1e-9)


def test_a_far_feature_still_ends_in_a_good_native_model(spark):
    """Spark sums squares that are not centred, and would leave such a feature no variance."""
    table = draw()
    near = search().fit(assemble(spark.createDataFrame(table)))
    table["a"] += 1e8
    moved = assemble(spark.createDataFrame(table))
    far = search().fit(moved)
    np.testing.assert_allclose(far.avgMetrics, near.avgMetrics, rtol=1e-5)
    np.testing.assert_allclose(far.bestModel.coefficients.toArray(), near.bestModel.coefficients.toArray(), rtol=1e-5)
    expected = near.transform(assemble(spark.createDataFrame(draw()))).toPandas().prediction
    np.testing.assert_allclose(far.bestModel.transform(moved).toPandas().prediction, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("params", "weighted"),
    [
        ({"regParam": 0.3, "elasticNetParam": 0.5}, True),
        ({"regParam": 0.1, "standardization": False}, False),
        ({"regParam": 0.01, "elasticNetParam": 1.0, "fitIntercept": False}, False),
        ({"regParam": 1e9, "elasticNetParam": 1.0}, False),
    ],
)
def test_an_exact_fit_has_the_coefficients_of_the_minimum(frame, params, weighted):
    regression = LinearRegression(predictionCol="out", **params)
    regression = regression.setWeightCol("w") if weighted else regression
    with forbidden_fits(frame):
        model = fit_exact(regression, frame)
    form = {name: params.get(key, True) for name, key in (("fit_intercept", "fitIntercept"), ("standardization",) * 2)}
    penalty = (params["regParam"], params.get("elasticNetParam", 0.0))
    expected = solve(merge_all(collect_grams(rows_of(frame, weighted), 5, 3)), [penalty], **form)
    np.testing.assert_allclose(model.coefficients.toArray(), expected.coefficients[0], rtol=1e-12)
    assert ((model.coefficients.toArray() == 0) == (expected.coefficients[0] == 0)).all()
    assert model.intercept == pytest.approx(float(expected.intercepts[0]), rel=1e-12, abs=1e-12)
    assert {name: model.getOrDefault(name) for name in params} == params
    assert model.transform(frame).columns[-1] == "out"


def test_an_exact_fit_goes_on_where_sparks_own_stops_short(spark):
    """Among columns that nearly depend on each other the defaults of Spark's fit end above the minimum."""
    table = draw()
    table["b"] = table["a"] + 1e-3 * table["b"]
    frame = assemble(spark.createDataFrame(table))
    x, y = table[COLUMNS].to_numpy(), table.label.to_numpy()

    def objective(model):
        beta = model.coefficients.toArray() * x.std(axis=0)
        loss = 0.5 * np.mean((y - x @ model.coefficients.toArray() - model.intercept) ** 2)
        return loss + 1e-3 * (0.5 * np.abs(beta).sum() + 0.25 * (beta**2).sum() / y.std())

    regression = LinearRegression(regParam=1e-3, elasticNetParam=0.5)
    assert objective(fit_exact(regression, frame)) < objective(regression.fit(frame)) - 1e-7


def test_coefficients_of_any_size_keep_their_digits(spark):
    coefficients = np.array([[1e-9, 3.0, 0.0, -2e8, 1e-300]])
    solutions = Solutions(coefficients, np.append(np.zeros(5), 1e6))
    model = native_model(LinearRegression(), spark, solutions)
    np.testing.assert_allclose(model.coefficients.toArray(), coefficients[0], rtol=1e-9, atol=1e-290)
    assert model.intercept == pytest.approx(1e6, rel=1e-12)


def test_past_the_cap_the_stock_search_runs_and_says_so(frame, caplog):
    expected = search().fit(frame)
    with caplog.at_level(logging.WARNING, "purchasecast"), threads_left_open():
        stock = search(maxFeatures=4, parallelism=2).fit(frame)
    assert "more than maxFeatures=4" in caplog.text
    assert stock.searchResult.method == "stock"
    np.testing.assert_allclose(stock.avgMetrics, expected.avgMetrics, rtol=1e-6)
    assert stock.searchResult.chosen == expected.searchResult.chosen
    with pytest.raises(SettingsError, match="one-pass search"):
        _ = stock.coefficientCovariance


def test_covariance_is_sparks(frame):
    model = search(regParam=[0.0], elasticNetParam=[0.0]).fit(frame)
    errors = np.sqrt(np.diagonal(model.coefficientCovariance))
    native = LinearRegression(maxIter=2000, tol=1e-13).fit(frame)
    np.testing.assert_allclose(errors, native.summary.coefficientStandardErrors, rtol=1e-6)
    np.testing.assert_allclose(model.searchResult.standard_errors, errors)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("fold", None, "3[0-9]* with the fold null"),
        ("fold", 9, "the fold null or outside"),
        ("label", float("nan"), "the label null"),
        ("w", -1.0, "the weight null"),
        ("features", None, "the features vector null"),
    ],
)
def test_rows_that_no_fit_may_use_stop_it(frame, column, value, told):
    bad = sf.when(sf.col("customer") == "c1", sf.lit(value)).otherwise(sf.col(column))
    kind = frame.schema[column].dataType
    wrong = frame.withColumn(column, bad if column == "features" else bad.cast(kind))
    with pytest.raises(DataError, match=told.replace("3[0-9]*", "8")):
        search(weightCol="w").fit(wrong)


def test_the_fold_column_may_have_any_name(frame):
    fitted = search(foldCol="the `fold`.1").fit(frame.withColumnRenamed("fold", "the `fold`.1"))
    assert fitted.searchResult.candidates == search().fit(frame).searchResult.candidates


def test_an_empty_fold_is_named(frame):
    with pytest.raises(DataError, match="none in 2"):
        search().fit(frame.where("fold < 2"))


@pytest.mark.parametrize(
    ("params", "error", "told"),
    [
        ({"regParam": [-1.0]}, SettingsError, "regParam: expected"),
        ({"elasticNetParam": []}, SettingsError, "at least one value"),
        ({"numFolds": 1}, SettingsError, "numFolds: expected"),
        ({"metricName": "mae"}, SettingsError, "metricName: expected one of"),
        ({"selection": "worst"}, SettingsError, "selection: expected one of"),
        ({"labelCol": "nothing"}, ColumnMismatchError, "found no nothing"),
        ({"foldCol": "w"}, DataError, "w: expected integers"),
        ({"featuresCol": "a"}, DataError, "a: expected vectors"),
        ({"labelCol": "customer"}, DataError, "customer: expected numbers"),
    ],
)
def test_wrong_settings_are_refused_at_fit(frame, params, error, told):
    with pytest.raises(error, match=told):
        search(**params).fit(frame)


def test_set_params_knows_its_names():
    assert search().setParams(numFolds=4).getNumFolds() == 4
    with pytest.raises(SettingsError, match="found folds"):
        search().setParams(folds=4)


def test_an_unfitted_model_says_so():
    model = LinearRegressionGridSearchModel()
    with pytest.raises(SettingsError, match="found none"):
        _ = model.bestModel


def slow(batches):
    for batch in batches:
        time.sleep(60)
        yield batch


def test_interrupting_the_fit_cancels_its_job(frame, spark):
    sleeping = frame.select("label").mapInArrow(slow, "label double")
    tracker = spark.sparkContext.statusTracker()
    main = threading.main_thread().ident

    def press():
        for _ in range(200):
            if tracker.getActiveJobsIds():
                break
            time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # not Spark's, which cancels every job
    try:
        threading.Thread(target=press).start()
        with pytest.raises(KeyboardInterrupt):
            run_interruptible(spark, sleeping.collect)
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 10
    while tracker.getActiveJobsIds() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not tracker.getActiveJobsIds()
    assert frame.count() == 300
