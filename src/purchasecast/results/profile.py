"""What profiling found, in numbers; no Spark here, so that a report can be drawn, or drift measured, anywhere."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from purchasecast.results.distribution import NumberProfile, TargetProfile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Concentration",
    "FeatureProfile",
    "LevelProfile",
    "PairCell",
    "PairProfile",
    "Profile",
    "ProfileWarning",
    "furthest_apart",
]

_CERTAIN = 0.05  # chance that two equal levels are called different, over all pairs of a feature
_ENOUGH_ROWS = 30  # of a level whose interval is trusted beside all others
_REACH = NormalDist().inv_cdf(0.975)  # standard errors from a mean to the end of its 95 % interval


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


def furthest_apart(levels: Sequence[LevelProfile]) -> tuple[LevelProfile, LevelProfile, bool] | None:
    """Return the levels of the highest and of the lowest mean that can be told apart.

    Parameters
    ----------
    levels : sequence of LevelProfile
        Of one feature; those without an interval do not count.

    Returns
    -------
    tuple of (LevelProfile, LevelProfile, bool) or None
        None where fewer than two levels have an interval. Of the pairs of 30 rows or more each whose difference is
        certain, that of the largest one, and True; without any, the highest and the lowest, and False. Some of many
        levels lie apart by chance, so each difference is judged as one of all pairs (Bonferroni).
    """
    known = sorted((one for one in levels if one.low is not None and one.high is not None), key=lambda one: -one.mean)
    if len(known) < 2:
        return None
    reach = NormalDist().inv_cdf(1 - _CERTAIN / (len(known) * (len(known) - 1)))
    error = {one.level: ((one.high or 0.0) - (one.low or 0.0)) / (2 * _REACH) for one in known}
    apart = [
        (top, bottom)
        for top, bottom in combinations([one for one in known if one.rows >= _ENOUGH_ROWS], 2)
        if top.mean - bottom.mean > reach * math.hypot(error[top.level], error[bottom.level])
    ]
    if not apart:
        return known[0], known[-1], False
    return *max(apart, key=lambda pair: pair[0].mean - pair[1].mean), True


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
