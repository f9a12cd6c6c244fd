"""A profile's figures against pandas and SciPy on the same rows, and its intervals against planted truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from purchasecast.profiling.distribution import ValueCounts, find_modes, gini_and_curve, prominent_peaks
from purchasecast.results import LevelProfile, Profile
from purchasecast.results.profile import furthest_apart

if TYPE_CHECKING:
    from collections.abc import Callable

    from purchasecast.schema import Schema


def test_the_target_is_described_as_pandas_does(shop: pd.DataFrame, shop_profile: Profile) -> None:
    spend, found = shop["Spend"], shop_profile.target
    assert found.total == pytest.approx(spend.sum(), rel=1e-12)
    assert found.numbers.mean == pytest.approx(spend.mean(), rel=1e-12)
    assert found.numbers.sd == pytest.approx(spend.std(), rel=1e-6)
    assert found.numbers.skewness == pytest.approx(stats.skew(spend), abs=1e-4)
    assert found.numbers.kurtosis == pytest.approx(stats.kurtosis(spend), abs=1e-4)
    for share, value in found.numbers.quantiles.items():
        assert value == pytest.approx(spend.quantile(float(share)), rel=1e-4)
    assert sum(found.numbers.histogram.rows) == len(shop)
    first, third = spend.quantile([0.25, 0.75])
    outside = (spend < first - 1.5 * (third - first)) | (spend > third + 1.5 * (third - first))
    assert found.outliers_below + found.outliers_above == outside.sum()
    ordered = np.sort(spend.to_numpy()).reshape(10, -1).sum(axis=1) / spend.sum()
    assert found.deciles == pytest.approx(ordered, rel=1e-4)


def test_levels_are_described_as_pandas_does(shop: pd.DataFrame, shop_profile: Profile) -> None:
    for name in ("Region", "Kind", "Size", "Colour"):
        feature = shop_profile.feature(name)
        assert feature is not None
        by_level = shop.groupby(shop[name].fillna("(none)"))["Spend"]
        assert {one.level for one in feature.levels} == set(by_level.groups)
        for one in feature.levels:
            rows = by_level.get_group(one.level)
            assert one.rows == len(rows)
            assert one.mean == pytest.approx(rows.mean(), rel=1e-10)
            assert one.sd == pytest.approx(rows.std(), rel=1e-8)
            assert one.share_of_total == pytest.approx(rows.sum() / shop["Spend"].sum(), rel=1e-10)
        between = (by_level.size() * (by_level.mean() - shop["Spend"].mean()) ** 2).sum()
        spread = ((shop["Spend"] - shop["Spend"].mean()) ** 2).sum()
        assert feature.correlation_ratio == pytest.approx(np.sqrt(between / spread), rel=1e-8)


def test_the_interval_is_the_textbook_clustered_one(shop: pd.DataFrame, shop_profile: Profile) -> None:
    feature = shop_profile.feature("Kind")
    assert feature is not None
    level = next(one for one in feature.levels if one.level == "b")
    rows = shop[shop["Kind"] == "b"]
    residual = (rows["Spend"] - rows["Spend"].mean()).groupby(rows["Who"]).sum()
    customers = len(residual)
    error = np.sqrt(customers / (customers - 1) * (residual**2).sum()) / len(rows)
    reach = stats.t.ppf(0.975, customers - 1) * error
    assert (level.low, level.high) == pytest.approx((level.mean - reach, level.mean + reach), rel=1e-9)
    assert level.customers == customers


def test_rank_and_linear_correlations_are_those_of_scipy(shop: pd.DataFrame, shop_profile: Profile) -> None:
    weight, size = shop_profile.feature("Weight"), shop_profile.feature("Size")
    assert weight is not None
    assert size is not None
    assert weight.spearman == pytest.approx(stats.spearmanr(shop["Weight"], shop["Spend"]).statistic, abs=1e-5)
    assert weight.pearson == pytest.approx(np.corrcoef(shop["Weight"], shop["Spend"])[0, 1], abs=1e-7)
    order = shop["Size"].map({"S": 0, "M": 1, "L": 2})
    assert size.spearman == pytest.approx(stats.spearmanr(order, shop["Spend"]).statistic, abs=1e-5)
    assert [one.level for one in size.levels] == ["S", "M", "L"]
    assert sum(one.rows for one in weight.levels) == len(shop)


def test_concentration_is_that_of_the_sorted_totals(shop: pd.DataFrame, shop_profile: Profile) -> None:
    for role, name in (("customer", "Who"), ("product", "What")):
        found = shop_profile.concentration(role)
        assert found is not None
        totals = np.sort(shop.groupby(name)["Spend"].sum().to_numpy())[::-1]
        assert found.levels == len(totals)
        assert found.top_fifth == pytest.approx(totals[: len(totals) // 5].sum() / totals.sum(), abs=1e-4)
        n = len(totals)
        gini = 2 * (np.arange(1, n + 1) * totals[::-1]).sum() / (n * totals.sum()) - (n + 1) / n
        assert found.gini == pytest.approx(gini, abs=1e-6)
        assert dict(found.curve)[1.0] == pytest.approx(1.0)


def test_pairs_hold_every_cell_and_see_a_planted_interaction(
    shops: Callable[..., pd.DataFrame], schemas: Callable[..., Schema], profiler: Callable[..., Profile]
) -> None:
    shop = shops(seed=8)
    both = (shop["Kind"] == "b") & (shop["Colour"] == "red")
    shop["Spend"] += 60.0 * both
    found = profiler(shop, schemas())
    pair = found.pairs[0]
    assert {pair.first, pair.second} == {"Kind", "Colour"}
    assert pair.interaction > 0.05
    assert max(other.interaction for other in found.pairs[1:]) < 0.01
    means = shop.fillna({"Kind": "(none)"}).groupby(["Kind", "Colour"])["Spend"].agg(["size", "mean"])
    assert len(pair.cells) == len(means)
    for cell in pair.cells:
        assert (cell.rows, cell.mean) == pytest.approx(tuple(means.loc[(cell.first, cell.second)]))


@pytest.mark.parametrize("clustered", [True, False])
def test_intervals_hold_the_truth_as_often_as_they_say(
    clustered: bool,
    shops: Callable[..., pd.DataFrame],
    schemas: Callable[..., Schema],
    profiler: Callable[..., Profile],
) -> None:
    """Customers differ among themselves: only intervals that know of customers hold."""
    schema, covered, runs = schemas(customer=clustered), 0, 40
    for seed in range(runs):
        random = np.random.default_rng(1_000 + seed)
        shop = shops(seed=seed, rows=900)
        own = shop["Who"].str[1:].astype(int).map(dict(enumerate(random.normal(0, 20, 150))))
        shop["Spend"] = 300 + 25.0 * (shop["Region"] == "south") + own + random.normal(0, 10, len(shop))
        regions = profiler(shop, schema).feature("Region")
        assert regions is not None
        south = next(one for one in regions.levels if one.level == "south")
        assert south.low is not None
        assert south.high is not None
        covered += south.low <= 325 <= south.high
    assert covered >= 0.85 * runs if clustered else covered <= 0.75 * runs


def test_what_is_odd_is_told(shop: pd.DataFrame, shop_profile: Profile, schemas: Any, profiler: Any) -> None:
    kinds = {(warning.kind, warning.column) for warning in shop_profile.warnings}
    assert kinds == {("one part only", "Kind")}
    odd = shop.assign(Colour="red", Region=np.random.default_rng(1).choice(["north", "south"], len(shop)))
    odd.loc[:20, "Colour"] = "blue"
    odd["Weight"] = odd["Spend"] * 2
    odd["Spend"] = odd["Spend"].where(odd.index < len(odd) * 0.9, odd["Spend"] - 80)
    odd["Weight"] = odd["Spend"] * 2 + 1
    kinds = {(warning.kind, warning.column) for warning in profiler(odd, schemas()).warnings}
    assert {
        ("near-constant", "Colour"),
        ("leak suspect", "Weight"),
        ("not constant", "Region"),
        ("file order", "Spend"),
    } <= kinds


def test_a_leak_of_very_many_levels_is_told_too(shop: pd.DataFrame, schemas: Any, profiler: Any) -> None:
    """A code of the sum paid has more levels than are described one by one."""
    leaky = shop.assign(Colour=(shop["Spend"] // 0.7).astype(int).astype(str))
    assert leaky["Colour"].nunique() > 200
    found = profiler(leaky, schemas())
    assert found.feature("Colour") is None
    assert ("leak suspect", "Colour") in {(warning.kind, warning.column) for warning in found.warnings}


def test_levels_are_called_different_as_rarely_as_stated(
    shops: Callable[..., pd.DataFrame], schemas: Callable[..., Schema], profiler: Callable[..., Profile]
) -> None:
    """The highest and the lowest mean of twelve equal levels lie apart by chance."""
    false, runs, overlooked = 0, 40, 0
    for seed in range(runs):
        shop, random = shops(seed=seed, rows=900), np.random.default_rng(seed)
        shop["Colour"] = random.choice(list("abcdefghijkl"), len(shop))
        shop["Spend"] = 300 + random.normal(0, 10, len(shop))
        for planted in (0.0, 8.0):
            shop["Spend"] += planted * (shop["Colour"] == "c")
            colours = profiler(shop, schemas()).feature("Colour")
            assert colours is not None
            found = furthest_apart(colours.levels)
            assert found is not None
            false += not planted and found[2]
            overlooked += bool(planted) and not (found[2] and found[0].level == "c")
    assert false <= 5  # 40 shops at 0.05: 2 expected, and two standard errors
    assert overlooked <= 4


def test_a_level_of_few_rows_does_not_hide_that_others_differ() -> None:
    """The highest mean is of a handful of rows, so that nothing is certain of it."""

    def level(name: str, rows: int, mean: float, half: float) -> LevelProfile:
        return LevelProfile(name, rows, 0.1, rows * mean, 0.1, mean, 1.0, mean - half, mean + half, None)

    low, high, rare = level("1", 500, 59.0, 5.0), level("6", 400, 362.0, 40.0), level("13", 40, 1_198.0, 1_200.0)
    tiny = level("14", 4, 2_000.0, 1.0)
    assert furthest_apart([low, high, rare]) == (high, low, True)
    assert furthest_apart([low, high, rare, tiny]) == (high, low, True)
    assert furthest_apart([low, rare]) == (rare, low, False)


def test_dates_of_many_months_go_by_year_and_ids_are_not_packed(
    shop: pd.DataFrame, schemas: Any, profiler: Any
) -> None:
    days = pd.Timestamp("2001-03-01") + pd.to_timedelta(np.arange(len(shop)) * 2, "D")
    found = profiler(shop.assign(Day=days, Colour=[f"id{k}" for k in range(len(shop))]), schemas())
    dates = found.feature("Day")
    assert dates is not None
    by_year = pd.Series(days.year).value_counts().sort_index()
    assert [(one.level, one.rows) for one in dates.levels] == [(str(year), n) for year, n in by_year.items()]
    colour = next(one for one in found.concentrations if one.name == "Colour")
    assert (colour.levels, colour.once) == (len(shop), len(shop))


def test_parts_and_order_of_the_rows_change_nothing(shop: pd.DataFrame, schemas: Any, profiler: Any) -> None:
    def numbers(document: Any) -> list[float]:
        if isinstance(document, dict):
            return [n for key in sorted(document) for n in numbers(document[key])]
        if isinstance(document, list | tuple):
            return [n for one in document for n in numbers(one)]
        return [float(document)] if isinstance(document, int | float) else []

    one = numbers(profiler(shop, schemas(), parts=1).to_dict())
    other = numbers(profiler(shop.sample(frac=1, random_state=3), schemas(), parts=7).to_dict())
    assert other == pytest.approx(one, rel=1e-9, abs=1e-9)


def test_a_profile_survives_json(shop_profile: Profile) -> None:
    text = json.dumps(shop_profile.to_dict(), allow_nan=False)
    assert Profile.from_dict(json.loads(text)) == shop_profile


def test_a_single_row_and_equal_values_are_described(shop: pd.DataFrame, schemas: Any, profiler: Any) -> None:
    single = profiler(shop.head(1), schemas())
    assert single.target.numbers.sd == 0
    assert single.target.low is None
    same = profiler(shop.head(50).assign(Spend=7.0), schemas())
    assert same.target.numbers.skewness is None
    assert same.features[0].correlation_ratio == 0
    assert same.target.modes[0].value == 7


def test_modes_are_found_where_they_were_planted() -> None:
    random = np.random.default_rng(2)
    values = np.sort(np.rint(np.concatenate([random.normal(m, 200, 4_000) for m in (2_000, 8_000, 15_000)])))
    distinct, rows = np.unique(values, return_counts=True)
    found = find_modes(ValueCounts(distinct, rows.astype(float), distinct * rows), logarithmic=False)
    assert [mode.value for mode in found] == pytest.approx([2_000, 8_000, 15_000], abs=150)
    assert [mode.share_of_rows for mode in found] == pytest.approx([1 / 3] * 3, abs=0.01)


def test_gini_of_equal_and_of_single_holders() -> None:
    equal = ValueCounts(np.array([5.0]), np.array([100.0]), np.array([500.0]))
    assert gini_and_curve(equal, [0.2])[0] == pytest.approx(0.0)
    one = ValueCounts(np.array([0.0, 1.0]), np.array([99.0, 1.0]), np.array([0.0, 1.0]))
    assert gini_and_curve(one, [0.2]) == (pytest.approx(0.99), ((0.2, pytest.approx(1.0)),))


def test_peaks_are_those_of_scipy() -> None:
    from scipy.signal import find_peaks

    random = np.random.default_rng(5)
    for _ in range(300):
        curve = np.concatenate([[0.0], random.integers(0, 6, random.integers(3, 60)), [0.0]])  # with plateaus
        least = 4 * random.random()
        assert prominent_peaks(curve, least).tolist() == find_peaks(curve, prominence=least)[0].tolist()
