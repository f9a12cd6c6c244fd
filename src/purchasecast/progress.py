"""Steps of a run: their rows and seconds, told to whoever watches.

The library times its steps with `Steps`; the command line shows them with `rich` on stderr, where that is a terminal.
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
    """One step under way.

    Attributes
    ----------
    name : str
        What is done, in a word or two.
    rows : int or None
        Rows that it dealt with, once known.
    seconds : float
        Time it took, once done.
    """

    name: str
    rows: int | None = None
    seconds: float = 0.0


class Watcher(Protocol):
    """Is told of the steps of a run."""

    def expect(self, steps: int) -> None:
        """Take note that a run will have about so many steps."""

    def started(self, step: Step) -> None:
        """Take note that a step has begun."""

    def finished(self, step: Step) -> None:
        """Take note that a step is done."""


@dataclass(slots=True)
class Steps:
    """Time the steps of a run, and log one line for each.

    Parameters
    ----------
    watcher : Watcher, optional
        Who is told; nobody by default.

    Attributes
    ----------
    seconds : dict of str to float
        Seconds of every step so far; a step that ran twice is added up.

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
        """Say about how many steps there will be, for a bar."""
        if self.watcher:
            self.watcher.expect(steps)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; the caller sets its rows when it knows them."""
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
