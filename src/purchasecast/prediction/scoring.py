"""Score a table by the portable model, inside the tasks of Spark: one read of the rows, no join, no exchange.

A scoring pipeline of stock stages copies every row once a join and once a vector; the portable model scores a batch of
Arrow columns with NumPy in a twentieth of the time. Tests hold the two to the same predictions.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql.types import BooleanType, DoubleType, StructField, StructType

from purchasecast.numerics.arrow_buckets import chunks
from purchasecast.schema.reserved_columns import UNSEEN
from purchasecast.scorer import read_scorer
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyspark.sql import DataFrame

    from purchasecast.scorer import Prediction, Scorer

__all__ = ["score_in_tasks"]

_BLOCK_ROWS = 65_536  # levels are looked up once a block


def score_in_tasks(
    rows: DataFrame, folder: Path, kept: Sequence[str], *, level: float | None = None, explain: bool = False
) -> DataFrame:
    """Add predictions to the rows.

    Parameters
    ----------
    rows : DataFrame
        Accepted rows, with the columns that the model reads.
    folder : Path
        The portable model, on a disk that the executors share with this machine, as they do to load a pipeline.
    kept : sequence of str
        Columns of `rows` to keep.
    level : float, optional
        Level of the intervals; by default that of the training.
    explain : bool, default False
        Whether to add what drives each prediction.

    Returns
    -------
    DataFrame
        The kept columns; ``prediction`` and, where the model has intervals, ``lower`` and ``upper``; and flags
        ``_pc_unseen_`` with a role or column behind it: whether training has not seen the row's level. With `explain`
        also ``base``, and ``from ...`` for what each column, or columns together, adds: they sum to the prediction.

    Notes
    -----
    No pass of its own; every task reads the model, which takes milliseconds.
    """
    scorer = _read(folder, level)
    read = [name for name in scorer.columns if name not in kept]
    selected = rows.select(*[col(name) for name in (*kept, *read)])
    example = scorer.predict(list(scorer.examples[:1]), explain=explain)
    made = [StructField(name, DoubleType()) for name in {**example.to_columns(), **_contributions(example)}]
    flags = [StructField(UNSEEN + name, BooleanType()) for name in example.unseen]
    fields = [selected.schema[name] for name in kept]
    work = partial(_score, folder=str(folder), kept=list(kept), level=level, explain=explain)
    return map_in_tasks(selected, work, StructType([*fields, *made, *flags]))


def _read(folder: Path, level: float | None) -> Scorer:
    scorer = read_scorer(folder)
    if level is not None:
        scorer.set_level(level)
    return scorer


def _contributions(found: Prediction) -> dict[str, pa.Array]:
    """Return the parts of the predictions as columns; none where they were not asked for."""
    if found.contributions is None:
        return {}
    parts = {
        f"from {' x '.join(name or 'range' for name in source)}": pa.array(values)
        for source, values in found.contributions.parts.items()
    }
    return {"base": pa.array(found.contributions.base), **parts}


def _score(
    batches: Iterator[pa.RecordBatch], *, folder: str, kept: list[str], level: float | None, explain: bool
) -> Iterator[pa.RecordBatch]:
    scorer = _read(Path(folder), level)
    for table in chunks(batches, _BLOCK_ROWS):
        found = scorer.predict(table.select(list(scorer.columns)), explain=explain)
        columns = {name: table.column(name) for name in kept}
        columns |= found.to_columns() | _contributions(found)
        columns |= {UNSEEN + name: pa.array(flag) for name, flag in found.unseen.items()}
        yield from pa.table(columns).combine_chunks().to_batches()
