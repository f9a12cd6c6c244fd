r"""A least value that predictions come near to but do not reach, where a regression would send many below it.

Where purchases are skewed, a line gives many rows less than a purchase can be. To cut these off at the minimum
:math:`m` makes the sum of all too high, and one value of them all. Instead

.. math:: g(v) = m + w \log\left(1 + e^{(v - o) / w}\right)

bends the values :math:`v` over a width :math:`w`; far above the origin :math:`o` it takes :math:`o - m` off and no
more. Width and origin are those of least squared error, among those that give the labels' mean, on predictions that
have not seen their row. Where hardly any value lies below the minimum, nothing is bent.

No Spark in here: executors and the scorer run it, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["LEAST_SHARE", "SoftMinimum", "find_soft_minimum", "solve_soft_minimum"]

LEAST_SHARE = 0.005  # of the rows below the minimum; with fewer it is simply held to
_WIDTHS = np.geomspace(0.01, 2.0, 24)  # in mean purchases above the minimum


@dataclass(frozen=True, slots=True)
class SoftMinimum:
    """The bend.

    Attributes
    ----------
    minimum, origin, width : float
        :math:`m`, :math:`o` and :math:`w`, in money.
    """

    minimum: float
    origin: float
    width: float

    def values(self, values: Floats) -> Floats:
        """Return the bent values."""
        steps = (values - self.origin) / self.width
        bent: Floats = self.minimum + self.width * (np.maximum(steps, 0.0) + np.log1p(np.exp(-np.abs(steps))))
        return bent

    def value(self, value: float) -> float:
        """Return one bent value, without an array for it."""
        step = (value - self.origin) / self.width
        return self.minimum + self.width * (max(step, 0.0) + math.log1p(math.exp(-abs(step))))


def find_soft_minimum(values: Floats, labels: Floats, minimum: float) -> SoftMinimum | None:
    """Return the bend of least squared error that keeps the labels' mean; None where none is needed.

    Parameters
    ----------
    values, labels : ndarray of shape (n,)
        Predictions that have not seen their row, as the regression gives them, and purchases.
    minimum : float
        The least that a purchase can be.

    Returns
    -------
    SoftMinimum or None
        None if fewer than 1 in 200 values lie below the minimum, all labels at it, or the values err more than the
        labels' mean: they then say nothing of where low purchases are.
    """
    mean = float(labels.mean()) - minimum if len(labels) else 0.0
    if not mean > 0.0 or float(np.mean(values < minimum)) < LEAST_SHARE:
        return None
    if float(np.mean((np.maximum(values, minimum) - labels) ** 2)) >= float(labels.var()):
        return None
    found: list[tuple[float, SoftMinimum]] = []
    for width in mean * _WIDTHS:
        origin = _origin(values, float(labels.mean()), minimum, float(width))
        bend = SoftMinimum(minimum, origin, float(width))
        found.append((float(np.mean((bend.values(values) - labels) ** 2)), bend))
    return min(found, key=lambda pair: pair[0])[1]


def _origin(values: Floats, mean: float, minimum: float, width: float) -> float:
    """Return the origin at which the bent values have the mean."""
    from scipy import optimize  # noqa: PLC0415  the scorer imports this module on machines without SciPy

    def beyond(origin: float) -> float:
        """Return how much the mean is too high."""
        return float(SoftMinimum(minimum, origin, width).values(values).mean()) - mean

    low, high = float(values.min()), float(values.max())
    reach = max(high - low, width)
    while beyond(low) < 0.0:
        low -= reach
    while beyond(high) > 0.0:
        high += reach
    return float(optimize.brentq(beyond, low, high, xtol=1e-9 * reach))


def solve_soft_minimum(batches: Iterator[pa.RecordBatch], *, minimum: float) -> Iterator[pa.RecordBatch]:
    """Yield the bend of all rows together: ``value`` and ``label`` in, at most one row of ``origin``, ``width`` out."""
    # In the order of the values: what comes out must not depend on the order of the rows.
    table = pa.Table.from_batches(batches).sort_by([("value", "ascending"), ("label", "ascending")])
    found = find_soft_minimum(table.column("value").to_numpy(), table.column("label").to_numpy(), minimum)
    if found is not None:
        yield pa.RecordBatch.from_pydict({"origin": pa.array([found.origin]), "width": pa.array([found.width])})
