"""Build a `Profile` from sums by value and by level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from purchasecast.profiling.distribution import ValueCounts, describe, find_modes, gini_and_curve, skewness_of
from purchasecast.profiling.level_statistics import (
    adjusted_share,
    interaction_share,
    interval,
    level_profiles,
    pair_cells,
    share_between,
    spearman,
)
from purchasecast.profiling.level_sums import OVERALL
from purchasecast.profiling.value_sums import TENTH
from purchasecast.profiling.warnings import (
    column_warnings,
    concentration_warnings,
    order_warnings,
    pair_warnings,
    part_warnings,
)
from purchasecast.results import (
    Concentration,
    FeatureProfile,
    LevelProfile,
    PairProfile,
    Profile,
    ProfileWarning,
    TargetProfile,
    Transformation,
)
from purchasecast.schema.reserved_columns import NULL_LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from purchasecast.profiling.distribution import Floats
    from purchasecast.profiling.passes import ColumnPlan, Distributions, LevelDistribution
    from purchasecast.schema import Column, Schema

__all__ = ["ProfileBuilder"]

_CURVE = tuple(k / 100 for k in range(101))
_ROWS_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_MILD_SKEWNESS = 1.0  # below it a transformation is not worth its price
# Of the regression that suggests a power: levels of fewer rows have a standard deviation that is mostly noise.
_MIN_SHARE_FOR_SPREAD = 0.01
_MIN_LEVELS_FOR_SPREAD = 5


class ProfileBuilder:
    """Build a profile from sums.

    Parameters
    ----------
    schema : Schema
        Description of the table.
    plan : ColumnPlan
        Columns that are described level by level.
    distributions : Distributions
        Distributions of those columns.
    sums : DataFrame
        Sums by level, of `collect_levels`.
    pairs : tuple of (str, str)
        Columns that were crossed.
    """

    def __init__(
        self,
        schema: Schema,
        plan: ColumnPlan,
        distributions: Distributions,
        sums: pd.DataFrame,
        pairs: tuple[tuple[str, str], ...],
    ) -> None:
        self._schema, self._plan, self._distributions, self._pairs = schema, plan, distributions, pairs
        self._clustered = plan.customer is not None
        self._rows = distributions.target.count
        self._mean = float(distributions.target.totals.sum() / self._rows)
        self._rank_squares = distributions.target.rank_squares()
        self._sums = dict(iter(sums.groupby("column")))

    def build(self, many: Sequence[tuple[Column, LevelDistribution]]) -> Profile:
        """Build the profile, without seconds.

        Parameters
        ----------
        many : sequence of (Column, LevelDistribution)
            Columns with too many levels to describe each.

        Returns
        -------
        Profile
            The profile.
        """
        features: list[FeatureProfile] = []
        warnings: list[ProfileWarning] = []
        for place, column in enumerate(self._plan.texts):
            part = self._in_order(self._sums[place], column)
            features.append(self._text_feature(column, part))
            if column.kind != "date":
                warnings += part_warnings(features[-1], part)
        features += [self._number_feature(column, j) for j, column in enumerate(self._plan.numbers)]
        features.sort(key=lambda feature: self._schema.names.index(feature.name))
        concentrations = tuple(self._concentration(column, levels) for column, levels in many)
        customers = int(self._sums[OVERALL]["clusters"].iloc[0]) if self._clustered else None
        tenths = self._tenths()
        money, target = self._schema.money, self._schema.target
        described = self._target(features)
        pairs = tuple(sorted(map(self._pair, range(len(self._pairs))), key=lambda pair: -pair.interaction))
        return Profile(
            schema=self._schema.name,
            title=self._schema.title,
            money=money,
            rows=int(self._rows),
            target=described,
            features=tuple(features),
            concentrations=concentrations,
            pairs=pairs,
            file_order=tenths,
            warnings=(
                *column_warnings(features, customers),
                *warnings,
                *pair_warnings(pairs, self._mean, described.numbers.sd),
                *order_warnings(tenths, self._mean, target, money),
                *concentration_warnings(concentrations, int(self._rows)),
            ),
        )

    def _levels(self, part: pd.DataFrame) -> tuple[LevelProfile, ...]:
        return level_profiles(part, self._mean, self._rows, clustered=self._clustered)

    def _tenths(self) -> tuple[LevelProfile, ...]:
        part = self._sums[TENTH]
        part = part.assign(level=part["level"].astype(int) + 1).sort_values("level")
        return self._levels(part[part["rows"] > 0])

    @staticmethod
    def _in_order(part: pd.DataFrame, column: Column) -> pd.DataFrame:
        """Sort levels in the order of the schema, by date, or by rows; the level of nulls comes last."""
        null = (part["level"] == NULL_LEVELS[column.null]).astype(int)
        if column.order:
            places = {level: float(k) for k, level in enumerate(column.order)}
            rank = part["level"].map(places).fillna(float(len(places)))
        elif column.kind == "date":
            rank = part["level"].rank()
        else:
            rank = -part["rows"].astype(float)
        return part.assign(_null=null, _rank=rank).sort_values(["_null", "_rank", "level"])

    def _feature(self, column: Column, part: pd.DataFrame, nulls: int, **others: Any) -> FeatureProfile:
        share = share_between(part)
        return FeatureProfile(
            name=column.name,
            label=column.label,
            kind=column.kind,
            of=column.of,
            unit=column.unit,
            nulls=nulls,
            levels=self._levels(part),
            correlation_ratio=float(np.sqrt(share)),
            explained=adjusted_share(share, self._rows, len(part)),
            **others,
        )

    def _text_feature(self, column: Column, part: pd.DataFrame) -> FeatureProfile:
        is_null = part["level"] == NULL_LEVELS[column.null]
        nulls = int(part.loc[is_null, "rows"].sum()) if column.null != "forbidden" else 0
        ordered = column.kind in {"ordinal", "date"} and not nulls
        rank = spearman(part, self._rank_squares) if ordered else None
        return self._feature(column, part, nulls, spearman=rank)

    def _number_feature(self, column: Column, j: int) -> FeatureProfile:
        part = self._sums[len(self._plan.texts) + j]
        part = part[part["rows"] > 0]
        part = part.assign(_bin=part["level"].astype(float)).sort_values("_bin")  # NaN, the bin of nulls, comes last
        counts = self._distributions.numbers[j]
        names = _bin_names(self._distributions.edges(j), counts)
        labelled = part.assign(level=[NULL_LEVELS[column.null] if np.isnan(b) else names[int(b)] for b in part["_bin"]])
        if counts is None:
            return self._feature(column, labelled, int(self._rows))
        pearson, rank = self._correlations(part, counts)
        nulls = int(self._rows - counts.count)
        return self._feature(column, labelled, nulls, spearman=rank, pearson=pearson, numbers=describe(counts))

    def _correlations(self, part: pd.DataFrame, counts: ValueCounts) -> tuple[float | None, float | None]:
        """Return Pearson's and Spearman's correlation over the rows without nulls."""
        there = part[part["_bin"].notna()]
        rows, total = there["rows"].sum(), there["total"].sum()
        own = counts.exact
        own_squares = float(np.sum(counts.rows * (own - counts.totals.sum() / rows) ** 2))
        squares = own_squares * float(there["squares"].sum() - total**2 / rows)
        rank_squares = counts.rank_squares() * self._rank_squares
        if squares <= 0 or rank_squares <= 0:
            return None, None
        pearson = float(there["cross"].sum() / np.sqrt(squares))
        # Where there are nulls, the target is ranked among all rows, so that this is close to Spearman's, not equal.
        return pearson, float(there["rank_cross"].sum() / np.sqrt(rank_squares))

    def _concentration(self, column: Column, levels: LevelDistribution) -> Concentration:
        # The same whole number of levels as the insights count.
        whole_fifth = max(levels.levels // 5, 1) / levels.levels
        gini, (*curve, (_, top_fifth)) = gini_and_curve(levels.by_total, (*_CURVE, whole_fifth))
        rows, whole = self._rows, self._distributions.target
        values = whole.exact
        spread = float(np.sum(whole.rows * (values - self._mean) ** 2))
        between = levels.between - rows * self._mean**2
        once = levels.by_rows.rows[levels.by_rows.values == 1]
        quantiles = levels.by_rows.quantiles(_ROWS_QUANTILES)
        return Concentration(
            name=column.name,
            label=column.label,
            role=column.role if column.role in {"customer", "product"} else None,
            levels=levels.levels,
            once=int(once.sum()),
            rows_per_level=dict(zip(map(str, _ROWS_QUANTILES), map(float, quantiles), strict=True)),
            curve=tuple(curve),
            top_fifth=top_fifth,
            gini=gini,
            explained=adjusted_share(min(max(between / spread, 0.0), 1.0), rows, levels.levels) if spread else 0.0,
        )

    def _pair(self, k: int) -> PairProfile:
        first, second = (self._schema.column(name) for name in self._pairs[k])
        part = self._sums[len(self._plan.texts) + len(self._plan.numbers) + k].sort_values("level")
        return PairProfile(
            first=first.name,
            second=second.name,
            first_label=first.label,
            second_label=second.label,
            interaction=interaction_share(part),
            cells=pair_cells(part, self._mean, clustered=self._clustered),
        )

    def _target(self, features: Sequence[FeatureProfile]) -> TargetProfile:
        counts, column = self._distributions.target, self._schema.column(self._schema.target)
        numbers = describe(counts)
        first, third = numbers.quantiles["0.25"], numbers.quantiles["0.75"]
        fences = (first - 1.5 * (third - first), third + 1.5 * (third - first))
        below, above = counts.exact < fences[0], counts.exact > fences[1]
        total = float(counts.totals.sum())
        overall = next(self._sums[OVERALL].itertuples(index=False))
        low, high = interval(overall, self._mean, clustered=self._clustered)
        return TargetProfile(
            name=column.name,
            label=column.label,
            total=total,
            low=low,
            high=high,
            numbers=numbers,
            fences=fences,
            outliers_below=int(counts.rows[below].sum()),
            outliers_above=int(counts.rows[above].sum()),
            share_of_outliers=float(counts.totals[below | above].sum() / total) if total else 0.0,
            deciles=tuple(map(float, counts.share_by_part(10))),
            modes=find_modes(counts, logarithmic=numbers.histogram.scale == "log"),
            transformation=_transformation(counts, features),
        )


def _bin_names(edges: Floats, counts: ValueCounts | None) -> list[str]:
    """Name bins for people: by the value where a bin holds one, else by the range."""
    if counts is None:
        return [f"{edge:,.6g}" for edge in edges]
    values = counts.exact
    starts = np.searchsorted(counts.values, edges)
    names = []
    for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
        low, high = values[start], values[end - 1]  # the values that occur, not the edges
        names.append(f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}")
    return names


def _transformation(counts: ValueCounts, features: Sequence[FeatureProfile]) -> Transformation:
    values = counts.exact
    skewness = {"none": skewness_of(values, counts.rows)}
    if values[0] >= 0:
        skewness["sqrt"] = skewness_of(np.sqrt(values), counts.rows)
        skewness["log"] = skewness_of(np.log1p(values), counts.rows)
    least = min(skewness, key=lambda name: abs(skewness[name]))
    advice: Any = "none" if abs(skewness["none"]) < _MILD_SKEWNESS else least
    return Transformation(skewness, _stabilising_power(features), advice)


def _stabilising_power(features: Sequence[FeatureProfile]) -> float | None:
    """Return the power of the target that makes its spread alike at all levels; None where it cannot be told.

    It is 1 minus the slope of log(standard deviation) on log(mean) over the levels of the feature that explains most,
    among those that have enough levels (Box and Cox's family).
    """
    for feature in sorted(features, key=lambda feature: -feature.explained):
        large = [one for one in feature.levels if one.share_of_rows >= _MIN_SHARE_FOR_SPREAD]
        levels = [one for one in large if one.sd > 0 and one.mean > 0]
        if len(levels) < _MIN_LEVELS_FOR_SPREAD:
            continue
        x, y = np.log([one.mean for one in levels]), np.log([one.sd for one in levels])
        slope = np.polyfit(x, y, 1, w=np.sqrt([one.rows for one in levels]))[0]
        return 1 - float(slope)
    return None
