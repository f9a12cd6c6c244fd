"""What the command line shows: progress on stderr, results on stdout."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from purchasecast.progress import Step

__all__ = ["TerminalWatcher", "print_result"]


class TerminalWatcher:
    """Show the steps of a run: a line for each that is done and, on a terminal, a bar with the one under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:24}"),
            BarColumn(bar_width=28),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._done = 0

    @classmethod
    def for_stderr(cls) -> TerminalWatcher:
        """Return a watcher that writes to stderr."""
        return cls(Console(stderr=True))

    def expect(self, steps: int) -> None:
        """Give the bar its length."""
        self._progress.update(self._task, total=self._done + steps)

    def started(self, step: Step) -> None:
        """Show the step beside the bar."""
        if not self._console.is_terminal:  # a log has lines only
            return
        self._progress.start()
        self._progress.update(self._task, description=step.name)

    def finished(self, step: Step) -> None:
        """Leave a line for the step, and move the bar on."""
        rows = "" if step.rows is None else f"{step.rows:>12,} rows"
        self._console.print(f"  {step.name:24}{rows:>18}{step.seconds:>9.1f} s", highlight=False)
        self._done += 1
        self._progress.update(self._task, completed=self._done)

    def close(self) -> None:
        """Take the bar away."""
        if self._console.is_terminal:
            self._progress.stop()


def print_result(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print one JSON document, or text for people, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        click.echo(text)
