"""What profiling found, in numbers; no Spark here, so that a report can be drawn, or drift measured, anywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Concentration",
    "FeatureProfile",
    "Histogram",
    "LevelProfile",
    "Mode",
    "NumberProfile",
    "PairCell",
    "PairProfile",
    "Profile",
    "ProfileWarning",
    "TargetProfile",
    "Transformation",
]


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


@dataclass(frozen=True, slots=True)
class LevelProfile:
    """The rows of one level of a feature.

    Attributes
    ----------
    level : str
        The level; a bin of a numeric feature; a month or a year of a date.
    rows : int
        Rows that have it.
    share_of_rows : float
        Their share.
    total : float
        Sum of the target over them.
    share_of_total : float
        Its share; 0 where the whole total is 0.
    mean, sd : float
        Mean and standard deviation of the target.
    low, high : float or None
        95 % interval of the mean, clustered by customer; None for a single cluster.
    customers : int or None
        Customers among the rows; None without a customer column.
    """

    level: str
    rows: int
    share_of_rows: float
    total: float
    share_of_total: float
    mean: float
    sd: float
    low: float | None
    high: float | None
    customers: int | None


@dataclass(frozen=True, slots=True)
class FeatureProfile:
    """A feature, and the target by its levels.

    Attributes
    ----------
    name, label, kind : str
        The column, its name for people, and what its values are.
    of : str or None
        Whose attribute it is.
    unit : str or None
        Unit of its values.
    nulls : int
        Rows without a value.
    levels : tuple of LevelProfile
        Ordinal, numeric and date features in their order; nominal ones by rows, most first.
    correlation_ratio : float
        Square root of the share of the target's variance between the levels.
    explained : float
        That share, corrected for the number of levels; 0 at least.
    spearman : float or None
        Rank correlation with the target; None where the values have no order.
    pearson : float or None
        Linear correlation with the target, of numeric features.
    numbers : NumberProfile or None
        The distribution of a numeric feature.
    """

    name: str
    label: str
    kind: str
    of: str | None
    unit: str | None
    nulls: int
    levels: tuple[LevelProfile, ...]
    correlation_ratio: float
    explained: float
    spearman: float | None = None
    pearson: float | None = None
    numbers: NumberProfile | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeatureProfile:
        """Return what `dataclasses.asdict` was called on."""
        numbers = values["numbers"]
        parts = {
            "levels": tuple(LevelProfile(**level) for level in values["levels"]),
            "numbers": None if numbers is None else NumberProfile.from_dict(numbers),
        }
        return cls(**{**values, **parts})


@dataclass(frozen=True, slots=True)
class Concentration:
    """How unevenly the total is spread over the levels of a column that has very many.

    Attributes
    ----------
    name, label : str
        The column, and its name for people.
    role : str or None
        ``customer``, ``product`` or nothing.
    levels, once : int
        Levels, and those with a single row.
    rows_per_level : dict of str to float
        Quantiles of the rows a level has, by probability.
    curve : tuple of (float, float)
        Share of the levels, largest totals first, and the share of the total that they hold.
    top_fifth : float
        Share of the total that the largest fifth of the levels holds.
    gini : float
        Gini coefficient of the totals: 0 all equal, near 1 all in one hand.
    explained : float
        Share of the target's variance between the levels, corrected for their number; 0 at least.
    """

    name: str
    label: str
    role: str | None
    levels: int
    once: int
    rows_per_level: dict[str, float]
    curve: tuple[tuple[float, float], ...]
    top_fifth: float
    gini: float
    explained: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Concentration:
        """Return what `dataclasses.asdict` was called on."""
        return cls(**{**values, "curve": tuple((float(x), float(y)) for x, y in values["curve"])})


@dataclass(frozen=True, slots=True)
class PairCell:
    """The rows that have one level of a feature and one of another.

    Attributes
    ----------
    first, second : str
        The levels.
    rows : int
        Rows.
    total, mean : float
        Sum and mean of the target.
    low, high : float or None
        95 % interval of the mean, clustered by customer; None for a single cluster.
    """

    first: str
    second: str
    rows: int
    total: float
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class PairProfile:
    """The target by two features at once.

    Attributes
    ----------
    first, second : str
        The columns.
    first_label, second_label : str
        Their names for people.
    interaction : float
        Share of the target's variance between the cells beyond the sum of the two features' effects.
    cells : tuple of PairCell
        One a pair of levels that occurs.
    """

    first: str
    second: str
    first_label: str
    second_label: str
    interaction: float
    cells: tuple[PairCell, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PairProfile:
        """Return what `dataclasses.asdict` was called on."""
        return cls(**{**values, "cells": tuple(PairCell(**cell) for cell in values["cells"])})


@dataclass(frozen=True, slots=True)
class ProfileWarning:
    """Something a data scientist would point at.

    Attributes
    ----------
    kind : str
        ``near-constant``, ``leak suspect``, ``one part only``, ``file order``, ``rare levels``, ``near-unique``,
        ``not constant`` or ``weight``.
    column : str
        The column it is about.
    sentence : str
        What was found and what to do, in one or two sentences.
    """

    kind: str
    column: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Profile:
    """Univariate statistics of a table of transactions.

    Attributes
    ----------
    schema, title : str
        Name of the schema, and of the table for people.
    money : str or None
        Unit of the target.
    rows : int
        Accepted rows, which all figures are of.
    target : TargetProfile
        The target.
    features : tuple of FeatureProfile
        Features of few levels, in schema order.
    concentrations : tuple of Concentration
        Customer, product, and nominal features of very many levels.
    pairs : tuple of PairProfile
        Pairs of features, largest interaction first.
    file_order : tuple of LevelProfile
        The target by tenth of the file, in file order; fewer for a tiny table.
    warnings : tuple of ProfileWarning
        What to look at.
    seconds : dict of str to float
        Seconds a step.
    """

    schema: str
    title: str
    money: str | None
    rows: int
    target: TargetProfile
    features: tuple[FeatureProfile, ...]
    concentrations: tuple[Concentration, ...]
    pairs: tuple[PairProfile, ...]
    file_order: tuple[LevelProfile, ...]
    warnings: tuple[ProfileWarning, ...]
    seconds: dict[str, float] = field(default_factory=dict)

    def concentration(self, role: str) -> Concentration | None:
        """Return the concentration of the column with a role, ``customer`` or ``product``; None without one."""
        return next((found for found in self.concentrations if found.role == role), None)

    def feature(self, name: str) -> FeatureProfile | None:
        """Return a feature by the name of its column; None where it has too many levels, or is not there."""
        return next((found for found in self.features if found.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Profile:
        """Return what `to_dict` was called on, also after a passage through JSON."""
        parts = {
            "target": TargetProfile.from_dict(values["target"]),
            "features": tuple(FeatureProfile.from_dict(one) for one in values["features"]),
            "concentrations": tuple(Concentration.from_dict(one) for one in values["concentrations"]),
            "pairs": tuple(PairProfile.from_dict(one) for one in values["pairs"]),
            "file_order": tuple(LevelProfile(**one) for one in values["file_order"]),
            "warnings": tuple(ProfileWarning(**one) for one in values["warnings"]),
        }
        return cls(**{**values, **parts})
