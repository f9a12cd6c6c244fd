"""Score a table by the portable model, inside the tasks of Spark: one read of the rows, no join, no exchange.

A scoring pipeline of stock stages copies every row once a join and once a vector; the portable model scores a batch of
Arrow columns with NumPy in a twentieth of the time. Tests hold the two to the same predictions.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import cloudpickle
from pyspark.sql.types import BooleanType, DoubleType, StructField, StructType

import purchasecast
from purchasecast._columns import col
from purchasecast.scorer import read_scorer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import DataFrame

__all__ = ["UNSEEN", "score_in_tasks"]

UNSEEN = "_pc_unseen_"


def score_in_tasks(rows: DataFrame, folder: Path, kept: Sequence[str]) -> DataFrame:
    """Add predictions to the rows.

    Parameters
    ----------
    rows : DataFrame
        Accepted rows, with the columns that the model reads.
    folder : Path
        The portable model, on a disk that the executors share with this machine, as they do to load a pipeline.
    kept : sequence of str
        Columns of `rows` to keep.

    Returns
    -------
    DataFrame
        The kept columns; ``prediction`` and, where the model has intervals, ``lower`` and ``upper``; and flags
        ``_pc_unseen_`` with a role or column behind it: whether training has not seen the row's level.

    Notes
    -----
    No pass of its own; every task reads the model, which takes milliseconds.
    """
    scorer = read_scorer(folder)
    read = [name for name in scorer.columns if name not in kept]
    selected = rows.select(*[col(name) for name in (*kept, *read)])
    example = scorer.predict(list(scorer.examples[:1]))
    made = [StructField(name, DoubleType()) for name in example.to_columns()]
    flags = [StructField(UNSEEN + name, BooleanType()) for name in example.unseen]
    fields = [selected.schema[name] for name in kept]
    work = partial(_score, folder=str(folder), kept=list(kept))
    cloudpickle.register_pickle_by_value(purchasecast)  # type: ignore[no-untyped-call]
    try:
        # The executors need numpy and pyarrow, not this package: what they run travels with the job.
        return selected.mapInArrow(work, StructType([*fields, *made, *flags]))
    finally:
        cloudpickle.unregister_pickle_by_value(purchasecast)  # type: ignore[no-untyped-call]


def _score(batches: Iterator[pa.RecordBatch], *, folder: str, kept: list[str]) -> Iterator[pa.RecordBatch]:
    scorer = read_scorer(Path(folder))
    for batch in batches:
        table = pa.Table.from_batches([batch])
        found = scorer.predict(table.select(list(scorer.columns)))
        columns = {name: batch.column(name) for name in kept}
        columns |= found.to_columns()
        columns |= {UNSEEN + name: pa.array(flag) for name, flag in found.unseen.items()}
        yield pa.RecordBatch.from_pydict(columns)
