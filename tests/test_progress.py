"""Steps are timed, added up and told."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from purchasecast.cli.terminal import TerminalWatcher
from purchasecast.progress import Steps


def test_steps_of_one_name_add_up() -> None:
    steps = Steps()
    for _ in range(2):
        with steps.step("fit"):
            pass
    assert list(steps.seconds) == ["fit"]
    assert steps.seconds["fit"] >= 0


def test_a_step_that_fails_is_timed_and_raises() -> None:
    steps = Steps()
    with pytest.raises(ValueError, match="bad"), steps.step("fit"):
        raise ValueError("bad")
    assert "fit" in steps.seconds


def test_a_terminal_gets_a_line_for_each_step() -> None:
    stream = io.StringIO()
    watcher = TerminalWatcher(Console(file=stream, force_terminal=True, width=100))
    steps = Steps(watcher)
    steps.expect(1)
    with steps.step("crossed effects") as step:
        step.rows = 550_068
    watcher.close()
    assert "crossed effects" in stream.getvalue()
    assert "550,068 rows" in stream.getvalue()


def test_a_log_gets_plain_lines_without_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = TerminalWatcher.for_stderr()
    steps = Steps(watcher)
    steps.expect(1)
    with steps.step("crossed effects") as step:
        step.rows = 550_068
    watcher.close()
    told = capsys.readouterr().err
    assert told.split() == ["crossed", "effects", "550,068", "rows", "0.0", "s"]
    assert "\x1b" not in told
