"""Solve whole fits inside single tasks: every fit of a cross-fitted encoder runs in NumPy on all its rows.

A Spark job takes about a second before it has read a row, and an iterative fit needs dozens of them. As long as the
rows of a fit have room in the memory of one task, a single shuffle that brings them there replaces all these jobs. The
``numFolds`` + 1 fits are independent, so that tasks share them and run at the same time.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.ml.param import Params
from pyspark.sql import functions as sf

from purchasecast.spark import parallel_slots
from purchasecast.spark.columns import col
from purchasecast.spark.compat import in_partitions
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.params import int_param

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

__all__ = ["HasTaskRows", "limit_task_rows", "solve_in_tasks", "task_count"]


class HasTaskRows(Params):
    """Mixin for the number of rows up to which a fit is solved inside one task."""

    maxTaskRows = int_param(
        "number of rows up to which each fit is solved with NumPy in one task; above it, by passes of the cluster",
        default=5_000_000,
        minimum=0,
    )

    def getMaxTaskRows(self) -> int:
        """Return the number of rows up to which a fit is solved inside one task."""
        return self.getOrDefault(self.maxTaskRows)


def limit_task_rows(stages: Iterable[Any], rows: int) -> None:
    """Set the number of rows of one task on each of the stages that has it.

    Parameters
    ----------
    stages : iterable of Estimator or Transformer
        Stages, which are changed.
    rows : int
        Value of ``maxTaskRows``.
    """
    for stage in stages:
        if isinstance(stage, HasTaskRows):
            stage.set(stage.maxTaskRows, rows)


def task_count(rows: DataFrame, count: int, limit: int) -> int:
    """Return the number of tasks among which rows are divided.

    Parameters
    ----------
    rows : DataFrame
        Rows.
    count : int
        Their number.
    limit : int
        Rows that a task takes, about; 0 for any number.

    Returns
    -------
    int
        At least the number of tasks that can run at the same time.
    """
    slots = parallel_slots(rows.sparkSession)
    return max(slots, -(-count // limit)) if limit else slots


def solve_in_tasks(
    rows: DataFrame,
    columns: Sequence[Column],
    residuals: Sequence[Column],
    solve: Callable[..., Iterator[pa.RecordBatch]],
    schema: str,
    **settings: Any,
) -> DataFrame:
    """Run a solver on all rows of each fit, in as many tasks as can run at the same time.

    Parameters
    ----------
    rows : DataFrame
        Training rows.
    columns : sequence of Column
        Named columns that every fit reads.
    residuals : sequence of Column
        One a fit: the number that it explains, null where it must not see the row.
    solve : callable
        Called as ``solve(batches, fits=range, **settings)`` in every task. The batches have `columns` and
        ``residuals``, a list of the residuals of the fits in the range.
    schema : str
        Spark schema of the batches that `solve` yields.
    **settings : object
        Arguments for `solve`.

    Returns
    -------
    DataFrame
        The batches of all tasks; lazy.

    Notes
    -----
    One shuffle copies the rows to each task: on two cores, two copies.
    """
    tasks = min(len(residuals), parallel_slots(rows.sparkSession))
    borders = [len(residuals) * task // tasks for task in range(tasks + 1)]
    task = sf.col("_pc_task")
    starts, sizes = borders[:-1], [end - start for start, end in itertools.pairwise(borders)]
    own_residuals = sf.slice("residuals", sf.get(sf.lit(starts), task) + 1, sf.get(sf.lit(sizes), task))
    named = rows.select(*columns, sf.array(*residuals).alias("residuals"))
    names = [col(name) for name in named.columns if name != "residuals"]
    copied = named.select(sf.explode(sf.lit(list(range(tasks)))).alias("_pc_task"), *names, "residuals")
    own = copied.select(task, *names, own_residuals.alias("residuals"))
    placed = in_partitions(own, tasks, "_pc_task")
    return map_in_tasks(placed, partial(_one_task, solve=solve, borders=borders, settings=settings), schema)


def _one_task(
    batches: Iterator[pa.RecordBatch],
    *,
    solve: Callable[..., Iterator[pa.RecordBatch]],
    borders: list[int],
    settings: dict[str, Any],
) -> Iterator[pa.RecordBatch]:
    first = next(batches, None)
    if first is None:
        return
    task = first.column(0)[0].as_py()
    fits = range(borders[task], borders[task + 1])
    yield from solve(itertools.chain([first], batches), fits=fits, **settings)
