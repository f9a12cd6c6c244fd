"""Time the one-pass grid search against Spark's CrossValidator and scikit-learn's GridSearchCV.

All three see the same rows of the real data, one-hot coded nine attributes, folds and 60 candidates. Spark's
search is timed on `--stock-candidates` of them and scaled linearly, as its cost is that of its fits; likewise
scikit-learn's on `--sklearn-candidates`. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
from _session import options, report
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import CrossValidator
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from scipy import sparse
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from threadpoolctl import threadpool_limits

from purchasecast.numerics.gram import leave_one_out
from purchasecast.numerics.penalized import solve
from purchasecast.search import DEFAULT_GRID, LinearRegressionGridSearch
from purchasecast.spark.gram import collect_grams

if TYPE_CHECKING:
    from pathlib import Path

FOLDS = 5
ATTRIBUTES = [
    "Gender",
    "Age",
    "Occupation",
    "City_Category",
    "Stay_In_Current_City_Years",
    "Marital_Status",
    "Product_Category_1",
    "Product_Category_2",
    "Product_Category_3",
]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--copies", type=int, default=1, help="take the rows this many times")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--stock-candidates", type=int, default=6, help="0 leaves the comparison out")
    parser.add_argument("--sklearn-candidates", type=int, default=12, help="0 leaves the comparison out")
    given = parser.parse_args()
    session = start(given.cores)
    frame = load(session, given.data / "train.csv", given.copies)
    rows = frame.count()
    columns = len(frame.first()["features"])
    seconds, model = time_ours(frame, given.repeats)
    out = {"rows": rows, "columns": columns, "folds": FOLDS, "candidates": len(DEFAULT_GRID.candidates())}
    out |= {"seconds": min(seconds), "seconds_first": seconds[0], "steps": model.searchResult.seconds}
    out |= {"milliseconds_per_added_candidate": time_candidates(frame, columns)}
    if given.stock_candidates:
        out |= time_stock(frame, model, given.stock_candidates, given.cores)
        out["times_faster_than_stock"] = out["stock_seconds_scaled"] / out["seconds"]
        print(json.dumps(out), file=sys.stderr)  # the next part can take long
    if given.sklearn_candidates:
        out |= time_sklearn(frame, given.sklearn_candidates, given.cores)
        out["times_faster_than_sklearn"] = out["sklearn_seconds_scaled"] / out["seconds"]
    out["driver_python_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    report(**out)
    session.stop()


def start(cores: int) -> SparkSession:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "6g")
        .config("spark.sql.shuffle.partitions", str(cores))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    return session


def load(session: SparkSession, path: Path, copies: int):
    """Return features, label and fold, cached, from one-hot coded attributes."""
    raw = session.read.csv(str(path), header=True).na.fill("none")
    indexed = [f"{name}_index" for name in ATTRIBUTES]
    coded = [f"{name}_code" for name in ATTRIBUTES]
    stages = [
        StringIndexer(inputCols=ATTRIBUTES, outputCols=indexed),
        OneHotEncoder(inputCols=indexed, outputCols=coded),
        VectorAssembler(inputCols=coded, outputCol="features"),
    ]
    fold = sf.pmod(sf.xxhash64(sf.lit(7), "User_ID", "Product_ID", "copy"), sf.lit(FOLDS)).cast("int")
    wide = raw.withColumn("copy", sf.explode(sf.sequence(sf.lit(1), sf.lit(copies))))
    frame = Pipeline(stages=stages).fit(raw).transform(wide)
    return frame.select("features", sf.col("Purchase").cast("double").alias("label"), fold.alias("fold")).cache()


def time_ours(frame, repeats: int):
    search = LinearRegressionGridSearch(foldCol="fold", numFolds=FOLDS)
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        model = search.fit(frame)
        seconds.append(time.perf_counter() - began)
    return seconds, model


def time_candidates(frame, columns: int) -> float:
    """Return milliseconds a candidate (all folds) between the default grid and one of four times its size."""
    search = LinearRegressionGridSearch(foldCol="fold", numFolds=FOLDS)
    trainings = leave_one_out(collect_grams(search._rows(frame, sf.col("fold")), columns, FOLDS))
    took = []
    for strengths, shares in ((10, 6), (20, 12)):
        grid = [(float(r), float(a)) for r in np.logspace(-3, 2, strengths) for a in np.linspace(0, 1, shares)]
        best = np.inf
        for _ in range(3):
            began = time.perf_counter()
            with threadpool_limits(1, user_api="blas"):  # as the search itself does
                for gram in trainings:
                    solve(gram, grid)
            best = min(best, time.perf_counter() - began)
        took.append(best)
    return 1000 * (took[1] - took[0]) / 180


def spread(candidates: int) -> list[int]:
    """Return places in the grid, evenly spread over strengths and shares."""
    return [int(i) for i in np.linspace(0, len(DEFAULT_GRID.candidates()) - 1, candidates).round()]


def time_stock(frame, model, candidates: int, cores: int) -> dict[str, float]:
    """Time CrossValidator at Spark's default tolerance, then compare with it and with a converged one."""
    places, grid = spread(candidates), DEFAULT_GRID.candidates()
    native = LinearRegression(maxIter=10_000, tol=1e-13)

    def cross_validate(estimator):
        points = [{estimator.regParam: grid[i][0], estimator.elasticNetParam: grid[i][1]} for i in places]
        return CrossValidator(
            estimator=estimator,
            estimatorParamMaps=points,
            evaluator=RegressionEvaluator(metricName="rmse"),
            numFolds=FOLDS,
            foldCol="fold",
            parallelism=cores,
        ).fit(frame)

    native.fit(frame)  # a warm JVM for the stock search too
    began = time.perf_counter()
    fitted = cross_validate(LinearRegression())
    took = time.perf_counter() - began
    tight = cross_validate(native)
    averages = np.array(model.avgMetrics)[places]
    gram, off = model._moments, 0.0
    for i in places:
        exact = solve(gram, [grid[i]]).coefficients[0]
        spark = native.fit(frame, {native.regParam: grid[i][0], native.elasticNetParam: grid[i][1]})
        off = max(off, float(np.abs(spark.coefficients.toArray() - exact).max() / np.abs(exact).max()))
    return {
        "stock_candidates_timed": candidates,
        "stock_seconds": took,
        # its fits, one of them the final one
        "stock_seconds_scaled": took * (len(grid) * FOLDS + 1) / (candidates * FOLDS + 1),
        "stock_metric_disagreement": float(np.abs(np.array(fitted.avgMetrics) / averages - 1).max()),
        "stock_metric_disagreement_tight": float(np.abs(np.array(tight.avgMetrics) / averages - 1).max()),
        "coefficient_disagreement_tight": off,
    }


def time_sklearn(frame, candidates: int, cores: int) -> dict[str, float]:
    """Time GridSearchCV on the standardised sparse and dense matrix, whichever is faster, solver by solver."""
    table = frame.select("label", "fold", sf.unwrap_udt("features").alias("v")).toArrow()
    values = table.column("v").combine_chunks()
    counts = np.concatenate([[0], np.cumsum(values.field("values").value_lengths().to_numpy())])
    data, at = values.field("values").flatten().to_numpy(), values.field("indices").flatten().to_numpy()
    label, fold = table.column("label").to_numpy(), table.column("fold").to_numpy()
    x = sparse.csr_array((data, at, counts), shape=(len(label), int(values.field("size")[0].as_py())))
    scale = np.sqrt(np.maximum(x.multiply(x).mean(axis=0) - np.asarray(x.mean(axis=0)) ** 2, 0.0))
    x = sparse.csr_array(x.multiply(1.0 / np.asarray(scale).ravel()))
    x.indices, x.indptr = x.indices.astype(np.int32), x.indptr.astype(np.int32)  # all that scikit-learn takes
    dense = np.asfortranarray(x.toarray())
    grid = [DEFAULT_GRID.candidates()[i] for i in spread(candidates)]
    deviation = float(label.std())
    ways = {
        "ridge_dense_cholesky": (Ridge(solver="cholesky"), dense, True),
        "ridge_sparse_cg": (Ridge(solver="sparse_cg"), x, True),
        "net_dense_gram": (ElasticNet(precompute=True, max_iter=1000), dense, False),
        "net_sparse": (ElasticNet(max_iter=1000), x.tocsc(), False),
    }
    per_fit: dict[str, float] = {}
    for name, (estimator, matrix, is_ridge) in ways.items():
        chosen = [(reg, ratio) for reg, ratio in grid if (ratio == 0) == is_ridge][:3]
        points = [
            {"alpha": [reg / deviation * len(label) * (1 - 1 / FOLDS)]}
            if is_ridge
            else {"alpha": [reg], "l1_ratio": [ratio]}
            for reg, ratio in chosen
        ]
        search = GridSearchCV(
            estimator,
            points,
            scoring="neg_root_mean_squared_error",
            cv=PredefinedSplit(fold),
            n_jobs=cores,
            refit=False,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            began = time.perf_counter()
            search.fit(matrix, label)
        per_fit[name] = (time.perf_counter() - began) / len(points)
    ridge = min(v for k, v in per_fit.items() if k.startswith("ridge"))
    net = min(v for k, v in per_fit.items() if k.startswith("net"))
    return {
        "sklearn_seconds_per_candidate": per_fit,
        "sklearn_seconds_scaled": 10 * ridge + 50 * net,
    }


if __name__ == "__main__":
    main()
