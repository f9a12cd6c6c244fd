"""Compare recipes with other ways to predict, on one split in one run: RMSE, R2, MAE and seconds.

Peers: the mean of the product; scikit-learn's Ridge on indicators of all columns, ids included; LightGBM and CatBoost
with their own handling of categories; Spark's GBTRegressor and ALS; myFM, a factorization machine by Gibbs sampling.
Those that are not installed are left out, and said so (`pip install lightgbm catboost myfm`). For recipes with trees
also the seconds of plain XGBoost in this process, one fit of as many trees on the same matrix, and what multiple of
them the whole training takes. Prints a table on stderr and one JSON line.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xgboost
from _session import options, report, session
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.ml.recommendation import ALS
from pyspark.ml.regression import GBTRegressor
from pyspark.sql import functions as sf
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.preprocessing import OneHotEncoder

from purchasecast.bundle.pipeline import load_pipeline
from purchasecast.config import TrainSettings
from purchasecast.io import read_table
from purchasecast.schema import load_schema
from purchasecast.stages import BoostedTreesModel
from purchasecast.training import train
from purchasecast.training.split import holdout_split
from purchasecast.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pyspark.sql import SparkSession

    from purchasecast.bundle import Bundle

    Fit = Callable[[pd.DataFrame, NDArray[np.float64], pd.DataFrame], NDArray[np.float64]]

TARGET = "Purchase"
CUSTOMER = ("Gender", "Age", "Occupation", "City_Category", "Stay_In_Current_City_Years", "Marital_Status")
MODELS = ("linear", "boosted", "blend")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seed", type=int, default=7, help="seed of the split")
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="recipes to train")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), help="peers to fit")
    given = parser.parse_args()
    spark = session()
    path = str(given.data / "train.csv")
    found = {}
    for name in given.models:
        found[f"purchasecast {name}"] = shown(f"purchasecast {name}", run_ours(spark, path, name, given.seed))
    training, held_out = split(spark, path, given.seed)
    for name in given.peers:
        try:
            found[name] = shown(name, run_peer(PEERS[name], training, held_out))
        except ModuleNotFoundError as error:
            print(f"{name}: left out, {error.name} is not installed", file=sys.stderr)
    report(seed=given.seed, training_rows=len(training), holdout_rows=len(held_out), models=found)


def shown(name: str, figures: dict[str, float]) -> dict[str, float]:
    """Print a row of the table as soon as it is known, and return it."""
    cells = "".join(f"{key:>9} {value:<10,.4g}" for key, value in figures.items())
    print(f"{name:24}{cells}", file=sys.stderr, flush=True)
    return figures


def run_ours(spark: SparkSession, path: str, model: Any, seed: int) -> dict[str, float]:
    schema = load_schema("black_friday")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainSettings(model=model, refit=False, seed=seed)
        result = train(read_table(spark, path, schema), schema, Path(folder) / "model", settings)
        seconds = time.perf_counter() - start
        plain = plain_xgboost(spark, path, result.bundle, seed) if result.boosting else None
    whole = result.evaluation.overall
    figures = {"rmse": whole.rmse, "r2": whole.r2, "mae": whole.mae, "seconds": seconds}
    figures |= {"coverage": whole.coverage, "width": whole.mean_width, "constant": whole.constant_width}
    return figures | ({"xgboost": plain, "ratio": seconds / plain} if plain else {})


def plain_xgboost(spark: SparkSession, path: str, bundle: Bundle, seed: int) -> float:
    """Return the seconds of one fit by XGBoost alone, in this process, on the matrix that the trees were grown on."""
    stages = load_pipeline(bundle).stages
    place = next(k for k, stage in enumerate(stages) if isinstance(stage, BoostedTreesModel))
    trees = stages[place]
    with validate(read_table(spark, path, bundle.schema), bundle.schema) as checked:
        rows = holdout_split(checked.accepted, bundle.schema, share=0.2, seed=seed).training
        made = PipelineModel(stages[:place]).transform(rows)
        columns = [sf.col(f"`{name}`").cast("float").alias(str(k)) for k, name in enumerate(trees.getInputCols())]
        table = made.select(*columns, sf.col(TARGET).cast("float").alias("label")).toArrow()
    label = table["label"].to_numpy()
    features = np.column_stack([table[str(k)].to_numpy() for k in range(len(columns))])
    params = {
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_leaves": trees.getOrDefault("maxLeaves"),
        "eta": trees.getOrDefault("learningRate"),
        "min_child_weight": trees.getOrDefault("minRows"),
        "subsample": trees.getOrDefault("rowShare"),
        "colsample_bytree": trees.getOrDefault("columnShare"),
        "lambda": trees.getOrDefault("ridge"),
    }
    start = time.perf_counter()
    xgboost.train(params, xgboost.QuantileDMatrix(features, label), trees.rounds)
    return time.perf_counter() - start


def split(spark: SparkSession, path: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the same two parts as `train` makes, nulls as a level, all features as texts."""
    schema = load_schema("black_friday")
    split = holdout_split(read_table(spark, path, schema), schema, share=0.2, seed=seed)
    names = [name for name in schema.names if name != TARGET]
    frames = []
    for part in (split.training, split.holdout):
        frame = part.select(*names, TARGET).toPandas()
        frame[names] = frame[names].astype("string").fillna("none").astype(object)
        frames.append(frame)
    return frames[0], frames[1]


def run_peer(fit: Fit, training: pd.DataFrame, held_out: pd.DataFrame) -> dict[str, float]:
    names = [name for name in training.columns if name != TARGET]
    label, truth = training[TARGET].to_numpy(float), held_out[TARGET].to_numpy(float)
    start = time.perf_counter()
    error = fit(training[names], label, held_out[names]) - truth
    seconds = time.perf_counter() - start
    r2 = 1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum()
    return {"rmse": np.sqrt((error**2).mean()), "r2": r2, "mae": np.abs(error).mean(), "seconds": seconds}


def product_mean(x: pd.DataFrame, y: NDArray[np.float64], new: pd.DataFrame) -> NDArray[np.float64]:
    means = x.assign(y=y).groupby("Product_ID")["y"].mean()
    return new["Product_ID"].map(means).fillna(y.mean()).to_numpy(float)


def ridge(x: pd.DataFrame, y: NDArray[np.float64], new: pd.DataFrame) -> NDArray[np.float64]:
    encoder = OneHotEncoder(handle_unknown="ignore").fit(x)
    return Ridge(alpha=10.0, solver="sparse_cg").fit(encoder.transform(x), y).predict(encoder.transform(new))


def lightgbm(x: pd.DataFrame, y: NDArray[np.float64], new: pd.DataFrame) -> NDArray[np.float64]:
    import lightgbm as lgb  # noqa: PLC0415  may be missing

    x = x.astype("category")
    new = new.astype({name: x[name].dtype for name in x.columns})
    model = lgb.LGBMRegressor(n_estimators=600, num_leaves=127, learning_rate=0.05, verbose=-1, random_state=7)
    return model.fit(x, y).predict(new)


def catboost(x: pd.DataFrame, y: NDArray[np.float64], new: pd.DataFrame) -> NDArray[np.float64]:
    import catboost as cb  # noqa: PLC0415  may be missing

    model = cb.CatBoostRegressor(iterations=600, depth=8, random_seed=7, verbose=False, allow_writing_files=False)
    return model.fit(x, y, cat_features=list(x.columns)).predict(new)


def spark_gbt(x: pd.DataFrame, y: NDArray[np.float64], new: pd.DataFrame) -> NDArray[np.float64]:
    spark = session()
    names = [name for name in x.columns if name not in {"User_ID", "Product_ID"}]  # too many levels for its bins
    index = [f"{name}_i" for name in names]
    pipeline = Pipeline(
        stages=[
            StringIndexer(inputCols=names, outputCols=index, handleInvalid="keep"),
            VectorAssembler(inputCols=index, outputCol="features"),
            GBTRegressor(maxIter=50, maxDepth=6, maxBins=64, seed=7),
        ]
    )
    model = pipeline.fit(spark.createDataFrame(x[names].assign(label=y)))
    rows = spark.createDataFrame(new[names].assign(place=np.arange(len(new))))
    return model.transform(rows).select("place", "prediction").toPandas().sort_values("place")["prediction"].to_numpy()


def by_product(
    x: pd.DataFrame, y: NDArray[np.float64], new: pd.DataFrame
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Return what the product's mean leaves, in units of its spread, and the way back: it suits factors best."""
    of_product = x.assign(y=y).groupby("Product_ID")["y"]
    mean, spread = of_product.mean(), of_product.std().fillna(y.std()).clip(lower=1.0)
    rating = (y - x["Product_ID"].map(mean).to_numpy(float)) / x["Product_ID"].map(spread).to_numpy(float)
    means, spreads = new["Product_ID"].map(mean).fillna(y.mean()), new["Product_ID"].map(spread).fillna(y.std())
    return rating, lambda found: means.to_numpy(float) + found * spreads.to_numpy(float)


def spark_als(x: pd.DataFrame, y: NDArray[np.float64], new: pd.DataFrame) -> NDArray[np.float64]:
    ids = {"User_ID": "user", "Product_ID": "item"}
    codes = {name: {level: k for k, level in enumerate(x[name].unique())} for name in ids}

    def numbered(rows: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({short: rows[name].map(codes[name]) for name, short in ids.items()})

    rating, back = by_product(x, y, new)
    als = ALS(rank=12, regParam=0.1, maxIter=12, ratingCol="rating", seed=7)
    model = als.fit(session().createDataFrame(numbered(x).assign(rating=rating)))
    known = numbered(new).assign(place=np.arange(len(new))).dropna().astype({"user": int, "item": int})
    found = model.transform(session().createDataFrame(known)).toPandas().set_index("place")["prediction"]
    return back(found.reindex(range(len(new))).fillna(0.0).to_numpy(float))


def gibbs_factors(x: pd.DataFrame, y: NDArray[np.float64], new: pd.DataFrame) -> NDArray[np.float64]:
    """Predict by a factorization machine of all columns, what the customer bought, and who bought the product."""
    import myfm  # noqa: PLC0415  may be missing

    attributes = {
        "User_ID": [*CUSTOMER],
        "Product_ID": [name for name in x.columns if name not in {"User_ID", "Product_ID", *CUSTOMER}],
    }
    both = pd.concat([x, new], ignore_index=True)
    levels = {name: np.unique(both[name], return_inverse=True) for name in attributes}
    count, sides = len(x), list(attributes)
    pairs = [levels[name][1][:count] for name in sides]
    shape = [len(levels[name][0]) for name in sides]
    bought = sparse.csr_array((np.ones(count), pairs), shape=shape)
    blocks = []
    for name, table in zip(sides, (bought, bought.T.tocsr()), strict=True):
        described = both.drop_duplicates(name).sort_values(name)[attributes[name]]
        indicators = OneHotEncoder(handle_unknown="ignore").fit_transform(described)
        shares = sparse.diags_array(1.0 / np.sqrt(np.maximum(table.sum(axis=1), 1.0))) @ table
        ids = sparse.identity(table.shape[0])
        blocks.append(sparse.csr_matrix(sparse.hstack([ids, indicators, shares])))

    def related(rows: slice) -> list[Any]:
        return [myfm.RelationBlock(levels[name][1][rows], block) for name, block in zip(sides, blocks, strict=True)]

    rating, back = by_product(x, y, new)
    machine = myfm.MyFMRegressor(rank=16, random_seed=7)
    machine.fit(None, rating, X_rel=related(slice(0, count)), n_iter=150)
    return back(machine.predict(None, related(slice(count, None))))


PEERS: dict[str, Fit] = {
    "product mean": product_mean,
    "sklearn Ridge": ridge,
    "LightGBM": lightgbm,
    "CatBoost": catboost,
    "Spark GBTRegressor": spark_gbt,
    "Spark ALS": spark_als,
    "myFM": gibbs_factors,
}


if __name__ == "__main__":
    main()
