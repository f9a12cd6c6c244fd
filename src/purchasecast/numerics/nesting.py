r"""Order a product's columns from coarse to fine, such as department, category, type.

The finest is the column that tells most of the price of a product that it has not seen. With :math:`u_i` the log price
of product :math:`i` and :math:`\bar u_{-i}` the mean over the other products of its level, shrunken to the mean of all
by one product, it has the smallest :math:`\sum_i (u_i - \bar u_{-i})^2`. The coarser ones are the longest chain of
columns in which each nests in the next: 9 rows in 10 lie where most rows of their finer level do. Real catalogues have
exceptions, so that counting pairs of levels would not find the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_columns import read_levels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["order_levels"]

_NESTED = 0.9  # share of the rows
_PRIOR = 1.0  # products of the mean of all that a level's mean is shrunken by


@dataclass(frozen=True, slots=True)
class _Column:
    """A column's levels: a code for each product, and how many there are."""

    codes: NDArray[np.intp]
    size: int

    @classmethod
    def read(cls, values: pa.ChunkedArray) -> _Column:
        codes, levels = read_levels(values)
        return cls(codes, len(levels) + 1)  # null is a level too


def order_levels(batches: Iterator[pa.RecordBatch], *, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the columns that nest, from coarse to fine; runs on the executors.

    Parameters
    ----------
    batches : iterator of RecordBatch
        One row a product: a column for each of `names`, its number of ``rows``, and the mean of its log ``price``, null
        where no row tells it.
    names : sequence of str
        Columns to order.

    Yields
    ------
    RecordBatch
        One column, ``name``, coarsest first.
    """
    table = pa.Table.from_batches(batches)
    columns = {name: _Column.read(table[name]) for name in names}
    rows, price = (table[name].to_numpy().astype(float) for name in ("rows", "price"))
    errors = {name: _error_of_others(column, price) for name, column in columns.items()}
    finest = min(names, key=lambda name: (errors[name], -columns[name].size))
    chain = _longest_chain(finest, [name for name in names if name != finest], columns, rows)
    yield pa.RecordBatch.from_pydict({"name": pa.array(chain[::-1], pa.string())})


def _error_of_others(column: _Column, price: NDArray[np.float64]) -> float:
    """Return the squared error of each product's price as told by the others of its level."""
    known = np.isfinite(price)
    codes, values = column.codes[known], price[known]
    if not len(values):
        return 0.0
    sums, counts = (np.bincount(codes, weights, column.size)[codes] for weights in (values, np.ones(len(values))))
    told = (sums - values + _PRIOR * values.mean()) / (counts - 1.0 + _PRIOR)
    return float(((values - told) ** 2).sum())


def _longest_chain(name: str, others: list[str], columns: dict[str, _Column], rows: NDArray[np.float64]) -> list[str]:
    """Return the longest chain from a column on, each nesting in the next; of chains as long, that of most levels."""
    coarser = [other for other in others if _is_nested(columns[name], columns[other], rows)]
    chains = [_longest_chain(other, coarser, columns, rows) for other in coarser]
    longest = max(chains, key=lambda chain: (len(chain), columns[chain[0]].size), default=[])
    return [name, *longest]


def _is_nested(finer: _Column, coarser: _Column, rows: NDArray[np.float64]) -> bool:
    """Return whether 9 rows in 10 are in the coarser level that most rows of their finer level are in."""
    if coarser.size >= finer.size:
        return False
    pairs, places = np.unique(finer.codes * coarser.size + coarser.codes, return_inverse=True)
    counts = np.bincount(places, rows)
    largest = np.zeros(finer.size)
    np.maximum.at(largest, pairs // coarser.size, counts)
    return bool(largest.sum() > _NESTED * rows.sum())
