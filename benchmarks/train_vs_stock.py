"""Time the whole `train --model linear` against a plain script of stock Spark stages, in one run.

Stock: StringIndexer, OneHotEncoder, VectorAssembler, CrossValidator over LinearRegression with the same 60
candidates and 5 folds, evaluation on the same holdout. Its search is timed on 6 of the candidates, and scaled by the
number of fits (301 for 31). Both run once before, to warm the JVM. Prints one JSON line.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from _session import options, report, session
from pyspark.ml import Pipeline
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import OneHotEncoder, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import functions as sf

from purchasecast.config import TrainSettings
from purchasecast.io import read_table
from purchasecast.progress import Steps
from purchasecast.schema import load_schema
from purchasecast.search import DEFAULT_GRID
from purchasecast.spark import parallel_slots
from purchasecast.training import train
from purchasecast.training.split import holdout_split

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FOLDS = 5


def main() -> None:
    parser = options(__doc__)
    parser.set_defaults(repeats=1)
    parser.add_argument("--refit", action="store_true", help="time the fit on all rows that follows, too")
    given = parser.parse_args()
    spark = session()
    path = str(given.data / "train.csv")
    run_ours(spark, path, refit=False)  # warms the JVM
    run_stock(spark, path, strengths=[1.0], shares=[0.0])
    stock = [run_stock(spark, path, strengths=[0.01, 1.0, 100.0], shares=[0.0, 0.6]) for _ in range(given.repeats)]
    ours = [run_ours(spark, path, refit=given.refit) for _ in range(given.repeats)]
    report(
        candidates=len(DEFAULT_GRID.candidates()),
        folds=FOLDS,
        refit=given.refit,
        seconds_stock_scaled=round(median(s for s, _ in stock), 1),
        seconds_ours=round(median(s for s, _ in ours), 1),
        ratio=round(median(o / s for (o, _), (s, _) in zip(ours, stock, strict=True)), 3),
        rmse_stock=round(stock[-1][1], 1),
        rmse_ours=round(ours[-1][1], 1),
        error_lower_by=round(1 - ours[-1][1] / stock[-1][1], 4),
    )


def run_ours(spark: SparkSession, path: str, *, refit: bool) -> tuple[float, float]:
    """Return the seconds and the holdout error of the whole training run."""
    schema = load_schema("black_friday")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainSettings(folds=FOLDS, refit=refit)
        steps = Steps()
        result = train(read_table(spark, path, schema), schema, Path(folder) / "model", settings, steps=steps)
    return time.perf_counter() - start, result.evaluation.overall.rmse


def run_stock(spark: SparkSession, path: str, *, strengths: list[float], shares: list[float]) -> tuple[float, float]:
    """Return the seconds, the search scaled to all candidates, and the holdout error of stock stages."""
    schema = load_schema("black_friday")
    start = time.perf_counter()
    names = [column.name for column in schema.features]
    frame = spark.read.csv(path, header=True).withColumn("label", sf.col("Purchase").cast("double")).fillna("none")
    split = holdout_split(frame, schema, share=0.2, by="random")
    training, held_out = split.training, split.holdout
    features = Pipeline(
        stages=[
            StringIndexer(inputCols=names, outputCols=[f"{n}_i" for n in names], handleInvalid="keep"),
            OneHotEncoder(inputCols=[f"{n}_i" for n in names], outputCols=[f"{n}_v" for n in names]),
            VectorAssembler(inputCols=[f"{n}_v" for n in names], outputCol="features"),
        ]
    ).fit(training)
    table = features.transform(training).select("features", "label").cache()
    table.count()
    prepared = time.perf_counter() - start
    regression = LinearRegression()
    grid = (
        ParamGridBuilder().addGrid(regression.regParam, strengths).addGrid(regression.elasticNetParam, shares).build()
    )
    evaluator = RegressionEvaluator()
    search = CrossValidator(
        estimator=regression,
        estimatorParamMaps=grid,
        evaluator=evaluator,
        numFolds=FOLDS,
        parallelism=parallel_slots(spark),
        seed=7,
    )
    start = time.perf_counter()
    model = search.fit(table)
    searched = time.perf_counter() - start
    start = time.perf_counter()
    rmse = evaluator.evaluate(model.transform(features.transform(held_out)))
    evaluated = time.perf_counter() - start
    table.unpersist()
    fits = FOLDS * len(DEFAULT_GRID.candidates()) + 1
    return prepared + searched * fits / (FOLDS * len(grid) + 1) + evaluated, rmse


if __name__ == "__main__":
    main()
