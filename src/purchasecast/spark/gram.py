"""One pass of Spark over a frame of feature vectors, down to one Gram matrix a fold on the driver.

Each task folds its rows into partials; an exchange by fold leaves one row a fold. Large partials are merged by
partition number before, in as many tasks as their size is worth. So the driver receives folds x (d + 1)^2 / 2
numbers whatever the number of partitions, and no executor holds more than one Gram a fold at a time. Only the
DataFrame API is used, so the same code runs on a cluster and over Spark Connect.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import numpy as np
from pyspark import inheritable_thread_target
from pyspark.sql import functions as sf
from pyspark.sql.types import AtomicType, IntegralType, NumericType

from purchasecast.errors import ColumnMismatchError, DataError
from purchasecast.numerics.gram import Gram, merge
from purchasecast.spark.columns import col
from purchasecast.spark.gram_tasks import PARTIAL_SCHEMA, REASONS, fold_partials, merge_partials
from purchasecast.spark.shipping import map_in_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = [
    "check_columns",
    "collect_grams",
    "fold_by_content",
    "run_interruptible",
    "training_rows",
    "vector_size",
]

_TREE_FEATURES = 300  # fewer, and ten thousand partials of a fold are merged in a second: no tree is needed
T = TypeVar("T")


def check_columns(dataset: DataFrame, *, vector: str, numeric: list[str], integral: list[str]) -> None:
    """Check that the columns are there and of the right kind.

    Raises
    ------
    ColumnMismatchError
        If one is missing.
    DataError
        If one is of another type.
    """
    wanted = [vector, *numeric, *integral]
    missing = [name for name in wanted if name not in dataset.columns]
    if missing:
        raise ColumnMismatchError(
            f"frame: expected the columns {', '.join(wanted)}, found no {', '.join(missing)}; "
            "add them, or name others in the stage's params."
        )
    for name in wanted:
        found = dataset.schema[name].dataType
        if name == vector:
            fits, kind = found.typeName() == "vectorudt", "vectors"
        elif name in integral:
            fits, kind = isinstance(found, IntegralType), "integers"
        else:
            fits, kind = isinstance(found, NumericType), "numbers"
        if not fits:
            raise DataError(f"{name}: expected {kind}, found {found.simpleString()}; convert it first.")


def vector_size(dataset: DataFrame, vector: str) -> int:
    """Return the size of the feature vectors: from the assembler's metadata, else from the first row.

    Raises
    ------
    DataError
        If the frame is empty.
    """
    known = dataset.schema[vector].metadata.get("ml_attr", {}).get("num_attrs")
    if known is not None:
        return int(known)
    unwrapped = sf.unwrap_udt(col(vector))
    sized = dataset.where(col(vector).isNotNull()).select(
        sf.coalesce(unwrapped["size"], sf.size(unwrapped["values"])).alias("size")
    )
    first = sized.first()
    if first is None:
        raise DataError(f"{vector}: expected rows with a vector, found none; check the filters before the fit.")
    return int(first["size"])


def fold_by_content(dataset: DataFrame, vector: str, folds: int, seed: int) -> Column:
    """Return a fold drawn by a hash of everything plain in the row and the features.

    Neither row order nor partitioning moves a row to another fold, and copies of a row stay together, so that
    none is tested on its twin.
    """
    plain = sorted(f.name for f in dataset.schema.fields if isinstance(f.dataType, AtomicType))
    parts = [col(name) for name in plain]
    return sf.pmod(sf.xxhash64(sf.lit(seed), *parts, sf.unwrap_udt(col(vector))), sf.lit(folds)).cast("int")


def training_rows(dataset: DataFrame, *, vector: str, label: str, weight: str | None, fold: Column) -> DataFrame:
    """Select what the executors read: unwrapped vector, label, weight, fold and partition number."""
    unwrapped = sf.unwrap_udt(col(vector))
    # A dense vector's size field is null: its number of values says it.
    features = sf.when(
        unwrapped.isNotNull(),
        sf.struct(
            unwrapped["type"].alias("type"),
            sf.coalesce(unwrapped["size"], sf.size(unwrapped["values"])).alias("size"),
            unwrapped["indices"].alias("indices"),
            unwrapped["values"].alias("values"),
        ),
    )
    return dataset.select(
        features.alias("features"),
        col(label).cast("double").alias("label"),
        (col(weight).cast("double") if weight else sf.lit(1.0)).alias("weight"),
        fold.alias("fold"),
        sf.spark_partition_id().cast("long").alias("key"),
    )


def collect_grams(rows: DataFrame, features: int, folds: int) -> list[Gram]:
    """Return the Gram of each fold of `training_rows`.

    Raises
    ------
    DataError
        If a row cannot be used, or a fold has no row of positive weight.
    """
    partials = map_in_tasks(rows, partial(fold_partials, features=features, folds=folds), PARTIAL_SCHEMA)
    found = _collect_merged(partials, features)
    empty = [str(k) for k in range(folds) if k not in found]
    if empty:
        raise DataError(
            f"folds: expected a row of positive weight in each of the {folds} folds, found none in {', '.join(empty)}; "
            "take fewer folds, or check the fold column."
        )
    return [found[k] for k in range(folds)]


def _collect_merged(partials: DataFrame, features: int) -> dict[int, Gram]:
    """Merge partials on the executors, large ones in two levels, collect one a fold, and refuse unusable rows."""
    if features > _TREE_FEATURES:
        partials = map_in_tasks(partials.repartition("key"), merge_partials, PARTIAL_SCHEMA)
    by_fold = map_in_tasks(partials.repartition("fold"), merge_partials, PARTIAL_SCHEMA)
    grams: dict[int, Gram] = {}
    rejected = np.zeros(len(REASONS))
    for row in by_fold.select("fold", "payload").collect():
        if row["fold"] < 0:
            rejected += np.frombuffer(row["payload"], dtype="<f8")
        else:
            gram = Gram.from_bytes(bytes(row["payload"]))
            known = grams.get(row["fold"])
            grams[row["fold"]] = gram if known is None else merge(known, gram)
    if rejected.any():
        told = ", ".join(f"{int(n)} with {reason}" for reason, n in zip(REASONS, rejected, strict=True) if n)
        raise DataError(f"rows: expected usable rows only, found {told}; repair or filter these first.")
    return grams


def run_interruptible(session: SparkSession, work: Callable[[], T]) -> T:
    """Do Spark work that Ctrl-C cancels on the cluster too.

    The work runs in a thread of its own, so that the interrupt does not cut a conversation with the JVM short.
    Over Spark Connect the work's tag is cancelled. A classic session (Spark 4.3) finds a tag's jobs only from the
    thread that started them, so there all jobs of the session are, as Spark's own handler of Ctrl-C does.
    """
    tag = f"purchasecast-search-{uuid4().hex}"
    session.addTag(tag)
    worker = ThreadPoolExecutor(1, thread_name_prefix="purchasecast-search")
    try:
        future: Future[T] = worker.submit(inheritable_thread_target(session)(work))
        return future.result()
    except (KeyboardInterrupt, SystemExit):
        if not session.interruptTag(tag):
            session.interruptAll()
        raise
    finally:
        session.removeTag(tag)
        worker.shutdown(wait=False)
