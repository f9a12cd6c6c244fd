r"""A smooth lower limit for predictions, where a linear regression gives many values below the minimum of the target.

Where purchases are skewed, a linear regression predicts many values below the least possible purchase :math:`m`.
Setting these to :math:`m` makes the sum of all predictions too high and gives all of them the same value. Instead,

.. math:: g(v) = m + w \log\left(1 + e^{(v - o) / w}\right)

bends the values :math:`v` smoothly over a width :math:`w`; far above the origin :math:`o` it only subtracts
:math:`o - m`. Width and origin minimise the squared error of out-of-fold predictions, among those that keep the mean
of the labels. If hardly any value lies below the minimum, there is no bend.

This module uses no Spark: executors and the scorer run it too.
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

__all__ = ["MIN_SHARE", "SoftMinimum", "find_soft_minimum", "solve_soft_minimum"]

MIN_SHARE = 0.005  # share of rows below the minimum from which predictions are bent; with fewer they are cut off
_WIDTHS = np.geomspace(0.01, 2.0, 24)  # in units of the mean purchase above the minimum


@dataclass(frozen=True, slots=True)
class SoftMinimum:
    """A bend of values toward a minimum.

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
    """Return the bend of least squared error among those that keep the mean of the labels.

    Parameters
    ----------
    values, labels : ndarray of shape (n,)
        Out-of-fold predictions of the regression, and purchases.
    minimum : float
        Least possible purchase.

    Returns
    -------
    SoftMinimum or None
        None if fewer than 1 in 200 values lie below the minimum, if all labels equal it, or if the values err more
        than the labels' mean, since they cannot tell low purchases from high ones then.
    """
    mean = float(labels.mean()) - minimum if len(labels) else 0.0
    if not mean > 0.0 or float(np.mean(values < minimum)) < MIN_SHARE:
        return None
    if float(np.mean((np.maximum(values, minimum) - labels) ** 2)) >= float(labels.var()):
        return None
    bends = [
        SoftMinimum(minimum, _origin(values, float(labels.mean()), minimum, float(width)), float(width))
        for width in mean * _WIDTHS
    ]
    return min(bends, key=lambda bend: float(np.mean((bend.values(values) - labels) ** 2)))


def _origin(values: Floats, mean: float, minimum: float, width: float) -> float:
    """Return the origin at which the bent values have the given mean."""
    from scipy import optimize  # noqa: PLC0415  the scorer imports this module on machines without SciPy

    def excess(origin: float) -> float:
        return float(SoftMinimum(minimum, origin, width).values(values).mean()) - mean

    low, high = float(values.min()), float(values.max())
    span = max(high - low, width)
    while excess(low) < 0.0:
        low -= span
    while excess(high) > 0.0:
        high += span
    return float(optimize.brentq(excess, low, high, xtol=1e-9 * span))


def solve_soft_minimum(batches: Iterator[pa.RecordBatch], *, minimum: float) -> Iterator[pa.RecordBatch]:
    """Yield the bend of all rows.

    Parameters
    ----------
    batches : iterator of RecordBatch
        Columns ``value`` and ``label``.
    minimum : float
        Least possible purchase.

    Yields
    ------
    RecordBatch
        One row of ``origin`` and ``width``, or nothing where there is no bend.
    """
    # Sorted, so that the order of the rows does not change the rounding of sums.
    table = pa.Table.from_batches(batches).sort_by([("value", "ascending"), ("label", "ascending")])
    bend = find_soft_minimum(table.column("value").to_numpy(), table.column("label").to_numpy(), minimum)
    if bend is not None:
        yield pa.RecordBatch.from_pydict({"origin": pa.array([bend.origin]), "width": pa.array([bend.width])})
