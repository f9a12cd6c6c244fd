"""What attributes say of a level that a fit has not seen: numbers that add up over the values of its attributes."""

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

_CONSTANT = ""  # in place of the column's name in the saved table


@dataclass(frozen=True, slots=True, eq=False)
class AttributeMeans:
    """A constant, and a contribution of each value of each attribute; each several numbers, one set a fit.

    Attributes
    ----------
    columns : tuple of str
        Columns of level numbers.
    sizes : tuple of int
        Number of values of each.
    values : ndarray of shape (fits, 1 + sum of sizes, width)
        Contributions, the constant first.
    """

    columns: tuple[str, ...]
    sizes: tuple[int, ...]
    values: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Numbers of each contribution."""
        return int(self.values.shape[2])

    def column(self, fit: Column | None) -> Column:
        """Return the sums of a row as an array; a level number that is null or beyond adds nothing.

        Parameters
        ----------
        fit : Column or None
            Which fit is asked, None for the last.

        Returns
        -------
        Column
            ``width`` numbers.
        """
        of_fit = _literal(self.values[-1]) if fit is None else sf.get(_literal(self.values), fit)
        places = [sf.lit(0)]
        for name, size, start in zip(self.columns, self.sizes, self._starts(), strict=True):
            number = f"CAST({quoted(name)} AS INT)"
            places.append(sf.expr(f"CASE WHEN {number} BETWEEN 0 AND {size - 1} THEN {number} + {start} END"))
        nothing = sf.array_repeat(sf.lit(0.0), self.width)
        return sf.aggregate(
            sf.array(*places),
            nothing,
            lambda total, place: sf.zip_with(total, sf.coalesce(sf.get(of_fit, place), nothing), lambda x, y: x + y),
        )

    def fit_to_dict(self, fit: int) -> dict[str, Any]:
        """Return one fit as JSON-safe data, by column."""
        values = self.values[fit].tolist()
        starts = zip(self.columns, self.sizes, self._starts(), strict=True)
        return {"constant": values[0], "levels": {name: values[start : start + size] for name, size, start in starts}}

    def to_frame(self, spark: SparkSession) -> DataFrame:
        """Return one row a contribution: ``attribute``, empty for the constant, ``level``, and ``means`` by fit."""
        names = [(_CONSTANT, 0)]
        for name, size in zip(self.columns, self.sizes, strict=True):
            names += [(name, level) for level in range(size)]
        rows = [(*named, self.values[:, place].tolist()) for place, named in enumerate(names)]
        return spark.createDataFrame(rows, "attribute string, level int, means array<array<double>>")

    @classmethod
    def from_frame(cls, frame: DataFrame, columns: Sequence[str]) -> Self:
        """Return what `to_frame` was called on; collects the table, which holds a few thousand rows at most."""
        found = {(row["attribute"], row["level"]): row["means"] for row in frame.collect()}
        sizes = tuple(sum(attribute == name for attribute, _ in found) for name in columns)
        names = [(_CONSTANT, 0)]
        for name, size in zip(columns, sizes, strict=True):
            names += [(name, level) for level in range(size)]
        values = np.array([found[named] for named in names], dtype=np.float64)
        return cls(tuple(columns), sizes, values.transpose(1, 0, 2))

    def _starts(self) -> list[int]:
        """Return the place of each attribute's first value."""
        return [1 + start for start in itertools.accumulate(self.sizes, initial=0)][: len(self.sizes)]


def _literal(values: NDArray[np.float64]) -> Column:
    """Return nested arrays of numbers as one text: number by number, each would be a node of every plan.

    Spark reads a constant once a plan, and Python writes every bit of a number.
    """
    depth = values.ndim
    return sf.from_json(sf.lit(json.dumps(values.tolist())), f"{'array<' * depth}double{'>' * depth}")
