r"""Customer segments: what they pay more or less a purchase, plainly and for the same items, and where these disagree.

A segment is one level of a customer's attribute, and its difference is to everybody else: the segment's number less
the average of the other levels', weighted by their rows. The plain difference is of means; the adjusted one is of the
coefficients of `peers`, so it compares customers who buy the same and are alike in their other attributes. Both, and
the difference of the two, get their variance from the same sums of scores by customer: with
:math:`w` the weights of a contrast on the scores, it is :math:`w^T (\sum_c s_c s_c^T) w`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from purchasecast.formatting import compact, percent
from purchasecast.insights.significance import Trials
from purchasecast.results import Chart, Finding, Support

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purchasecast.insights.peers.regression import Peers
    from purchasecast.insights.phrases import Phrases
    from purchasecast.insights.significance import Floats

__all__ = ["Contrast", "Estimate", "Segments", "contrast_segments"]

LEAST_CUSTOMERS = 50  # on either side of a comparison: of fewer with skewed purchases p-values are far too small


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its standard error, and the degrees of freedom that the error has."""

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
    """One segment against everybody else, money a purchase.

    Attributes
    ----------
    column, level : str
        The attribute and its level.
    rows, customers : int
        Size of the segment.
    raw, adjusted : Estimate
        Plain difference, and that for the same items and other attributes.
    mix : Estimate
        Plain less adjusted: what comes from what they buy, and from who else they are.
    """

    column: str
    level: str
    rows: int
    customers: int
    raw: Estimate
    adjusted: Estimate
    mix: Estimate


@dataclass(frozen=True, slots=True)
class Segments:
    """The contrasts of all segments; two tests each.

    Attributes
    ----------
    contrasts : tuple of Contrast
        One a segment that is large enough.
    same : str
        What is held equal: ``the same products``.
    customers, rows : int
        Of all segments.
    """

    contrasts: tuple[Contrast, ...]
    same: str
    customers: int
    rows: int

    @property
    def trials(self) -> tuple[Trials, ...]:
        """Adjusted differences are one family, what the mix makes of them another."""
        of = ([c.adjusted.p_value for c in self.contrasts], [c.mix.p_value for c in self.contrasts])
        return tuple(Trials(np.array(p), len(p)) for p in of)

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return the segments that differ, and those that the mix of products flatters or hides."""
        half = len(self.contrasts)
        found = []
        for contrast, q_adjusted, q_mix in zip(self.contrasts, q[:half], q[half:], strict=True):
            if q_adjusted <= rate:
                found.append(self._difference(contrast, float(q_adjusted), phrases))
            if q_mix <= rate and _disagree(contrast, kept=bool(q_adjusted <= rate)):
                found.append(self._mix(contrast, float(q_mix), phrases))
        return found

    def _difference(self, contrast: Contrast, q: float, phrases: Phrases) -> Finding:
        value = contrast.adjusted.value
        low, high = contrast.adjusted.interval(phrases.level)
        name = phrases.named(contrast.column, contrast.level)
        direction = "more" if value > 0 else "less"
        claim = (
            f"Customers of {name} pay {phrases.money(abs(value))} {direction} a purchase than the others for "
            f"{self.same} ({phrases.interval(low, high)}); in plain figures it is {_signed(contrast.raw.value)}."
        )
        action = (
            f"Try larger packs and full prices on {name} first, which spends more on the same; keep a control group."
            if value > 0
            else f"Find out why {name} spends less on the same: smaller packs, discounts? Test a change with a control."
        )
        return Finding(
            id=f"segment:{contrast.column}={contrast.level}",
            kind="segment",
            claim=claim,
            value=value,
            unit=phrases.per_purchase,
            interval=(low, high),
            support=Support(contrast.rows, contrast.customers),
            method=(
                f"Regression of the purchase on the customer's attributes within items ({self.same}); variance "
                f"clustered by customer; {phrases.level:.0%} interval."
            ),
            action=action,
            money=abs(value) * contrast.rows,
            caveat="An association, not a cause: a customer who moves to this segment need not change.",
            chart=self._chart(contrast.column, phrases),
            q_value=q,
            stake="that difference times their purchases",
        )

    def _mix(self, contrast: Contrast, q: float, phrases: Phrases) -> Finding:
        value = contrast.mix.value
        low, high = contrast.mix.interval(phrases.level)
        name = phrases.named(contrast.column, contrast.level)
        raw, adjusted = contrast.raw.value, contrast.adjusted.value
        low_adjusted, high_adjusted = contrast.adjusted.interval(phrases.level)
        if low_adjusted <= 0 <= high_adjusted:
            story = "what they buy, and who they are otherwise, can be all there is to it"
        elif abs(raw) < abs(adjusted) and raw * adjusted > 0:
            story = "what they buy hides most of how they differ"
        elif raw * adjusted < 0:
            story = "what they buy turns the difference around"
        else:
            story = f"{percent(min(abs(value / raw), 1.0))} of it comes from what they buy and who they are otherwise"
        claim = (
            f"{name} spends {_more(raw, phrases.money_unit)} a purchase in plain figures, but {_more(adjusted)} for "
            f"{self.same}: {story}."
        )
        return Finding(
            id=f"segment-mix:{contrast.column}={contrast.level}",
            kind="segment-mix",
            claim=claim,
            value=value,
            unit=phrases.per_purchase,
            interval=(low, high),
            support=Support(contrast.rows, contrast.customers),
            method=(
                "Plain difference of means less the difference within items; the variance of their difference is "
                f"clustered by customer; {phrases.level:.0%} interval."
            ),
            action=f"Judge {name} by the figure for {self.same}; the rest is their assortment, so plan that.",
            money=abs(value) * contrast.rows,
            caveat="An association, not a cause; what else sets these customers apart is not in the data.",
            chart=self._chart(contrast.column, phrases),
            q_value=q,
            stake="what the plain difference says too much or too little, times their purchases",
        )

    def _chart(self, column: str, phrases: Phrases) -> Chart:
        label, unit = phrases.label(column), "difference to the others"
        own = [contrast for contrast in self.contrasts if contrast.column == column]
        if phrases.schema.column(column).kind == "nominal":
            own.sort(key=lambda contrast: -contrast.adjusted.value)
        rows = [
            (contrast.level, estimate.value, *estimate.interval(phrases.level), series)
            for contrast in own
            for series, estimate in ((f"for {self.same}", contrast.adjusted), ("plain", contrast.raw))
        ]
        title = f"{label}: what plain figures say, and what is left for {self.same}"
        return Chart(
            "interval", (label, unit, "low", "high", "series"), tuple(rows), title, unit, label, phrases.money_unit
        )


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '-'}{compact(abs(value))}"


def _more(value: float, unit: str = "") -> str:
    amount = f"{compact(abs(value))} {unit}".strip()
    return f"{amount} {'more' if value > 0 else 'less'}"


def _disagree(contrast: Contrast, *, kept: bool) -> bool:
    """Tell whether plain and adjusted figures would lead to other decisions."""
    raw, adjusted = contrast.raw, contrast.adjusted
    raw_stands = raw.p_value < 0.05
    if raw.value * adjusted.value < 0:
        return raw_stands or kept
    smaller, larger = sorted([abs(raw.value), abs(adjusted.value)])
    return smaller < larger / 2 and (raw_stands or kept)


def contrast_segments(peers: Peers, attributes: Sequence[str], same: str) -> Segments:
    """Compare every segment with everybody else.

    Parameters
    ----------
    peers : Peers
        The regression within items, and the scores.
    attributes : sequence of str
        Columns of the attributes.
    same : str
        What is held equal, for sentences.

    Returns
    -------
    Segments
        Of the two sides of an attribute with two levels, the smaller one only: the other says the same.
    """
    contrasts = []
    for j, column in enumerate(attributes):
        own = [i for i, level in enumerate(peers.levels) if level.attribute == j]
        own_tested = sorted(own, key=lambda i: peers.levels[i].rows)[:1] if len(own) == 2 else own
        for i in own_tested:
            level = peers.levels[i]
            others = sum(peers.levels[m].customers for m in own if m != i)
            if min(level.customers, others) >= LEAST_CUSTOMERS:
                contrasts.append(_contrast(peers, column, i, own))
    return Segments(tuple(contrasts), same, peers.customers, peers.rows)


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
    clusters, rows = peers.customers, peers.rows
    small = clusters / max(clusters - 1, 1)
    within = float(small * (rows - 1) / max(rows - len(peers.columns) - peers.items, 1))
    plain = np.zeros(count + len(peers.columns))
    plain[i] = np.sqrt(small) / levels[i].rows
    plain[others] = -np.sqrt(small) / rows_of_others
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
