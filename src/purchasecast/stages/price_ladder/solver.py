r"""Find the unit of amounts that stand on steps, from counts of amounts; runs on the executors.

Amounts stand on a ladder with unit :math:`u` and band :math:`w` where nearly all of them lie in the bands
:math:`[k, k + w]\, u` for whole numbers :math:`k \ge 1`. With the unit, the residues :math:`y / u \bmod 1` lie in one
short arc that begins at 0; with another unit they spread over the circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from purchasecast.numerics.arrow_columns import read_levels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["MAX_STEPS", "Ladder", "find_ladder", "find_ladders"]

MAX_STEPS = 20  # more steps are as good as a continuous amount
_MAX_BAND = 0.45  # of the unit: amounts without steps would need 0.98 of it
_INSIDE = 0.98  # share of the rows that stand in the bands
_MIN_FILLED = 0.01  # share of the rows on a step that counts as filled
_GRID = 0.002  # relative step between the units that are tried
_START = 0.06  # how far from 0 the arc may begin, in units
_MIN_ROWS = 30
_MARGIN = 0.01  # in units, added to each end of the band


@dataclass(frozen=True, slots=True)
class Ladder:
    """The ladder of a level.

    Attributes
    ----------
    unit : float
        Distance of two steps, in money.
    start, end : float
        Band around each step, in units; the start may be a little below 0.
    steps : int
        Number of the highest step.
    share : float
        Share of the rows inside the bands.
    """

    unit: float
    start: float
    end: float
    steps: int
    share: float


def find_ladder(amounts: Floats, counts: Floats) -> Ladder | None:
    """Return the ladder that amounts stand on; None where they do not.

    Parameters
    ----------
    amounts : ndarray
        Distinct amounts, or means of narrow bins.
    counts : ndarray
        Rows of each.

    Returns
    -------
    Ladder or None
        The one with the shortest band, relative to the unit. None if there are fewer than 30 rows, if no unit puts 98 %
        of the rows inside bands of at most 0.45 units, or if fewer than two steps hold 1 % of the rows each.
    """
    used = (amounts > 0) & (counts > 0)
    order = np.argsort(amounts[used])
    amounts, counts = amounts[used][order], counts[used][order]
    total = float(counts.sum())
    if total < _MIN_ROWS:
        return None
    top = float(amounts[np.searchsorted(np.cumsum(counts), _INSIDE * total)])
    units = np.exp(np.arange(np.log(top / (MAX_STEPS + 0.5)), np.log(top / 1.5), _GRID))
    best = _shortest(amounts, counts / total, units)
    if best is None:
        return None
    near = best[0] * np.linspace(1 - _GRID, 1 + _GRID, 21)
    unit, start, length = _shortest(amounts, counts / total, near) or best
    return _described(amounts, counts / total, unit, start, start + length)


def _shortest(amounts: Floats, shares: Floats, units: Floats) -> tuple[float, float, float] | None:
    """Return unit, start and length of the arc of residues that is shortest, among those that begin near 0."""
    best: tuple[float, float, float] | None = None
    for unit in units:
        # Residues from -_START on, so that noise below a step stays beside the step.
        shifted = (amounts / unit + _START) % 1.0
        order = np.argsort(shifted, kind="stable")
        residue, cumulative = shifted[order], np.cumsum(shares[order])
        first = int(np.searchsorted(cumulative, (1 - _INSIDE) / 2))
        last = min(int(np.searchsorted(cumulative, 1 - (1 - _INSIDE) / 2)), len(residue) - 1)
        start, length = float(residue[first]) - _START, float(residue[last] - residue[first])
        if length <= _MAX_BAND and start <= _START and (best is None or length < best[2]):
            best = float(unit), start, length
    return best


def _described(amounts: Floats, shares: Floats, unit: float, start: float, end: float) -> Ladder | None:
    start, end = start - _MARGIN, end + _MARGIN
    step = np.floor(amounts / unit - start + 1e-9)
    inside = (amounts / unit - step <= end) & (step >= 1)
    filled = np.bincount(step[inside].astype(np.int64), shares[inside])
    kept = np.flatnonzero(filled >= _MIN_FILLED)
    if len(kept) < 2 or filled.sum() < _INSIDE - 0.01:
        return None
    return Ladder(unit, start, end, int(np.flatnonzero(filled)[-1]), float(filled.sum()))


def find_ladders(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the ladders of the levels of a partition.

    Parameters
    ----------
    batches : iterator of RecordBatch
        ``level``, ``amount`` and ``rows``, all rows of a level in the same partition.

    Yields
    ------
    RecordBatch
        One row a level that has a ladder.
    """
    held = [batch for batch in batches if batch.num_rows]
    if not held:
        return
    table = pa.Table.from_batches(held)
    codes, levels = read_levels(table.column("level"))
    amounts, rows = (table.column(name).to_numpy() for name in ("amount", "rows"))
    found = [(k, find_ladder(amounts[codes == k], rows[codes == k])) for k in range(len(levels))]
    ladders = [(k, ladder) for k, ladder in found if ladder is not None]
    columns: dict[str, Any] = {"level": levels.take(pa.array([k for k, _ in ladders], pa.int64()))}
    for name in ("unit", "start", "end", "steps", "share"):
        kind = pa.int32() if name == "steps" else pa.float64()
        columns[name] = pa.array([getattr(ladder, name) for _, ladder in ladders], kind)
    columns["rows"] = pa.array([float(rows[codes == k].sum()) for k, _ in ladders], pa.float64())
    yield pa.RecordBatch.from_pydict(columns)
