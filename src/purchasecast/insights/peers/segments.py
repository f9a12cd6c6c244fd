r"""Segments of customers: differences of the mean purchase, with and without adjustment for what they buy.

A segment is one level of a customer attribute. It is compared with all other customers: its figure minus the average of
the other levels, weighted by their rows. The unadjusted difference is one of means. The adjusted difference is one of
coefficients of `regression`, so it compares customers who buy the same items and have the same other attributes. The
variances of both, and of the difference between the two, come from the same sums of scores by customer: with weights
:math:`w` of a contrast on the scores, the variance is :math:`w^T (\sum_c s_c s_c^T) w`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from purchasecast.formatting import percent
from purchasecast.insights.significance import Evidence, Trials
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.insights.peers.regression import Peers
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["Contrast", "Estimate", "Segments", "contrast_segments"]

#: Customers on either side of a comparison: with fewer, p-values of skewed purchases are far too small.
MIN_CUSTOMERS = 50
_SIGNIFICANT = 0.05  # p-value of an unadjusted difference that a reader would act on


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its standard error, and the degrees of freedom of the error."""

    value: float
    error: float
    freedom: float

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the number being 0."""
        if not self.error:
            return 1.0
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval at a level."""
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        return (self.value - half, self.value + half)


@dataclass(frozen=True, slots=True)
class Contrast:
    """One segment compared with all other customers, in money per purchase."""

    # The attribute and its level.
    column: str
    level: str
    # Size of the segment.
    rows: int
    customers: int
    # Difference of means, and difference for the same items and other attributes.
    raw: Estimate
    adjusted: Estimate
    mix: Estimate  # unadjusted minus adjusted: the part that comes from what they buy, and from their other attributes

    def is_misleading(self, *, is_kept: bool) -> bool:
        """Return whether unadjusted and adjusted differences would lead to different decisions.

        They do where the sign changes or one is less than half of the other, and one of them is significant.
        """
        matters = self.raw.p_value < _SIGNIFICANT or is_kept
        smaller, larger = sorted([abs(self.raw.value), abs(self.adjusted.value)])
        return matters and (self.raw.value * self.adjusted.value < 0 or smaller < larger / 2)


@dataclass(frozen=True, slots=True)
class Segments(Evidence):
    """The contrasts of all segments; two tests per segment."""

    contrasts: tuple[Contrast, ...]  # one per segment that is large enough
    same: str  # what is compared, for sentences: ``the same products``

    @property
    def trials(self) -> tuple[Trials, ...]:
        """Two families: adjusted differences, and differences between unadjusted and adjusted."""
        families = ([c.adjusted.p_value for c in self.contrasts], [c.mix.p_value for c in self.contrasts])
        return tuple(Trials(np.array(p), len(p)) for p in families)

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return the segments that differ, and those whose unadjusted difference is misleading."""
        count = len(self.contrasts)
        findings = []
        for contrast, q_adjusted, q_mix in zip(self.contrasts, q[:count], q[count:], strict=True):
            is_kept = bool(q_adjusted <= rate)
            if is_kept:
                findings.append(self._difference(contrast, float(q_adjusted), phrases))
            if q_mix <= rate and contrast.is_misleading(is_kept=is_kept):
                findings.append(self._mix(contrast, float(q_mix), phrases))
        return findings

    def _difference(self, contrast: Contrast, q: float, phrases: Phrases) -> Finding:
        value = contrast.adjusted.value
        low, high = contrast.adjusted.interval(phrases.level)
        name = phrases.named(contrast.column, contrast.level)
        return Finding(
            id=f"segment:{contrast.column}={contrast.level}",
            kind="segment",
            claim=(
                f"Customers of {name} pay {phrases.more_or_less(value)} per purchase than other customers for "
                f"{self.same} ({phrases.interval(low, high)}). Without this adjustment, they pay "
                f"{phrases.more_or_less(contrast.raw.value)}."
            ),
            value=value,
            unit=phrases.per_purchase,
            interval=(low, high),
            support=Support(contrast.rows, contrast.customers),
            method=(
                f"Regression of the purchase on the customers' attributes within items ({self.same}). Variance "
                f"clustered by customer; {phrases.level:.0%} interval."
            ),
            action="",
            money=None,
            caveat="This is an association, not a cause: a customer who moves to this segment may not change.",
            chart=self._chart(contrast.column, phrases),
            q_value=q,
        )

    def _mix(self, contrast: Contrast, q: float, phrases: Phrases) -> Finding:
        name = phrases.named(contrast.column, contrast.level)
        raw, adjusted = contrast.raw.value, contrast.adjusted.value
        return Finding(
            id=f"segment-mix:{contrast.column}={contrast.level}",
            kind="segment-mix",
            claim=(
                f"{name} spends {phrases.more_or_less(raw)} per purchase than other customers, but "
                f"{phrases.more_or_less(adjusted)} for {self.same}: {_explanation(contrast, phrases.level)}."
            ),
            value=contrast.mix.value,
            unit=phrases.per_purchase,
            interval=contrast.mix.interval(phrases.level),
            support=Support(contrast.rows, contrast.customers),
            method=(
                "Difference of means minus the difference within items. The variance is that of this difference, "
                f"clustered by customer; {phrases.level:.0%} interval."
            ),
            action="",
            money=None,
            caveat="This is an association, not a cause; customers may differ in ways that are not in the data.",
            chart=self._chart(contrast.column, phrases),
            q_value=q,
        )

    def _chart(self, column: str, phrases: Phrases) -> Chart:
        label = phrases.label(column)
        own = [contrast for contrast in self.contrasts if contrast.column == column]
        if phrases.schema.column(column).kind == "nominal":
            own.sort(key=lambda contrast: -contrast.adjusted.value)
        rows = [
            (contrast.level, estimate.value, *estimate.interval(phrases.level), series)
            for contrast in own
            for series, estimate in ((f"for {self.same}", contrast.adjusted), ("unadjusted", contrast.raw))
        ]
        title = f"{label}: differences for {self.same}, and unadjusted differences"
        return Chart.intervals(label, "difference from other customers", rows, title, phrases.money_unit)


def _explanation(contrast: Contrast, level: float) -> str:
    """Say what the assortment does to the difference."""
    raw, adjusted = contrast.raw.value, contrast.adjusted.value
    low, high = contrast.adjusted.interval(level)
    if low <= 0 <= high:
        return "what they buy and their other attributes can explain the whole difference"
    if raw * adjusted < 0:
        return "what they buy reverses the difference"
    if abs(raw) < abs(adjusted):
        return "what they buy hides most of the difference"
    share = percent(min(abs(contrast.mix.value / raw), 1.0))
    return f"what they buy and their other attributes explain {share} of it"


def contrast_segments(peers: Peers, attributes: Sequence[str], same: str) -> Segments:
    """Compare every segment with all other customers.

    Of an attribute with two levels, only the smaller one is compared: the other has the same difference.
    """
    contrasts = []
    for j, column in enumerate(attributes):
        own = [i for i, level in enumerate(peers.levels) if level.attribute == j]
        tested = sorted(own, key=lambda i: peers.levels[i].rows)[:1] if len(own) == 2 else own
        for i in tested:
            others = sum(peers.levels[m].customers for m in own if m != i)
            if min(peers.levels[i].customers, others) >= MIN_CUSTOMERS:
                contrasts.append(_contrast(peers, column, i, own))
    return Segments(tuple(contrasts), same)


def _contrast(peers: Peers, column: str, i: int, own: Sequence[int]) -> Contrast:
    """Compare level i of an attribute with its other levels."""
    levels, count = peers.levels, len(peers.levels)
    others = [m for m in own if m != i]
    rows_of_others = sum(levels[m].rows for m in others)
    raw: float = levels[i].total / levels[i].rows - sum(levels[m].total for m in others) / rows_of_others
    on_coefficients = np.zeros(len(peers.columns))
    for m in own:
        if m in peers.columns:
            on_coefficients[peers.columns.index(m)] = 1.0 if m == i else -levels[m].rows / rows_of_others
    adjusted = float(on_coefficients @ peers.coefficients)
    # Corrections for small samples, as usual with clustered variances: G / (G - 1), and (N - 1) / (N - K) within items.
    clusters = peers.customers / max(peers.customers - 1, 1)
    within = float(clusters * (peers.rows - 1) / max(peers.rows - len(peers.columns) - peers.items, 1))
    plain = np.zeros(count + len(peers.columns))
    plain[i] = np.sqrt(clusters) / levels[i].rows
    plain[others] = -np.sqrt(clusters) / rows_of_others
    line = np.zeros_like(plain)
    line[count:] = np.sqrt(within) * (peers.inverse @ on_coefficients)
    freedom = min(levels[i].customers, sum(levels[m].customers for m in others)) - 1.0

    def estimate(value: float, weights: Floats) -> Estimate:
        variance = float(weights @ peers.scores @ weights)
        return Estimate(value, max(variance, 0.0) ** 0.5, freedom)

    return Contrast(
        column,
        levels[i].name,
        levels[i].rows,
        levels[i].customers,
        estimate(raw, plain),
        estimate(adjusted, line),
        estimate(raw - adjusted, plain - line),
    )
