"""Prepare columns for stages that take neither nulls nor dates: levels as text, numbers as doubles, parts of dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.spark.columns import col
from purchasecast.stages.base import require_columns
from purchasecast.stages.params import StageParams, str_list_param

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

__all__ = ["ColumnPreparation"]

_PARTS: dict[str, Callable[[Column], Column]] = {
    "": lambda value: value,
    "year": sf.year,
    "quarter": sf.quarter,
    "month": sf.month,
    "week": sf.weekofyear,
    "dayofmonth": sf.dayofmonth,
    "dayofweek": sf.dayofweek,
    "dayofyear": sf.dayofyear,
}


class ColumnPreparation(Transformer, StageParams, DefaultParamsReadable[Any], DefaultParamsWritable):
    """Add columns of levels without nulls, and columns of numbers.

    Parameters
    ----------
    levelCols : list of str, default []
        Text columns.
    nullLevels : list of str, default []
        Text to put in place of null, one a level column.
    levelOutputCols : list of str, default []
        Names of the copies of the level columns.
    numberCols : list of str, default []
        Numeric or date columns.
    numberParts : list of str, default []
        Part of the date to take, one a number column, such as ``"month"``; empty for a column that is a number.
    numberOutputCols : list of str, default []
        Names of the doubles of the number columns. A null stays null.

    Raises
    ------
    ColumnMismatchError
        If a column is missing.
    SettingsError
        If lists that belong together differ in length, or a part is unknown.
    """

    levelCols = str_list_param("text columns")
    nullLevels = str_list_param("text in place of null, one a level column")
    levelOutputCols = str_list_param("copies of the level columns without nulls")
    numberCols = str_list_param("numeric or date columns")
    numberParts = str_list_param("part of the date, one a number column; empty for a number")
    numberOutputCols = str_list_param("doubles of the number columns")

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(
        self,
        *,
        levelCols: list[str] | None = None,
        nullLevels: list[str] | None = None,
        levelOutputCols: list[str] | None = None,
        numberCols: list[str] | None = None,
        numberParts: list[str] | None = None,
        numberOutputCols: list[str] | None = None,
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def levels(self) -> list[tuple[str, str, str]]:
        """Return source, text in place of null, and output of each level column."""
        return self._together("levelCols", "nullLevels", "levelOutputCols")

    def numbers(self) -> list[tuple[str, str, str]]:
        """Return source, part of the date (empty for a number) and output of each number."""
        return self._together("numberCols", "numberParts", "numberOutputCols")

    def _together(self, *names: str) -> list[tuple[str, str, str]]:
        lists = [self.getOrDefault(name) for name in names]
        if len({len(values) for values in lists}) > 1:
            raise SettingsError(
                f"ColumnPreparation.{', '.join(names)}: expected lists of one length, "
                f"found {[len(values) for values in lists]}; "
                "give each column an entry in every list."
            )
        return list(zip(*lists, strict=True))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        levels, numbers = self.levels(), self.numbers()
        unknown = sorted({part for _, part, _ in numbers} - set(_PARTS))
        if unknown:
            raise SettingsError(
                f"ColumnPreparation.numberParts: expected some of {sorted(filter(None, _PARTS))}, found {unknown}; "
                "use the name of a part, or an empty text for a number."
            )
        require_columns(self, dataset, [name for name, *_ in (*levels, *numbers)])
        columns = {output: sf.coalesce(col(name), sf.lit(stand_in)) for name, stand_in, output in levels}
        columns |= {output: _PARTS[part](col(name)).cast("double") for name, part, output in numbers}
        return dataset.withColumns(columns) if columns else dataset
