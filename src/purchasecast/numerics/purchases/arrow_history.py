"""Histories and attributes of customers from Arrow tables with one row per customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from purchasecast.numerics.purchases.history import History

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["histories", "indicators"]


def indicators(lists: pa.ChunkedArray, vocabulary: Sequence[str]) -> sparse.csr_matrix:
    """Return the indicator of the texts of each list; texts that are not in the vocabulary count for nothing."""
    flat, owner = pc.list_flatten(lists), pc.list_parent_indices(lists)
    found = pc.index_in(flat, value_set=pa.array(list(vocabulary), pa.string()))
    known = found.is_valid().to_numpy()
    place = found.drop_null().to_numpy().astype(np.int64)
    ones = np.ones(len(place), dtype=np.float32)
    cells = (ones, (owner.to_numpy()[known], place))
    return sparse.csr_matrix(cells, shape=(len(lists), len(vocabulary)), dtype=np.float32)


def histories(table: pa.Table) -> History:
    """Return the histories of customers, from one row per customer with lists of what was bought."""
    lengths = pc.fill_null(pc.list_value_length(table["items"]), 0).to_numpy()
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

    def flat(name: str) -> NDArray[np.float64]:
        values: NDArray[np.float64] = pc.list_flatten(table[name]).to_numpy().astype(np.float64)
        return values

    return History(indptr, flat("items").astype(np.int64), flat("counts"), flat("recents"), flat("ages"))
