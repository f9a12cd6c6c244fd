"""What the stages share: the fold column, models that are level tables, and small column expressions.

A supervised encoder is fitted ``numFolds + 1`` times at once: fit ``k`` leaves fold ``k`` out, and the last fit, number
``numFolds``, sees all rows. A training row of fold ``k`` is encoded by fit ``k``, which has not seen its label; a row
without a fold, as at scoring, is encoded by the last fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

from purchasecast.errors import ColumnMismatchError, DataError
from purchasecast.spark.columns import col
from purchasecast.stages.params import int_param, str_param

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.ml.util import DefaultParamsReadable
    from pyspark.sql import Column

__all__ = ["HasFolds", "HasQuantity", "TableModelMixin", "broadcast_if_small", "numbered", "require_columns"]

# Three times Spark's own threshold: tables of ten thousand levels fit, and the rows are not shuffled to join them.
_BROADCAST_BYTES = 32 * 1024 * 1024


class HasFolds(Params):
    """Mixin for the params of cross-fitting, ``foldCol`` and ``numFolds``."""

    foldCol = str_param(
        "column of fold numbers 0..numFolds-1; where the frame has it, rows are encoded out of fold", default="fold"
    )
    numFolds = int_param("number of folds", default=5, minimum=2)

    def getFoldCol(self) -> str:
        """Return the name of the fold column."""
        return self.getOrDefault(self.foldCol)

    def getNumFolds(self) -> int:
        """Return the number of folds."""
        return self.getOrDefault(self.numFolds)

    def _has_folds(self, dataset: DataFrame) -> bool:
        return self.getFoldCol() in dataset.columns

    def _fold(self, dataset: DataFrame) -> Column:
        """Return the fold of a training row; -1, which no fit leaves out, where the frame has no folds."""
        return col(self.getFoldCol()).cast("int") if self._has_folds(dataset) else sf.lit(-1)

    def _fit_number(self) -> Column:
        """Return the number of the fit that encodes a row: its fold, or the last fit where it has none."""
        return sf.coalesce(col(self.getFoldCol()).cast("int"), sf.lit(self.getNumFolds()))

    def _check_folds(self, dataset: DataFrame) -> None:
        if not self._has_folds(dataset):
            return
        fold = col(self.getFoldCol())
        inside = (fold >= 0) & (fold < self.getNumFolds())
        outside = dataset.where(~sf.coalesce(inside, sf.lit(False))).select(fold).limit(1).collect()
        if outside:
            raise DataError(
                f"{self.getFoldCol()}: expected fold numbers 0 to {self.getNumFolds() - 1}, "
                f"found {outside[0][0]}; number the folds with purchasecast.training.split.with_folds."
            )


class HasQuantity(Params):
    """Mixin for the param ``quantityCol``."""

    quantityCol = str_param("numeric column of the quantity; empty where every row counts 1", default="")

    def _quantity(self) -> Column:
        name = self.getOrDefault(self.quantityCol)
        return col(name).cast("double") if name else sf.lit(1.0)


class _TableModelWriter(MLWriter):
    """Writes params and state as Spark does, and each level table as Parquet beside them."""

    def __init__(self, instance: TableModelMixin) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        tables = self.instance._tables()
        extra = {"tables": sorted(tables), "state": self.instance._state()}
        DefaultParamsWriter.saveMetadata(cast("Params", self.instance), path, self.sparkSession, extraMetadata=extra)
        for name, table in tables.items():
            table.coalesce(1).write.parquet(f"{path}/tables/{name}")


class _TableModelReader(MLReader[Any]):
    """Reads what `_TableModelWriter` wrote."""

    def __init__(self, cls: type[TableModelMixin]) -> None:
        super().__init__()
        self.cls = cls

    def load(self, path: str) -> TableModelMixin:
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        model = self.cls()
        params = cast("DefaultParamsReadable[Any]", model)  # a class that uses the mixin is a Params too
        params._resetUid(metadata["uid"])  # type: ignore[attr-defined]  # Params has it, the cast hides it
        DefaultParamsReader.getAndSetParams(params, metadata)
        tables = {name: self.sparkSession.read.parquet(f"{path}/tables/{name}") for name in metadata["tables"]}
        model._restore(tables, metadata["state"])
        return model


class TableModelMixin(MLWritable, MLReadable[Any]):
    """Mixin for a model that consists of level tables and a small JSON state.

    A class that uses it returns them from ``_tables`` and ``_state``, takes them back in ``_restore``, and has a
    constructor without required arguments.
    """

    def _tables(self) -> Mapping[str, DataFrame]:
        raise NotImplementedError

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _restore(self, tables: Mapping[str, DataFrame], state: dict[str, Any]) -> None:
        raise NotImplementedError

    def write(self) -> MLWriter:
        """Return a writer of the params, the state and the level tables."""
        return _TableModelWriter(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Return a reader of what `write` wrote."""
        return _TableModelReader(cls)

    @classmethod
    def load(cls, path: str) -> Self:
        """Return the model that was saved at a path.

        Parameters
        ----------
        path : str
            Directory that `save` wrote.

        Returns
        -------
        TableModelMixin
            The model.
        """
        model: Self = cls.read().load(path)
        return model


def require_columns(stage: Params, dataset: DataFrame, names: Iterable[str]) -> None:
    """Check that a frame has the columns that a stage needs.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    """
    missing = [name for name in names if name not in dataset.columns]
    if missing:
        raise ColumnMismatchError(
            f"{type(stage).__name__}: expected the columns {missing}, found {dataset.columns}; "
            "name existing columns in its params, or put the stage that adds them before it."
        )


def broadcast_if_small(table: DataFrame, rows: int, columns: int) -> DataFrame:
    """Mark a level table of at most 32 MB for a broadcast join.

    Spark does not know the size of a checkpointed table, and would shuffle all rows to join it.

    Parameters
    ----------
    table : DataFrame
        The table.
    rows, columns : int
        Its size; a column counts 8 bytes.

    Returns
    -------
    DataFrame
        The table, with a hint where it is small.
    """
    return sf.broadcast(table) if rows * columns * 8 <= _BROADCAST_BYTES else table


def numbered(prefix: str, count: int) -> list[str]:
    """Return ``prefix_0 .. prefix_{count-1}``."""
    return [f"{prefix}_{k}" for k in range(count)]
