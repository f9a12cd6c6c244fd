"""Statistics of the label by level, all rows of a fit or of some levels in memory; runs on the executors.

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

__all__ = [
    "MIDDLE",
    "QUANTILES",
    "LevelTable",
    "add_places",
    "code_levels",
    "solve_levels",
    "solve_statistics",
    "statistics_of_fit",
]

QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)
MIDDLE = (0.0, 0.5)  # expected z-score and rank of a level without ranked rows


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
        for t, solved in enumerate(by_key):
            yield _level_rows(k, t, encoded, tables[t], parts[t], solved)


def add_places(
    batches: Iterator[pa.RecordBatch], *, column: int, overall: Sequence[Floats], shrinkage: float
) -> Iterator[pa.RecordBatch]:
    """Add z-score and rank of each row in each fit, where a task has all rows of a level of the ranked column.

    Parameters
    ----------
    batches : iterator of RecordBatch
        Columns ``c_0`` and so on, ``label`` and ``fold``.
    column : int
        Number of the ranked column.
    overall : sequence of ndarray
        Statistics of all rows, by fit.
    shrinkage : float
        Rows that a level is shrunk by.

    Yields
    ------
    RecordBatch
        The same rows with ``places``, one list of two numbers a fit after the other.
    """
    rows = list(batches)
    if rows:
        table = pa.Table.from_batches(rows)
        codes, levels = read_levels(table.column(f"c_{column}"))
        label, by_label, fold = _labels(table)
        (within,), _ = code_levels([(codes, len(levels))], [(0, -1)])
        places = [
            places_in_levels(label, by_label, fold != k, within, of_all, shrinkage) for k, of_all in enumerate(overall)
        ]
        yield from table.append_column("places", list_column(np.hstack(places))).combine_chunks().to_batches()


def solve_levels(
    batches: Iterator[pa.RecordBatch],
    *,
    coded: int,
    tables: dict[int, tuple[int, int]],
    overall: Sequence[Floats],
    shrinkage: float,
) -> Iterator[pa.RecordBatch]:
    """Yield the statistics of all fits for some keys, where a task has all rows of a level of their first column.

    Parameters
    ----------
    batches : iterator of RecordBatch
        Columns ``c_0`` and so on, ``label``, ``fold`` and, where rows are ranked, ``places``.
    coded : int
        Number of columns.
    tables : dict of int to (int, int)
        Keys by number, as in `code_levels`; all have the same first column.
    overall : sequence of ndarray
        Statistics of all rows, by fit.
    shrinkage : float
        Rows that a level is shrunk by.

    Yields
    ------
    RecordBatch
        For each fit, one row a level of each key.
    """
    rows = list(batches)
    if not rows:
        return
    table = pa.Table.from_batches(rows)
    encoded = [read_levels(table.column(f"c_{c}")) for c in range(coded)]
    keys, parts = code_levels([(codes, len(levels)) for codes, levels in encoded], list(tables.values()))
    label, by_label, fold = _labels(table)
    places = np.full((len(label), 2 * len(overall)), np.nan)
    if "places" in table.column_names:
        places = read_lists(table.column("places"), 2 * len(overall))
    for k, of_all in enumerate(overall):
        of_fit = places[:, 2 * k : 2 * k + 2]
        by_key = statistics_of_levels(label, by_label, fold != k, keys, of_fit, of_all, shrinkage)
        for (number, key), part, solved in zip(tables.items(), parts, by_key, strict=True):
            yield _level_rows(k, number, encoded, key, part, solved)


def _labels(table: pa.Table) -> tuple[Floats, Codes, NDArray[np.integer]]:
    """Return labels, rows in their order, and folds."""
    label = table.column("label").to_numpy()
    return label, np.argsort(label, kind="stable"), table.column("fold").to_numpy()


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
    everything = _seen(by_label, seen)
    zeros = np.zeros(len(everything), dtype=np.intp)
    none = np.zeros((1, 2 + len(QUANTILES) + 2))
    none[0, -2:] = MIDDLE
    _, overall = _statistics(zeros, label[everything], np.full((len(everything), 2), np.nan), 1, none, 0.0)
    places = np.full((len(label), 2), np.nan)
    if rank_within >= 0:
        places = places_in_levels(label, by_label, seen, tables[rank_within], overall[0], shrinkage)
    return overall[0], statistics_of_levels(label, by_label, seen, tables, places, overall[0], shrinkage)


def places_in_levels(
    label: Floats, by_label: Codes, seen: NDArray[np.bool_], within: LevelTable, overall: Floats, shrinkage: float
) -> Floats:
    """Return z-score and rank of each row in its level; NaN for rows without a level, or that the fit may not see.

    Parameters
    ----------
    label : ndarray of shape (n,)
        Labels.
    by_label : ndarray of int of shape (n,)
        Rows in the order of their labels.
    seen : ndarray of bool of shape (n,)
        Rows that the fit may see.
    within : LevelTable
        Key in whose levels rows are ranked.
    overall : ndarray
        Statistics of all rows.
    shrinkage : float
        Rows that a level is shrunk by.

    Returns
    -------
    ndarray of shape (n, 2)
        The z-score and the rank.
    """
    places = np.full((len(label), 2), np.nan)
    rows = _seen(within.rows_by_label(by_label), seen)
    codes, toward = within.codes[rows], np.repeat(overall[None, :], within.size, axis=0)
    _, of_level = _statistics(codes, label[rows], places[rows], within.size, toward, shrinkage)
    places[rows, 0] = (label[rows] - of_level[codes, 0]) / np.maximum(of_level[codes, 1], 1e-300)
    places[rows, 1] = _mid_ranks(codes, label[rows], within.size)
    return places


def statistics_of_levels(
    label: Floats,
    by_label: Codes,
    seen: NDArray[np.bool_],
    tables: Sequence[LevelTable],
    places: Floats,
    overall: Floats,
    shrinkage: float,
) -> list[tuple[Floats, Floats]]:
    """Return counts and statistics by level for each key.

    Parameters
    ----------
    label : ndarray of shape (n,)
        Labels of all rows, or of all rows of some levels.
    by_label : ndarray of int of shape (n,)
        Rows in the order of their labels.
    seen : ndarray of bool of shape (n,)
        Rows that the fit may see.
    tables : sequence of LevelTable
        Keys.
    places : ndarray of shape (n, 2)
        Result of `places_in_levels`.
    overall : ndarray
        Statistics of all rows.
    shrinkage : float
        Rows that a level is shrunk by.

    Returns
    -------
    list of (ndarray, ndarray)
        Counts and statistics.
    """
    by_key: list[tuple[Floats, Floats]] = []
    for table in tables:
        rows = _seen(table.rows_by_label(by_label), seen)
        prior = (overall[None, :] if table.parent < 0 else by_key[table.parent][1])[table.parent_codes]
        by_key.append(_statistics(table.codes[rows], label[rows], places[rows], table.size, prior, shrinkage))
    return by_key


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


def _level_rows(
    k: int,
    number: int,
    encoded: Sequence[tuple[Codes, pa.Array]],
    key: tuple[int, int],
    parts: tuple[Codes, Codes],
    solved: tuple[Floats, Floats],
) -> pa.RecordBatch:
    """Return one row a level of a key."""
    counts, statistics = solved
    levels = [pa.nulls(len(counts), of_column.type) for _, of_column in encoded]
    for column, codes in zip(key, parts, strict=True):
        if column >= 0:
            levels[column] = encoded[column][1].take(pa.array(codes))
    return _rows(k, number, levels, counts, statistics)


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
