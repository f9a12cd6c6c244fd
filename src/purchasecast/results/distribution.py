"""The distribution of a number, and of the target: part of a `Profile`, without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Histogram", "Mode", "NumberProfile", "TargetProfile", "Transformation"]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows by bin; a bin holds its left edge, the last one both.

    Attributes
    ----------
    edges : tuple of float
        One more than bins.
    rows : tuple of int
        Rows of each bin.
    scale : {"linear", "log"}
        What the bins are of equal width on.
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    scale: Literal["linear", "log"]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Histogram:
        """Return what `dataclasses.asdict` was called on."""
        return cls(tuple(values["edges"]), tuple(values["rows"]), values["scale"])


@dataclass(frozen=True, slots=True)
class NumberProfile:
    """The distribution of one number over the rows that have it.

    Attributes
    ----------
    rows : int
        Rows with a value.
    mean, sd, minimum, maximum : float
        As usual; the standard deviation is the sample's.
    skewness, kurtosis : float or None
        Third standardised moment, and the fourth less 3; None where all values are equal.
    quantiles : dict of str to float
        Values by probability (``"0.5"`` is the median), with linear interpolation between neighbours.
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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NumberProfile:
        """Return what `dataclasses.asdict` was called on."""
        return cls(**{**values, "histogram": Histogram.from_dict(values["histogram"])})


@dataclass(frozen=True, slots=True)
class Mode:
    """A value around which purchases gather, such as a price level.

    Attributes
    ----------
    value : float
        Where the smoothed distribution has its peak.
    low, high : float
        Between which valleys it lies.
    share_of_rows : float
        Share of rows between them.
    """

    value: float
    low: float
    high: float
    share_of_rows: float


@dataclass(frozen=True, slots=True)
class Transformation:
    """Whether a transformed target would be easier to model.

    Attributes
    ----------
    skewness : dict of str to float
        Skewness of the target as it is (``none``), of its square root and of log(1 + target).
    power : float or None
        Power that would make the spread the same at every level: 1 less the slope of log sd on log mean over the levels
        of the strongest feature that hold 1 % of the rows each; None where there are too few.
    advice : {"none", "sqrt", "log"}
        The least skewed of them; ``none`` where the skewness as it is stays below 1.
    """

    skewness: dict[str, float]
    power: float | None
    advice: Literal["none", "sqrt", "log"]


@dataclass(frozen=True, slots=True)
class TargetProfile:
    """The distribution of the target.

    Attributes
    ----------
    name, label : str
        The column, and its name for people.
    total : float
        Sum over all rows.
    low, high : float or None
        95 % interval of the mean, clustered by customer; None for a single cluster.
    numbers : NumberProfile
        The distribution.
    fences : tuple of float
        Tukey's: 1.5 interquartile ranges outside the quartiles.
    outliers_below, outliers_above : int
        Rows outside them.
    share_of_outliers : float
        Their share of the total.
    deciles : tuple of float
        Share of the total in each tenth of the rows, smallest purchases first.
    modes : tuple of Mode
        Values around which purchases gather, smallest first.
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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TargetProfile:
        """Return what `dataclasses.asdict` was called on."""
        parts = {
            "numbers": NumberProfile.from_dict(values["numbers"]),
            "fences": tuple(values["fences"]),
            "deciles": tuple(values["deciles"]),
            "modes": tuple(Mode(**mode) for mode in values["modes"]),
            "transformation": Transformation(**values["transformation"]),
        }
        return cls(**{**values, **parts})
