"""Prior means of levels that a fit has not seen: contributions of their attributes' values and of a vector."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pyspark.sql import functions as sf

from purchasecast.spark.columns import col, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["AttributeMeans"]

_CONSTANT = ""  # name of the constant's column in the saved table


@dataclass(frozen=True, slots=True, eq=False)
class AttributeMeans:
    """Contributions of a constant, of each value of each attribute, and of each element of a vector, by fit.

    Attributes
    ----------
    columns : tuple of str
        Index columns of the attributes.
    sizes : tuple of int
        Number of values of each attribute.
    values : ndarray of shape (fits, 1 + sum of sizes + length of the vector, width)
        Contributions: that of the constant, those of the attributes, and those of an element of 1 of the vector.
    vector : str
        Column of the vector, an array; empty for none.
    """

    columns: tuple[str, ...]
    sizes: tuple[int, ...]
    values: NDArray[np.float64]
    vector: str = ""

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
            Array of ``width`` numbers. A null or unseen value, and a null vector, contribute 0.
        """
        of_fit = _literal(self.values[-1]) if fit is None else sf.get(_literal(self.values), fit)
        places = [sf.lit(0)]
        for name, size, start in zip(self.columns, self.sizes, self._starts(), strict=True):
            number = f"CAST({quoted(name)} AS INT)"
            places.append(sf.expr(f"CASE WHEN {number} BETWEEN 0 AND {size - 1} THEN {number} + {start} END"))
        zeros = sf.array_repeat(sf.lit(0.0), self.width)
        total = sf.aggregate(
            sf.array(*places),
            zeros,
            lambda total, place: sf.zip_with(total, sf.coalesce(sf.get(of_fit, place), zeros), lambda x, y: x + y),
        )
        if not self.vector:
            return total
        rest = sf.slice(of_fit, self._vector_start() + 1, max(self.values.shape[1], 1))
        terms = sf.zip_with(
            sf.coalesce(col(self.vector), sf.array().cast("array<double>")),
            rest,
            lambda x, row: sf.transform(sf.coalesce(row, zeros), lambda y: sf.coalesce(x, sf.lit(0.0)) * y),
        )
        return sf.aggregate(terms, total, lambda sum_, term: sf.zip_with(sum_, term, lambda x, y: x + y))

    def fit_to_dict(self, fit: int) -> dict[str, Any]:
        """Return one fit by column, as JSON-safe data."""
        values = self.values[fit].tolist()
        starts = zip(self.columns, self.sizes, self._starts(), strict=True)
        return {
            "constant": values[0],
            "levels": {name: values[start : start + size] for name, size, start in starts},
            "vector": values[self._vector_start() :],
        }

    def to_frame(self, spark: SparkSession) -> DataFrame:
        """Return one row a contribution: ``attribute`` (empty for the constant), ``level``, and ``means`` by fit.

        An element of the vector has the vector's column as attribute.
        """
        names = _names(self.columns, self.sizes)
        names += [(self.vector, element) for element in range(self.values.shape[1] - len(names))]
        rows = [(*named, self.values[:, place].tolist()) for place, named in enumerate(names)]
        return spark.createDataFrame(rows, "attribute string, level int, means array<array<double>>")

    @classmethod
    def from_frame(cls, frame: DataFrame, columns: Sequence[str], vector: str) -> Self:
        """Return the means that `to_frame` wrote; collects their table, which has a few thousand rows at most."""
        means = {(row["attribute"], row["level"]): row["means"] for row in frame.collect()}
        sizes = tuple(sum(attribute == name for attribute, _ in means) for name in columns)
        names = _names(columns, sizes)
        names += [(vector, element) for element in range(len(means) - len(names))]
        values = np.array([means[named] for named in names], dtype=np.float64)
        return cls(tuple(columns), sizes, values.transpose(1, 0, 2), vector)

    def _vector_start(self) -> int:
        """Return the position of the vector's first element."""
        return 1 + sum(self.sizes)

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
