"""Measure the steps of a run, and report progress.

The library measures its steps with `Steps`; the command line shows them on stderr.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Step", "Steps", "Watcher"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Step:
    """One step of a run.

    Attributes
    ----------
    name : str
        Name of one or two words.
    rows : int or None
        Number of rows that it processed, once known.
    seconds : float
        Time that it took, once finished.
    """

    name: str
    rows: int | None = None
    seconds: float = 0.0


class Watcher(Protocol):
    """Object that is notified of the steps of a run."""

    def expect(self, steps: int) -> None:
        """Prepare for about this number of steps."""

    def started(self, step: Step) -> None:
        """Handle the start of a step."""

    def finished(self, step: Step) -> None:
        """Handle the end of a step."""


@dataclass(slots=True)
class Steps:
    """Measure the steps of a run, and log one line for each.

    Parameters
    ----------
    watcher : Watcher, optional
        Object to notify of each step.

    Attributes
    ----------
    seconds : dict of str to float
        Seconds of every finished step, summed over steps of the same name.

    Examples
    --------
    >>> steps = Steps()
    >>> with steps.step("read") as step:
    ...     step.rows = 3
    >>> list(steps.seconds)
    ['read']
    """

    watcher: Watcher | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def expect(self, steps: int) -> None:
        """Announce the number of steps, for a progress bar.

        Parameters
        ----------
        steps : int
            Number of steps, approximately.
        """
        if self.watcher:
            self.watcher.expect(steps)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Measure a step.

        Parameters
        ----------
        name : str
            Name of the step.

        Yields
        ------
        Step
            The step; the caller sets its rows.
        """
        step = Step(name)
        if self.watcher:
            self.watcher.started(step)
        start = time.monotonic()
        try:
            yield step
        finally:
            step.seconds = time.monotonic() - start
            self.seconds[name] = round(self.seconds.get(name, 0.0) + step.seconds, 3)
            if self.watcher:
                self.watcher.finished(step)
        logger.info("%s: %s rows, %.1f s", name, "-" if step.rows is None else f"{step.rows:,}", step.seconds)
