"""Which claims survive that many were tried, and which come first. Without Spark.

All tests of a run, of segments, products and customers alike, go into one family: the q-value of a test is the
smallest rate of false discoveries at which it would still be kept (Benjamini and Hochberg). Where no effect exists at
all, the chance that anything is claimed is then at most the stated rate.

References
----------
Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57(1),
1995. https://doi.org/10.1111/j.2517-6161.1995.tb02031.x
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from purchasecast.finding import Finding
    from purchasecast.insights.wording import Words

    Floats = NDArray[np.float64]

__all__ = ["MOST_COLLECTED", "Evidence", "Trials", "certainty", "q_values", "rank_findings"]

#: Most tests of one kind that are brought to the driver: those with the smallest p-values, and p below the rate.
MOST_COLLECTED = 10_000


@dataclass(frozen=True, slots=True)
class Trials:
    """The p-values of one kind of evidence.

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
    def trials(self) -> Trials:
        """The tests in it; none where it only states facts."""

    def findings(self, q: Floats, rate: float, words: Words) -> list[Finding]:
        """Put into words what is kept, given the q-values of the tests at hand."""


def q_values(families: Sequence[Trials]) -> list[Floats]:
    """Return the q-values of all tests together.

    Parameters
    ----------
    families : sequence of Trials
        By kind.

    Returns
    -------
    list of ndarray
        As in `families`. A test that is not at hand counts as one with p = 1, which never makes a q-value smaller.

    Examples
    --------
    >>> few, many = Trials(np.array([0.001, 0.04]), 2), Trials(np.array([0.0004]), 98)
    >>> [[round(float(q), 3) for q in family] for family in q_values([few, many])]
    [[0.05, 1.0], [0.04]]
    """
    at_hand = np.concatenate([family.p_values for family in families]) if families else np.empty(0)
    others = sum(family.tried - len(family.p_values) for family in families)
    if not len(at_hand):
        return [np.empty(0) for _ in families]
    adjusted = stats.false_discovery_control(np.concatenate([at_hand, np.ones(max(others, 0))]))[: len(at_hand)]
    ends = np.cumsum([len(family.p_values) for family in families])
    return [np.asarray(part) for part in np.split(adjusted, ends[:-1])]


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
