"""Hand whole fits to single tasks: every fit of a cross-fitted encoder is solved with NumPy where its rows are.

A pass of the cluster costs about a second before it has read a row, and an iterative fit takes dozens of passes. While
the rows of a fit have room in one task's memory, one exchange that puts them there replaces all of these: fits are
independent, so the tasks run side by side, and there are ``numFolds`` + 1 of them to share out.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.ml.param import Params
from pyspark.sql import functions as sf

from purchasecast.spark import parallel_slots
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.params import int_param

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

__all__ = ["HasTaskRows", "solve_in_tasks"]


class HasTaskRows(Params):
    """Mixin for the size up to which a fit is solved inside one task."""

    maxTaskRows = int_param(
        "up to this many rows every fit is solved with NumPy in one task, about 100 bytes a row; "
        "beyond, by passes of the whole cluster",
        default=5_000_000,
        minimum=0,
    )

    def getMaxTaskRows(self) -> int:
        """Return the number of rows up to which a fit is solved inside one task."""
        return self.getOrDefault(self.maxTaskRows)


def solve_in_tasks(
    rows: DataFrame,
    columns: Sequence[Column],
    residuals: Sequence[Column],
    solve: Callable[..., Iterator[pa.RecordBatch]],
    schema: str,
    **settings: Any,
) -> DataFrame:
    """Run `solve` on all rows of each fit, in as many tasks as can run at the same time.

    Parameters
    ----------
    rows : DataFrame
        Training rows.
    columns : sequence of Column
        What every fit reads, named.
    residuals : sequence of Column
        One a fit: the residual that it explains, null where it must not see the row.
    solve : function
        Called as ``solve(batches, fits=..., **settings)`` in every task; ``batches`` have `columns` and ``residuals``,
        an array of the residuals of the fits in the range ``fits``.
    schema : str
        What `solve` returns.

    Returns
    -------
    DataFrame
        The answers of all tasks; one shuffle of the rows to each task, so two copies of them on two cores.
    """
    tasks = min(len(residuals), parallel_slots(rows.sparkSession))
    borders = [len(residuals) * task // tasks for task in range(tasks + 1)]
    task = sf.col("_pc_task")
    starts, sizes = borders[:-1], [end - start for start, end in itertools.pairwise(borders)]
    mine = sf.slice("residuals", sf.get(sf.lit(starts), task) + 1, sf.get(sf.lit(sizes), task))
    named = rows.select(*columns, sf.array(*residuals).alias("residuals"))
    names = [col(name) for name in named.columns if name != "residuals"]
    copied = named.select(sf.explode(sf.lit(list(range(tasks)))).alias("_pc_task"), *names, "residuals")
    placed = copied.select(task, *names, mine.alias("residuals")).repartitionById(tasks, task)
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
