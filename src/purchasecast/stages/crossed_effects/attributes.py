"""Least-squares effects of attributes with few levels and of numeric columns, for all fits from one pass.

They are the prior means of `CrossedEffectsEncoder`: what to expect of an unseen customer or product from its attributes
alone. One pass computes a Gram matrix for each fold; the fit without a fold adds up the others.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as sf

from purchasecast.errors import SettingsError
from purchasecast.numerics.gram import Gram, leave_one_out, merge_all
from purchasecast.spark.columns import col
from purchasecast.spark.gram import collect_grams
from purchasecast.spark.shipping import arrow_column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

__all__ = ["AttributeEffects", "fit_attribute_effects"]

MAX_LEVELS = 2_000  # of all attributes together: a Gram matrix of 32 MB a fold; ids belong in the crossed effects
_RIDGE = 1.0  # rows that a level is shrunk by: makes full sets of indicators solvable, and changes large levels little


@dataclass(frozen=True, slots=True)
class AttributeEffects:
    """Intercepts and effects of all fits.

    Attributes
    ----------
    attributes, numerics : tuple of str
        Names of the index columns and of the numeric columns.
    intercepts : tuple of float
        One a fit.
    levels : tuple of tuple of tuple of float
        Effects by fit, attribute and index, in units of the label.
    slopes : tuple of tuple of float
        Slopes by fit and numeric column, in units of the label over those of the column.
    """

    attributes: tuple[str, ...]
    numerics: tuple[str, ...]
    intercepts: tuple[float, ...]
    levels: tuple[tuple[tuple[float, ...], ...], ...]
    slopes: tuple[tuple[float, ...], ...]

    @classmethod
    def none(cls, fits: int) -> AttributeEffects:
        """Return effects of no column."""
        return cls((), (), (0.0,) * fits, ((),) * fits, ((),) * fits)

    def last_column(self) -> Column:
        """Return the fitted value of the last fit; null and unseen values add nothing."""
        zero = sf.lit(0.0)
        terms = [
            sf.coalesce(sf.get(sf.lit(list(effects)), col(name).cast("int")), zero)
            for name, effects in zip(self.attributes, self.levels[-1], strict=True)
        ]
        terms += [
            slope * sf.coalesce(col(name).cast("double"), zero)
            for name, slope in zip(self.numerics, self.slopes[-1], strict=True)
        ]
        return functools.reduce(operator.add, terms, sf.lit(self.intercepts[-1]))

    def all_columns(self) -> Column:
        """Return the array of the fitted values of all fits.

        Column expressions would need (fits x attributes) lookups, more than Spark compiles in one method; an Arrow
        function needs a few array operations a batch.
        """
        if not self.attributes and not self.numerics:
            return sf.lit(list(self.intercepts))
        index = [sf.coalesce(col(name).cast("int"), sf.lit(-1)) for name in self.attributes]
        number = [sf.coalesce(col(name).cast("double"), sf.lit(0.0)) for name in self.numerics]
        # The last entry of each table is the effect of null and unseen levels, 0.
        tables = [
            np.vstack([np.array([fit[j] for fit in self.levels]).T, np.zeros(len(self.intercepts))])
            for j in range(len(self.attributes))
        ]
        fitted = _fitted_function(np.array(self.intercepts), tables, np.array(self.slopes))
        return arrow_column(fitted, "array<double>", *index, *number)

    def fit_to_dict(self, fit: int) -> dict[str, Any]:
        """Return one fit by column, as JSON-safe data."""
        return {
            "intercept": self.intercepts[fit],
            "levels": {name: list(self.levels[fit][j]) for j, name in enumerate(self.attributes)},
            "slopes": {name: self.slopes[fit][j] for j, name in enumerate(self.numerics)},
        }

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AttributeEffects:
        """Return what `to_dict` was called on."""
        return cls(
            attributes=tuple(data["attributes"]),
            numerics=tuple(data["numerics"]),
            intercepts=tuple(map(float, data["intercepts"])),
            levels=tuple(tuple(tuple(map(float, level)) for level in fit) for fit in data["levels"]),
            slopes=tuple(tuple(map(float, fit)) for fit in data["slopes"]),
        )


def fit_attribute_effects(
    frame: DataFrame, *, attributes: Sequence[str], numerics: Sequence[str], folds: int, has_folds: bool
) -> AttributeEffects:
    """Fit the label on attributes and numeric columns by least squares, without each fold and on all rows.

    Parameters
    ----------
    frame : DataFrame
        Rows with these columns and ``_pc_fold``, ``_pc_weight`` and ``_pc_label``.
    attributes, numerics : sequence of str
        Index columns and numeric columns.
    folds : int
        Number of folds, one less than fits.
    has_folds : bool
        Whether the rows have folds; if not, all fits are the same.

    Returns
    -------
    AttributeEffects
        The last fit is that of all rows.

    Raises
    ------
    SettingsError
        If the attributes have more than 2,000 levels together.

    Notes
    -----
    One pass for the Gram matrices, folds x (levels + numerics)^2 numbers; another one for the number of levels if the
    index columns have no metadata.
    """
    sizes = _level_counts(frame, attributes)
    if sum(sizes) > MAX_LEVELS:
        counts = dict(zip(attributes, sizes, strict=True))
        raise SettingsError(
            f"CrossedEffectsEncoder.attributeCols: expected at most {MAX_LEVELS:,} levels together, found {counts}; "
            "name columns with many levels in inputCols instead."
        )
    selected = frame.select(
        _sparse_features(attributes, sizes, numerics).alias("features"),
        col("_pc_label").alias("label"),
        col("_pc_weight").alias("weight"),
        (col("_pc_fold") if has_folds else sf.lit(0)).alias("fold"),
        sf.spark_partition_id().cast("long").alias("key"),
    )
    grams = collect_grams(selected, sum(sizes) + len(numerics), folds if has_folds else 1)
    trained_on = [*leave_one_out(grams), merge_all(grams)] if has_folds else grams * (folds + 1)
    return _solve(trained_on, tuple(attributes), tuple(numerics), sizes)


def _level_counts(frame: DataFrame, attributes: Sequence[str]) -> list[int]:
    """Return the number of levels of each index column, from the metadata that StringIndexer adds or from the data."""
    named = [frame.schema[name].metadata.get("ml_attr", {}).get("vals") for name in attributes]
    if all(named):
        return [len(levels) for levels in named]
    largest = frame.agg(*[sf.max(col(name).cast("int")) for name in attributes]).collect()[0]
    return [0 if index is None else int(index) + 1 for index in largest]


def _sparse_features(attributes: Sequence[str], sizes: Sequence[int], numerics: Sequence[str]) -> Column:
    """Return the fields of a sparse vector of indicators and numbers."""
    indices, values, offset = [], [], 0
    for name, size in zip(attributes, sizes, strict=True):
        index = col(name).cast("int")
        known = sf.coalesce((index >= 0) & (index < size), sf.lit(False))
        indices.append(sf.when(known, index).otherwise(0) + offset)
        values.append(sf.when(known, 1.0).otherwise(0.0))
        offset += size
    for name in numerics:
        indices.append(sf.lit(offset))
        values.append(sf.coalesce(col(name).cast("double"), sf.lit(0.0)))
        offset += 1
    return sf.struct(
        sf.lit(0).cast("byte").alias("type"),
        sf.lit(offset).alias("size"),
        (sf.array(*indices) if indices else sf.array().cast("array<int>")).alias("indices"),
        (sf.array(*values) if values else sf.array().cast("array<double>")).alias("values"),
    )


def _fitted_function(
    intercepts: NDArray[np.float64], tables: list[NDArray[np.float64]], slopes: NDArray[np.float64]
) -> Callable[..., pa.Array]:
    """Return a function of Arrow columns: the attributes' level numbers, then the numeric columns."""

    def fitted(*columns: pa.Array) -> pa.Array:
        total = np.tile(intercepts, (len(columns[0]), 1))
        for column, table in zip(columns, tables, strict=False):
            index = column.to_numpy(zero_copy_only=False)
            unseen = len(table) - 1
            total += table[np.where((index >= 0) & (index < unseen), index, unseen)]
        for j, column in enumerate(columns[len(tables) :]):
            total += np.outer(column.to_numpy(zero_copy_only=False), slopes[:, j])
        offsets = np.arange(len(total) + 1, dtype=np.int32) * len(intercepts)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(total.ravel()))

    return fitted


def _solve(
    trained_on: list[Gram], attributes: tuple[str, ...], numerics: tuple[str, ...], sizes: list[int]
) -> AttributeEffects:
    """Solve the ridge equations of each fit; numeric columns are shrunk in units of their own variance."""
    cuts = np.cumsum(sizes)[:-1]
    intercepts, levels, slopes = [], [], []
    for gram in trained_on:
        gram_xx, gram_xy = gram.comoments[:-1, :-1], gram.comoments[:-1, -1]
        ridge = np.full(gram.features, _RIDGE)
        ridge[sum(sizes) :] = np.maximum(np.diag(gram_xx)[sum(sizes) :] / max(gram.weight, 1.0), 1e-300)
        beta = np.linalg.solve(gram_xx + np.diag(ridge), gram_xy)
        intercepts.append(float(gram.mean[-1] - gram.mean[:-1] @ beta))
        by_attribute = np.split(beta[: sum(sizes)], cuts) if sizes else []
        levels.append(tuple(tuple(map(float, part)) for part in by_attribute))
        slopes.append(tuple(map(float, beta[sum(sizes) :])))
    return AttributeEffects(attributes, numerics, tuple(intercepts), tuple(levels), tuple(slopes))
