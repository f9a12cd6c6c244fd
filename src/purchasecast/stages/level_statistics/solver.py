"""Statistics of the label by level, all rows of a fit in memory; runs on the executors.

The formulas are in `stage`. Codes are those of sorted levels, so that the result does not depend on the order of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_columns import list_column, read_levels, read_lists

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.intp]

__all__ = ["QUANTILES", "LevelTable", "code_levels", "solve_statistics", "statistics_of_fit"]

QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)
_MIDDLE = (0.0, 0.5)  # expected z-score and rank of a level without ranked rows


class LevelTable:
    """Rows by the levels of a key, which is a column or a pair of columns.

    Parameters
    ----------
    codes : ndarray of int
        Level of each row; `size` where a column of the key is null.
    size : int
        Number of levels.
    parent : int
        Index of the table toward whose statistics the levels are shrunk; -1 for those of all rows.
    parent_codes : ndarray of int
        Level of the parent that each level belongs to.
    """

    def __init__(self, codes: Codes, size: int, parent: int, parent_codes: Codes) -> None:
        self.codes, self.size, self.parent, self.parent_codes = codes, size, parent, parent_codes
        self._order: Codes | None = None

    def rows_by_label(self, by_label: Codes) -> Codes:
        """Return the rows that have a level, sorted by code and then by label; all fits use one sort."""
        if self._order is None:
            in_order = by_label[np.argsort(self.codes[by_label], kind="stable")]
            self._order = in_order[: int((self.codes < self.size).sum())]
        return self._order


def code_levels(
    columns: Sequence[tuple[Codes, int]], tables: Sequence[tuple[int, int]]
) -> tuple[list[LevelTable], list[tuple[Codes, Codes]]]:
    """Encode the levels of all keys.

    Parameters
    ----------
    columns : sequence of (ndarray, int)
        Codes and number of levels of each column.
    tables : sequence of (int, int)
        Indices of the first and the second column of each key; -1 for no second one. The key of the first column of a
        pair comes before the pair.

    Returns
    -------
    tuple of (list of LevelTable, list of (ndarray, ndarray))
        The tables and, for each, the codes of its levels in the first and in the second column.
    """
    coded, parts = [], []
    for first, second in tables:
        codes, size = columns[first]
        if second < 0:
            coded.append(LevelTable(codes, size, -1, np.zeros(size, dtype=np.intp)))
            parts.append((np.arange(size), np.zeros(size, dtype=np.intp)))
            continue
        other, others = columns[second]
        known = (codes < size) & (other < others)
        pairs, numbers = np.unique(codes[known] * others + other[known], return_inverse=True)
        of_row = np.full(len(codes), len(pairs), dtype=np.intp)
        of_row[known] = numbers
        coded.append(LevelTable(of_row, len(pairs), tables.index((first, -1)), pairs // others))
        parts.append((pairs // others, pairs % others))
    return coded, parts


def solve_statistics(
    batches: Iterator[pa.RecordBatch],
    *,
    fits: range,
    coded: int,
    tables: list[tuple[int, int]],
    rank_within: int,
    shrinkage: float,
) -> Iterator[pa.RecordBatch]:
    """Yield the statistics of some fits.

    Parameters
    ----------
    batches : iterator of RecordBatch
        Columns ``c_0`` and so on, ``label``, and the lists ``residuals``: for each of these fits the label, null where
        the fit must not see the row.
    fits : range
        Numbers of the fits.
    coded : int
        Number of columns.
    tables : list of (int, int)
        Keys, as in `code_levels`.
    rank_within : int
        Index of the key in whose levels rows are ranked; -1 for none.
    shrinkage : float
        Rows that a level is shrunk by.

    Yields
    ------
    RecordBatch
        For each fit one row of all rows, with key -1, and then one row a level of each key.
    """
    read = pa.Table.from_batches(batches)
    encoded = [read_levels(read.column(f"c_{c}")) for c in range(coded)]
    keys, parts = code_levels([(codes, len(levels)) for codes, levels in encoded], tables)
    types = [levels.type for _, levels in encoded]
    label = read.column("label").to_numpy()
    by_label = np.argsort(label, kind="stable")
    labels = read_lists(read.column("residuals"), len(fits))
    for k, seen in zip(fits, ~np.isnan(labels.T), strict=True):
        overall, by_key = statistics_of_fit(label, by_label, seen, keys, rank_within, shrinkage)
        yield _rows(k, -1, [pa.nulls(1, kind) for kind in types], np.array([seen.sum()]), overall[None, :])
        for t, (counts, statistics) in enumerate(by_key):
            levels = [pa.nulls(len(counts), kind) for kind in types]
            for column, codes in zip(tables[t], parts[t], strict=True):
                if column >= 0:
                    levels[column] = encoded[column][1].take(pa.array(codes))
            yield _rows(k, t, levels, counts, statistics)


def statistics_of_fit(
    label: Floats,
    by_label: Codes,
    seen: NDArray[np.bool_],
    tables: Sequence[LevelTable],
    rank_within: int,
    shrinkage: float,
) -> tuple[Floats, list[tuple[Floats, Floats]]]:
    """Return the statistics of the rows that a fit may see.

    Parameters
    ----------
    label : ndarray of shape (n,)
        Labels.
    by_label : ndarray of int of shape (n,)
        Rows in the order of their labels.
    seen : ndarray of bool of shape (n,)
        Rows that the fit may see.
    tables : sequence of LevelTable
        Keys.
    rank_within : int
        Index of the key in whose levels rows are ranked; -1 for none.
    shrinkage : float
        Rows that a level is shrunk by.

    Returns
    -------
    tuple of (ndarray, list of (ndarray, ndarray))
        Statistics of all rows; and counts and statistics by level for each key. The columns are mean, standard
        deviation, `QUANTILES`, mean z-score and mean rank.
    """
    places = np.full((len(label), 2), np.nan)
    everything = _seen(by_label, seen)
    zeros = np.zeros(len(everything), dtype=np.intp)
    none = np.zeros((1, 2 + len(QUANTILES) + 2))
    none[0, -2:] = _MIDDLE
    _, overall = _statistics(zeros, label[everything], places[everything], 1, none, 0.0)
    if rank_within >= 0:
        within = tables[rank_within]
        rows = _seen(within.rows_by_label(by_label), seen)
        codes, toward = within.codes[rows], np.repeat(overall, within.size, axis=0)
        _, of_level = _statistics(codes, label[rows], places[rows], within.size, toward, shrinkage)
        places[rows, 0] = (label[rows] - of_level[codes, 0]) / np.maximum(of_level[codes, 1], 1e-300)
        places[rows, 1] = _mid_ranks(codes, label[rows], within.size)
    by_key: list[tuple[Floats, Floats]] = []
    for table in tables:
        rows = _seen(table.rows_by_label(by_label), seen)
        prior = (overall if table.parent < 0 else by_key[table.parent][1])[table.parent_codes]
        by_key.append(_statistics(table.codes[rows], label[rows], places[rows], table.size, prior, shrinkage))
    return overall[0], by_key


def _seen(rows: Codes, seen: NDArray[np.bool_]) -> Codes:
    return rows[seen[rows]]


def _mid_ranks(codes: Codes, label: Floats, size: int) -> Floats:
    """Return the rank of each row in its level, in (0, 1), the mean for ties; rows are sorted by level and label."""
    counts = np.bincount(codes, minlength=size)
    starts = np.concatenate([[0], np.cumsum(counts)])
    changes = np.flatnonzero((np.diff(codes) != 0) | (np.diff(label) != 0)) + 1
    borders = np.concatenate([[0], changes, [len(codes)]])
    middle = np.repeat((borders[:-1] + borders[1:]) / 2, np.diff(borders))
    return np.asarray((middle - starts[codes]) / counts[codes], dtype=np.float64)


def _statistics(
    codes: Codes, label: Floats, places: Floats, size: int, prior: Floats, shrinkage: float
) -> tuple[Floats, Floats]:
    """Return counts and shrunken statistics of each level; rows are sorted by level and label."""
    counts = np.bincount(codes, minlength=size).astype(np.float64)
    some = np.maximum(counts, 1.0)
    mean = np.bincount(codes, label, size) / some
    deviation = label - mean[codes]
    variance = np.bincount(codes, deviation * deviation, size) / some
    total = np.maximum(counts + shrinkage, 1e-9)
    shrunken = np.empty((size, 4 + len(QUANTILES)))
    shrunken[:, 0] = (counts * mean + shrinkage * prior[:, 0]) / total
    shrunken[:, 1] = np.sqrt((counts * variance + shrinkage * prior[:, 1] ** 2) / total)
    starts = np.concatenate([[0], np.cumsum(counts[:-1])])
    padded = np.append(label, 0.0)
    for q, share in enumerate(QUANTILES):
        place = starts + share * np.maximum(counts - 1, 0)
        below = np.floor(place).astype(np.intp)
        above = np.minimum(below + 1, (starts + np.maximum(counts - 1, 0)).astype(np.intp))
        quantile = padded[below] + (place - below) * (padded[above] - padded[below])
        shrunken[:, 2 + q] = np.where(
            counts > 0, (counts * quantile + shrinkage * prior[:, 2 + q]) / total, prior[:, 2 + q]
        )
    ranked = ~np.isnan(places[:, 1])
    ranked_rows = np.bincount(codes[ranked], minlength=size)
    for last in (-2, -1):
        sums = np.bincount(codes[ranked], places[ranked, last], size)
        shrunken[:, last] = (sums + shrinkage * prior[:, last]) / np.maximum(ranked_rows + shrinkage, 1e-9)
    without = counts == 0
    shrunken[without, :-2] = prior[without, :-2]
    shrunken[ranked_rows == 0, -2:] = prior[ranked_rows == 0, -2:]
    return counts, shrunken


def _rows(k: int, table: int, levels: list[pa.Array], counts: Floats, statistics: Floats) -> pa.RecordBatch:
    rows = len(counts)
    columns = {
        "fit": pa.array(np.full(rows, k, dtype=np.int32)),
        "tab": pa.array(np.full(rows, table, dtype=np.int32)),
        **{f"l_{c}": level for c, level in enumerate(levels)},
        "n": pa.array(counts.astype(np.float64)),
        "s": list_column(statistics),
    }
    return pa.RecordBatch.from_pydict(columns)
