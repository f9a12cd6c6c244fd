"""A client that costs little: one thread, plain sockets, epoll. What it measures is the server, not the client.

It spins rather than sleeps while it waits, on a core of its own: being woken up takes as long as a request.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Load", "as_fast_as_answered", "at_rate"]

_AWAKE = 0.001  # seconds before a request is due in which the client does not sleep
_LONGEST_WAIT = 30.0  # seconds after which a request counts as lost


@dataclass
class Load:
    """What came of a run; times in milliseconds.

    Attributes
    ----------
    waits : list of float
        From when each request was due (at a rate) or sent (as fast as answered) to the end of its answer.
    late : list of float
        How much later than due each request was sent: what the client itself adds to the waits at a rate.
    errors : int
        Answers other than 200, and connections that broke.
    """

    waits: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    errors: int = 0


class _Line:
    """A connection, and the request that is under way on it."""

    __slots__ = ("due", "received", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_LONGEST_WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.due = 0.0

    def send(self, request: bytes, due: float) -> None:
        self.due, self.received = due, b""
        self.socket.sendall(request)

    def take(self) -> bool | None:
        """Read what has come; return whether the answer is a 200, None while it is not whole."""
        more = self.socket.recv(1 << 20)
        if not more:
            return False
        self.received += more
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return None
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return None
        return head.startswith(b"HTTP/1.1 200")


def at_rate(port: int, requests: Sequence[bytes], rate: float, seconds: float, lines: int = 16) -> Load:
    """Send requests at a steady rate over kept connections, whether or not earlier ones have been answered."""
    load, poll = Load(), select.epoll()
    idle = deque(_Line(port) for _ in range(lines))
    by_number = {line.socket.fileno(): line for line in idle}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    count, sent, begun = int(rate * seconds), 0, time.perf_counter() + 0.01
    while len(load.waits) + load.errors < count:
        now = time.perf_counter()
        due = begun + sent / rate
        if len(idle) == lines and due - now > 2 * _AWAKE:
            time.sleep(due - now - _AWAKE)
        if sent < count and now >= due and idle:
            idle.popleft().send(requests[sent % len(requests)], due)  # in turn: a server closes lines left idle
            load.late.append(1_000 * (now - due))
            sent += 1
        for number, _ in poll.poll(0):
            line = by_number[number]
            good = line.take()
            if good is not None:
                load.waits.append(1_000 * (time.perf_counter() - line.due))
                load.errors += not good
                idle.append(line)
        if now > begun + seconds + _LONGEST_WAIT:
            raise TimeoutError(f"{count - len(load.waits)} requests were not answered")
    for line in by_number.values():
        line.socket.close()
    poll.close()
    return load


def as_fast_as_answered(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    """Let many clients each send a request as soon as the one before is answered."""
    load, poll = Load(), select.epoll()
    by_number: dict[int, _Line] = {}
    sent = 0

    def send(line: _Line) -> None:
        nonlocal sent
        line.send(requests[sent % len(requests)], time.perf_counter())
        sent += 1

    def begin() -> None:
        line = _Line(port)
        by_number[line.socket.fileno()] = line
        poll.register(line.socket.fileno(), select.EPOLLIN)
        send(line)

    for _ in range(clients):
        begin()
    until = time.perf_counter() + seconds
    while by_number and time.perf_counter() < until + _LONGEST_WAIT:
        for number, _ in poll.poll(0.1):
            line = by_number[number]
            try:
                good = line.take()
                broken = good is False and not line.received
            except OSError:
                good, broken = False, True
            if good is None:
                continue
            load.waits.append(1_000 * (time.perf_counter() - line.due))
            load.errors += not good
            is_over = time.perf_counter() >= until
            if broken or is_over:
                poll.unregister(number)
                del by_number[number]
                line.socket.close()
                if not is_over:
                    begin()
            else:
                send(line)
    load.errors += len(by_number)
    poll.close()
    return load
