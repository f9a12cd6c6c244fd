"""Statistics by level past one task: levels are hashed to partitions, and sorted and summed there.

A task has all rows of its levels, so that it computes what a task with all rows of a fit would. Only the quantiles of
all rows together, which levels are shrunk toward, are approximate: their ranks are right to 1 in 10,000.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from purchasecast.spark.caching import cached
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.level_statistics.solver import MIDDLE, QUANTILES, add_places, solve_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Overall = list[tuple[float, NDArray[np.float64]]]

__all__ = ["solve_by_passes"]

_ACCURACY = 10_000


def solve_by_passes(
    rows: DataFrame,
    schema: str,
    *,
    partitions: int,
    coded: int,
    tables: Sequence[tuple[int, int]],
    fits: int,
    rank_within: int,
    shrinkage: float,
) -> tuple[DataFrame, Overall]:
    """Solve all fits by one pass for each first column of a key, after one that ranks the rows.

    Parameters
    ----------
    rows : DataFrame
        Columns ``c_0`` and so on, ``label`` and ``fold``, which is -1 where rows have none.
    schema : str
        Columns of the result, as in `solver.solve_statistics`.
    partitions : int
        Number of tasks; each must have memory for its share of the rows, or for those of the largest level.
    coded : int
        Number of columns ``c_0`` and so on, as in `solver.solve_statistics`.
    tables : sequence of (int, int)
        Keys, as in `solver.solve_statistics`.
    fits : int
        Number of fits.
    rank_within : int
        Index of the key in whose levels rows are ranked; -1 for none.
    shrinkage : float
        Rows that a level is shrunk by.

    Returns
    -------
    tuple of (DataFrame, list of (float, ndarray))
        One row a fit, key and level; and for each fit the rows and the statistics of all together.
    """
    overall = _overall(rows, fits)
    statistics = [of_all for _, of_all in overall]
    ranked = rows
    if rank_within >= 0:
        column = tables[rank_within][0]
        work = partial(add_places, column=column, overall=statistics, shrinkage=shrinkage)
        names = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in rows.schema)
        ranked = map_in_tasks(rows.repartition(partitions, f"c_{column}"), work, f"{names}, places array<double>")
    solved = []
    with cached(ranked) as placed:
        for column in dict.fromkeys(first for first, _ in tables):
            own = {t: key for t, key in enumerate(tables) if key[0] == column}
            work = partial(solve_levels, coded=coded, tables=own, overall=statistics, shrinkage=shrinkage)
            solved.append(map_in_tasks(placed.repartition(partitions, f"c_{column}"), work, schema))
        return reduce(DataFrame.unionAll, solved).localCheckpoint(eager=True), overall


def _overall(rows: DataFrame, fits: int) -> Overall:
    """Return rows and statistics of each fit, in one pass."""
    sums = []
    for k in range(fits):
        seen = sf.when(col("fold") != k, col("label"))
        quantiles = sf.percentile_approx(seen, sf.lit(list(QUANTILES)), sf.lit(_ACCURACY))
        sums += [sf.count(seen), sf.avg(seen), sf.stddev_pop(seen), quantiles]
    numbers = rows.agg(*sums).collect()[0]  # one row, whatever the data
    of_fits = [numbers[4 * k : 4 * k + 4] for k in range(fits)]
    return [
        (float(count), np.array([mean or 0.0, spread or 0.0, *(quantiles or [0.0] * len(QUANTILES)), *MIDDLE]))
        for count, mean, spread, quantiles in of_fits
    ]
