"""A session ends after twelve hours, with a new token, and by any change of its cookie."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from purchasecast.serve.auth import COOKIE, SESSION_SECONDS, Guard

if TYPE_CHECKING:
    import pytest

TOKEN = "a token of some length"


def admits(guard: Guard, session: str) -> bool:
    return guard.admits(Headers({"cookie": f"{COOKIE}={session}"}))


def test_a_session_ends_after_twelve_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, now = Guard(TOKEN), time.time()
    session = guard.session()
    assert admits(guard, session)
    monkeypatch.setattr(time, "time", lambda: now + SESSION_SECONDS - 5)
    assert admits(guard, session)
    monkeypatch.setattr(time, "time", lambda: now + SESSION_SECONDS + 5)
    assert not admits(guard, session)


def test_a_changed_session_and_that_of_another_token_are_refused() -> None:
    guard = Guard(TOKEN)
    end, _, signature = guard.session().partition(".")
    assert not admits(guard, f"{int(end) + 1}.{signature}")
    assert not admits(guard, f"{end}.{'0' * len(signature)}")
    assert not admits(guard, end)
    assert not admits(Guard(TOKEN + "!"), guard.session())
