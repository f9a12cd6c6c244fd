"""Prior means of levels that a fit has not seen: contributions that add up over the values of their attributes."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pyspark.sql import functions as sf

from purchasecast.spark.columns import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["AttributeMeans"]

_CONSTANT = ""  # name of the constant's column in the saved table


@dataclass(frozen=True, slots=True, eq=False)
class AttributeMeans:
    """Contributions of a constant and of each value of each attribute, by fit.

    Attributes
    ----------
    columns : tuple of str
        Index columns of the attributes.
    sizes : tuple of int
        Number of values of each attribute.
    values : ndarray of shape (fits, 1 + sum of sizes, width)
        Contributions, that of the constant first.
    """

    columns: tuple[str, ...]
    sizes: tuple[int, ...]
    values: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Length of a contribution."""
        return int(self.values.shape[2])

    def column(self, fit: Column | None) -> Column:
        """Return the sum of the contributions of a row.

        Parameters
        ----------
        fit : Column or None
            Number of the fit; None for the last.

        Returns
        -------
        Column
            Array of ``width`` numbers. A null or unseen value contributes 0.
        """
        of_fit = _literal(self.values[-1]) if fit is None else sf.get(_literal(self.values), fit)
        places = [sf.lit(0)]
        for name, size, start in zip(self.columns, self.sizes, self._starts(), strict=True):
            number = f"CAST({quoted(name)} AS INT)"
            places.append(sf.expr(f"CASE WHEN {number} BETWEEN 0 AND {size - 1} THEN {number} + {start} END"))
        zeros = sf.array_repeat(sf.lit(0.0), self.width)
        return sf.aggregate(
            sf.array(*places),
            zeros,
            lambda total, place: sf.zip_with(total, sf.coalesce(sf.get(of_fit, place), zeros), lambda x, y: x + y),
        )

    def fit_to_dict(self, fit: int) -> dict[str, Any]:
        """Return one fit by column, as JSON-safe data."""
        values = self.values[fit].tolist()
        starts = zip(self.columns, self.sizes, self._starts(), strict=True)
        return {"constant": values[0], "levels": {name: values[start : start + size] for name, size, start in starts}}

    def to_frame(self, spark: SparkSession) -> DataFrame:
        """Return one row a contribution: ``attribute`` (empty for the constant), ``level``, and ``means`` by fit."""
        names = _names(self.columns, self.sizes)
        rows = [(*named, self.values[:, place].tolist()) for place, named in enumerate(names)]
        return spark.createDataFrame(rows, "attribute string, level int, means array<array<double>>")

    @classmethod
    def from_frame(cls, frame: DataFrame, columns: Sequence[str]) -> Self:
        """Return the means that `to_frame` wrote; collects their table, which has a few thousand rows at most."""
        means = {(row["attribute"], row["level"]): row["means"] for row in frame.collect()}
        sizes = tuple(sum(attribute == name for attribute, _ in means) for name in columns)
        values = np.array([means[named] for named in _names(columns, sizes)], dtype=np.float64)
        return cls(tuple(columns), sizes, values.transpose(1, 0, 2))

    def _starts(self) -> list[int]:
        """Return the position of the first value of each attribute."""
        return [1 + start for start in itertools.accumulate(self.sizes, initial=0)][: len(self.sizes)]


def _names(columns: Sequence[str], sizes: Sequence[int]) -> list[tuple[str, int]]:
    """Return attribute and level of each contribution, in their order."""
    levels = [(name, level) for name, size in zip(columns, sizes, strict=True) for level in range(size)]
    return [(_CONSTANT, 0), *levels]


def _literal(values: NDArray[np.float64]) -> Column:
    """Return nested arrays of numbers as a column.

    As a JSON text they are one node of the plan, which Spark evaluates once; as literals each number would be a node.
    """
    depth = values.ndim
    return sf.from_json(sf.lit(json.dumps(values.tolist())), f"{'array<' * depth}double{'>' * depth}")
