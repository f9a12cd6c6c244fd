"""Result of an evaluation of amounts that stand on steps: how probable each step was, and which one came."""

from __future__ import annotations

from dataclasses import dataclass

from purchasecast.formatting import money, percent
from purchasecast.results.lists import CalibrationBin
from purchasecast.results.record import Record

__all__ = ["AmountEvaluation"]


@dataclass(frozen=True, slots=True, repr=False)
class AmountEvaluation(Record):
    """How well the probabilities of steps, and sets of steps, matched labelled rows.

    Attributes
    ----------
    rows : int
        Rows whose category has a ladder.
    level : float
        Share of the amounts that are to be in their sets.
    coverage : float
        Share of the amounts that are in their sets.
    mean_length : float
        Mean total length of a set, in money; beside it the width of an interval says what a set saves.
    mean_steps : float
        Mean number of steps in a set.
    reliability : tuple of CalibrationBin
        All pairs of a row and a step by tenths of the probability, ascending: how often the step should have come, and
        how often it came.
    money : str or None
        Currency of the amounts.
    """

    rows: int
    level: float
    coverage: float
    mean_length: float
    mean_steps: float
    reliability: tuple[CalibrationBin, ...]
    money: str | None = None

    @property
    def largest_gap(self) -> float:
        """Largest difference between the mean probability and the share that came, over bins of 100 pairs or more."""
        bins = [one for one in self.reliability if one.pairs >= 100]
        return max((abs(one.expected - one.actual) / one.pairs for one in bins), default=0.0)

    def __repr__(self) -> str:
        """Return the figures as a sentence."""
        return (
            f"Amounts stand on steps: sets at {self.level:.0%} hold {percent(self.coverage)} of them, with "
            f"{self.mean_steps:.1f} steps and a total length of {money(self.mean_length, self.money)} on average."
        )
