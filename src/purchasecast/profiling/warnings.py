"""Warnings about properties of the data that can mislead an analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from purchasecast.formatting import money as amount
from purchasecast.formatting import percent
from purchasecast.results import ProfileWarning

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from purchasecast.results import Concentration, FeatureProfile, LevelProfile, PairProfile

__all__ = ["column_warnings", "concentration_warnings", "order_warnings", "part_warnings"]

_NEAR_CONSTANT = 0.99  # share of the rows with one level
_LEAK = 0.95  # association with the target
_RARE_ROWS = 30
_MIN_ROWS_OF_PART = 50  # by chance such a level would lie in one tenth once in 10^49 tables
_NEAR_UNIQUE = 0.5
_ORDER_STEPS = 5.0  # standard errors


def column_warnings(features: Iterable[FeatureProfile], customers: int | None) -> list[ProfileWarning]:
    """Warn of features that are near-constant, leak the target, have rare levels or vary within a customer."""
    warnings = []
    for feature in features:
        label, levels = feature.label, feature.levels
        largest = max(levels, key=lambda level: level.rows)
        if largest.share_of_rows >= _NEAR_CONSTANT:
            sentence = (
                f"{percent(largest.share_of_rows)} of the rows have “{largest.level}” in {label}; it hardly helps."
            )
            warnings.append(ProfileWarning("near-constant", feature.name, sentence))
        strength = max(feature.explained, abs(feature.spearman or 0.0), abs(feature.pearson or 0.0))
        if strength >= _LEAK:
            warnings.append(_leak_warning(feature.name, label, strength))
        rare = [level for level in levels if level.rows < _RARE_ROWS]
        if rare and len(levels) > 2:
            sentence = (
                f"{len(rare)} of {len(levels)} levels of {label} have fewer than {_RARE_ROWS} rows; "
                "their means are not reliable."
            )
            warnings.append(ProfileWarning("rare levels", feature.name, sentence))
        if feature.of == "customer" and customers is not None:
            extra = sum(level.customers or 0 for level in levels) - customers
            if extra > 0:
                sentence = (
                    f"{label} is an attribute of the customer in the schema, but {extra:,} customers have more than "
                    "one value; remove `of` from the schema or correct the data."
                )
                warnings.append(ProfileWarning("not constant", feature.name, sentence))
    return warnings


def _leak_warning(name: str, label: str, strength: float) -> ProfileWarning:
    sentence = (
        f"{label} determines the target almost exactly ({strength:.3f} of 1); make sure that it is known before the "
        "purchase, or list it under `ignore`."
    )
    return ProfileWarning("leak suspect", name, sentence)


def pair_warnings(pairs: Iterable[PairProfile], mean: float, sd: float) -> list[ProfileWarning]:
    """Warn of pairs of features that determine the target together, such as a price class within a category."""
    warnings = []
    for pair in pairs:
        rows = sum(cell.rows for cell in pair.cells)
        between = sum(cell.rows * (cell.mean - mean) ** 2 for cell in pair.cells)
        explained = between / (rows * sd**2) if rows and sd else 0.0
        if explained >= _LEAK:
            label = f"{pair.second_label} within {pair.first_label}"
            warnings.append(_leak_warning(pair.second, label, explained))
    return warnings


def part_warnings(feature: FeatureProfile, sums: pd.DataFrame) -> list[ProfileWarning]:
    """Warn of levels that occur in only one tenth of the file, by the sums of a feature by level."""
    parts = sums[[name for name in sums.columns if name.startswith("part_")]].to_numpy()
    if (parts.sum(axis=0) > 0).sum() < 3:
        return []
    alone = ((parts > 0).sum(axis=1) == 1) & (parts.sum(axis=1) >= _MIN_ROWS_OF_PART)
    if not alone.any():
        return []
    levels = ", ".join(map(str, sums["level"].to_numpy()[alone][:5]))
    noun = "level" if alone.sum() == 1 else "levels"
    places = dict.fromkeys(sorted(int(np.argmax(part)) + 1 for part in parts[alone]))
    sentence = (
        f"{feature.label}: {noun} {levels} ({int(parts[alone].sum()):,} rows) occur{'s' if alone.sum() == 1 else ''} "
        f"only in {' and '.join(map(_tenth, places))} of the file. Do not split the file by position, "
        "and expect that other data may not have them."
    )
    return [ProfileWarning("one part only", feature.name, sentence)]


def _tenth(number: int) -> str:
    """Write the number of a tenth of the file, from 1."""
    return {1: "the first tenth", 10: "the last tenth"}.get(number, f"tenth {number} of 10")


def order_warnings(tenths: Sequence[LevelProfile], mean: float, target: str, money: str | None) -> list[ProfileWarning]:
    """Return a warning where the target changes along the file more than chance explains."""
    steps = [
        (3.92 * abs(tenth.mean - mean) / (tenth.high - tenth.low), tenth)
        for tenth in tenths
        if tenth.low is not None and tenth.high is not None and tenth.high > tenth.low
    ]
    if len(steps) < 3 or max(steps, key=lambda step: step[0])[0] < _ORDER_STEPS:
        return []
    worst = max(steps, key=lambda step: step[0])[1]
    sentence = (
        f"The file is not in random order: in {_tenth(int(worst.level))} the mean is {amount(worst.mean, money)}, "
        f"against {amount(mean, money)} overall. Do not split the file by position."
    )
    return [ProfileWarning("file order", target, sentence)]


def concentration_warnings(concentrations: Iterable[Concentration], rows: int) -> list[ProfileWarning]:
    """Return warnings about columns of very many levels: near-unique ones, and ones that determine the target."""
    warnings = []
    for one in concentrations:
        if one.levels >= _NEAR_UNIQUE * rows:
            sentence = (
                f"{one.label} has {one.levels:,} levels in {rows:,} rows; it identifies rows, and no model can use it."
            )
            warnings.append(ProfileWarning("near-unique", one.name, sentence))
        if one.explained >= _LEAK:
            warnings.append(_leak_warning(one.name, one.label, one.explained))
    return warnings
