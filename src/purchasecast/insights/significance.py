r"""Which claims survive that many were tried, and which come first. Without Spark.

The tests of one question, such as which segments differ, are a family. A thousand true finds in one family must not
make room for false ones in another, so the rate is held in two steps (Benjamini and Bogomolov): of :math:`m` families
those are looked into whose smallest q-value (that is Simes' p-value of the whole family) passes the procedure of
Benjamini and Hochberg over families; in each of the :math:`R` that pass, tests are kept by that procedure at the rate
:math:`R / m` times as high. On average over the families looked into, the share of false finds is at most the rate;
and where no effect exists at all, the chance that anything is claimed is at most the rate.

References
----------
Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57(1),
1995. https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
Y. Benjamini, M. Bogomolov, "Selective inference on multiple families of hypotheses", Journal of the Royal Statistical
Society B 76(1), 2014. https://doi.org/10.1111/rssb.12028
"""

from __future__ import annotations

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

__all__ = ["MOST_COLLECTED", "Evidence", "Trials", "certainty", "judge", "q_values", "rank_findings"]

#: Most tests of one kind that are brought to the driver: those with the smallest p-values, and p below the rate.
MOST_COLLECTED = 10_000


@dataclass(frozen=True, slots=True)
class Trials:
    """The p-values of one family of tests.

    Attributes
    ----------
    p_values : ndarray of shape (k,)
        Of the tests at hand: at least all that are below the rate, up to `MOST_COLLECTED`.
    tried : int
        How many tests there were, at hand or not.
    """

    p_values: Floats
    tried: int


class Evidence(Protocol):
    """What Spark counted for one kind of finding."""

    @property
    def trials(self) -> tuple[Trials, ...]:
        """The tests in it, a family a question; none where it only states facts."""

    def findings(self, q: Floats, rate: float, phrases: Phrases) -> list[Finding]:
        """Put into words what is kept, given the q-values of the tests at hand, family after family."""


def q_values(families: Sequence[Trials], rate: float) -> list[Floats]:
    """Return the q-values of all tests, raised by what it costs to look into several families.

    Parameters
    ----------
    families : sequence of Trials
        By question.
    rate : float
        Rate of false discoveries: decides which families are looked into.

    Returns
    -------
    list of ndarray
        As in `families`: a test is kept where its value is at most `rate`. A test that is not at hand counts as one
        with p = 1, which never makes a q-value smaller.

    Examples
    --------
    >>> few, many = Trials(np.array([0.001, 0.04]), 2), Trials(np.array([0.0004]), 98)
    >>> [[round(float(q), 3) for q in family] for family in q_values([few, many], 0.1)]
    [[0.002, 0.04], [0.039]]
    >>> [[round(float(q), 3) for q in family] for family in q_values([few, many], 0.01)]
    [[0.004, 0.08], [0.078]]
    """
    own = [_within(family) for family in families]
    best = [float(q.min(initial=1.0)) for q, family in zip(own, families, strict=True) if family.tried]
    if not best:
        return own
    chosen = int((stats.false_discovery_control(best) <= rate).sum())
    # A family that is not chosen has no q-value that this factor leaves at or below the rate.
    return [np.minimum(q * (len(best) / max(chosen, 1)), 1.0) for q in own]


def _within(family: Trials) -> Floats:
    """Return the q-values of one family, as Benjamini and Hochberg have them."""
    at_hand = family.p_values
    if not len(at_hand):
        return np.empty(0)
    others = np.ones(max(family.tried - len(at_hand), 0))
    return np.asarray(stats.false_discovery_control(np.concatenate([at_hand, others]))[: len(at_hand)])


def judge(evidence: Sequence[Evidence], rate: float) -> list[Floats]:
    """Return the q-values of every piece of evidence, one array each.

    Parameters
    ----------
    evidence : sequence of Evidence
        All that a run has.
    rate : float
        Rate of false discoveries.

    Returns
    -------
    list of ndarray
        What `Evidence.findings` takes.
    """
    trials = [one.trials for one in evidence]
    q = iter(q_values([family for families in trials for family in families], rate))
    return [np.concatenate([np.empty(0), *[next(q) for _ in families]]) for families in trials]


def certainty(finding: Finding) -> float:
    """Return how much of a finding's number is certain, from 0 to 1.

    Parameters
    ----------
    finding : Finding
        The finding.

    Returns
    -------
    float
        The end of the interval that is nearer to 0 as a share of the value (0 where 0 lies inside), times 1 - q; a
        count of all rows is certain.
    """
    sure = 1.0
    if finding.interval:
        low, high = finding.interval
        nearer = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        sure = min(nearer / abs(finding.value), 1.0) if finding.value else 0.0
    return sure * (1.0 - (finding.q_value or 0.0))


def rank_findings(findings: Sequence[Finding], *, most_of_a_kind: int) -> tuple[Finding, ...]:
    """Sort findings by the money that is certain, and keep the best of each kind.

    Parameters
    ----------
    findings : sequence of Finding
        In any order.
    most_of_a_kind : int
        How many of one kind to keep.

    Returns
    -------
    tuple of Finding
        Largest certain money first; then by certainty and by id, so that the order is always the same.
    """

    def key(finding: Finding) -> tuple[float, float, str]:
        sure = certainty(finding)
        return (-(finding.money or 0.0) * sure, -sure, finding.id)

    kept, seen = [], dict.fromkeys((finding.kind for finding in findings), 0)
    for finding in sorted(findings, key=key):
        seen[finding.kind] += 1
        if seen[finding.kind] <= most_of_a_kind:
            kept.append(finding)
    return tuple(kept)
