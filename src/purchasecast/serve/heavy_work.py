"""Run heavy work, such as scoring a file, in a few threads of its own, so that single rows never wait for it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from purchasecast.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HeavyWork"]

T = TypeVar("T")


class HeavyWork:
    """Runs a limited number of calls at a time and refuses more.

    Parameters
    ----------
    limit : int
        Largest number of calls at a time.

    Notes
    -----
    A thread cannot be stopped. A call whose request has timed out therefore keeps its slot until it really ends:
    otherwise clients that try again after a timeout would start threads without limit.
    """

    def __init__(self, limit: int) -> None:
        self._free = threading.BoundedSemaphore(limit)
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="heavy")

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in a thread and return its result.

        Raises
        ------
        ProblemError
            With status 503 if all slots are taken.
        """
        if not self._free.acquire(blocking=False):
            raise ProblemError(503, "The server is busy; try again in a moment.", headers={"retry-after": "1"})
        # Nothing is awaited between taking the slot and handing the call over: no timeout can lose the slot.
        future = self._threads.submit(call)
        future.add_done_callback(lambda _: self._free.release())
        return await asyncio.wrap_future(future)
