r"""Decide which findings are significant when many are tested, and rank them by gain and certainty.

The tests of one question, such as which segments differ, form a family. Many true findings in one family must not allow
false ones in another, so the false discovery rate is controlled in two steps (Benjamini and Bogomolov 2014). First, of
:math:`m` families, those :math:`R` are selected whose smallest q-value (the p-value of Simes for the family) passes the
procedure of Benjamini and Hochberg over families. Then tests are kept within each selected family by the same procedure
at the rate times :math:`R / m`. On average over the selected families, the share of false findings is at most the rate;
where no effect exists at all, the chance of any finding is at most the rate.

References
----------
Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57(1),
1995. https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
Y. Benjamini, M. Bogomolov, "Selective inference on multiple families of hypotheses", Journal of the Royal Statistical
Society B 76(1), 2014. https://doi.org/10.1111/rssb.12028
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from purchasecast.insights.phrases import Phrases
    from purchasecast.results import Finding

    Floats = NDArray[np.float64]

__all__ = [
    "MAX_COLLECTED",
    "Evidence",
    "Trials",
    "certainty",
    "judge",
    "normal_interval",
    "q_values",
    "rank_findings",
]

#: Largest number of tests of one kind that the driver receives: those with the smallest p-values, all below the rate.
MAX_COLLECTED = 10_000


@dataclass(frozen=True, slots=True)
class Trials:
    """The p-values of one family of tests."""

    p_values: Floats  # at least all p-values below the rate, up to `MAX_COLLECTED`
    tried: int  # number of all tests in the family


class Evidence(Protocol):
    """Figures for one kind of findings, and the tests on them."""

    @property
    def trials(self) -> tuple[Trials, ...]:
        """One family of tests per question; none where every row is counted or a forecast has an interval."""
        return ()

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Return the findings whose q-value, given for all tests family after family, is at most the rate."""


def normal_interval(value: float, deviation: float, level: float, *, minimum: float = -math.inf) -> tuple[float, float]:
    """Return the interval of a normally distributed estimate, cut at a smallest possible value.

    Examples
    --------
    >>> low, high = normal_interval(10.0, 2.0, 0.9)
    >>> round(low, 2), round(high, 2)
    (6.71, 13.29)
    """
    half = float(stats.norm.ppf((1 + level) / 2)) * deviation
    return (max(value - half, minimum), value + half)


def q_values(families: Sequence[Trials], rate: float) -> list[Floats]:
    """Return the q-values of all tests, adjusted for the number of families.

    Parameters
    ----------
    families : sequence of Trials
        One family per question.
    rate : float
        False discovery rate, which decides the families that are selected.

    Returns
    -------
    list of ndarray
        One array per family: a test is kept where its q-value is at most `rate`. Tests without a p-value in `families`
        count as p = 1, which never makes a q-value smaller.

    Examples
    --------
    >>> few, many = Trials(np.array([0.001, 0.04]), 2), Trials(np.array([0.0004]), 98)
    >>> [[round(float(q), 3) for q in family] for family in q_values([few, many], 0.1)]
    [[0.002, 0.04], [0.039]]
    >>> [[round(float(q), 3) for q in family] for family in q_values([few, many], 0.01)]
    [[0.004, 0.08], [0.078]]
    """
    within = [_q_values_within(family) for family in families]
    best = [float(q.min(initial=1.0)) for q, family in zip(within, families, strict=True) if family.tried]
    if not best:
        return within
    selected = int((stats.false_discovery_control(best) <= rate).sum())
    # In a family that is not selected, this factor raises every q-value above the rate.
    return [np.minimum(q * (len(best) / max(selected, 1)), 1.0) for q in within]


def _q_values_within(family: Trials) -> Floats:
    """Return the q-values of one family by the procedure of Benjamini and Hochberg."""
    known = family.p_values
    if not len(known):
        return np.empty(0)
    others = np.ones(max(family.tried - len(known), 0))
    return np.asarray(stats.false_discovery_control(np.concatenate([known, others]))[: len(known)])


def judge(evidence: Sequence[Evidence], rate: float) -> list[Floats]:
    """Return for each piece of evidence the q-values that `Evidence.findings` takes."""
    trials = [one.trials for one in evidence]
    q = iter(q_values([family for families in trials for family in families], rate))
    return [np.concatenate([np.empty(0), *[next(q) for _ in families]]) for families in trials]


def certainty(finding: Finding) -> float:
    """Return which part of a finding's value is certain, from 0 to 1.

    That is the end of the interval that is closer to 0, divided by the value (0 where the interval contains 0), times
    1 minus the q-value. A count of all rows is certain.
    """
    sure = 1.0
    if finding.interval:
        low, high = finding.interval
        nearer = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        sure = min(nearer / abs(finding.value), 1.0) if finding.value else 0.0
    return sure * (1.0 - (finding.q_value or 0.0))


def rank_findings(findings: Sequence[Finding], *, max_per_kind: int) -> tuple[Finding, ...]:
    """Sort decisions by the gain that is certain, then descriptions by their size; keep the best of each kind.

    Equal ones are sorted by certainty and then by id, so that the order is always the same.
    """

    def key(finding: Finding) -> tuple[bool, float, float, str]:
        sure = certainty(finding)
        # Descriptions have no money: their number times the rows behind it compares those of one kind.
        size = (finding.money or 0.0) if finding.is_decision else abs(finding.value) * finding.support.rows
        return (not finding.is_decision, -size * sure, -sure, finding.id)

    kept: list[Finding] = []
    seen: Counter[str] = Counter()
    for finding in sorted(findings, key=key):
        seen[finding.kind] += 1
        if seen[finding.kind] <= max_per_kind:
            kept.append(finding)
    return tuple(kept)
