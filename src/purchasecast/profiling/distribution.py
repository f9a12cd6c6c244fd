"""Statistics of a distribution, from rows by value.

References
----------
J. W. Tukey, *Exploratory Data Analysis*, 1977. D. Freedman, P. Diaconis, "On the histogram as a density estimator",
Z. Wahrscheinlichkeitstheorie 57, 1981. https://doi.org/10.1007/BF01025868
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from purchasecast.results import Histogram, Mode, NumberProfile

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ValueCounts",
    "describe",
    "find_modes",
    "gini_and_curve",
    "make_histogram",
    "prominent_peaks",
    "skewness_of",
]

Floats = NDArray[np.float64]

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_MAX_BINS = 60
_LOG_SKEWNESS = 2.0  # a positive number more skewed than this is drawn on a logarithmic axis
_MIN_PROMINENCE = 0.04  # of the highest peak
_GRID = 512  # points at which the smoothed distribution is computed


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """Rows by distinct value.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Distinct values, ascending, perhaps rounded.
    rows : ndarray of shape (n,)
        Number of rows with each value.
    totals : ndarray of shape (n,)
        Sum of the values of these rows before rounding.
    """

    values: Floats
    rows: Floats
    totals: Floats

    @property
    def count(self) -> float:
        """Return the number of rows."""
        return float(self.rows.sum())

    @property
    def exact(self) -> Floats:
        """Return the mean of the values that were rounded to each value."""
        return self.totals / self.rows

    def quantiles(self, shares: Sequence[float] | Floats) -> Floats:
        """Return quantiles, with NumPy's linear interpolation between neighbouring rows."""
        ends = np.cumsum(self.rows)
        places = (ends[-1] - 1) * np.asarray(shares, dtype=np.float64)
        below = np.searchsorted(ends, np.floor(places), side="right")
        above = np.searchsorted(ends, np.ceil(places), side="right")
        low, high = self.exact[below], self.exact[above]
        return np.asarray(low + (high - low) * (places - np.floor(places)), dtype=np.float64)

    def ranks(self) -> Floats:
        """Return the rank of each value, from 1; tied rows share their mean rank."""
        return np.cumsum(self.rows) - (self.rows - 1) / 2

    def rank_squares(self) -> float:
        """Return the sum of squared deviations of the ranks from their mean."""
        middle = (self.count + 1) / 2
        return float(np.sum(self.rows * (self.ranks() - middle) ** 2))

    def share_by_part(self, parts: int) -> Floats:
        """Divide the rows into equal parts, smallest values first, and return the share of the total in each."""
        held = np.concatenate([[0.0], np.cumsum(self.totals)])
        ends = np.concatenate([[0.0], np.cumsum(self.rows)])
        at = np.interp(np.linspace(0, ends[-1], parts + 1), ends, held)
        return np.diff(at) / held[-1] if held[-1] else np.zeros(parts)


def describe(counts: ValueCounts) -> NumberProfile:
    """Compute moments, quantiles and histogram of a distribution."""
    rows = counts.count
    values = counts.exact
    mean = float(counts.totals.sum() / rows)
    variance, skewness, kurtosis = _moments(values, counts.rows)
    quantiles = dict(zip(map(str, QUANTILES), map(float, counts.quantiles(QUANTILES)), strict=True))
    return NumberProfile(
        rows=int(rows),
        mean=mean,
        sd=float(np.sqrt(variance * rows / (rows - 1))) if rows > 1 else 0.0,
        minimum=float(values[0]),
        maximum=float(values[-1]),
        skewness=skewness,
        kurtosis=kurtosis,
        quantiles=quantiles,
        histogram=make_histogram(counts, skewness),
    )


def _moments(values: Floats, rows: Floats) -> tuple[float, float | None, float | None]:
    """Return variance (population), skewness and excess kurtosis."""
    share = rows / rows.sum()
    centred = values - np.sum(share * values)
    variance = float(np.sum(share * centred**2))
    if variance <= 0:
        return 0.0, None, None
    standard = centred / np.sqrt(variance)
    return variance, float(np.sum(share * standard**3)), float(np.sum(share * standard**4) - 3)


def skewness_of(values: Floats, rows: Floats) -> float:
    """Return the skewness of values, each of which `rows` rows have; 0 if all are equal."""
    return _moments(values, rows)[1] or 0.0


def make_histogram(counts: ValueCounts, skewness: float | None) -> Histogram:
    """Count rows in bins of round width (Freedman and Diaconis' rule, at most 60), or of equal ratio if skewed."""
    low, high = float(counts.exact[0]), float(counts.exact[-1])
    if low > 0 and (skewness or 0.0) > _LOG_SKEWNESS and high / low > 100:
        edges, scale = _log_edges(low, high), "log"
    else:
        edges, scale = _round_edges(counts, low, high), "linear"
    places = np.clip(np.searchsorted(edges, counts.exact, side="right") - 1, 0, len(edges) - 2)
    rows = np.bincount(places, counts.rows, minlength=len(edges) - 1)
    return Histogram(tuple(map(float, edges)), tuple(int(n) for n in rows), "log" if scale == "log" else "linear")


def _log_edges(low: float, high: float) -> Floats:
    """Return the edges of ten bins a decade, or of fewer where that is too many."""
    first, last = np.floor(np.log10(low)), np.ceil(np.log10(high))
    a_decade = int(max(1, min(10, _MAX_BINS // (last - first))))
    grid = 10 ** np.linspace(first, last, int(last - first) * a_decade + 1)
    inside = (np.searchsorted(grid, [low, high], side="right") - 1).clip(0, len(grid) - 2)
    return np.asarray(grid[inside[0] : inside[1] + 2], dtype=np.float64)


def _round_edges(counts: ValueCounts, low: float, high: float) -> Floats:
    if high <= low:
        return np.array([low, low + 1.0])
    quartiles = counts.quantiles([0.25, 0.75])
    wanted = 2 * (quartiles[1] - quartiles[0]) / counts.count ** (1 / 3)
    width = _round_up(max(wanted, (high - low) / _MAX_BINS))
    if len(counts.values) <= _MAX_BINS and np.all(counts.values == np.rint(counts.values)):
        width = max(1.0, np.rint(width))
    first = np.floor(low / width)
    bins = int(np.floor(high / width) - first) + 1
    return np.asarray((first + np.arange(bins + 1)) * width, dtype=np.float64)


def _round_up(width: float) -> float:
    power = 10.0 ** np.floor(np.log10(width))
    return float(next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= width * (1 - 1e-9)))


def find_modes(counts: ValueCounts, *, logarithmic: bool) -> tuple[Mode, ...]:
    """Find the modes: the values around which rows gather.

    Parameters
    ----------
    counts : ValueCounts
        Rows by value.
    logarithmic : bool
        Whether to look at logarithms, for very skewed positive numbers.

    Returns
    -------
    tuple of Mode
        Peaks of the smoothed distribution whose prominence is at least 4 % of the highest peak, smallest value first.

    Notes
    -----
    Gaussian smoothing with Silverman's bandwidth, 0.9 min(sd, IQR / 1.34) n^(-1/5), at most a 64th of the range.
    """
    values = np.log10(counts.exact) if logarithmic else counts.exact
    low, high = float(values[0]), float(values[-1])
    if high <= low:
        only = float(counts.exact[0])
        return (Mode(only, only, only, 1.0),)
    grid = np.linspace(low, high, _GRID)
    step = grid[1] - grid[0]
    density = np.bincount(np.rint((values - low) / step).astype(np.int64), counts.rows, minlength=_GRID)
    spread = np.sqrt(_moments(values, counts.rows)[0])
    quartiles = ValueCounts(values, counts.rows, values * counts.rows).quantiles([0.25, 0.75])
    silverman = 0.9 * min(spread, (quartiles[1] - quartiles[0]) / 1.34 or spread) * counts.count ** (-0.2)
    smooth = gaussian_filter1d(density, np.clip(silverman / step, 1.0, _GRID / 64), mode="constant")
    peaks = prominent_peaks(np.concatenate([[0.0], smooth, [0.0]]), _MIN_PROMINENCE * smooth.max()) - 1
    valleys = [a + int(np.argmin(smooth[a : b + 1])) for a, b in pairwise(peaks)]
    borders = np.array([low, *grid[valleys], np.nextafter(high, np.inf)])
    held = np.histogram(values, bins=borders, weights=counts.rows)[0] / counts.count
    original = 10**grid if logarithmic else grid
    ends = [float(counts.exact[0]), *map(float, original[valleys]), float(counts.exact[-1])]
    return tuple(Mode(float(original[peak]), ends[i], ends[i + 1], float(held[i])) for i, peak in enumerate(peaks))


def prominent_peaks(curve: Floats, least: float) -> NDArray[np.intp]:
    """Find the peaks of a curve that rise by at least `least` over the higher of the valleys beside them.

    The same as ``scipy.signal.find_peaks``, without the half second that it takes to load `scipy.signal`.
    """
    starts = np.flatnonzero(np.diff(curve, prepend=np.nan) != 0)  # of runs of equal values
    ends = np.append(starts[1:], len(curve)) - 1
    height = curve[starts]
    found = []
    for peak in 1 + np.flatnonzero((height[1:-1] > height[:-2]) & (height[1:-1] > height[2:])):
        higher = np.flatnonzero(height > height[peak])
        left, right = higher[higher < peak], higher[higher > peak]
        before = height[left[-1] if len(left) else 0 : peak]
        after = height[peak + 1 : (right[0] if len(right) else len(height) - 1) + 1]
        if height[peak] - max(before.min(), after.min()) >= least:
            found.append((starts[peak] + ends[peak]) // 2)
    return np.array(found, dtype=np.intp)


def gini_and_curve(totals: ValueCounts, points: Sequence[float]) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Compute the Gini coefficient of totals of levels, and the share of the total that the largest levels hold."""
    ends = np.concatenate([[0.0], np.cumsum(totals.rows[::-1])]) / totals.count
    held = np.concatenate([[0.0], np.cumsum(totals.totals[::-1])])
    if held[-1] <= 0:
        return 0.0, tuple((float(p), float(p)) for p in points)
    held = held / held[-1]
    gini = float(2 * np.trapezoid(held, ends) - 1)
    return gini, tuple((float(p), float(h)) for p, h in zip(points, np.interp(points, ends, held), strict=True))
