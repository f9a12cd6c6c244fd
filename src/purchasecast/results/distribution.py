"""The distribution of a number, and of the target: part of a `Profile`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from purchasecast.results.record import Record

__all__ = ["Histogram", "Mode", "NumberProfile", "TargetProfile", "Transformation"]


@dataclass(frozen=True, slots=True)
class Histogram(Record):
    """Rows by bin. A bin includes its left edge; the last bin includes both edges.

    Attributes
    ----------
    edges : tuple of float
        Edges of the bins, one more than there are bins.
    rows : tuple of int
        Rows of each bin.
    scale : {"linear", "log"}
        Scale on which all bins have the same width.
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    scale: Literal["linear", "log"]


@dataclass(frozen=True, slots=True)
class NumberProfile(Record):
    """The distribution of a number over the rows that have a value.

    Attributes
    ----------
    rows : int
        Rows with a value.
    mean, sd, minimum, maximum : float
        Mean, sample standard deviation, and range.
    skewness, kurtosis : float or None
        Third standardized moment, and the fourth minus 3; None where all values are equal.
    quantiles : dict of str to float
        Values by probability (``"0.5"`` is the median), interpolated linearly.
    histogram : Histogram
        Rows by value.
    """

    rows: int
    mean: float
    sd: float
    minimum: float
    maximum: float
    skewness: float | None
    kurtosis: float | None
    quantiles: dict[str, float]
    histogram: Histogram


@dataclass(frozen=True, slots=True)
class Mode(Record):
    """A value at which many purchases lie, such as a price level.

    Attributes
    ----------
    value : float
        Position of the peak of the smoothed distribution.
    low, high : float
        The valleys on both sides of the peak.
    share_of_rows : float
        Share of the rows between the valleys.
    """

    value: float
    low: float
    high: float
    share_of_rows: float


@dataclass(frozen=True, slots=True)
class Transformation(Record):
    """Whether a transformed target would be easier to model.

    Attributes
    ----------
    skewness : dict of str to float
        Skewness of the target as it is (``none``), of its square root (``sqrt``) and of log(1 + target) (``log``).
    power : float or None
        Power that would give all levels the same spread: 1 minus the slope of log sd on log mean over the levels of the
        strongest feature that have at least 1 % of the rows; None where there are too few such levels.
    advice : {"none", "sqrt", "log"}
        The least skewed of the three; ``none`` where the target as it is has a skewness below 1.
    """

    skewness: dict[str, float]
    power: float | None
    advice: Literal["none", "sqrt", "log"]


@dataclass(frozen=True, slots=True)
class TargetProfile(Record):
    """The distribution of the target.

    Attributes
    ----------
    name, label : str
        The column, and its name in reports.
    total : float
        Sum over all rows.
    low, high : float or None
        95 % interval of the mean, clustered by customer; None where there is a single cluster.
    numbers : NumberProfile
        The distribution.
    fences : tuple of float
        Tukey's fences: 1.5 interquartile ranges outside the quartiles.
    outliers_below, outliers_above : int
        Rows outside the fences.
    share_of_outliers : float
        Share of the total that the outliers hold.
    deciles : tuple of float
        Share of the total in each tenth of the rows, smallest purchases first.
    modes : tuple of Mode
        Values at which many purchases lie, smallest first.
    transformation : Transformation
        Whether a transformation would help.
    """

    name: str
    label: str
    total: float
    low: float | None
    high: float | None
    numbers: NumberProfile
    fences: tuple[float, float]
    outliers_below: int
    outliers_above: int
    share_of_outliers: float
    deciles: tuple[float, ...]
    modes: tuple[Mode, ...]
    transformation: Transformation
