"""Latent factors of all fits, each inside one task; `passes` takes what is too large for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as sf

from purchasecast.spark.columns import col
from purchasecast.stages.latent_factors.solver import (
    ITEM,
    ITEM_MEANS,
    USER,
    USER_MEANS,
    Factorization,
    solve_factors,
)
from purchasecast.stages.tasks import solve_in_tasks

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

__all__ = ["Factors", "factorize_in_tasks"]


@dataclass(frozen=True, slots=True)
class Factors:
    """Factors of all fits.

    Attributes
    ----------
    users, items : DataFrame
        One row a level: ``level``, ``f`` (by fit, an array of factors) and, for items, ``s`` (spread by fit).
    user_means, item_means : ndarray of shape (fits, 1 + values + length of the vector, width)
        Prior means: contributions of a constant, of each value of an attribute and of each element of the vector to the
        factors of a level and, for items, to the logarithm of its spread.
    """

    users: DataFrame
    items: DataFrame
    user_means: NDArray[np.float64]
    item_means: NDArray[np.float64]


def factorize_in_tasks(rows: DataFrame, vectors: DataFrame | None, how: Factorization) -> Factors:
    """Solve each fit with NumPy inside one task.

    Parameters
    ----------
    rows : DataFrame
        ``user``, ``item``, ``fold``, the residuals ``r_0`` and so on of the fits, ``user_attributes`` and
        ``item_attributes``, arrays of int.
    vectors : DataFrame or None
        One row a level: ``user`` with ``user_vector``, or ``item`` with ``item_vector``, the other two null.
    how : Factorization
        Settings.

    Returns
    -------
    Factors
        They do not depend on the order of the rows.
    """
    names = ["user", "item", "user_attributes", "item_attributes"]
    if vectors is not None:
        rows = rows.unionByName(vectors, allowMissingColumns=True)
        names += ["user_vector", "item_vector"]
    residuals = [sf.when(col("fold") != k, col(f"r_{k}")) for k in range(how.fits)]
    types = {name: rows.schema[name].dataType.simpleString() for name in ("user", "item")}
    schema = f"fit int, side int, user {types['user']}, item {types['item']}, factors array<double>, scale double"
    solved = solve_in_tasks(
        rows,
        [col(name) for name in names],
        residuals,
        solve_factors,
        schema,
        how=how,
    ).localCheckpoint(eager=True)
    collected = solved.where(~col("side").isin(USER, ITEM)).select("fit", "side", "factors").collect()  # two a fit
    means = {(row["side"], row["fit"]): row["factors"] for row in collected}
    users, items = (
        solved.where(f"side = {side}")
        .groupBy(col(name).alias("level"))
        .agg(sf.expr(_IN_ORDER.format("factors")).alias("f"), sf.expr(_IN_ORDER.format("scale")).alias("s"))
        for side, name in ((USER, "user"), (ITEM, "item"))
    )
    user_means, item_means = (
        np.array([means[side, k] for k in range(how.fits)]).reshape(how.fits, 1 + size, -1)
        for side, size in ((USER_MEANS, how.user_size), (ITEM_MEANS, how.item_size))
    )
    return Factors(
        users.drop("s").localCheckpoint(eager=False), items.localCheckpoint(eager=False), user_means, item_means
    )


_IN_ORDER = "transform(array_sort(collect_list(struct(fit, {0}))), x -> x.{0})"
