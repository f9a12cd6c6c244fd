"""Result of a profile: the target, every feature, pairs of features, and warnings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

from purchasecast.results.distribution import NumberProfile, TargetProfile
from purchasecast.results.record import Record
from purchasecast.results.validation import ValidationReport

if TYPE_CHECKING:
    from collections.abc import Sequence

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

_FALSE_ALARM_RATE = 0.05  # chance of calling any two equal levels of a feature different
_MIN_ROWS = 30  # the interval of a level with fewer rows is not reliable enough to compare it with all others
_HALF_WIDTH = NormalDist().inv_cdf(0.975)  # standard errors from a mean to the end of its 95 % interval


@dataclass(frozen=True, slots=True)
class LevelProfile(Record):
    """The rows of one level of a feature.

    Attributes
    ----------
    level : str
        The level, the bin of a numeric feature, or the month or year of a date.
    rows : int
        Rows that have the level.
    share_of_rows : float
        Share of all rows.
    total : float
        Sum of the target over the rows.
    share_of_total : float
        Share of the total of all rows; 0 where that is 0.
    mean, sd : float
        Mean and standard deviation of the target.
    low, high : float or None
        95 % interval of the mean, clustered by customer; None where there is a single cluster.
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
    """Return the two levels whose means differ most among those that differ significantly.

    Parameters
    ----------
    levels : sequence of LevelProfile
        Levels of one feature; levels without an interval are ignored.

    Returns
    -------
    tuple of (LevelProfile, LevelProfile, bool) or None
        The level with the higher mean, the level with the lower mean, and whether they differ significantly. Where no
        two levels do, the highest and the lowest mean and False; None where fewer than two levels have an interval.

    Notes
    -----
    Of many levels some differ by chance, so every pair of levels with at least 30 rows is tested at 5 % divided by the
    number of pairs (Bonferroni).
    """
    known = sorted((one for one in levels if one.low is not None and one.high is not None), key=lambda one: -one.mean)
    if len(known) < 2:
        return None
    critical = NormalDist().inv_cdf(1 - _FALSE_ALARM_RATE / (len(known) * (len(known) - 1)))
    error = {one.level: ((one.high or 0.0) - (one.low or 0.0)) / (2 * _HALF_WIDTH) for one in known}
    # The error of a difference of two independent means is the root of the sum of squares of their errors.
    apart = [
        (top, bottom)
        for top, bottom in combinations([one for one in known if one.rows >= _MIN_ROWS], 2)
        if top.mean - bottom.mean > critical * math.hypot(error[top.level], error[bottom.level])
    ]
    if not apart:
        return known[0], known[-1], False
    return *max(apart, key=lambda pair: pair[0].mean - pair[1].mean), True


@dataclass(frozen=True, slots=True)
class FeatureProfile(Record):
    """A feature, and the target by its levels.

    Attributes
    ----------
    name, label, kind : str
        The column, its name in reports, and the kind of its values.
    of : str or None
        ``customer`` or ``product`` where the column is an attribute of one.
    unit : str or None
        Unit of its values.
    nulls : int
        Rows without a value.
    levels : tuple of LevelProfile
        Ordinal, numeric and date features in their order; nominal features by rows, most first.
    correlation_ratio : float
        Square root of the share of the target's variance between the levels.
    explained : float
        That share, adjusted for the number of levels; at least 0.
    spearman : float or None
        Rank correlation with the target; None where the values have no order.
    pearson : float or None
        Linear correlation with the target; None where the feature is not numeric.
    numbers : NumberProfile or None
        The distribution of the values of a numeric feature.
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


@dataclass(frozen=True, slots=True)
class Concentration(Record):
    """How unevenly the total is distributed over the levels of a column with very many levels.

    Attributes
    ----------
    name, label : str
        The column, and its name in reports.
    role : str or None
        ``customer``, ``product`` or None.
    levels, once : int
        Number of levels, and of levels with a single row.
    rows_per_level : dict of str to float
        Quantiles of the number of rows per level, by probability.
    curve : tuple of (float, float)
        Share of the levels, largest totals first, and their share of the total.
    top_fifth : float
        Share of the total in the largest fifth of the levels.
    gini : float
        Gini coefficient of the totals: 0 where all are equal, near 1 where one level has everything.
    explained : float
        Share of the target's variance between the levels, adjusted for their number; at least 0.
    common : tuple of (str, int)
        Of a feature, up to 100 levels with the most rows, and their rows; empty for customer and product.
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
    common: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PairCell(Record):
    """The rows of one combination of levels of two features.

    Attributes
    ----------
    first, second : str
        The levels.
    rows : int
        Number of rows.
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
class PairProfile(Record):
    """The target by two features.

    Attributes
    ----------
    first, second : str
        The columns.
    first_label, second_label : str
        Their names in reports.
    interaction : float
        Share of the target's variance between the cells that the sum of both features' effects does not explain.
    cells : tuple of PairCell
        One per combination of levels in the data.
    """

    first: str
    second: str
    first_label: str
    second_label: str
    interaction: float
    cells: tuple[PairCell, ...]


@dataclass(frozen=True, slots=True)
class ProfileWarning(Record):
    """A property of the data that can mislead an analysis.

    Attributes
    ----------
    kind : str
        ``near-constant``, ``leak suspect``, ``price ladder``, ``one part only``, ``file order``, ``rare levels``,
        ``near-unique``, ``not constant`` or ``weight``.
    column : str
        Affected column.
    sentence : str
        What was found and what to do.
    """

    kind: str
    column: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Profile(Record):
    """Univariate statistics of a table of transactions.

    Attributes
    ----------
    schema, title : str
        Name of the schema, and title of the table.
    money : str or None
        Unit of the target.
    rows : int
        Accepted rows, which all figures describe.
    target : TargetProfile
        The target.
    features : tuple of FeatureProfile
        Features with few levels, in schema order.
    concentrations : tuple of Concentration
        Customer, product, and nominal features with very many levels.
    pairs : tuple of PairProfile
        Pairs of features, largest interaction first.
    file_order : tuple of LevelProfile
        The target by tenth of the file, in file order; fewer parts where the table is tiny.
    warnings : tuple of ProfileWarning
        Properties of the data that can mislead.
    seconds : dict of str to float
        Seconds per step.
    validation : ValidationReport or None
        Counts of the validation that accepted the rows.
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
    validation: ValidationReport | None = None

    def concentration(self, role: str) -> Concentration | None:
        """Return the concentration of the column with a role, ``customer`` or ``product``; None where there is none."""
        return next((found for found in self.concentrations if found.role == role), None)

    def feature(self, name: str) -> FeatureProfile | None:
        """Return the feature of a column; None where it has too many levels or does not exist."""
        return next((found for found in self.features if found.name == name), None)
