"""Ctrl-C stops a run wherever it comes, also where a library swallows it.

Libraries that load catch whatever comes, and what a weak reference calls back can raise nothing: py4j tells Java so of
objects let go of. An interrupt there would be forgotten, and the run go on to its end.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

__all__ = ["Interrupts", "raise_again"]


class Interrupts:
    """Remember an interrupt that comes before Spark has started, until it is heard.

    Attributes
    ----------
    came : bool
        Whether there was one.
    """

    def __init__(self) -> None:
        self.came = False
        self._before = signal.getsignal(signal.SIGINT)
        # A process that was told to ignore interrupts goes on doing so, and handlers are the main thread's affair.
        is_ours_to_set = threading.current_thread() is threading.main_thread() and callable(self._before)
        self._own = self._remember if is_ours_to_set else None
        if self._own is not None:
            signal.signal(signal.SIGINT, self._own)

    def close(self) -> None:
        """Put back the handler that was there; one that Spark has set since stays."""
        if self._own is not None and signal.getsignal(signal.SIGINT) == self._own:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raise the interrupt that came, if one did."""
        if self.came:
            raise KeyboardInterrupt

    def _remember(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  what Python calls it with
        self.came = True
        raise KeyboardInterrupt


def raise_again(unraisable: UnraisableHookArgs) -> None:
    """Raise an interrupt again that came in a callback that can raise nothing; a hook of `sys`."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    # At once it would come in this callback, too; a signal, unlike `_thread.interrupt_main`, ends a wait as well.
    again = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()
