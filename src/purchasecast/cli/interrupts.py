"""Ctrl-C stops a run wherever it comes, and leaves no process and no file behind.

Spark's own handler asks Java to cancel its jobs, perhaps in the middle of another conversation with it, and Spark goes
on writing while the folders of the run are removed. So the processes that the run has started end first. Libraries that
load catch whatever comes, and what a weak reference calls back can raise nothing: an interrupt there is remembered.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

__all__ = ["Interrupts", "end_processes", "raise_again", "speak_again"]

_heard: list[TextIO] = []  # standard error, while nothing may be printed
_PATIENCE_SECONDS = 10.0  # for a JVM that removes its temporary folders


class Interrupts:
    """Handle interrupts of a command: end what it has started, then raise `KeyboardInterrupt`.

    Parameters
    ----------
    quiet : bool
        Whether to keep back what libraries log about being interrupted.

    Attributes
    ----------
    came : bool
        Whether there was one.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.came = False
        self._quiet = quiet
        self._before = signal.getsignal(signal.SIGINT)
        # A process that was told to ignore interrupts goes on doing so, and handlers are the main thread's affair.
        self._is_ours_to_set = threading.current_thread() is threading.main_thread() and callable(self._before)
        self.renew()

    def renew(self) -> None:
        """Take the place of the handler that Spark has set."""
        if self._is_ours_to_set:
            signal.signal(signal.SIGINT, self._stop)

    def close(self) -> None:
        """Put back the handler that was there at first."""
        if self._is_ours_to_set:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raise the interrupt that came, if one did."""
        if self.came:
            raise KeyboardInterrupt

    def _stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  what Python calls it with
        again, self.came = self.came, True
        if self._quiet and not again:
            logging.disable(logging.CRITICAL)
            _heard.append(sys.stderr)
            sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  until `speak_again`
        end_processes(0.0 if again else _PATIENCE_SECONDS)
        raise KeyboardInterrupt


def speak_again() -> bool:
    """Print to standard error again, after an interrupt that had to be quiet; return whether there was one."""
    if not _heard:
        return False
    sys.stderr.close()
    sys.stderr = _heard.pop()
    return True


def end_processes(patience: float) -> None:
    """End all processes that this one has started, and those that they have started.

    Parameters
    ----------
    patience : float
        Seconds that they have to end by themselves.
    """
    if os.name == "nt":  # Java notices there that its parent has ended
        return
    started = _started()
    for process in started:
        _send(process, signal.SIGTERM)
    give_up = time.monotonic() + patience
    while any(map(_is_alive, started)) and time.monotonic() < give_up:
        time.sleep(0.05)
    for process in {*started, *_started()}:
        _send(process, signal.SIGKILL)


def raise_again(unraisable: UnraisableHookArgs) -> None:
    """Raise an interrupt again that came in a callback that can raise nothing; a hook of `sys`."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    # At once it would come in this callback, too; a signal, unlike `_thread.interrupt_main`, ends a wait as well.
    again = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()


def _started() -> list[int]:
    """Return the processes that descend from this one."""
    children: dict[int, list[int]] = {}
    for process, parent in _processes():
        children.setdefault(parent, []).append(process)
    result = list(children.get(os.getpid(), []))
    for process in result:  # the list grows while it is walked
        result += children.get(process, [])
    return result


def _processes() -> list[tuple[int, int]]:
    """Return all processes with their parents."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            found.append((int(entry.parent.name), int(fields[1])))
    if not found and os.name != "nt":  # macOS has no /proc
        with suppress(OSError):
            listed = subprocess.run(["ps", "-Ao", "pid=,ppid="], capture_output=True, text=True, check=False)  # noqa: S607
            found = [(int(a), int(b)) for a, b in map(str.split, listed.stdout.splitlines())]
    return found


def _send(process: int, number: signal.Signals) -> None:
    with suppress(OSError):
        os.kill(process, number)


def _is_alive(process: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(process, os.WNOHANG)  # otherwise a child that has ended counts as one
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
