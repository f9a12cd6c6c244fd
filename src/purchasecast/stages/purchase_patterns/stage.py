r"""Vectors of customers and products from who bought what, whatever was paid.

With :math:`A` the incidence of customers and products, 1 for a pair that occurs, and :math:`n` the numbers of distinct
products of a customer and of distinct customers of a product,

.. math:: B_{ij} = \frac{A_{ij}}{(n_i n_j)^\alpha} \approx \sum_f \sigma_f\, u_{if}\, v_{jf},

the pattern of a customer is :math:`u_i`, that of a product :math:`v_j`, each with :math:`\log(1 + n)` as its last
element. Which products a customer buys, and who buys a product, tell taste before any amount is looked at.

References
----------
Y. Koren, "Factorization meets the neighborhood", KDD 2008. https://doi.org/10.1145/1401890.1401944

S. Rendle, L. Zhang, Y. Koren, "On the difficulty of evaluating baselines", 2019. https://arxiv.org/abs/1905.01395

N. Halko, P. Martinsson, J. Tropp, "Finding structure with randomness", SIAM Review 53(2), 2011.
https://doi.org/10.1137/090771806
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.param.shared import HasMaxIter, HasSeed
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import DataError
from purchasecast.spark.columns import col
from purchasecast.spark.shipping import map_in_tasks
from purchasecast.stages.base import TableModelMixin, broadcast_if_small, require_columns
from purchasecast.stages.params import StageParams, float_param, int_param, str_param
from purchasecast.stages.purchase_patterns.passes import patterns_by_passes
from purchasecast.stages.purchase_patterns.solver import ITEM, USER, PatternSettings, solve_patterns
from purchasecast.stages.tasks import HasTaskRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column, DataFrame

__all__ = ["PurchasePatternEncoder", "PurchasePatternModel"]


class _PurchasePatternParams(StageParams, HasMaxIter, HasSeed, HasTaskRows):
    """Params of the encoder and its model."""

    userCol = str_param("customer column of any type", default="user")
    itemCol = str_param("product column of any type", default="item")
    userOutputCol = str_param("output column of the customer's pattern", default="user_pattern")
    itemOutputCol = str_param("output column of the product's pattern", default="item_pattern")
    rank = int_param("number of singular vectors", default=32, minimum=1)
    countPower = float_param(
        "power of the numbers of purchases that the incidence is divided by", default=0.25, minimum=0.0, maximum=1.0
    )
    maxIter = int_param("rounds of subspace iteration", default=8, minimum=1)
    seed = int_param("seed of the first directions", default=7)

    def _sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return column and output column of customers and of products."""
        return (
            (self.getOrDefault(self.userCol), self.getOrDefault(self.userOutputCol)),
            (self.getOrDefault(self.itemCol), self.getOrDefault(self.itemOutputCol)),
        )


class PurchasePatternEncoder(Estimator[Any], _PurchasePatternParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Encode customers and products by singular vectors of who bought what.

    Parameters
    ----------
    userCol, itemCol : str, default "user", "item"
        Columns of customers and products, of any type that can be compared.
    userOutputCol, itemOutputCol : str, default "user_pattern", "item_pattern"
        Output columns, arrays of ``rank`` + 1 numbers: the singular vectors, each with a mean square of 1 over the
        levels, and last the standardised logarithm of the number of distinct products or customers.
    rank : int, default 32
        Number of singular vectors. Beyond the rank of the incidence they are 0.
    countPower : float, default 0.25
        Power of the numbers of purchases that the incidence is divided by: at 0 heavy customers and popular products
        decide, at 0.5 all weigh the same.
    maxIter : int, default 8
        Rounds of subspace iteration.
    maxTaskRows : int, default 5,000,000
        Up to this number of rows the incidence is decomposed with NumPy inside one task; above it, by passes of the
        cluster, with the same result.
    seed : int, default 7
        Seed of the first directions.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    DataError
        If no row has both a customer and a product.
    SettingsError
        If a param is outside its range.

    Notes
    -----
    No label is read, so that nothing has to be fitted out of fold. Repeated pairs count once. A null or unseen level
    has the pattern of zeros. Rows are neither dropped nor reordered; their order, and the partitions, change the output
    by rounding only. The sign of a vector is that which makes its largest element positive among the products.

    `pyspark.ml.functions.array_to_vector` turns an output into what `VectorAssembler` takes.

    One pass to count, and one that brings the pairs to a task. By passes a task holds the directions of all products.

    Examples
    --------
    >>> PurchasePatternEncoder(userCol="customer", itemCol="product", rank=16).getRank()
    16
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        userCol: str = "user",
        itemCol: str = "item",
        userOutputCol: str = "user_pattern",
        itemOutputCol: str = "item_pattern",
        rank: int = 32,
        countPower: float = 0.25,
        maxIter: int = 8,
        maxTaskRows: int = 5_000_000,
        seed: int = 7,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _fit(self, dataset: DataFrame) -> PurchasePatternModel:
        self.check_params()
        (user, _), (item, _) = self._sides()
        require_columns(self, dataset, [user, item])
        pairs = dataset.select(col(user).alias("user"), col(item).alias("item")).dropna()
        count = pairs.count()
        if not count:
            raise DataError(
                f"PurchasePatternEncoder: expected rows with {user} and {item}, found none; "
                "check the columns for nulls."
            )
        how = PatternSettings(
            self.getOrDefault(self.rank), self.getMaxIter(), self.getOrDefault(self.countPower), self.getSeed()
        )
        solve = _patterns_in_task if count <= self.getMaxTaskRows() else patterns_by_passes
        users, items = (table.localCheckpoint(eager=True) for table in solve(pairs, how))
        model = self._fitted(PurchasePatternModel())
        model._users, model._items, model._levels = users, items, (users.count(), items.count())
        return model


def _patterns_in_task(pairs: DataFrame, how: PatternSettings) -> tuple[DataFrame, DataFrame]:
    """Return level and pattern of customers and of products."""
    user, item = (pairs.schema[name].dataType.simpleString() for name in ("user", "item"))
    schema = f"side int, user {user}, item {item}, pattern array<double>"
    solved = map_in_tasks(pairs.repartition(1), partial(solve_patterns, how=how), schema).localCheckpoint(eager=True)
    users, items = (
        solved.where(col("side") == side).select(col(name).alias("level"), "pattern")
        for side, name in ((USER, "user"), (ITEM, "item"))
    )
    return users, items


class PurchasePatternModel(TableModelMixin, Model, _PurchasePatternParams):
    """Patterns of customers and products; see `PurchasePatternEncoder`."""

    def __init__(self) -> None:
        super().__init__()
        self._users: DataFrame
        self._items: DataFrame
        self._levels = (0, 0)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        sides = self._sides()
        require_columns(self, dataset, [name for name, _ in sides])
        width = self.getOrDefault(self.rank) + 1
        joined, out = dataset, {}
        for side, (name, output) in zip("uv", sides, strict=True):
            table, levels = (self._users, self._levels[0]) if side == "u" else (self._items, self._levels[1])
            lookup = table.select(col("level").alias(f"_pc_{side}_level"), col("pattern").alias(f"_pc_{side}_pattern"))
            same = col(name) == col(f"_pc_{side}_level")
            joined = joined.join(broadcast_if_small(lookup, levels, width + 1), same, "left")
            out[output] = _or_zeros(col(f"_pc_{side}_pattern"), width)
        kept = [col(name) for name in dataset.columns if name not in out]
        return joined.select(*kept, *[value.alias(name) for name, value in out.items()])

    def to_portable(self) -> dict[str, Any]:
        """Return what the scorer needs: JSON-safe params, and a frame of ``level`` and ``pattern`` for each side."""
        (user, of_user), (item, of_item) = self._sides()
        return {
            "kind": "purchase_patterns",
            "inputs": [user, item],
            "outputs": [of_user, of_item],
            "width": self.getOrDefault(self.rank) + 1,
            "tables": {"user": self._users, "item": self._items},
        }

    def _tables(self) -> Mapping[str, DataFrame]:
        return {"users": self._users, "items": self._items}

    def _state(self) -> dict[str, Any]:
        return {"levels": list(self._levels)}

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        self._users, self._items = tables["users"], tables["items"]
        self._levels = (int(state["levels"][0]), int(state["levels"][1]))


def _or_zeros(pattern: Column, width: int) -> Column:
    return sf.coalesce(pattern, sf.array_repeat(sf.lit(0.0), width))
